"""`st_kinetics`: the decisions of `st_default` at the scale of Kinetics-400 and Something-Something.

Six stages of inverted bottlenecks as in ProxylessNAS (Cai et al. 2019), two to three times as wide as X3D
(Feichtenhofer 2020), with 8 to 16 frames of 112 to 224 pixels. The caps are those of the networks to compare with:
TSM-R50 has 32.9 GMACs per clip with 8 frames and twice as many with 16.
"""

from pvnas_bench.space import BlockSpace, Stage, uniform_options

STAGES = (
    Stage(channels=80, stride=2, depths=(1, 2, 3, 4)),
    Stage(channels=144, stride=2, depths=(1, 2, 3, 4)),
    Stage(channels=272, stride=2, depths=(1, 2, 3, 4)),
    Stage(channels=384, stride=1, depths=(1, 2, 3, 4)),
    Stage(channels=640, stride=2, depths=(1, 2, 3, 4)),
    Stage(channels=896, stride=1, depths=(1, 2)),
)


def expert(operator: str, se: str = "no") -> dict[str, str]:
    """Options of a hand-designed network: 12 frames of 160 pixels, depths 2-3-4-4-4-1, the same operator everywhere."""
    return uniform_options(
        STAGES,
        frames=12,
        size=160,
        depths=(2, 3, 4, 4, 4, 1),
        operators=(operator,) * len(STAGES),
        expansion=6,
        se=se,
    )


SPACE = BlockSpace(
    "st_kinetics",
    1,
    description="MBConv spatial-temporal networks at full scale, 8-16 frames of 112-224 px, caps 33 and 66 GMACs",
    frames=(8, 12, 16),
    sizes=(112, 128, 160, 192, 224),
    stem=32,
    stages=STAGES,
    head=1280,
    operators=("s3", "s5", "st3", "f3", "t5", "tsm", "skip"),
    expansions=(3, 6),
    se=("no", "se"),
    caps={"L": 33_000_000_000, "M": 66_000_000_000},
    reference=expert("f3"),
    experts={
        "c2d": expert("s3"),
        "tsm": expert("tsm"),
        "r2plus1d": expert("f3"),
        "i3d": expert("st3"),
        "x3d": expert("st3", se="se"),
    },
)
