"""Building a table: every architecture of a space is trained from scratch, in worker processes of one thread each.

Architectures are trained in a fixed random order, so that an incomplete table is a uniform sample of its space. Each
build writes a journal of its own; each finished training is on the disk before the build continues.
"""

import hashlib
import math
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from itertools import count, islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from pvnas_bench import registry, release, seeding
from pvnas_bench.errors import UsageError
from pvnas_bench.grid.executors import Ending, Executor, Needs
from pvnas_bench.grid.processes import Processes
from pvnas_bench.ledger import Ledger
from pvnas_bench.network.cost import CostModel
from pvnas_bench.network.standalone import Classifier
from pvnas_bench.problem import SearchSplit, evaluation_seed, in_mixed_order
from pvnas_bench.protocol import Protocol, get_protocol, protocol_entry
from pvnas_bench.runs.clips import data_entry, open_clips, search_view
from pvnas_bench.runs.final import latency
from pvnas_bench.runs.observer import Observer
from pvnas_bench.space import Architecture, BlockSpace, Caps
from pvnas_bench.system import machine
from pvnas_bench.system.files import write_atomically
from pvnas_bench.system.leases import InUse, claimed
from pvnas_bench.table import journal
from pvnas_bench.table.schema import About, KnownTraining, Session, SpaceIdentity
from pvnas_bench.table.store import Files, to_parquet
from pvnas_bench.table.table import is_large
from pvnas_bench.training import process
from pvnas_bench.training.testing import Scores, test
from pvnas_bench.training.train import Training, untrained
from pvnas_bench.training.workbench import Clock, OutOfMemory, TrainingDiverged, Workbench
from pvnas_bench.video import FrameOrder

NEEDS = Needs(threads=1, alone=False)
"""Resources of a training: workers are shared, so that each opens the clips once."""
DRAWS = 1_000
"""Most draws for each network asked of a large space."""
_UNKNOWN = Scores(math.nan, math.nan, math.nan, math.nan, np.zeros((0, 0), np.int64))


@dataclass(frozen=True)
class TableRecipe:
    """Recipe of a table, as on the command line.

    Attributes:
        dataset: a name, a folder or a manifest.
        protocol: a name or a file, or the protocol itself.
        cache: folder of decoded clips; None: the user's cache.
        final: train on the whole train split and test on the test split, as the final phase of a run does; otherwise
            train on search-train, and test on the val and test splits.
        cap: cap of the architectures, as on the command line; None: the space's first.
    """

    space: str
    dataset: str
    protocol: str | Protocol
    cache: Path | None = None
    final: bool = False
    cap: str | None = None

    def stem(self, about: About) -> str:
        """Name of the table's files, without a suffix; with final trainings it names the protocol too."""
        return f"{about.stem}-{about.protocol.name}" if self.final else about.stem


class Trainer:
    """Trains architectures by a recipe, on one CPU thread of this process."""

    def __init__(self, recipe: TableRecipe, observer: Observer | None = None) -> None:
        """Open the clips, after decoding them if necessary.

        Raises:
            UsageError: a name in the recipe does not exist, or the space's networks take features instead of clips.
        """
        space = registry.get_space(recipe.space)
        if not isinstance(space, BlockSpace):
            raise UsageError(
                f"{space.name} has networks on features, but a table needs networks on clips: choose a --space of the "
                "family mbconv"
            )
        self.space, self.recipe = space, recipe
        named = recipe.protocol
        self.protocol = named if isinstance(named, Protocol) else get_protocol(named)
        self.caps = Caps.parse(space, recipe.cap)
        if self.caps.latency_ms is not None:
            raise UsageError("a table is not of one machine: leave latency out of --cap")
        self.store = open_clips(recipe.dataset, self.protocol, recipe.cache, observer or Observer())
        self.costs = CostModel(self.space, len(self.store.classes))
        self._visible = self.store
        self._splits: dict[SearchSplit, npt.NDArray[np.int64]]
        if recipe.final:
            self._splits = {"train": self.store.indices("train"), "val": self.store.indices("val")}
            self._held_out = self.store.indices("test")
        else:
            self._visible, splits = search_view(self.store, self.protocol)
            self._splits = in_mixed_order(splits)
            self._held_out = np.concatenate([self.store.indices("val"), self.store.indices("test")])

    def feasible(self, architecture: Architecture) -> bool:
        """Return True if an architecture is under the cap."""
        return self.caps.allow(self.costs(architecture))

    @property
    def about(self) -> About:
        """Description shared by all trainings of this recipe."""
        space = self.space
        identity = SpaceIdentity(
            name=space.name, version=space.version, fingerprint=space.fingerprint, architectures=space.size
        )
        return About(
            space=identity,
            data=data_entry(self.store),
            clips={**{split: len(indices) for split, indices in self._splits.items()}, "test": len(self._held_out)},
            protocol=protocol_entry(self.protocol),
        )

    def __call__(self, string: str, seed: int) -> KnownTraining:
        """Train an architecture, validate it after each epoch, test it, and time it.

        The training equals that of `problem.evaluate` in a run with this seed, bit for bit on the same machine, or the
        first final training of such a run if the recipe is of final trainings. In the first case the test covers the
        val and test splits: nothing is selected on either, and more subjects reduce the noise between architectures.
        Without validation clips the accuracies after each epoch are nan.
        """
        with process.configured(1, deterministic=True):
            return self._train(self.space.parse(string), seed)

    def _train(self, architecture: Architecture, seed: int) -> KnownTraining:
        device, epochs, cost = torch.device("cpu"), self.protocol.epochs, self.costs(architecture)
        search = Workbench(self._visible, self.protocol, device, Ledger(1), Clock())
        whole = Workbench(self.store, self.protocol, device, Ledger(1), Clock())
        final = self.recipe.final
        derived = seeding.derive(seed, "retraining", 0) if final else evaluation_seed(seed, architecture, epochs)
        network = untrained(self.space, architecture, len(self.store.classes), self.protocol, derived)
        validated: list[Scores] = []
        validating: list[float] = []

        def validate(trained: Classifier) -> None:
            start = time.process_time()
            indices = self._splits["val"]
            validated.append(test(trained, 0, search, indices) if len(indices) else _UNKNOWN)
            validating.append(time.process_time() - start)

        training = Training(network, cost.macs, search, self._splits["train"], epochs=epochs, seed=derived)
        start = time.process_time()
        try:
            while not training.finished:
                training.epoch()
                validate(training.tested)
        except TrainingDiverged:
            nothing = Scores(0.0, 0.0, 0.0, math.inf, np.zeros((0, 0), np.int64))
            curve, validated, tested = [{"train_loss": math.inf}] * epochs, [nothing] * epochs, nothing
        else:
            curve, tested = training.curve, test(network, 0, whole, self._held_out)
        seconds = time.process_time() - start
        orders: dict[FrameOrder, float] = {
            order: test(network, 0, whole, self._held_out, order).top1 if math.isfinite(tested.loss) else 0.0
            for order in ("reversed", "shuffled")
        }
        views = len(self.protocol.test_views)
        return KnownTraining(
            architecture=str(architecture),
            seed=seed,
            session=0,
            macs=cost.macs,
            parameters=cost.parameters,
            training_macs=search.ledger.macs + cost.macs * views * len(self._splits["val"]),
            seconds=seconds - sum(validating[:-1]),
            latency_ms=1e3 * latency(network, device),
            train_loss=tuple(float(np.float32(row["train_loss"])) for row in curve),
            val_top1=tuple(scores.top1 for scores in validated),
            val_loss=tuple(scores.loss for scores in validated),
            test_top1=tested.top1,
            test_top5=tested.top5,
            test_mean_class=tested.mean_class,
            test_loss=tested.loss,
            test_top1_reversed=orders["reversed"],
            test_top1_shuffled=orders["shuffled"],
        )


def random_order(
    space: BlockSpace, sample: int | None = None, feasible: Callable[[Architecture], bool] | None = None
) -> list[str]:
    """Distinct networks, by their canonical architectures, in a random order equal on every machine.

    Networks of a small space are equally likely. Those of a large one are drawn as `SearchSpace.sample` does.

    Args:
        sample: number of networks, the first of the order; None: all.
        feasible: condition that architectures have to meet; None: all do.

    Raises:
        UsageError: all networks of a large space are asked for, or there are fewer feasible ones than asked for.
    """
    if sample == 0:
        return []
    rng = seeding.generator(0, "order of a table", space.fingerprint)
    if not is_large(space):
        every = list(space.enumerate())
        ordered = (every[i] for i in rng.permutation(len(every)))
        networks = (one for one in ordered if space.canonical(one) == one and (feasible is None or feasible(one)))
        return [str(one) for one in islice(networks, sample)]
    if sample is None:
        raise UsageError(f"{space.name} has {space.size:.2g} architectures: give the number to train with --sample")
    drawn: dict[str, None] = {}
    for _ in range(DRAWS * sample):
        one = space.canonical(space.sample(rng))
        if feasible is None or feasible(one):
            drawn[str(one)] = None
        if len(drawn) == sample:
            return list(drawn)
    raise UsageError(f"too few architectures of {space.name} are under the cap: raise --cap, or ask for fewer")


def session() -> Session:
    """Versions and machine of this process."""
    return Session(
        created=datetime.now(UTC),
        pvnas_bench=release.VERSION,
        commit=machine.commit(),
        python=sys.version.split()[0],
        libraries=machine.libraries(),
        hardware=process.hardware(torch.device("cpu")),
    )


@dataclass(frozen=True)
class Progress:
    """Progress of a build.

    Attributes:
        path: path of the table's file, which exists once the build is done.
        done: trainings finished by this build.
        asked: trainings that this build must do.
        known: trainings finished before.
        last: the latest finished training; None at the start.
    """

    path: Path
    done: int
    asked: int
    known: int
    last: KnownTraining | None = None


def build(
    recipe: TableRecipe,
    folder: Path,
    *,
    seeds: Sequence[int] = (0,),
    sample: int | None = None,
    more: Sequence[str] = (),
    workers: int = 1,
    executor: Executor | None = None,
    observer: Observer | None = None,
) -> Iterator[Progress]:
    """Train the missing networks of a folder's table, seed by seed.

    Several builds may share a folder, also from different machines: each training is done by one of them. An
    interrupted or killed build resumes when started again.

    Args:
        sample: number of networks, the first of the random order; None: all.
        more: architectures whose networks are trained too, where they are of the space and under the cap.
        workers: number of parallel trainings, in processes of this machine.
        executor: executor to use instead.

    Yields:
        Progress at the start and after each training.

    Raises:
        UsageError: a name in the recipe does not exist; the folder holds a table of another recipe.
        UsageError: a worker process died, or lacks memory for an architecture.
    """
    trainer = Trainer(recipe, observer)
    about = trainer.about
    files = Files(folder, recipe.stem(about))
    order = [*random_order(trainer.space, sample, trainer.feasible), *_networks(trainer, more)]
    content = files.read()
    if content.about is not None and content.about.recipe != about.recipe:
        raise UsageError(
            f"{folder} holds the table {files.stem} of another recipe: choose another folder with --tables"
        )
    known = {training.key for training in content.trainings}
    asked = [(string, seed) for seed in seeds for string in dict.fromkeys(order) if (string, seed) not in known]
    yield Progress(files.parquet, 0, len(asked), len(known))
    if asked:
        with _free_journal(files) as (path, entries), executor or Processes(workers) as running:
            begun = journal.read(path)
            if begun.about is None:
                entries.append(about)
            entries.append(session())
            for done, training in enumerate(_trained(recipe, files, asked, running), 1):
                training = training._replace(session=len(begun.sessions))
                entries.append(training)
                yield Progress(files.parquet, done, len(asked), len(known), training)
    files.compact()


def _networks(trainer: Trainer, strings: Iterable[str]) -> Iterator[str]:
    """Yield the canonical architecture of each network under the cap; other spaces' architectures are left out."""
    for string in dict.fromkeys(strings):
        with suppress(UsageError):
            one = trainer.space.canonical(trainer.space.parse(string))
            if trainer.feasible(one):
                yield str(one)


@contextmanager
def _free_journal(files: Files) -> Iterator[tuple[Path, journal.Journal]]:
    """Open the first journal that no other build has open."""
    with ExitStack() as stack:
        for number in count(1):
            path = files.journal(number)
            with suppress(InUse):
                entries = stack.enter_context(journal.opened(path))
                break
        yield path, entries


def _trained(
    recipe: TableRecipe, files: Files, asked: Sequence[tuple[str, int]], executor: Executor
) -> Iterator[KnownTraining]:
    """Yield each training of this build as it finishes; trainings of other builds are left out.

    A training is claimed from before its start until it is in a journal.
    """
    waiting, claims = deque(asked), dict[tuple[str, int], ExitStack]()
    try:
        while waiting or executor.busy:
            while waiting and executor.room(NEEDS) > 0:
                key = waiting.popleft()
                claim = ExitStack()
                with suppress(InUse):
                    claim.enter_context(claimed(claim_path(files, *key)))
                    if key in {training.key for training in files.read().trainings}:
                        claim.close()
                        continue
                    claims[key] = claim
                    executor.start(key, NEEDS, train_one, recipe, *key)
            for key, ending in executor.ended() if executor.busy else ():
                yield _training(ending)
                claims.pop(key).close()
    finally:
        for claim in claims.values():
            claim.close()


def claim_path(files: Files, string: str, seed: int) -> Path:
    """Path that stands for a training among concurrent builds."""
    return files.folder / f"{files.stem}-{hashlib.sha256(string.encode()).hexdigest()[:12]}-{seed}"


def _training(ending: Ending) -> KnownTraining:
    """The training of finished work.

    Raises:
        UsageError: its process died or lacked memory.
    """
    if ending.lost is not None:
        raise UsageError(f"a worker process died ({ending.lost}): start the same build again, with fewer --workers")
    if isinstance(ending.error, OutOfMemory):
        raise UsageError(f"{ending.error}: start the same build again, with fewer --workers")
    if ending.error is not None:
        raise ending.error
    assert isinstance(ending.value, KnownTraining)
    return ending.value


def train_one(recipe: TableRecipe, string: str, seed: int) -> KnownTraining:
    """Train an architecture, in a worker."""
    return _opened(recipe)(string, seed)


@lru_cache(maxsize=1)
def _opened(recipe: TableRecipe) -> Trainer:
    """Trainer of a worker, cached to open the clips only once."""
    return Trainer(recipe)


def merge(folders: Sequence[Path], stem: str, target: Path) -> Files:
    """Merge tables of one recipe into a folder's table; of equal trainings the first is kept.

    Args:
        stem: name of the tables' files, without a suffix.

    Raises:
        UsageError: a folder has no such table, or tables are of different recipes.
    """
    merged = Files(target, stem)
    content = merged.read()
    for folder in folders:
        more = Files(folder, stem).read()
        if more.about is None:
            raise UsageError(f"no table {stem} in {folder}: name folders that hold one")
        if content.about is not None and content.about.recipe != more.about.recipe:
            raise UsageError(f"the table {stem} in {folder} is of another recipe than the others: merge it elsewhere")
        content.add(more)
    with claimed(merged.parquet):
        write_atomically(merged.parquet, to_parquet(content))
    return merged
