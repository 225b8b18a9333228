"""A randomly sampled architecture without search: the control for the quality of the space.

The draw depends on the seed and on the task's numbers of classes and clips, so that the controls of two tasks differ.
"""

from typing import Literal

from pydantic import Field

from pvnas_bench import Architecture, BlockSpace, Info, SearchFinished, Strategy, StrategyConfig, UsageError


class RandomSamplingConfig(StrategyConfig):
    """The part of the space to sample from."""

    input: Literal["any", "reference"] = Field(
        "any", description="reference: the reference's frames and size, the control of searches at that input (R)"
    )


class RandomSampling(Strategy[RandomSamplingConfig]):
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
        """Draw the architecture.

        Raises:
            UsageError: the input is the reference's, and the space has none, or nothing at it is under the caps.
        """
        problem = self.problem
        task = f"{problem.classes} {problem.clips_in('train')} {problem.clips_in('val')}"  # a table has these too
        space, rng = problem.space, problem.rng(f"sample {task}")
        if self.config.input == "any":
            self.architecture = problem.sample(rng)
        elif not isinstance(space, BlockSpace):
            raise UsageError(f"{space.name} has no decisions on the input: leave out --set input=reference")
        elif drawn := problem.draw(lambda: space.at_input_of(space.sample(rng), space.reference)):
            self.architecture = drawn
        else:
            raise UsageError(f"no architecture at the reference's input is under {problem.caps}: raise --cap")

    def step(self) -> None:
        """End the search: there is nothing to search."""
        raise SearchFinished

    def incumbent(self) -> Architecture:
        """The drawn architecture."""
        return self.architecture
