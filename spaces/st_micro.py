"""`st_micro`: the operators of `st_default` in a chain of four blocks, small enough to train every architecture.

What NAS-Bench-201 (Dong & Yang 2020) is for images: one decision a block, everything else fixed, so that the whole
space is known and a search can be judged by the truth. A training takes seconds; the tables are built by `table build`
under the protocol `micro`.
"""

from pvnas_bench.space import BlockSpace, Stage, uniform_options

STAGES = (Stage(channels=24, stride=2, depths=(4,)),)
FRAMES, SIZE, EXPANSION = 8, 16, 2


def expert(operator: str) -> dict[str, str]:
    """A hand-designed network: one operator throughout, or two that alternate."""
    return uniform_options(
        STAGES, frames=FRAMES, size=SIZE, depths=(4,), operators=(operator,), expansion=EXPANSION, se="no"
    )


SPACE = BlockSpace(
    "st_micro",
    1,
    description="every chain of four MBConv blocks, 8 frames of 16 px, no cap: trained in full, for tables",
    frames=(FRAMES,),
    sizes=(SIZE,),
    stem=12,
    stages=STAGES,
    head=64,
    operators=("s3", "f3", "t5", "tsm", "skip"),
    expansions=(EXPANSION,),
    se=("no",),
    caps={"all": 2_000_000},
    reference=expert("f3"),
    experts={
        "c2d": expert("s3"),
        "tsm": expert("tsm"),
        "r2plus1d": expert("f3"),
        "p3d": expert("s3+t5"),
    },
)
