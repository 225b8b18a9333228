"""`st_temporal_cell`: temporal cells on the features of a frozen 2-D backbone, for clips of any length.

The setting of NAS-TC (Ren et al. 2021). The backbone is a 2-D network of inverted bottlenecks on frames of 32 pixels.
It runs only once on every frame, so even for clips longer than a minute, a search only pays for time steps. The paper
omits operators, sizes and hyper-parameters; they are choices of this benchmark, and the paper's results are not
reproduced here.
"""

from pvnas_bench.space import CELL_OPERATORS, Backbone, Block, CellSpace, NetworkSpec, cell_options

BACKBONE = Backbone(
    NetworkSpec(
        frames=4,
        size=32,
        stem=16,
        blocks=(
            Block("1.1", 16, 24, stride=2, operator="s3", expansion=4, se=False),
            Block("1.2", 24, 24, stride=1, operator="s3", expansion=4, se=False),
            Block("2.1", 24, 32, stride=2, operator="s3", expansion=4, se=False),
        ),
        head=96,
    ),
    grid=2,
)


def expert(*operators: str) -> dict[str, str]:
    """Options of a hand-designed network: 32 time steps, 2 cells of 64 channels, the same operators in both."""
    return cell_options(steps=32, cells=2, channels=64, operators=operators)


SPACE = CellSpace(
    "st_temporal_cell",
    1,
    description="temporal cells on features of a frozen 2-D backbone, long clips, caps 2 (L), 8 (M) MMACs without it",
    backbone=BACKBONE,
    steps=(8, 16, 32, 64, 128, 256),
    cells=(1, 2, 3),
    channels=(32, 64, 128),
    operators=tuple(CELL_OPERATORS),
    caps={"L": 2_000_000, "M": 8_000_000},
    reference=expert("t3", "skip", "t3"),
    experts={
        "c2d": expert("none", "skip", "none"),
        "r2plus1d": expert("t3", "skip", "t3"),
        "tcn": expert("t3", "skip", "t3d2"),
        "timeception": expert("t3", "t5", "t7"),
    },
)
