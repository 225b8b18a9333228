"""The setup of a run: a request with all names resolved."""

import copy
import hashlib
import re
import sys
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from pvnas_bench import records, registry, release
from pvnas_bench.errors import UsageError
from pvnas_bench.network.backbone import FrozenBackbone
from pvnas_bench.network.families import cost_model
from pvnas_bench.problem import SearchSplit
from pvnas_bench.protocol import protocol_entry
from pvnas_bench.runs.clips import data_entry, open_clips, search_splits, search_view
from pvnas_bench.runs.identity import protocol_fingerprint, protocol_named, space_fingerprint
from pvnas_bench.runs.latency import Place, open_table
from pvnas_bench.runs.observer import Observer
from pvnas_bench.runs.request import Request
from pvnas_bench.runs.surrogates import surrogate_of
from pvnas_bench.runs.words import check_caps, check_family, check_trackers, check_writable, entry_name, parse_config
from pvnas_bench.space import Backbone, Caps
from pvnas_bench.system import machine
from pvnas_bench.system.masking import masked, masked_values, remember
from pvnas_bench.table import Table
from pvnas_bench.table import find as find_table
from pvnas_bench.table.schema import recipe_of
from pvnas_bench.table.table import is_large
from pvnas_bench.training import process
from pvnas_bench.training.backbone_features import prepare_features
from pvnas_bench.training.distributed import ALONE, World
from pvnas_bench.training.train import training_macs
from pvnas_bench.video import ClipStore, LazyStore, list_datasets


class TrainsOnClips(UsageError):
    """A strategy asked for clips in a process that only looks trainings up in a table."""


class Setup:
    """A request with all names resolved. The constructor detects all user errors."""

    def __init__(self, request: Request, observer: Observer, world: World = ALONE, *, clips: bool = True) -> None:
        """Resolve every name, prepare the clips, and check that a search is possible.

        Args:
            world: the processes of the run.
            clips: False if a search on a table must not open the clips; it raises TrainsOnClips if it needs them.

        Raises:
            UsageError: the request cannot work; nothing was written to the results.
        """
        if not 0 <= request.seed < 2**64:
            raise UsageError(f"a seed is a whole number from 0 to 2**64 - 1, got {request.seed}: change --seed")
        self.request, self.world, self._clips = request, world, clips
        remember({**request.settings, "mlflow": request.mlflow})
        check_trackers(request)
        self.kind = registry.get_strategy(request.strategy)
        self.config = parse_config(self.kind, request.settings)
        self.space = registry.get_space(request.space)
        check_family(self.kind, self.space)
        if request.null and self.kind.info.role != "search":
            raise UsageError(f"{self.kind.info.name} is a control, which learns nothing: omit --null or the control")
        self.table = self._find_table() if request.tabular else None
        named = protocol_named(request.protocol, self.table)
        self.protocol = named.with_precision(request.precision)
        if request.budget is not None:
            self.protocol = self.protocol.with_budget(request.budget)
        self._protocol_named = Path(request.protocol or named.name).name
        if self.table is not None:
            self._check_recipe(self.table)
        self.caps = Caps.parse(self.space, request.cap)
        self.device = process.choose_device(request.device)
        self.threads = request.threads or max(machine.usable_cores() // world.local_size, 1)
        check_writable(request.results)
        self.store = self._open_clips(observer)
        if self.table is None:
            search_splits(self.store, self.protocol)  # raises UsageError if a class cannot be split
        self.data = data_entry(self.store) if self.table is None else self.table.about.data
        classes = len(self.data.classes)
        latencies = None
        if self.caps.latency_ms is not None:
            latencies = open_table(self.space, classes, self.place, request.cache, observer)
        self.costs = cost_model(self.space, classes, latencies)
        check_caps(self.costs, self.caps)
        self.reference_training = training_macs(
            self.costs(self.space.reference).macs,
            self.data.clips["train"],
            self.protocol.epochs,
            self.protocol,
        )
        self.preparation: dict[str, Any] = {}
        """Record entries of preparatory work shared by all searches."""
        self.frozen: FrozenBackbone | None = None
        """The network that computed the clips' features."""
        if self.space.backbone is not None:
            self._prepare_features(self.space.backbone, observer)

    def at(self, seed: int) -> "Setup":
        """The setup of the same request with another seed; resolved names are shared."""
        other = copy.copy(self)
        other.request = replace(self.request, seed=seed)
        return other

    def _prepare_features(self, backbone: Backbone, observer: Observer) -> None:
        """Compute or open the features of the clips."""
        features = prepare_features(
            backbone,
            self.store,
            search_splits(self.store, self.protocol)["train"],
            self.protocol,
            self.device,
            cache_dir=self.request.cache,
            training=observer.training_backbone,
            extracting=observer.extracting,
        )
        self.store, self.frozen = features.store, features.network
        in_rt = {
            f"{work}_reference_trainings": features.about[f"{work}_macs"] / self.reference_training
            for work in ("training", "extraction")
        }
        self.preparation = {"backbone": {**features.about, **in_rt}}

    def _find_table(self) -> Table:
        """The table of the space and the data set, complete unless the request allows a partial one.

        That of a large space is continued to all architectures by a surrogate.
        """
        request, space = self.request, self.space
        table = find_table(space, request.dataset, request.tables)
        if not request.partial and is_large(space):
            return surrogate_of(table, space)
        if not request.partial and (missing := table.missing(space)):
            raise UsageError(
                f"the table {table.about.stem} lacks {len(missing)} of {space.size} architectures, such as "
                f"{missing[0]}: build them with `table build`, or search only the others with --partial"
            )
        return table

    def _check_recipe(self, table: Table) -> None:
        """Refuse a protocol under which the table's trainings would have been others.

        Raises:
            UsageError: it is one.
        """
        if self.request.precision != "float32":
            raise UsageError("trainings in a table have the precision float32: omit --precision")
        told, asked = table.about.protocol, protocol_entry(self.protocol)
        if recipe_of(told) != recipe_of(asked):
            raise UsageError(
                f"the table {table.about.stem} has trainings under {told.name} version {told.version}, not "
                f"{asked.name} version {asked.version}: change --protocol, or build another table with `table build`"
            )

    def _open_clips(self, observer: Observer) -> ClipStore:
        """Open the clips; with a table, only when a strategy trains on them."""
        request, table = self.request, self.table

        def opened() -> ClipStore:
            return open_clips(request.dataset, self.protocol, request.cache, observer, cached=request.cached)

        if table is None:
            return opened()

        def checked() -> ClipStore:
            if not self._clips:
                raise TrainsOnClips(f"{self.kind.info.name} trains on clips")
            try:
                store = opened()
            except UsageError as error:
                raise UsageError(
                    f"{self.kind.info.name} trains on clips, which a table does not contain: {error}; "
                    f"{_clips_of(table)}"
                ) from None
            if store.dataset.fingerprint != table.about.data.fingerprint:
                raise UsageError(f"the clips of {request.dataset} differ from those of the table: {_clips_of(table)}")
            return store

        return cast(ClipStore, LazyStore(checked))

    def search_view(self) -> tuple[ClipStore, dict[SearchSplit, Any]]:
        """The clips visible to a search, and the search splits as positions among them."""
        if self.table is None:
            return search_view(self.store, self.protocol)
        train, val = self.table.about.clips["train"], self.table.about.clips["val"]
        view = LazyStore(lambda: search_view(self.store, self.protocol)[0])
        return cast(ClipStore, view), {"train": np.arange(train), "val": np.arange(train, train + val)}

    @property
    def place(self) -> Place:
        """Where this run's passes are timed."""
        return Place(self.device, self.threads, self.request.deterministic, self.protocol.precision == "bfloat16")

    def configured(self) -> AbstractContextManager[None]:
        """A context that configures this process as requested."""
        mixed = self.device.type if self.protocol.precision == "bfloat16" else None
        return process.configured(self.threads, self.request.deterministic, mixed)

    @property
    def command(self) -> tuple[str, ...]:
        """The command that repeats this run. Paths lack their folders, which differ between machines."""
        request, start = self.request, ["pvnas-bench"] if self.world.size == 1 else self.world.command
        resolved = replace(
            request,
            strategy=Path(request.strategy).name,
            space=Path(request.space).name,
            dataset=Path(request.dataset).name,
            protocol=self._protocol_named,
            cap=self.caps.name,
            budget=self.protocol.budget,
            threads=self.threads,
        )
        resolved = replace(resolved, settings=masked_values(dict(request.settings)))
        return tuple(map(masked, (*start, "run", *resolved.words())))

    @cached_property
    def source(self) -> records.Source | None:
        """Hash of the strategy's source; it identifies a plug-in, so an edited file is another strategy."""
        return registry.source(self.kind)

    @cached_property
    def entry(self) -> str:
        """Leaderboard row: the strategy's name, its non-default hyper-parameters, and a mark of a null search."""
        entry = entry_name(self.kind, self.config)
        return f"{entry}{records.NULL}" if self.request.null else entry

    @cached_property
    def space_fingerprint(self) -> str:
        """Fingerprint of the space and the caps, with that of the latency table if latency is capped."""
        table = self.costs.latencies
        return space_fingerprint(self.space, self.caps, None if table is None else table.fingerprint)

    @cached_property
    def protocol_fingerprint(self) -> str:
        """Fingerprint of the protocol and of a table, and a mark of a null search: each has separate boards."""
        fingerprint = protocol_fingerprint(self.protocol, self.table)
        return f"{fingerprint}{records.NULL_PROTOCOL}" if self.request.null else fingerprint

    @property
    def id(self) -> str:
        """Identifier, equal for equal requests: a repeated run replaces its record."""
        return self._digest(self.request.seed)

    @property
    def checkpoint_seconds(self) -> float | None:
        """Least seconds between two checkpoints; None: a search on a table needs none."""
        return None if self.table is not None else self.request.checkpoint_seconds

    @property
    def identity(self) -> dict[str, str]:
        """What must match to resume from a checkpoint: the request and the code."""
        module = sys.modules[self.kind.__module__].__file__
        return {
            "run": self.id,
            "pvnas_bench": release.VERSION,
            "torch": str(torch.__version__),
            "strategy": hashlib.blake2b(Path(module).read_bytes(), digest_size=16).hexdigest() if module else "",
        }

    @property
    def path(self) -> Path:
        """Path of the record."""
        return self._folder(f"s{self.request.seed}", self.id) / records.FILE_NAME

    @property
    def lines(self) -> Path:
        """Path of the file with the records of all seeds of this request, when they are searched together."""
        return self._folder("seeds", self._digest("seeds")) / records.LINES_NAME

    def _digest(self, run: str | int) -> str:
        fingerprints = self.space_fingerprint, self.data.fingerprint, self.protocol_fingerprint
        return records.identifier(*fingerprints, self.entry, run, self.source)

    def _folder(self, last: str, digest: str) -> Path:
        words = (self.entry, self.space.name, self.data.name, self.protocol.name, last)
        readable = "-".join(re.sub(r"[^A-Za-z0-9_.=]+", "_", word).strip("_") for word in words)
        return self.request.results / f"{readable[:120]}-{digest[:8]}"


def _clips_of(table: Table) -> str:
    """Message: the value of --dataset with the clips of a table."""
    data = table.about.data
    if data.name in dict(list_datasets()):
        return f"give --dataset {data.name}"
    return (
        f"give --dataset the path of the folder {data.name!r}, or of {data.name}.csv or {data.name}.toml, with the "
        f"{sum(data.clips.values()):,} clips of {len(data.classes)} classes from which the table was built "
        f"(fingerprint {data.fingerprint[:12]}…, printed by `data prepare --json`)"
    )
