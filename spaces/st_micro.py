"""`st_micro`: the operators of `st_default` in a chain of three blocks, small enough to train every architecture.

A video counterpart of NAS-Bench-201 (Dong & Yang 2020): only the operator and expansion of each block vary, so all
architectures can be trained and searches compared with the true ranking. Three blocks suffice, as one or two temporal
operators nearly solve the task. A training takes seconds; `table build` builds the tables under the protocol `micro`.
"""

from pvnas_bench.space import BlockSpace, Stage, uniform_options

STAGES = (Stage(channels=24, stride=2, depths=(3,)),)
FRAMES, SIZE, EXPANSION = 8, 16, 3


def expert(operator: str, expansion: int = EXPANSION) -> dict[str, str]:
    """Options of a hand-designed network: one operator, or two that alternate, and one expansion."""
    return uniform_options(
        STAGES, frames=FRAMES, size=SIZE, depths=(3,), operators=(operator,), expansion=expansion, se="no"
    )


SPACE = BlockSpace(
    "st_micro",
    2,
    description="every chain of three MBConv blocks, 8 frames of 16 px, no cap: trained in full, for tables",
    frames=(FRAMES,),
    sizes=(SIZE,),
    stem=12,
    stages=STAGES,
    head=64,
    operators=("s3", "f3", "t5", "tsm", "skip"),
    expansions=(1, EXPANSION),
    se=("no",),
    caps={"all": 2_000_000},
    reference=expert("f3"),
    experts={
        "c2d": expert("s3"),
        "tsm": expert("tsm"),
        "r2plus1d": expert("f3"),
        "p3d": expert("s3+t5"),
        "c2d_e1": expert("s3", 1),
        "tsm_e1": expert("tsm", 1),
        "r2plus1d_e1": expert("f3", 1),
        "p3d_e1": expert("s3+t5", 1),
    },
)
