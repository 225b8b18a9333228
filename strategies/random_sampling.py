"""A randomly sampled architecture, without any search: the control that shows what the space alone gives."""

from pvnas_bench import Architecture, Info, SearchFinished, Strategy


class RandomSampling(Strategy):
    """Random sampling."""

    info = Info(
        name="random_sampling",
        title="Random sampling (no search)",
        paper="Yang, Esperança & Carlucci, NAS Evaluation is Frustratingly Hard, ICLR 2020",
        year=2020,
        levels=(),
        published="the mean over randomly sampled architectures of the space, trained by the same recipe",
        role="random_control",
    )

    def setup(self) -> None:
        """Draw the architecture."""
        self.architecture = self.problem.sample()

    def step(self) -> None:
        """Nothing is searched."""
        raise SearchFinished

    def incumbent(self) -> Architecture:
        """The architecture that was drawn."""
        return self.architecture
