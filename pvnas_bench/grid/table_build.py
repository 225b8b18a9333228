"""Building a table: every architecture of a space is trained from scratch, in worker processes of one thread each.

Architectures are trained in a fixed random order, so that an incomplete table is a uniform sample of its space. Only
the main process writes files; each finished training is on the disk before the build continues.
"""

import math
import multiprocessing
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

import pvnas_bench
from pvnas_bench import registry, seeding
from pvnas_bench.errors import UsageError
from pvnas_bench.ledger import Ledger
from pvnas_bench.network.cost import CostModel
from pvnas_bench.network.standalone import Network
from pvnas_bench.problem import evaluation_seed, in_mixed_order
from pvnas_bench.protocol import get_protocol
from pvnas_bench.run.clips import data_entry, open_clips, search_view
from pvnas_bench.run.final import latency
from pvnas_bench.run.observer import Observer
from pvnas_bench.run.setup import protocol_entry
from pvnas_bench.space import Architecture, BlockSpace
from pvnas_bench.system import machine
from pvnas_bench.system.workers import begin
from pvnas_bench.table import journal
from pvnas_bench.table.schema import About, KnownTraining, Session, SpaceIdentity
from pvnas_bench.table.store import Files
from pvnas_bench.training import process
from pvnas_bench.training.testing import Scores, test
from pvnas_bench.training.train import train
from pvnas_bench.training.workbench import Clock, OutOfMemory, TrainingDiverged, Workbench
from pvnas_bench.video import FrameOrder


@dataclass(frozen=True)
class TableRecipe:
    """Recipe of a table, as on the command line.

    Attributes:
        dataset: a name, a folder or a manifest.
        cache: folder of decoded clips; None: the user's cache.
    """

    space: str
    dataset: str
    protocol: str
    cache: Path | None = None


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
        self.space = space
        self.protocol = get_protocol(recipe.protocol)
        self.store = open_clips(recipe.dataset, self.protocol, recipe.cache, observer or Observer())
        self.costs = CostModel(self.space, len(self.store.classes))
        self._visible, splits = search_view(self.store, self.protocol)
        self._splits = in_mixed_order(splits)
        self._held_out = np.concatenate([self.store.indices("val"), self.store.indices("test")])

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

        The test covers the val and test splits: nothing is selected on either, and more subjects reduce the noise
        between architectures.

        The training equals that of `problem.evaluate` in a run with this seed, bit for bit on the same machine.
        """
        with process.configured(1, deterministic=True):
            return self._train(self.space.parse(string), seed)

    def _train(self, architecture: Architecture, seed: int) -> KnownTraining:
        device, epochs, cost = torch.device("cpu"), self.protocol.epochs, self.costs(architecture)
        search = Workbench(self._visible, self.protocol, device, Ledger(1), Clock())
        whole = Workbench(self.store, self.protocol, device, Ledger(1), Clock())
        derived = evaluation_seed(seed, architecture, epochs)
        with seeding.torch_seeded(derived, "init"):
            network = Network(self.space.spec(architecture), len(self.store.classes))
        validated: list[Scores] = []
        validating: list[float] = []

        def validate(_: int) -> None:
            start = time.process_time()
            validated.append(test(network, 0, search, self._splits["val"]))
            validating.append(time.process_time() - start)

        start = time.process_time()
        try:
            curve = train(
                network, cost.macs, search, self._splits["train"], epochs=epochs, seed=derived, progress=validate
            )
        except TrainingDiverged:
            nothing = Scores(0.0, 0.0, 0.0, math.inf, np.zeros((0, 0), np.int64))
            curve, validated, tested = [{"train_loss": math.inf}] * epochs, [nothing] * epochs, nothing
        else:
            tested = test(network, 0, whole, self._held_out)
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


def random_order(space: BlockSpace) -> list[str]:
    """Every architecture once, in a random order equal on every machine."""
    every = [str(architecture) for architecture in space.enumerate()]
    return [every[i] for i in seeding.generator(0, "order of a table", space.fingerprint).permutation(len(every))]


def session() -> Session:
    """Versions and machine of this process."""
    return Session(
        created=datetime.now(UTC),
        pvnas_bench=pvnas_bench.__version__,
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
    workers: int = 1,
    observer: Observer | None = None,
) -> Iterator[Progress]:
    """Train the missing architectures of a folder's table, seed by seed.

    An interrupted or killed build resumes when started again.

    Args:
        sample: number of architectures to train, the first in the random order; None: all.

    Yields:
        Progress at the start and after each training.

    Raises:
        UsageError: a name in the recipe does not exist; the folder holds a table of another recipe; another process
            is building it; a worker process died or ran out of memory.
    """
    trainer = Trainer(recipe, observer)
    about = trainer.about
    files = Files(folder, about.stem)
    order = random_order(trainer.space)[:sample]
    with journal.opened(files.journal) as entries:
        content = files.read()
        if content.about is not None and content.about.recipe != about.recipe:
            raise UsageError(
                f"{folder} holds the table {about.stem} of another recipe: choose another folder with --tables"
            )
        known = {training.key for training in content.trainings}
        asked = [(string, seed) for seed in seeds for string in order if (string, seed) not in known]
        yield Progress(files.parquet, 0, len(asked), len(known))
        if asked:
            begun = journal.read(files.journal)
            if begun.about is None:
                entries.append(about)
            entries.append(session())
            for done, training in enumerate(_trained(recipe, asked, workers), 1):
                training = training._replace(session=len(begun.sessions))
                entries.append(training)
                yield Progress(files.parquet, done, len(asked), len(known), training)
        files.compact()


def _trained(recipe: TableRecipe, asked: Sequence[tuple[str, int]], workers: int) -> Iterator[KnownTraining]:
    """Yield each training as it finishes."""
    spawn = multiprocessing.get_context("spawn")  # a fork of a process that has used torch may hang
    pool = ProcessPoolExecutor(workers, mp_context=spawn, initializer=begin)
    waiting: set[Future[KnownTraining]] = set()
    try:
        waiting = {pool.submit(_work, recipe, string, seed) for string, seed in asked}
        for future in as_completed(waiting):
            waiting.discard(future)
            yield future.result()
    except BrokenProcessPool:
        raise UsageError("a worker process died: start the same build again, with fewer --workers") from None
    except OutOfMemory as error:
        raise UsageError(f"{error}: start the same build again, with fewer --workers") from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _work(recipe: TableRecipe, string: str, seed: int) -> KnownTraining:
    return _opened(recipe)(string, seed)


@lru_cache(maxsize=1)
def _opened(recipe: TableRecipe) -> Trainer:
    """Trainer of a worker, cached to open the clips only once."""
    return Trainer(recipe)
