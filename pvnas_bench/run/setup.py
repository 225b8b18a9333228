"""A request with everything looked up."""

import copy
import hashlib
import json
import os
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
from pydantic import ValidationError

from pvnas_bench import records, registry
from pvnas_bench.errors import UsageError
from pvnas_bench.network.families import cost_model
from pvnas_bench.problem import SearchSplit
from pvnas_bench.protocol import Protocol, get_protocol
from pvnas_bench.run.request import Observer, Request
from pvnas_bench.space import Backbone, SearchSpace
from pvnas_bench.strategy import Strategy, StrategyConfig
from pvnas_bench.system import machine
from pvnas_bench.table import Table
from pvnas_bench.table import find as find_table
from pvnas_bench.training import process
from pvnas_bench.training.backbone_features import prepare_features
from pvnas_bench.training.distributed import ALONE, World
from pvnas_bench.training.train import training_macs
from pvnas_bench.video import CacheSpec, ClipStore, list_datasets, open_dataset, prepare, split_by_subject
from pvnas_bench.video._lazy import LazyStore


class Setup:
    """What a request stands for. Everything that a user can get wrong is found out by the constructor."""

    def __init__(self, request: Request, observer: Observer, world: World = ALONE) -> None:
        """Resolve every name, prepare the clips, and check that a search is possible.

        Args:
            world: the processes that make the run together.

        Raises:
            UsageError: something asked for does not exist or cannot work; nothing was written to the results.
        """
        self.request, self.world = request, world
        self.kind = registry.get_strategy(request.strategy)
        self.config = parse_config(self.kind, request.settings)
        self.space = registry.get_space(request.space)
        check_family(self.kind, self.space)
        self.table = self._find_table() if request.tabular else None
        named = get_protocol(request.protocol or (self.table.about.protocol.name if self.table else "quick"))
        self.protocol = named.with_precision(request.precision)
        if request.budget is not None:
            self.protocol = self.protocol.with_budget(request.budget)
        self._protocol_named = named.name
        if self.table is not None and request.precision != "float32":
            raise UsageError("a table has trainings in float32: leave out --precision")
        self.cap_name, self.cap = parse_cap(self.space, request.cap)
        self.device = process.choose_device(request.device)
        self.threads = request.threads or max(machine.usable_cores() // world.local_size, 1)
        check_writable(request.results)
        self.store = self._open_clips(observer)
        if self.table is None:
            search_splits(self.store, self.protocol)  # refuses what cannot be divided
        self.data = data_entry(self.store) if self.table is None else self.table.about.data
        self.costs = cost_model(self.space, len(self.data.classes))
        cheapest = self.costs.cheapest().macs
        if cheapest > self.cap:
            raise UsageError(
                f"no architecture of {self.space.name} is under the cap of {self.cap:,} MACs: "
                f"the cheapest has {cheapest:,}, raise --cap"
            )
        self.reference_training = training_macs(
            self.costs(self.space.reference).macs,
            self.data.clips["train"],
            self.protocol.epochs,
            self.protocol,
        )
        self.preparation: dict[str, Any] = {}
        """What the record says of work that was done before any search, for all of them."""
        if self.space.backbone is not None:
            self._prepare_features(self.space.backbone, observer)

    def at(self, seed: int) -> "Setup":
        """What the same request with another seed stands for; all that is looked up is shared."""
        other = copy.copy(self)
        other.request = replace(self.request, seed=seed)
        return other

    def _prepare_features(self, backbone: Backbone, observer: Observer) -> None:
        """Put features beside the clips."""
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
        self.store = features.store
        in_rt = {
            f"{work}_reference_trainings": features.about[f"{work}_macs"] / self.reference_training
            for work in ("training", "extraction")
        }
        self.preparation = {"backbone": {**features.about, **in_rt}}

    def _find_table(self) -> Table:
        """The table of the space and the data set, complete unless the request says otherwise."""
        request, space = self.request, self.space
        found = find_table(space.name, request.dataset, request.tables)
        if found.about.space.fingerprint != space.fingerprint:
            raise UsageError(
                f"the table of {space.name} is of {found.about.space.fingerprint}, the space is {space.fingerprint}: "
                "build it again, or name another folder with --tables"
            )
        if len(found) < space.size and not request.partial:
            missing = found.missing(space)
            raise UsageError(
                f"the table {found.about.stem} lacks {len(missing)} of {space.size} architectures, such as "
                f"{missing[0]}: build them with `table build`, or search among the others only with --partial"
            )
        return found

    def _open_clips(self, observer: Observer) -> ClipStore:
        """The clips; those of a table are opened when a strategy trains on them."""
        request, table = self.request, self.table

        def opened() -> ClipStore:
            return open_clips(request.dataset, self.protocol, request.cache, observer, cached=request.cached)

        if table is None:
            return opened()

        def checked() -> ClipStore:
            try:
                store = opened()
            except UsageError as error:
                raise UsageError(
                    f"{self.kind.info.name} trains on clips, which the table has not: {error}; {_clips_of(table)}"
                ) from None
            if store.dataset.fingerprint != table.about.data.fingerprint:
                raise UsageError(f"the clips of {request.dataset} are not those of the table: {_clips_of(table)}")
            return store

        return cast(ClipStore, LazyStore(checked))

    def search_view(self) -> tuple[ClipStore, dict[SearchSplit, Any]]:
        """The clips that a search sees, and the search splits as positions among them."""
        if self.table is None:
            return search_view(self.store, self.protocol)
        train, val = self.table.about.clips["train"], self.table.about.clips["val"]
        view = LazyStore(lambda: search_view(self.store, self.protocol)[0])
        return cast(ClipStore, view), {"train": np.arange(train), "val": np.arange(train, train + val)}

    def configured(self) -> AbstractContextManager[None]:
        """Within the context this process is as the request wants it."""
        mixed = self.device.type if self.protocol.precision == "bfloat16" else None
        return process.configured(self.threads, self.request.deterministic, mixed)

    @property
    def command(self) -> tuple[str, ...]:
        """The command that repeats this run; files are named without their folders, which differ between machines."""
        request = self.request
        words = ["pvnas-bench"] if self.world.size == 1 else self.world.command
        words += ["run", "--strategy", Path(request.strategy).name, "--space", Path(request.space).name]
        words += ["--dataset", Path(request.dataset).name, "--protocol", self._protocol_named, "--cap", self.cap_name]
        words += ["--budget", f"{self.protocol.budget:g}", "--seed", str(request.seed)]
        for key, value in request.settings.items():
            words += ["--set", f"{key}={value}"]
        words += ["--precision", request.precision] * (request.precision != "float32")
        words += ["--tabular"] * request.tabular + ["--partial"] * request.partial
        words += ["--no-cache"] * (not request.cached)
        return (*words, "--device", request.device, "--threads", str(self.threads))

    @cached_property
    def entry(self) -> str:
        """The leaderboard row: the strategy's name and the hyper-parameters that are not its defaults."""
        changed = {
            key: value
            for key, value in self.config.model_dump(mode="json").items()
            if value != self.kind.Config().model_dump(mode="json")[key]
        }
        settings = ", ".join(f"{key}={value}" for key, value in changed.items())
        return f"{self.kind.info.name}[{settings}]" if settings else self.kind.info.name

    @cached_property
    def space_fingerprint(self) -> str:
        return f"{self.space.fingerprint}:{self.cap_name}"

    @cached_property
    def protocol_fingerprint(self) -> str:
        """Runs on a table are on a board of their own, for each state of the table."""
        fingerprint = self.protocol.fingerprint
        return fingerprint if self.table is None else f"{fingerprint}:{self.table.fingerprint}"

    @property
    def id(self) -> str:
        """The same for the same request: a run that is repeated replaces its record."""
        return self._digest(self.request.seed)

    @property
    def path(self) -> Path:
        """Where the record goes."""
        return self._folder(f"s{self.request.seed}", self.id) / records.FILE_NAME

    @property
    def lines(self) -> Path:
        """Where the records of this request with every seed go, when they are made together."""
        return self._folder("seeds", self._digest("seeds")) / records.LINES_NAME

    def _digest(self, *more: str | int) -> str:
        parts = [self.space_fingerprint, self.data.fingerprint, self.protocol_fingerprint, self.entry, *more]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

    def _folder(self, last: str, digest: str) -> Path:
        words = (self.entry, self.space.name, self.data.name, self.protocol.name, last)
        readable = "-".join(re.sub(r"[^A-Za-z0-9_.=]+", "_", word).strip("_") for word in words)
        return self.request.results / f"{readable[:120]}-{digest[:8]}"


def _clips_of(table: Table) -> str:
    """Which --dataset has the clips of a table."""
    data = table.about.data
    if data.name in dict(list_datasets()):
        return f"give --dataset {data.name}"
    return (
        f"give --dataset the path of a folder {data.name!r}, or of {data.name}.csv or {data.name}.toml, that holds the "
        f"{sum(data.clips.values()):,} clips of {len(data.classes)} classes it was made of (fingerprint "
        f"{data.fingerprint[:12]}…, which `data prepare --json` prints)"
    )


def check_family(kind: type[Strategy], space: SearchSpace) -> None:
    """Check that a strategy works on spaces of this family.

    Raises:
        UsageError: it does not; the message names spaces that it works on.
    """
    families = kind.info.families
    if families and space.family not in families:
        fit = ", ".join(known.name for known in registry.all_spaces() if known.family in families)
        raise UsageError(
            f"{kind.info.name} works on spaces of the family {' or '.join(families)} ({fit}), and {space.name} is of "
            f"{space.family}: change --space or --strategy"
        )


def open_clips(
    dataset: str, protocol: Protocol, cache: Path | None, observer: Observer, *, cached: bool = True
) -> ClipStore:
    """The clips of a data set as a protocol needs them, decoded before or now, or known to be readable.

    Raises:
        UsageError: there is no such data set, or it is unfit.
    """
    opened = open_dataset(dataset, cache_dir=cache, progress=observer.making)
    spec = CacheSpec(protocol.cache_size, protocol.cache_frames, protocol.fit)
    return prepare(opened, spec, cache_dir=cache, progress=observer.preparing, cached=cached)


def data_entry(store: ClipStore) -> records.DataEntry:
    """What a record or a table says of its data."""
    dataset = store.dataset
    return records.DataEntry(
        name=dataset.name,
        fingerprint=dataset.fingerprint,
        classes=dataset.classes,
        clips={split: len(store.indices(split)) for split in ("train", "val", "test")},
        skipped=store.skipped,
    )


def protocol_entry(protocol: Protocol) -> records.ProtocolEntry:
    """What a record or a table says of its protocol."""
    return records.ProtocolEntry(
        name=protocol.name,
        version=protocol.version,
        fingerprint=protocol.fingerprint,
        budget=protocol.budget,
        settings=protocol.settings,
    )


def search_splits(store: ClipStore, protocol: Protocol) -> dict[SearchSplit, Any]:
    """Divide the train split into search-train and search-val, by subject: the same for every seed and strategy.

    Raises:
        UsageError: a class would be missing from one of them.
    """
    indices = store.indices("train")
    held_out = split_by_subject(store.labels[indices], store.subjects[indices], protocol.search_val_fraction, seed=0)
    splits: dict[SearchSplit, Any] = {"train": indices[~held_out], "val": indices[held_out]}
    for part in splits.values():
        missing = np.setdiff1d(np.arange(len(store.classes)), store.labels[part])
        if missing.size:
            raise UsageError(_indivisible(store, int(missing[0])))
    return splits


def _indivisible(store: ClipStore, label: int) -> str:
    clips = store.indices("train")
    clips = clips[store.labels[clips] == label]
    named = set(store.subjects[clips].tolist()) - {-1}
    alone = len(clips) > 1 and len(named) == 1
    has = f"all {len(clips)} of its clips there are of one subject" if alone else f"it has {len(clips)} clip there"
    more = "clips of a second subject" if alone else "clips of it, or mark more of them 'train'"
    return (
        f"class {store.classes[label]!r} of {store.dataset.name!r} cannot be both trained and validated in a search, "
        f"which divides the split 'train': {has}; add {more}, or remove the class"
    )


def search_view(store: ClipStore, protocol: Protocol) -> tuple[ClipStore, dict[SearchSplit, Any]]:
    """The clips that a search sees, and the search splits as positions among them."""
    splits = search_splits(store, protocol)
    visible = np.concatenate([splits["train"], splits["val"]])
    cut = len(splits["train"])
    return store.subset(visible), {"train": np.arange(cut), "val": np.arange(cut, len(visible))}


def parse_config(kind: type[Strategy], settings: Mapping[str, str]) -> StrategyConfig:
    """The strategy's hyper-parameters from ``key=value`` settings.

    Raises:
        UsageError: an unknown key or a value that is out of range; the message says what is valid.
    """
    for key in settings:
        if key not in kind.Config.model_fields:
            known = ", ".join(kind.Config.model_fields) or "none"
            raise UsageError(f"{kind.info.name} has no hyper-parameter {key!r}: it has {known}")
    try:
        return kind.Config.model_validate(dict(settings))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = f" {key}={settings.get(key)}:" if (key := ".".join(map(str, first["loc"]))) else ""
        raise UsageError(f"{kind.info.name}:{where} {first['msg']}: change --set") from None


def parse_cap(space: SearchSpace, cap: str | None) -> tuple[str, int]:
    """A cap's name and MACs from a name of the space or a number, such as ``L``, ``2.5e7``.

    Raises:
        UsageError: neither.
    """
    if cap is None:
        return next(iter(space.caps.items()))
    if cap in space.caps:
        return cap, space.caps[cap]
    try:
        macs = int(float(cap))
    except (ValueError, OverflowError):
        macs = 0
    if macs <= 0:
        raise UsageError(f"unknown cap {cap!r}: {space.name} has {', '.join(space.caps)}, or give a number of MACs")
    return f"{macs}", macs


def check_writable(folder: Path) -> None:
    """Make sure that records can be written to a folder, without leaving anything there.

    Raises:
        UsageError: they cannot.
    """
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise UsageError(f"results folder {folder} cannot be written: choose another with --results")
