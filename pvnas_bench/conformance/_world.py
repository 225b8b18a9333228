"""Clips and spaces small enough to search in a second, with watchers where a strategy could cheat."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from pvnas_bench.ledger import BudgetExhausted, Ledger
from pvnas_bench.network.cost import CostModel
from pvnas_bench.network.latencies import LatencyTable
from pvnas_bench.problem import Problem
from pvnas_bench.protocol import Protocol
from pvnas_bench.runs.clips import search_splits
from pvnas_bench.space import BlockSpace, Caps, Stage, uniform_options
from pvnas_bench.training.train import training_macs
from pvnas_bench.training.workbench import Clock, Workbench
from pvnas_bench.video import CacheSpec, ClipStore, Dataset, open_dataset, prepare, write_clip

SpaceKind = Literal["all", "structural", "modular"]
"""The decisions with more than one option."""

CLASSES = ("down", "left", "right")
SUBJECTS: Mapping[str, Sequence[int]] = {"train": range(10), "test": range(10, 12)}
FRAMES, SIDE, DOT = 8, 32, 10
CODEC = {"preset": "ultrafast", "qp": "20"}
PROTOCOL = Protocol(
    "conformance",
    1,
    "the quick protocol on small clips",
    budget=10.0,
    epochs=3,
    proxy_epochs=1,
    batch_size=8,
    cache_size=20,
    cache_frames=8,
)


def space(kind: SpaceKind) -> BlockSpace:
    """A small space with the decisions of `st_default`; only decisions of the given level have several options."""
    depths = (2,) if kind == "modular" else (1, 2)
    stages = (Stage(8, 2, depths), Stage(16, 2, depths))

    def expert(operator: str, se: str = "no") -> dict[str, str]:
        return uniform_options(stages, frames=4, size=16, depths=(2, 2), operators=(operator,) * 2, expansion=1, se=se)

    operators = {"c2d": "s3", "r2plus1d": "f3"}
    if kind != "structural":
        operators |= {"tsm": "tsm", "i3d": "st3", "x3d": "t5"}
    return BlockSpace(
        f"conformance_{kind}",
        1,
        description="small enough to search in a second",
        frames=(4,) if kind == "modular" else (2, 4, 8),
        sizes=(16,) if kind == "modular" else (12, 16),
        stem=4,
        stages=stages,
        head=16,
        operators=(*operators.values(), "skip"),
        expansions=(1,) if kind == "structural" else (1, 2),
        se=("no",) if kind == "structural" else ("no", "se"),
        caps={"L": 80_000},
        reference=expert("f3"),
        experts={name: expert(operator) for name, operator in operators.items()},
    )


@dataclass
class Watch:
    """Breaches of the contract by a strategy, as messages."""

    test_data: list[str] = field(default_factory=list)
    ledger: list[str] = field(default_factory=list)
    refused: int = 0
    """Number of times the ledger refused work."""
    largest: int = 0
    """MACs of the largest charged pass."""


@dataclass(frozen=True, eq=False, kw_only=True)
class WatchedDataset(Dataset):
    """A data set that reports access to the files of its clips."""

    watch: Watch

    def __getattribute__(self, name: str) -> Any:
        if name in ("path", "paths", "root"):
            object.__getattribute__(self, "watch").test_data.append(f"the strategy read {name!r} of the data set")
        return super().__getattribute__(name)

    def __post_init__(self) -> None:
        """Do nothing: the columns are frozen already."""


@dataclass(frozen=True, eq=False, kw_only=True)
class WatchedStore(ClipStore):
    """A store that reports access to clips that a search may not see."""

    watch: Watch

    def __getattribute__(self, name: str) -> Any:
        if name in ("_pixels", "_starts"):
            message = "the strategy read the file of all clips, bypassing the store"
            object.__getattribute__(self, "watch").test_data.append(message)
        return super().__getattribute__(name)

    def frames(self, index: int) -> npt.NDArray[np.uint8]:
        read = object.__getattribute__
        start: int = read(self, "_starts")[index]
        pixels: npt.NDArray[np.uint8] = read(self, "_pixels")[read(self, "_shards")[index]]
        return pixels[start : start + self.lengths[index]]

    def indices(self, split: str) -> npt.NDArray[np.int64]:
        if split != "train":
            self.watch.test_data.append(f"the strategy asked the store for the split {split!r}")
        return super().indices(split)


class WatchedLedger(Ledger):
    """A ledger that counts refusals, and reports changes of its numbers other than by charges."""

    watch: Watch | None = None

    def __setattr__(self, name: str, value: Any) -> None:
        if self.watch is not None:
            before = getattr(self, name)
            if name in ("budget", "reference") and value != before:
                self.watch.ledger.append(f"the strategy changed the ledger's {name}")
            if name == "_macs" and value < before:
                self.watch.ledger.append("the strategy reduced the ledger's MACs")
        super().__setattr__(name, value)

    def forward(self, macs: int, samples: int, backward: int) -> None:
        super().forward(macs, samples, backward)
        if self.watch is not None:
            self.watch.largest = max(self.watch.largest, (1 + backward) * macs)

    def require(self, macs: int) -> None:
        try:
            super().require(macs)
        except BudgetExhausted:
            if self.watch is not None:
                self.watch.refused += 1
            raise


@dataclass(frozen=True)
class World:
    """The suite's decoded clips."""

    store: ClipStore

    def problem(
        self,
        kind: SpaceKind,
        seed: int,
        budget: float = PROTOCOL.budget,
        caps: Caps | None = None,
        latencies: LatencyTable | None = None,
        *,
        null: bool = False,
    ) -> tuple[Problem, Watch]:
        """A problem like the runner's, with its watch.

        Args:
            caps: None: the space's.
            latencies: of a machine, for a cap on latency.
        """
        watch, protocol, searched = Watch(), PROTOCOL, space(kind)
        costs = CostModel(searched, len(self.store.classes), latencies)
        splits = search_splits(self.store, protocol)
        visible = np.concatenate([splits["train"], splits["val"]])
        subset = self.store.subset(visible)
        contents = {f.name: getattr(subset, f.name) for f in fields(ClipStore)}
        table = {f.name: getattr(subset.dataset, f.name) for f in fields(Dataset)}
        contents["dataset"] = WatchedDataset(**table, watch=watch)
        reference = training_macs(
            costs(searched.reference).macs, len(self.store.indices("train")), protocol.epochs, protocol
        )
        ledger = WatchedLedger(reference, budget)
        ledger.watch = watch
        bench = Workbench(WatchedStore(**contents, watch=watch), protocol, torch.device("cpu"), ledger, Clock())
        cut = len(splits["train"])
        positions: dict[Any, npt.NDArray[np.int64]] = {
            "train": np.arange(cut),
            "val": np.arange(cut, len(visible)),
        }
        return Problem(searched, costs, bench, positions, caps or Caps.parse(searched, None), seed, null=null), watch


@contextmanager
def world() -> Iterator[World]:
    """Generate clips of moving squares, decoded into a temporary cache, for the duration of the context.

    The files of test clips are deleted after decoding.
    """
    with TemporaryDirectory(prefix="pvnas_bench_") as folder:
        root = Path(folder)
        rng = np.random.default_rng(0)
        with (root / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(("path", "label", "subject", "split"))
            for split, subjects in SUBJECTS.items():
                for subject in subjects:
                    for label in CLASSES:
                        name = f"{label}{subject}.mp4"
                        write_clip(root / name, _moving_square(label, rng), rate=15, options=CODEC)
                        table.writerow((name, label, subject, split))
        spec = CacheSpec(PROTOCOL.cache_size, PROTOCOL.cache_frames, PROTOCOL.fit)
        store = prepare(open_dataset(folder), spec, cache_dir=root / "cache", workers=1)
        for label in CLASSES:
            for subject in SUBJECTS["test"]:
                (root / f"{label}{subject}.mp4").unlink()
        yield World(store)


def _moving_square(label: str, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Frames (T, H, W, 3) of a square that moves by 3 pixels per frame."""
    frames = rng.integers(0, 60, (FRAMES, SIDE, SIDE, 3), dtype=np.uint8)
    start, across = int(rng.integers(0, 3)), int(rng.integers(0, SIDE - DOT))
    for time, frame in enumerate(frames):
        along = start + 3 * time
        y, x = {"right": (across, along), "left": (across, SIDE - DOT - along), "down": (along, across)}[label]
        frame[max(y, 0) : y + DOT, max(x, 0) : x + DOT] = 220
    return frames
