"""Optuna's ask-and-tell search, one study per run: base class of the `optuna_*` strategies.

Before every ask the sampler takes a seed from the problem. Optuna's suggestion depends on the trials and the seed
alone, so a search restored from plain data continues unchanged.

Every trial suggests an option for every decision; the options of decisions that do not exist under the others are
ignored. A sampler thus models all decisions: Optuna's Gaussian process, for one, models only those that every trial
has. The caps are constraints. A suggestion above one is told as infeasible, untrained and free; the samplers need a
value, so it gets the mean accuracy so far. After `TRIES` of them in a row a random architecture under the caps is
enqueued (R). A suggestion whose network is known is told its accuracy again, free, and a neighbour of it whose network
is unknown is enqueued, else a random one (R); the search ends when all networks under the caps are known.

Runs that name a storage share a study (`optuna_storage`). Such a run depends on the timing of the others; after a
kill it resumes with all trials in the storage.

Not imported by `pvnas_bench.methods`, as Optuna takes half a second to import:
``from pvnas_bench.methods.optuna_search import OptunaSearch``.
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
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler
from optuna.trial import FrozenTrial, TrialState, create_trial
from typing_extensions import TypeVar

from pvnas_bench.methods.ask_tell import Asked, AskTell
from pvnas_bench.methods.optuna_storage import RUN, OptunaConfig, shared_study
from pvnas_bench.problem import Evaluation, Json
from pvnas_bench.space import Architecture
from pvnas_bench.state import State
from pvnas_bench.strategy import SearchFinished

SILENT: list[logging.Handler] = [logging.NullHandler()]
TRIES = 50
"""Consecutive infeasible suggestions after which Optuna gets a feasible one."""


class OrderedNSGAIISampler(NSGAIISampler):
    """Optuna's NSGA-II sampler with a fixed order of a generation's parents: the order of selection.

    Optuna's study returns stored parents in another order: a seed's draws would depend on the number of requests.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._parents: dict[int, list[FrozenTrial]] = {}

    def get_parent_population(self, study: optuna.Study, generation: int) -> list[FrozenTrial]:
        if generation not in self._parents:
            self._parents[generation] = self.select_parent(study, generation) if generation else []
        return self._parents[generation]


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


class OptunaSearch(AskTell[OC]):
    """Black-box search by one of Optuna's samplers."""

    kept: ClassVar[bool] = True
    """True if one sampler serves the whole search, False if each ask has a new one. A lasting sampler's memory of the
    trials must not depend on when it saw them."""
    slow: ClassVar[bool] = False
    """True if a suggestion takes so long that the sampler is not asked for enqueued ones."""
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
        self.enqueued = self.infeasible = 0
        self.latest: Architecture | None = None
        """The last suggestion of this step; the next one follows only if its network is known."""
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
        self._seed()
        if self.slow and self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            sampler, self.study.sampler = self.study.sampler, RandomSampler(seed=0)  # fixed options: it draws nothing
            trial = self.study.ask()
            self.study.sampler = sampler
        else:
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
        """Train the next unknown network, with Optuna silenced."""
        self.latest = None
        with quiet():
            super().step()

    def ask(self) -> Asked:
        """Optuna's next suggestion under the caps."""
        return self.suggestion()

    def suggestion(self) -> Architecture:
        """The architecture of a new trial, under the caps.

        Raises:
            SearchFinished: the last suggestion was known, and so are all networks that were drawn.
        """
        if self.latest is not None:
            self._enqueue(self._unknown(self.latest))
        for tries in count():
            if tries and tries % TRIES == 0:
                self._enqueue(self.problem.sample(self.problem.rng("enqueue")))
            self._trial = self._ask()
            self.latest = self._suggested(self._trial)
            if self.problem.feasible(self.latest):
                return self.latest
            self.infeasible += 1
            known = [evaluation.top1 for evaluation in self.history]
            self.study.tell(self._trial, self.values(self.latest, float(np.mean(known)) if known else 0.0))
        raise AssertionError("counting does not end")

    def _unknown(self, near: Architecture) -> Architecture:
        """A neighbour of an architecture, else a random one: under the caps, of a network that is not trained yet.

        Raises:
            SearchFinished: none was drawn.
        """
        space, rng, feasible = self.problem.space, self.problem.rng("enqueue"), self.problem.feasible
        known = {architecture for architecture, _ in self.known}
        around = {space.canonical(neighbour): None for neighbour in space.neighbours(near)}
        unknown = [one for one in around if one not in known and feasible(one)]
        if unknown:
            return unknown[int(rng.integers(len(unknown)))]
        drawn = self.problem.draw(lambda: space.canonical(space.sample(rng)), known)
        if drawn is None:
            raise SearchFinished
        return drawn

    def _enqueue(self, architecture: Architecture) -> None:
        """Make an architecture the next suggestion; in a shared study another run may get it."""
        self.enqueued += 1
        options = self.problem.space.options(architecture)
        decisions = self.problem.space.decisions
        self.study.enqueue_trial({d.name: options.get(d.name, d.options[0]) for d in decisions})

    def _suggested(self, trial: optuna.Trial) -> Architecture:
        """The architecture that a trial suggests: an option for every decision, also for those that do not exist."""
        space = self.problem.space
        return space.architecture(
            [d.options.index(trial.suggest_categorical(d.name, d.options)) for d in space.decisions]
        )

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
        states = [trial.state for trial in self.trials]
        counts = {"trials": len(states), "infeasible": self.infeasible, "pruned": states.count(TrialState.PRUNED)}
        return {**counts, "enqueued": self.enqueued, **self._others()}

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
        """Restore a study of these trials, or rejoin the shared one, and go on with the trial that was running."""
        attributes, trials = state["attributes"], state["trials"]
        assert isinstance(attributes, dict) and isinstance(trials, list)
        super().load_state_dict(attributes)
        self.study = self._new_study()
        with quiet():
            self.study.add_trials(map(self._frozen, trials))
        if self.trials and self.trials[-1].state == TrialState.RUNNING:
            with quiet(), unwarned():
                self._sampler = self.study.sampler = self.sampler(0)  # it gets a seed before the next suggestion
                self._trial = optuna.Trial(self.study, self.trials[-1].number)
