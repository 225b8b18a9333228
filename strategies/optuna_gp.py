"""Optuna's Gaussian-process sampler, the MACs cap as a constraint.

The process covers the decisions that every trial has (input, depths, the first blocks); Optuna draws all other
decisions at random.
"""

from optuna.samplers import BaseSampler, GPSampler
from pydantic import Field

from pvnas_bench import Info
from pvnas_bench.strategies._optuna import OptunaStrategy
from pvnas_bench.strategies._optuna_shared import OptunaConfig


class OptunaGPConfig(OptunaConfig):
    """Hyper-parameters of optuna_gp."""

    startup: int = Field(10, ge=1, le=1000, description="random trials at the start (Optuna's default)")


class OptunaGP(OptunaStrategy[OptunaGPConfig]):
    """Bayesian optimisation by Optuna's Gaussian process."""

    info = Info(
        name="optuna_gp",
        title="Optuna: Gaussian process",
        paper="Jones, Schonlau & Welch, Efficient Global Optimization, J. Global Optimization 1998; "
        "Akiba et al., Optuna, KDD 2019",
        year=2019,
        levels=("structural", "modular"),
        published="Optuna's own GPSampler, constrained",
        reconstructed="the space by run; what is told of suggestions above the cap",
    )

    kept = False  # each fit starts from the previous one

    def sampler(self, seed: int) -> BaseSampler:
        """Optuna's sampler."""
        return GPSampler(
            n_startup_trials=self.config.startup,
            seed=seed,
            deterministic_objective=False,
            constraints_func=self.excess,
        )
