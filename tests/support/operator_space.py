"""A space with every operator, whose networks train in a fraction of a second."""

from pvnas_bench.space import OPERATORS, BlockSpace, Stage, uniform_options

STAGES = (Stage(8, 2, (1,)), Stage(8, 1, (1,)))


def options(operator: str) -> dict[str, str]:
    return uniform_options(STAGES, frames=4, size=16, depths=(1, 1), operators=(operator,) * 2, expansion=2, se="se")


SPACE = BlockSpace(
    "every_operator",
    1,
    description="two blocks of any operator",
    frames=(4,),
    sizes=(16,),
    stem=8,
    stages=STAGES,
    head=8,
    operators=tuple(operator for operator in OPERATORS if operator != "skip"),
    expansions=(1, 2),
    se=("no", "se"),
    caps={"all": 10**7},
    reference=options("f3"),
    experts={operator: options(operator) for operator in OPERATORS if operator != "skip"},
)
