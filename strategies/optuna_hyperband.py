"""Optuna's Hyperband: TPE suggests; successive halving prunes weak trials after a short training.

A trial trains for the epochs of its rung and is reported; where Optuna's pruner lets it pass, it trains anew for the
next rung, and finally in full. Every training is charged.
"""

import math

from optuna.pruners import BasePruner, HyperbandPruner
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import TrialState
from pydantic import Field

from pvnas_bench import Evaluation, Info
from pvnas_bench.methods import Asked, Trial
from pvnas_bench.methods.optuna_search import OptunaSearch
from pvnas_bench.methods.optuna_storage import OptunaConfig


def rungs(least: int, most: int, factor: int) -> list[int]:
    """Epochs at which a trial is reported: least · factor^k below `most`, then `most`."""
    count = math.ceil(math.log(most / least, factor) - 1e-9) if most > least else 0
    return [least * factor**k for k in range(count)] + [most]


class OptunaHyperbandConfig(OptunaConfig):
    """Hyper-parameters of optuna_hyperband."""

    first_rung: float = Field(
        0.25,
        gt=0,
        le=1,
        description="part of a full training that the first rung has, Optuna's min_resource (R: the rank correlation "
        "with the final accuracy on the tuning task, results/notes/successive_halving.md; Optuna's default: chosen by "
        "the first trial)",
    )
    factor: int = Field(3, ge=2, le=16, description="η, reduction factor (Optuna's default)")
    startup: int = Field(5, ge=1, le=1000, description="random trials at the start (tuned; Optuna's default: 10)")


class OptunaHyperband(OptunaSearch[OptunaHyperbandConfig]):
    """Hyperband by Optuna."""

    info = Info(
        name="optuna_hyperband",
        title="Optuna: Hyperband with TPE",
        paper="Li, Jamieson, DeSalvo, Rostamizadeh & Talwalkar, Hyperband, JMLR 2018; Akiba et al., Optuna, KDD 2019",
        year=2019,
        levels=("structural", "modular"),
        published="Optuna's own HyperbandPruner and TPESampler (multivariate, constrained)",
        reconstructed="inactive decisions are suggested and ignored; the fidelity is the number of epochs, "
        "each rung a training from scratch under its own schedule; "
        "Optuna's pruner is asynchronous and does not plan brackets by budget",
    )

    def setup(self) -> None:
        """Plan the rungs and create a study."""
        most = self.problem.full_epochs
        self.rungs = rungs(max(round(self.config.first_rung * most), 1), most, self.config.factor)
        super().setup()

    def sampler(self, seed: int) -> BaseSampler:
        """Optuna's sampler."""
        return TPESampler(
            n_startup_trials=self.config.startup,
            multivariate=True,
            constant_liar=self.shared,
            seed=seed,
            constraints_func=self.excess,
        )

    def pruner(self) -> BasePruner:
        """Optuna's pruner."""
        return HyperbandPruner(
            min_resource=self.rungs[0], max_resource=self.rungs[-1], reduction_factor=self.config.factor
        )

    def ask(self) -> Asked:
        """The running trial at its next rung, or a new one at the first."""
        last = self.trials[-1:]
        if not last or last[0].state != TrialState.RUNNING:
            return Trial(self.suggestion(), self.rungs[0])
        (running,) = last
        return Trial(self.problem.space.from_options(running.params), self.rungs[len(running.intermediate_values)])

    def tell(self, evaluation: Evaluation) -> None:
        """Report the evaluation to Optuna, which may prune the trial."""
        self._trial.report(evaluation.top1, evaluation.epochs)
        if evaluation.epochs == self.rungs[-1]:
            self.study.tell(self._trial, evaluation.top1)
        elif self._trial.should_prune():
            self.study.tell(self._trial, state=TrialState.PRUNED)
