"""A randomly sampled architecture without search: the control for the quality of the space.

The draw depends on the seed and on the task's numbers of classes and clips, so that the controls of two tasks are
different architectures.
"""

from typing import Literal

import numpy as np
from pydantic import Field

from pvnas_bench import Architecture, Info, SearchFinished, Strategy, StrategyConfig, UsageError

INPUT = ("frames", "size")


class RandomSamplingConfig(StrategyConfig):
    """The part of the space to sample from."""

    input: Literal["any", "reference"] = Field(
        "any",
        description="reference: frames and size of the reference architecture, the control of strategies that search "
        "at that input (R)",
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
        problem, rng = self.problem, self.problem.rng(self._stream())
        if self.config.input == "any":
            self.architecture = problem.sample(rng)
            return
        if not {decision.name for decision in problem.space.decisions}.issuperset(INPUT):
            raise UsageError(f"{problem.space.name} has no decisions on the input: leave out --set input=reference")
        drawn = problem.draw(lambda: self._at_reference(rng))
        if drawn is None:
            raise UsageError(f"no architecture at the reference's input is under {problem.caps}: raise --cap")
        self.architecture = drawn

    def _stream(self) -> str:
        """Name of the random stream of this task: its numbers of classes and clips, which a table has as well."""
        problem = self.problem
        return f"sample {problem.classes} {problem.clips_in('train')} {problem.clips_in('val')}"

    def _at_reference(self, rng: np.random.Generator) -> Architecture:
        """A random architecture with the reference's frames and size."""
        space = self.problem.space
        choices = [max(choice, 0) for choice in space.sample(rng).choices]
        for name in INPUT:
            choices[space.position(name)] = space.reference.choices[space.position(name)]
        return space.architecture(choices)

    def step(self) -> None:
        """End the search: there is nothing to search."""
        raise SearchFinished

    def incumbent(self) -> Architecture:
        """The drawn architecture."""
        return self.architecture
