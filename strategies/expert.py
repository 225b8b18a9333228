"""Hand-designed networks expressed in the space: the control that a search must beat.

C2D, TSM (Lin et al. 2019), R(2+1)D (Tran et al. 2018), I3D (Carreira & Zisserman 2017) and X3D (Feichtenhofer 2020) are
characterised by how a block sees time; each becomes the network with that operator throughout.
"""

from pydantic import Field

from pvnas_bench import Architecture, Info, SearchFinished, Strategy, StrategyConfig, UsageError


class ExpertConfig(StrategyConfig):
    """Choice of the network."""

    network: str = Field("r2plus1d", description="a hand-designed network of the space")


class Expert(Strategy[ExpertConfig]):
    """A hand-designed network."""

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

    def setup(self) -> None:
        """Look up the network.

        Raises:
            UsageError: the space has no network of that name.
        """
        space, network = self.problem.space, self.config.network
        if not space.experts:
            raise UsageError(f"{space.name} has no hand-designed networks: choose another --space or --strategy")
        if network not in space.experts:
            known = ", ".join(space.experts)
            raise UsageError(f"{space.name} has no hand-designed network {network!r}: choose --set network= {known}")
        self.architecture = space.experts[network]

    def step(self) -> None:
        """End the search: there is nothing to search."""
        raise SearchFinished

    def incumbent(self) -> Architecture:
        """The hand-designed network."""
        return self.architecture
