"""What the `optuna_*` strategies share: Optuna asks and is told, one study of plain data for each.

A study is built anew from its trials before every ask, and its sampler takes a seed from the problem: what Optuna
suggests is a function of the trials and the seed alone, so that a search that was saved goes on as if it had not been.

The space is defined by run: a decision is suggested only where it exists. The MACs cap is a constraint. A suggestion
above it is told as infeasible, untrained and free; as the samplers want a value of it, it gets the mean accuracy so
far. After `TRIES` of them in a row a random architecture under the cap is enqueued (R).
"""

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Literal

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution
from optuna.pruners import BasePruner, NopPruner
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from pvnas_bench import Architecture, Evaluation
from pvnas_bench.ask_tell import AskTell, Trial
from pvnas_bench.space import INACTIVE

TRIES = 50
"""Infeasible suggestions in a row that are told to Optuna before it gets a feasible one."""


@contextmanager
def quiet() -> Iterator[None]:
    """Within the context Optuna keeps its progress, and its words on experimental or ageing options, to itself."""
    logger = logging.getLogger("optuna")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            warnings.filterwarnings("ignore", message=r".*constraints_func", category=FutureWarning)
            yield
    finally:
        logger.setLevel(level)


class OptunaStrategy(AskTell):
    """A black-box method by one of Optuna's samplers."""

    directions: ClassVar[tuple[Literal["maximize", "minimize"], ...]] = ("maximize",)

    def sampler(self, seed: int) -> BaseSampler:
        """The sampler; its constraint is `self.excess`."""
        raise NotImplementedError

    def pruner(self) -> BasePruner:
        """The pruner, for methods of several fidelities."""
        return NopPruner()

    def prepare(self) -> None:
        self.trials: list[dict[str, Any]] = []
        self.enqueued = 0

    # --- the study --------------------------------------------------------------------------------------------------

    def _seeded(self) -> optuna.Study:
        """A study of all trials, whose sampler has a new seed."""
        return self.study(self.sampler(int(self.problem.rng("optuna").integers(2**32))))

    def study(self, sampler: BaseSampler | None = None) -> optuna.Study:
        """A study of all trials."""
        study = optuna.create_study(
            sampler=sampler,
            pruner=self.pruner(),
            directions=list(self.directions),
            study_name=self.info.name,  # Optuna's Hyperband assigns brackets by a hash of it
        )
        study.add_trials([self._frozen(trial) for trial in self.trials])
        return study

    def _frozen(self, trial: Mapping[str, Any]) -> FrozenTrial:
        options = {decision.name: decision.options for decision in self.problem.space.decisions}
        return create_trial(
            state=TrialState[trial["state"]],
            values=trial["values"],
            params=trial["params"],
            distributions={name: CategoricalDistribution(options[name]) for name in trial["params"]},
            system_attrs=trial["system_attrs"],
            intermediate_values=dict(trial["intermediate_values"]),
        )

    @staticmethod
    def _plain(trial: FrozenTrial) -> dict[str, Any]:
        return {
            "state": trial.state.name,
            "values": None if trial.values is None else list(trial.values),
            "params": dict(trial.params),
            "system_attrs": {
                name: list(value) if isinstance(value, tuple) else value for name, value in trial.system_attrs.items()
            },
            "intermediate_values": [list(pair) for pair in trial.intermediate_values.items()],
        }

    def _keep(self, study: optuna.Study, number: int) -> None:
        """Take a trial over from its study."""
        self.trials[number:] = [self._plain(study.get_trials(deepcopy=False)[number])]

    # --- asking and telling -------------------------------------------------------------------------------------------

    def ask(self) -> Architecture | Trial:
        with quiet():
            for _ in range(TRIES):
                study = self._seeded()
                trial = study.ask()
                architecture = self._suggested(trial)
                if self.problem.feasible(architecture):
                    break
                known = [evaluation.top1 for evaluation in self.history]
                values = self.values(architecture, float(np.mean(known)) if known else 0.0)
                study.tell(trial, values)
                self._keep(study, trial.number)
            else:
                architecture = self.problem.sample(self.problem.rng("enqueue"))
                self.enqueued += 1
                study = self._seeded()
                study.enqueue_trial(self.problem.space.options(architecture))
                trial = study.ask()
                self._suggested(trial)
        self._study, self._trial = study, trial
        return architecture

    def _suggested(self, trial: optuna.Trial) -> Architecture:
        """The architecture that a trial suggests, decision by decision."""
        space, choices = self.problem.space, list[int]()
        for i, decision in enumerate(space.decisions):
            parent, enabled = space.condition(i)
            if parent == INACTIVE or choices[parent] in enabled:
                token = trial.suggest_categorical(decision.name, decision.options)
                choices.append(decision.options.index(token))
            else:
                choices.append(INACTIVE)
        return space.architecture(choices)

    def tell(self, evaluation: Evaluation) -> None:
        with quiet():
            self._study.tell(self._trial, self.values(evaluation.architecture, evaluation.top1))
        self._keep(self._study, self._trial.number)

    def values(self, architecture: Architecture, top1: float) -> list[float]:
        """The objectives, in the order of `directions`."""
        return [top1]

    def excess(self, trial: FrozenTrial) -> tuple[float]:
        """The constraint: MACs above the cap as a fraction of it; feasible where not positive."""
        macs = self.problem.cost(self.problem.space.from_options(trial.params)).macs
        return (macs / self.problem.cap - 1,)

    # --- the rest -----------------------------------------------------------------------------------------------------

    def diagnostics(self) -> Mapping[str, Any]:
        return {
            "trials": len(self.trials),
            "infeasible": len(self.trials) - len(self.history),
            "enqueued": self.enqueued,
        }

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"trials": [dict(trial) for trial in self.trials], "enqueued": self.enqueued}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.trials, self.enqueued = [dict(trial) for trial in state["trials"]], state["enqueued"]
