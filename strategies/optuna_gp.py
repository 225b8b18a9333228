"""Optuna's Gaussian-process sampler on all decisions, the caps as constraints."""

from optuna.samplers import BaseSampler, GPSampler
from pydantic import Field

from pvnas_bench import Info
from pvnas_bench.methods.optuna_search import OptunaSearch
from pvnas_bench.methods.optuna_storage import OptunaConfig


class OptunaGPConfig(OptunaConfig):
    """Hyper-parameters of optuna_gp."""

    startup: int = Field(10, ge=1, le=1000, description="random trials at the start (tuned; Optuna's default)")


class OptunaGP(OptunaSearch[OptunaGPConfig]):
    """Bayesian optimisation by Optuna's Gaussian process."""

    info = Info(
        name="optuna_gp",
        title="Optuna: Gaussian process",
        paper="Jones, Schonlau & Welch, Efficient Global Optimization, J. Global Optimization 1998; "
        "Akiba et al., Optuna, KDD 2019",
        year=2019,
        levels=("structural", "modular"),
        published="Optuna's own GPSampler, constrained",
        reconstructed="inactive decisions are suggested and ignored; what is told of suggestions above the cap",
    )

    kept = False  # each fit starts from the previous one
    slow = True

    def sampler(self, seed: int) -> BaseSampler:
        """Optuna's sampler."""
        return GPSampler(
            n_startup_trials=self.config.startup,
            seed=seed,
            deterministic_objective=False,
            constraints_func=self.excess,
        )
