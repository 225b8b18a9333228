"""A space of six architectures that train in a fraction of a second."""

from pvnas_bench.space import BlockSpace, Stage, uniform_options

STAGES = (Stage(8, 2, (1,)), Stage(8, 1, (1,)))


def options(operator: str) -> dict[str, str]:
    return uniform_options(STAGES, frames=4, size=16, depths=(1, 1), operators=(operator,) * 2, expansion=1, se="no")


SPACE = BlockSpace(
    "tiny",
    1,
    description="two blocks",
    frames=(4,),
    sizes=(16,),
    stem=8,
    stages=STAGES,
    head=8,
    operators=("s3", "f3", "skip"),
    expansions=(1,),
    se=("no",),
    caps={"all": 10**6},
    reference=options("f3"),
    experts={"c2d": options("s3")},
)
