"""Optuna's tree-structured Parzen estimator, multivariate: one joint density of all decisions.

Trials are divided into good and bad ones; the next suggestion maximises the ratio of their densities.
"""

from optuna.samplers import BaseSampler, TPESampler
from pydantic import Field

from pvnas_bench import Info
from pvnas_bench.methods.optuna_search import OptunaSearch
from pvnas_bench.methods.optuna_storage import OptunaConfig


class OptunaTPEConfig(OptunaConfig):
    """Hyper-parameters of optuna_tpe."""

    startup: int = Field(20, ge=1, le=1000, description="random trials at the start (tuned; Optuna's default: 10)")
    candidates: int = Field(24, ge=1, le=10_000, description="drawn to maximise the density ratio (Optuna's default)")


class OptunaTPE(OptunaSearch[OptunaTPEConfig]):
    """Tree-structured Parzen estimator by Optuna."""

    info = Info(
        name="optuna_tpe",
        title="Optuna: multivariate TPE",
        paper="Bergstra, Bardenet, Bengio & Kégl, Algorithms for Hyper-Parameter Optimization, NeurIPS 2011; "
        "Watanabe & Hutter, c-TPE, IJCAI 2023 (constraint); Akiba et al., Optuna, KDD 2019",
        year=2019,
        levels=("structural", "modular"),
        published="Optuna's own TPESampler, multivariate, constrained",
        reconstructed="inactive decisions are suggested and ignored; what is told of suggestions above the cap",
    )

    def sampler(self, seed: int) -> BaseSampler:
        """Optuna's sampler."""
        return TPESampler(
            n_startup_trials=self.config.startup,
            n_ei_candidates=self.config.candidates,
            multivariate=True,
            constant_liar=self.shared,
            seed=seed,
            constraints_func=self.excess,
        )
