"""Optuna's ask-and-tell search, one study per run: the shared base of the `optuna_*` strategies.

Before every ask the sampler takes a seed from the problem. Optuna's suggestion depends on the trials and the seed
alone, so a search restored from plain data continues unchanged.

The space is defined by run: a decision is suggested only where it exists. The caps are constraints. A suggestion
above one is told as infeasible, untrained and free; the samplers need a value, so it gets the mean accuracy so far.
After `TRIES` of them in a row a random architecture under the caps is enqueued (R).

Runs that name a storage share a study (`_optuna_shared`). Such a run depends on the timing of the others; after a
kill it resumes with all trials in the storage.
"""

import logging
import secrets
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import Any, ClassVar, Literal

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution
from optuna.pruners import BasePruner, NopPruner
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState, create_trial
from typing_extensions import TypeVar

from pvnas_bench import INACTIVE, Architecture, Evaluation, Json, State
from pvnas_bench.methods import Asked, AskTell
from pvnas_bench.strategies._optuna_shared import RUN, OptunaConfig, shared_study

SILENT: list[logging.Handler] = [logging.NullHandler()]
TRIES = 50
"""Consecutive infeasible suggestions after which Optuna gets a feasible one."""


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Optuna's progress messages.

    Optuna's logger gets another handler: changing its level costs as much as an ask.
    """
    logger = logging.getLogger("optuna")
    before = logger.handlers, logger.propagate
    logger.handlers, logger.propagate = SILENT, False
    try:
        yield
    finally:
        logger.handlers, logger.propagate = before


@contextmanager
def unwarned() -> Iterator[None]:
    """Silence Optuna's warnings about experimental and deprecated sampler options."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        warnings.filterwarnings("ignore", message=r".*constraints_func", category=FutureWarning)
        yield


def reseed(sampler: Any, seed: int) -> None:
    """Reset a sampler's random state to this seed; its memory of the trials stays.

    Optuna's `reseed_rng` takes no seed.
    """
    sampler._rng.rng.seed(seed)
    if hasattr(sampler, "_random_sampler"):
        sampler._random_sampler._rng.rng.seed(seed)


OC = TypeVar("OC", bound=OptunaConfig, default=OptunaConfig)


class OptunaStrategy(AskTell[OC]):
    """Black-box search by one of Optuna's samplers."""

    kept: ClassVar[bool] = True
    """True if one sampler serves the whole search, False if each ask has a new one. A lasting sampler's memory of the
    trials must not depend on when it saw them."""
    directions: ClassVar[tuple[Literal["maximize", "minimize"], ...]] = ("maximize",)

    def sampler(self, seed: int) -> BaseSampler:
        """The sampler; its constraint is `self.excess`."""
        raise NotImplementedError

    def pruner(self) -> BasePruner:
        """The pruner, for methods of several fidelities."""
        return NopPruner()

    def setup(self) -> None:
        """Create or join a study."""
        super().setup()
        self.enqueued = 0
        self.run = secrets.token_hex(8)
        self.study = self._new_study()

    # --- the study --------------------------------------------------------------------------------------------------

    def _new_study(self) -> optuna.Study:
        self._sampler: BaseSampler | None = None
        with quiet(), unwarned():
            name, pruner, directions = self.info.name, self.pruner(), list(self.directions)
            if self.shared:
                return shared_study(self.config.storage, name, self.problem, pruner=pruner, directions=directions)
            # Hyperband assigns brackets by a hash of the study's name.
            return optuna.create_study(study_name=name, pruner=pruner, directions=directions)

    @property
    def shared(self) -> bool:
        """True if several runs share the study."""
        return bool(self.config.storage)

    def _ask(self) -> optuna.Trial:
        trial = self.study.ask()
        if self.shared:
            trial.set_user_attr(RUN, self.run)
        return trial

    def _seed(self) -> None:
        """Give the study's sampler a new seed."""
        seed = int(self.problem.rng("optuna").integers(2**32))
        if self._sampler is not None and self.kept:
            reseed(self._sampler, seed)
        else:
            with unwarned():
                self._sampler = self.study.sampler = self.sampler(seed)

    @property
    def trials(self) -> list[FrozenTrial]:
        """Every told trial of this run, read-only.

        A trial that exceeded the remaining budget is left out.
        """
        found = self.study.get_trials(deepcopy=False)
        if self.shared:
            found = [trial for trial in found if trial.user_attrs.get(RUN) == self.run]
        waits = found and found[-1].state == TrialState.RUNNING and not found[-1].intermediate_values
        return found[:-1] if waits else found

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

    # --- asking and telling -------------------------------------------------------------------------------------------

    def step(self) -> None:
        """Train the next architecture, with Optuna silenced."""
        with quiet():
            super().step()

    def ask(self) -> Asked:
        """Optuna's next suggestion under the cap."""
        return self._under_cap()

    def _under_cap(self) -> Architecture:
        for tries in count():
            if tries and tries % TRIES == 0:
                self.enqueued += 1
                fitting = self.problem.sample(self.problem.rng("enqueue"))
                self.study.enqueue_trial(
                    self.problem.space.options(fitting)
                )  # in a shared study another run may ask it
            self._seed()
            self._trial = self._ask()
            architecture = self._suggested(self._trial)
            if self.problem.feasible(architecture):
                return architecture
            known = [evaluation.top1 for evaluation in self.history]
            self.study.tell(self._trial, self.values(architecture, float(np.mean(known)) if known else 0.0))
        raise AssertionError("counting does not end")

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
        """Report the evaluation to Optuna."""
        self.study.tell(self._trial, self.values(evaluation.architecture, evaluation.top1))

    def values(self, architecture: Architecture, top1: float) -> list[float]:
        """The objectives, in the order of `directions`."""
        return [top1]

    def excess(self, trial: FrozenTrial) -> tuple[float, ...]:
        """The constraints: the cost above each cap as a fraction of it; feasible where not positive."""
        return self.problem.caps.excess(self.problem.cost(self.problem.space.from_options(trial.params)))

    # --- the rest -----------------------------------------------------------------------------------------------------

    def diagnostics(self) -> Mapping[str, Json]:
        """Numbers of trials by outcome."""
        trials = len(self.trials)
        return {
            "trials": trials,
            "infeasible": trials - len(self.history),
            "enqueued": self.enqueued,
            **self._others(),
        }

    def _others(self) -> dict[str, int]:
        """Number of other runs' trials in a shared study."""
        if not self.shared:
            return {}
        return {
            "trials_of_others": sum(t.user_attrs.get(RUN) != self.run for t in self.study.get_trials(deepcopy=False))
        }

    def state_dict(self) -> dict[str, State]:
        """State and trials; a shared study stores its trials itself."""
        trials = [] if self.shared else [self._plain(trial) for trial in self.trials]
        return {"attributes": super().state_dict(), "trials": trials}

    def load_state_dict(self, state: Mapping[str, State]) -> None:
        """Restore a study of these trials, or rejoin the shared one."""
        attributes, trials = state["attributes"], state["trials"]
        assert isinstance(attributes, dict) and isinstance(trials, list)
        super().load_state_dict(attributes)
        self.study = self._new_study()
        with quiet():
            self.study.add_trials(map(self._frozen, trials))
