"""`st_default`: inverted-bottleneck spatial-temporal networks for small clips, searched on a CPU in minutes.

Light-weight networks like X3D, MoViNet and ProxylessNAS, for frames of 24 to 40 pixels. Modular decisions set how each
block combines space and time; structural decisions set the number and size of frames and the depth.
"""

from pvnas_bench.space import BlockSpace, Stage, uniform_options

STAGES = (
    Stage(channels=16, stride=2, depths=(1, 2, 3)),
    Stage(channels=32, stride=2, depths=(1, 2, 3)),
)


def expert(operators: tuple[str, str], se: str = "no", expansion: int = 4) -> dict[str, str]:
    """Options of a hand-designed network: 8 frames of 32 pixels, depths 2-2, one operator per stage."""
    return uniform_options(STAGES, frames=8, size=32, depths=(2, 2), operators=operators, expansion=expansion, se=se)


SPACE = BlockSpace(
    "st_default",
    1,
    description="MBConv spatial-temporal networks, 4-16 frames of 24-40 px, caps 7 (L) and 14 (M) MMACs",
    frames=(4, 8, 16),
    sizes=(24, 32, 40),
    stem=8,
    stages=STAGES,
    head=96,
    operators=("s3", "s5", "st3", "f3", "t5", "tsm", "skip"),
    expansions=(2, 4),
    se=("no", "se"),
    caps={"L": 7_000_000, "M": 14_000_000},
    reference=expert(("f3", "f3")),
    experts={
        "c2d": expert(("s3", "s3")),
        "tsm": expert(("tsm", "tsm")),
        "r2plus1d": expert(("f3", "f3")),
        "i3d": expert(("st3", "st3")),
        "x3d": expert(("st3", "st3"), se="se"),
        "top_heavy": expert(("s3", "f3")),
    },
)
