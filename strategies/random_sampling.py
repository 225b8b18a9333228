"""A randomly sampled architecture without search: the control for the quality of the space."""

from pvnas_bench import Architecture, Info, SearchFinished, Strategy


class RandomSampling(Strategy):
    """One random architecture, without search."""

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
        """End the search: there is nothing to search."""
        raise SearchFinished

    def incumbent(self) -> Architecture:
        """The drawn architecture."""
        return self.architecture
