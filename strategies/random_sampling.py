"""A randomly sampled architecture, without any search: the control that shows what the space alone gives."""

from collections.abc import Mapping
from typing import Any

from pvnas_bench import Architecture, Info, Problem, SearchFinished, Strategy


class RandomSampling(Strategy):
    info = Info(
        name="random_sampling",
        title="Random sampling (no search)",
        paper="Yang, Esperança & Carlucci, NAS Evaluation is Frustratingly Hard, ICLR 2020",
        year=2020,
        levels=(),
        published="the mean over randomly sampled architectures of the space, trained by the same recipe",
        role="random_control",
    )

    trial_based = True

    def setup(self, problem: Problem) -> None:
        self.architecture = problem.sample(problem.rng("sample"))

    def step(self) -> None:
        raise SearchFinished

    def incumbent(self) -> Architecture:
        return self.architecture

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """There is no state: the architecture follows from the seed."""
