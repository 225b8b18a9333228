"""What a record says about itself: names, fingerprints, source, command, versions and times.

Nothing here needs torch, the clips, or the code of the submission.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import Field, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import PurePath
from typing import Any, Final

from pvnas_bench import release
from pvnas_bench.errors import UsageError
from pvnas_bench.protocol import PROTOCOLS, Protocol
from pvnas_bench.records import SURROGATE, Record, identifier
from pvnas_bench.runs.request import flag_of, options
from pvnas_bench.submission.findings import shown
from pvnas_bench.submission.manifest import Manifest
from pvnas_bench.submission.scores import table_of
from pvnas_bench.system.masking import MASK
from pvnas_bench.system.text import either
from pvnas_bench.video import list_datasets

PROGRAM = "pvnas-bench"
COMMAND: Final = "run"
FIRST_RELEASE = datetime(2026, 1, 1, tzinfo=UTC)
"""No record is older."""
CLOCKS = timedelta(days=1)
"""Largest difference between two clocks."""
LEAST_PYTHON = (3, 11)
NEEDED = ("numpy", "torch")
"""Libraries of every run."""
FREE_TEXT = ("name", "version", "description")
"""Settings of a protocol that its record has elsewhere, or that change no result."""
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Said:
    """The options of a command in a record.

    Attributes:
        options: values by flag.
        switches: flags without a value.
        settings: values of ``--set`` by hyper-parameter.
    """

    options: dict[str, str] = field(default_factory=dict)
    switches: frozenset[str] = frozenset()
    settings: dict[str, str] = field(default_factory=dict)


def parse_command(words: Sequence[str]) -> Said:
    """Parse a record's command, of `pvnas-bench run` or of `torchrun … -m pvnas_bench run`.

    Raises:
        ValueError: it is no such command.
    """
    if COMMAND not in words or (words[0] != PROGRAM and "torchrun" not in words[0]):
        raise ValueError("is no command of pvnas-bench run")
    switches = {form for asked, _ in options(COMMAND) if asked.type in (bool, "bool") for form in _forms(asked)}
    valued = {flag_of(asked) for asked, _ in options(COMMAND)} - switches
    rest = list(words[list(words).index(COMMAND) + 1 :])
    said: dict[str, str] = {}
    settings: dict[str, str] = {}
    given = set()
    while rest:
        flag = rest.pop(0)
        if flag in switches:
            given.add(flag)
            continue
        if flag not in valued or not rest:
            raise ValueError(f"has {shown(flag)}, which is no option of run")
        value = rest.pop(0)
        if flag == "--set":
            key, equals, value = value.partition("=")
            if not equals or key in settings:
                raise ValueError(f"has --set {shown(key)} without a value or twice")
            settings[key] = value
        elif flag in said:
            raise ValueError(f"has {flag} twice")
        else:
            said[flag] = value
    return Said(said, frozenset(given), settings)


def _forms(asked: "Field[Any]") -> list[str]:
    return flag_of(asked).split("/")


def protocol_of(record: Record) -> Protocol:
    """The protocol of a record, made anew from its name, precision and budget.

    Raises:
        UsageError: there is none of that name.
    """
    name, _, precision = record.protocol.name.partition("-")
    if name not in PROTOCOLS:  # nor is a file opened that a record names
        raise UsageError(f"the protocol {name!r} is none of the package's: {', '.join(PROTOCOLS)}")
    found = PROTOCOLS[name].with_budget(record.protocol.budget)
    return found.with_precision(precision) if precision else found


def identity(record: Record, manifest: Manifest, now: datetime) -> Iterator[str]:
    """Disagreements of a record with itself, with the manifest, and with the protocols of this package."""
    yield from _status(record)
    yield from _strategy(record, manifest)
    yield from _board(record)
    yield from _command(record, manifest)
    yield from _provenance(record, manifest, now)
    expected = identifier(*record.board, record.strategy.entry, record.seed, record.strategy.source)
    if record.id != expected:
        yield f"id is {record.id}, its fingerprints, entry, seed and source give {expected}"


def _status(record: Record) -> Iterator[str]:
    tested = record.outcome is not None and bool(record.outcome.trained)
    if record.status == "interrupted":
        yield "status is interrupted: the run did not get its budget"
    if record.status == "ok" and (not tested or record.error):
        yield "status is ok, with an error or without a test"
    if record.status in ("failed", "timeout") and (tested or not record.error):
        yield f"status is {record.status}, without an error or with a test"


def _strategy(record: Record, manifest: Manifest) -> Iterator[str]:
    strategy, told = record.strategy, manifest.strategy
    if strategy.name != told.name:
        yield f"strategy.name is {shown(strategy.name)}, the submission is of {shown(told.name)}"
    if strategy.source != told.source:
        sha256 = strategy.source and strategy.source.sha256[:12]
        yield f"strategy.source is {shown(sha256)}, the submitted source has {told.source.sha256[:12]!r}"
    if not told.source.builtin and strategy.role != "search":
        yield f"strategy.role is {strategy.role}: only controls of the package have another role than search"
    name, bracket, settings = strategy.entry.partition("[")
    if name != strategy.name or bool(bracket) != settings.endswith("]"):
        yield f"strategy.entry is {shown(strategy.entry)}, the strategy is {shown(strategy.name)}"
    for setting in filter(None, settings.removesuffix("]").split(", ")):
        key, _, value = setting.partition("=")
        if key in strategy.config and str(strategy.config[key]) != value:
            yield f"strategy.entry says {setting}, strategy.config says {key}={strategy.config[key]}"
    if MASK in map(str, strategy.config.values()):
        yield "strategy.config has a masked value: the run cannot be repeated"


def _board(record: Record) -> Iterator[str]:
    space, data, told = record.space, record.data, record.protocol
    if not re.fullmatch(
        rf"{re.escape(space.name)}@{space.version}:[0-9a-f]{{12}}:{re.escape(space.cap)}", space.fingerprint
    ):
        named = f"{space.name} v{space.version}, {space.cap}"
        yield f"space.fingerprint is {shown(space.fingerprint)}, the space is {named}"
    if re.fullmatch("[0-9]{1,19}", space.cap) and int(space.cap) != space.cap_macs:
        yield f"space.cap is {space.cap}, space.cap_macs is {space.cap_macs}"
    if not SHA256.fullmatch(data.fingerprint):
        yield f"data.fingerprint is {shown(data.fingerprint)}, no SHA-256"
    if len(set(data.classes)) != len(data.classes) or len(data.classes) < 2:
        yield "data.classes are fewer than two, or one is there twice"
    if data.clips.keys() != {"train", "val", "test"} or not data.clips.get("train") or not data.clips.get("test"):
        yield f"data.clips is {shown(data.clips)}: train and test need clips, val may be 0"
    try:
        protocol = protocol_of(record)
    except UsageError as error:
        yield f"protocol: {error}"
        return
    settings = protocol.settings
    for key in sorted(settings.keys() | told.settings.keys()):
        if key not in FREE_TEXT and settings.get(key) != told.settings.get(key):
            yield (
                f"protocol.settings.{key} is {shown(told.settings.get(key))}, "
                f"{protocol.name} has {shown(settings.get(key))}"
            )
    if told.version != protocol.version:
        yield f"protocol.version is {told.version}, {protocol.name} is of version {protocol.version}"
    table = table_of(record)
    expected = f"{protocol.fingerprint}:{table}" if table else protocol.fingerprint
    if told.fingerprint != expected or (table and not re.fullmatch(rf"({SURROGATE}\d+-)?[0-9a-f]{{12}}", table)):
        yield f"protocol.fingerprint is {shown(told.fingerprint)}, its settings give {protocol.fingerprint}"


def _command(record: Record, manifest: Manifest) -> Iterator[str]:
    where = "provenance.command"
    try:
        said = parse_command(record.provenance.command)
    except (ValueError, IndexError) as error:
        yield f"{where} {error}"
        return
    file = manifest.strategy.file
    name, space = record.strategy.name, record.space.name
    strategies = {PurePath(file).name} if file else {name, f"{name}.py"}
    protocol = record.protocol.name.partition("-")
    expected: dict[str, set[str]] = {
        "--strategy": strategies,
        "--space": {space, f"{space}.py"},
        "--protocol": {protocol[0]},
        "--cap": {record.space.cap},
        "--budget": {f"{record.protocol.budget:g}"},
        "--seed": {str(record.seed)},
        "--device": {"auto", record.device, record.device.partition(":")[0]},
        "--threads": {str(record.provenance.threads)},
    }
    if table_of(record) and PurePath(said.options.get("--dataset", "")).stem != record.data.name:
        yield f"{where} has --dataset {shown(said.options.get('--dataset'))}, the table is of {shown(record.data.name)}"
    if record.data.name in dict(list_datasets()):
        expected["--dataset"] = {record.data.name}
    elif said.options.get("--dataset") in dict(list_datasets()):
        yield f"{where} has --dataset {said.options['--dataset']}, the record is of {shown(record.data.name)}"
    if protocol[2] or "--precision" in said.options:
        expected["--precision"] = {protocol[2] or "float32"}
    for flag, values in expected.items():
        if said.options.get(flag) not in values:
            yield f"{where} has {flag} {shown(said.options.get(flag))}, the record says {either(sorted(values))}"
    if ("--tabular" in said.switches) != bool(table_of(record)):
        yield f"{where} and protocol.fingerprint disagree about a table"
    if ("--no-deterministic" in said.switches) == record.provenance.deterministic:
        yield f"{where} and provenance.deterministic disagree"
    for key in sorted(said.settings.keys() - record.strategy.config.keys()):
        yield f"{where} sets {shown(key)}, which strategy.config has not"


def _provenance(record: Record, manifest: Manifest, now: datetime) -> Iterator[str]:
    told = record.provenance
    if not FIRST_RELEASE <= told.created <= now + CLOCKS:
        yield f"provenance.created is {told.created.isoformat()}, in the future or before the first release"
    elif told.created - CLOCKS > manifest.created:
        yield f"provenance.created is {told.created.isoformat()}, after the submission ({manifest.created.isoformat()})"
    version, here = _version(told.pvnas_bench), _version(release.VERSION)
    if version is None or (here is not None and version > here):
        yield f"provenance.pvnas_bench is {shown(told.pvnas_bench)}, the verifying version is {release.VERSION}"
    python = _version(told.python)
    if python is None or python[:2] < LEAST_PYTHON:
        yield f"provenance.python is {shown(told.python)}, older than {'.'.join(map(str, LEAST_PYTHON))}"
    for library in NEEDED:
        if _version(told.libraries.get(library, "")) is None:
            yield f"provenance.libraries has no version of {library}"
    cores = told.hardware.get("cores")
    if not told.hardware.get("processor") or not isinstance(cores, int) or cores < 1:
        yield "provenance.hardware names no processor, or no number of cores"
    if not re.fullmatch(r"cpu|cuda(:\d+)?", record.device) or record.device.startswith("cuda") != (
        "gpu" in told.hardware
    ):
        yield f"device is {shown(record.device)}, provenance.hardware has {shown(told.hardware.get('gpu'))} as its GPU"
    if told.threads < 1:
        yield "provenance.threads is 0"


def _version(text: str) -> tuple[int, ...] | None:
    """The numbers of a version; None if it has none."""
    match = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(part or 0) for part in match.groups()) if match else None


def together(found: Sequence[tuple[str, Record]]) -> Iterator[tuple[str, str]]:
    """Disagreements between the records of a submission: the file and what is wrong with it."""
    seeds: dict[tuple[object, ...], str] = {}
    contents: dict[tuple[object, ...], str] = {}
    for where, record in found:
        other = seeds.setdefault((*record.board, record.strategy.entry, record.seed), where)
        if other != where:
            yield where, f"is of the same board, entry and seed {record.seed} as {other}"
        if record.status == "ok":  # seeds of a deterministic strategy may agree in all but their clocks
            measured = (record.provenance.created, record.search.wall_seconds, record.search.cpu_seconds)
            other = contents.setdefault(measured, where)
            if other != where:
                yield where, f"has the times of {other}: it is a copy"
