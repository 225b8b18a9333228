"""Hand-designed networks expressed in the space: the control that a search has to justify itself against.

C2D, TSM (Lin et al. 2019), R(2+1)D (Tran et al. 2018), I3D (Carreira & Zisserman 2017) and X3D (Feichtenhofer 2020) are
characterised by how a block sees time; each becomes the network with that operator throughout.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from pvnas_bench import Architecture, Info, Problem, SearchFinished, Strategy, StrategyConfig, UsageError


class Expert(Strategy):
    info = Info(
        name="expert",
        title="Hand-designed networks",
        paper="Lin et al. 2019; Tran et al. 2018; Carreira & Zisserman 2017; Feichtenhofer 2020",
        year=2020,
        levels=(),
        published="the operator that characterises each network",
        reconstructed="everything else is the space's: widths, depths, input",
        role="expert_control",
    )

    trial_based = True

    class Config(StrategyConfig):
        network: str = Field("r2plus1d", description="a hand-designed network of the space")

    def setup(self, problem: Problem) -> None:
        experts = problem.space.experts
        if self.config.network not in experts:
            known = ", ".join(experts)
            raise UsageError(
                f"{problem.space.name} has no hand-designed network {self.config.network!r}: choose {known}"
            )
        self.architecture = experts[self.config.network]

    def step(self) -> None:
        raise SearchFinished

    def incumbent(self) -> Architecture:
        return self.architecture

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """There is no state."""
