"""Optuna's random sampler: the control for the adapter, without learning."""

from optuna.samplers import BaseSampler, RandomSampler

from pvnas_bench import Info
from pvnas_bench.methods.optuna_search import OptunaSearch


class OptunaRandom(OptunaSearch):
    """Random search by Optuna."""

    info = Info(
        name="optuna_random",
        title="Optuna: random sampler",
        paper="Akiba, Sano, Yanase, Ohta & Koyama, Optuna: A Next-generation Hyperparameter Optimization Framework, "
        "KDD 2019",
        year=2019,
        levels=("structural", "modular"),
        published="Optuna's own RandomSampler",
        reconstructed="inactive decisions are suggested and ignored; suggestions above the cap cost nothing",
    )

    def sampler(self, seed: int) -> BaseSampler:
        """Optuna's sampler."""
        return RandomSampler(seed=seed)
