"""A space of your own: short clips of low resolution, as of a thermal camera."""

from pvnas_bench.space import BlockSpace, Stage, uniform_options

STAGES = (Stage(channels=8, stride=2, depths=(1, 2)), Stage(channels=16, stride=2, depths=(1, 2)))


def expert(operator: str) -> dict[str, str]:
    """A hand-designed network: one operator throughout."""
    return uniform_options(
        STAGES, frames=8, size=16, depths=(2, 2), operators=(operator, operator), expansion=2, se="no"
    )


SPACE = BlockSpace(
    "st_thermal",
    1,
    description="MBConv networks on 4 or 8 frames of 12 or 16 px",
    frames=(4, 8),
    sizes=(12, 16),
    stem=8,
    stages=STAGES,
    head=32,
    operators=("s3", "st3", "f3", "t5", "tsm", "skip"),
    expansions=(1, 2),
    se=("no", "se"),
    caps={"L": 400_000},
    reference=expert("f3"),
    experts={"c2d": expert("s3"), "tsm": expert("tsm"), "r2plus1d": expert("f3")},
)
