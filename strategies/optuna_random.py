"""Optuna's random sampler: the control for the define-by-run space and the adapter, without learning."""

from optuna.samplers import BaseSampler, RandomSampler

from pvnas_bench import Info
from pvnas_bench.strategies._optuna import OptunaStrategy


class OptunaRandom(OptunaStrategy):
    """Random search by Optuna."""

    info = Info(
        name="optuna_random",
        title="Optuna: random sampler",
        paper="Akiba, Sano, Yanase, Ohta & Koyama, Optuna: A Next-generation Hyperparameter Optimization Framework, "
        "KDD 2019",
        year=2019,
        levels=("structural", "modular"),
        published="Optuna's own RandomSampler",
        reconstructed="the space by run; suggestions above the cap cost nothing",
    )

    def sampler(self, seed: int) -> BaseSampler:
        """Optuna's sampler."""
        return RandomSampler(seed=seed)
