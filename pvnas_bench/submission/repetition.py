"""Repetition of runs of a submission, and the clips that its records name.

The submitted code runs in processes of its own and only there: nothing that it does to its process changes a verdict.
A repetition is compared to the last digit where device, hardware, libraries and threads are those of the record, and
otherwise within the noise between seeds: rounding differs, and a search may end elsewhere.
"""

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pvnas_bench import records
from pvnas_bench.boards import leaderboard
from pvnas_bench.boards.check.exact import exact
from pvnas_bench.boards.check.findings import seed_scores
from pvnas_bench.errors import UsageError
from pvnas_bench.protocol import Protocol
from pvnas_bench.records import Record
from pvnas_bench.runs.clips import data_entry, open_clips, search_splits
from pvnas_bench.runs.observer import Observer
from pvnas_bench.submission.findings import Disagreement, at, shown
from pvnas_bench.submission.identity import parse_command, protocol_of
from pvnas_bench.submission.layout import STRATEGY
from pvnas_bench.submission.manifest import Manifest
from pvnas_bench.submission.scores import table_of
from pvnas_bench.video import ClipStore, list_datasets

ERROR = 0.001
"""Probability that an honest repetition on another machine fails."""
WIDEST = 3.0
"""Deviation between seeds in units of the binomial one of the test clips, where nothing more is known: published boards
have 1 to 3."""
MEASURED = ("seed", "test_top1", "test_top5", "test_mean_class", "test_loss", "confusion", "curve")


@dataclass(frozen=True)
class Place:
    """Where a verification finds what a submission does not hold.

    Attributes:
        datasets: paths of data sets that have no name.
        tables: folder of tables; None: the user's, then the published ones.
        threads: threads of a repetition; None: the record's.
        cache: folder of decoded clips; None: the user's.
    """

    datasets: Sequence[Path] = ()
    tables: Path | None = None
    threads: int | None = None
    cache: Path | None = None

    def dataset(self, record: Record) -> str:
        """The ``--dataset`` of a record here.

        Raises:
            UsageError: its clips are not here.
        """
        name = record.data.name
        if name in dict(list_datasets()) or table_of(record):
            return name
        fit = [path for path in self.datasets if name in (path.name, path.stem)]
        if fit or len(self.datasets) == 1:
            return str((fit or list(self.datasets))[0].resolve())
        raise UsageError(
            f"the clips of {name!r} (fingerprint {record.data.fingerprint[:12]}…) are needed: give --dataset the path "
            "of their folder, .csv or .toml, or repeat nothing with --cells 0"
        )


class Compared(NamedTuple):
    """What a repetition tells: disagreements, and how it was compared."""

    messages: list[str]
    how: str


# --- clips ---------------------------------------------------------------------------------------------------------


@dataclass
class Clips:
    """Compares records with the clips that they name; each data set is opened once."""

    place: Place
    observer: Observer
    _stores: dict[tuple[str, int, int, str], ClipStore] = field(default_factory=dict)

    def disagreements(self, record: Record) -> Iterator[str]:
        """Disagreements of a record that trained with its data set.

        Raises:
            UsageError: the clips are not here.
        """
        protocol = protocol_of(record)
        store = self._store(record, protocol)
        told, here = record.data, data_entry(store)
        for name in ("name", "fingerprint", "classes", "clips", "skipped"):
            if getattr(told, name) != getattr(here, name):
                yield f"data.{name} is {shown(getattr(told, name))}, the data set has {shown(getattr(here, name))}"
        if told.clips != here.clips or told.classes != here.classes:
            return
        labels = np.bincount(store.labels[store.indices("test")], minlength=len(store.classes)).tolist()
        for number, one in enumerate(record.outcome.trained if record.outcome else ()):
            if [sum(row) for row in one.confusion] != labels:
                where = f"outcome.trained.{number}.confusion"
                yield f"{where} has other clips per class than the test split ({shown(labels)})"
        yield from _search_val(record, len(search_splits(store, protocol)["val"]))

    def _store(self, record: Record, protocol: Protocol) -> ClipStore:
        dataset = self.place.dataset(record)
        key = dataset, protocol.cache_size, protocol.cache_frames, protocol.fit
        if key not in self._stores:
            self._stores[key] = open_clips(dataset, protocol, self.place.cache, self.observer)
        return self._stores[key]


def _search_val(record: Record, clips: int) -> Iterator[str]:
    """Check that no accuracy on search-val is finer than its clips, of steps that measured one architecture."""
    if record.search.architectures_evaluated != len(record.trajectory):
        return
    for step in record.trajectory:
        top1 = step.metrics.get("val_top1", 0.0)
        if math.isfinite(top1) and abs(top1 * clips - round(top1 * clips)) > 1e-3:
            yield f"trajectory: val_top1 of step {step.step} is {top1:.6g}, no multiple of 1 / {clips}"
            return


# --- the submitted code ----------------------------------------------------------------------------------------------


class Workplace:
    """A temporary folder with a copy of the strategy, in which its code runs in other processes."""

    def __init__(self, root: Path, manifest: Manifest, place: Place) -> None:
        self._root, self._manifest, self._place = root, manifest, place

    @property
    def strategy(self) -> str:
        """The strategy as `run` takes it."""
        file = self._manifest.strategy.file
        return str(self._root / file) if file else self._manifest.strategy.name

    def described(self, settings: Sequence[Mapping[str, str]]) -> dict[str, Any] | str:
        """The strategy in its own words, or why it has none."""
        words = ["-m", "pvnas_bench.submission._describe", self.strategy]
        ended = self._python(words, given=json.dumps([dict(one) for one in settings]))
        try:
            found = json.loads(ended.stdout.splitlines()[-1])
            if ended.returncode == 0 and isinstance(found, dict):
                return found
        except (ValueError, IndexError):
            pass
        code = ended.returncode  # with 0 the last line is no reason, but a library's warning
        return (_last_line(ended.stderr) if code else "") or f"its process ended with exit code {code}"

    def repeat(self, record: Record) -> Record | str:
        """Run a record's command again; the reason where that gives no record.

        Raises:
            UsageError: the clips are not here.
            KeyboardInterrupt: the repetition was interrupted.
        """
        with TemporaryDirectory(dir=self._root) as results:
            ended = self._python(["-m", "pvnas_bench", "run", *self._words(record), "--results", results])
            if ended.returncode == 130:
                raise KeyboardInterrupt
            found, _ = records.load_folder(Path(results))
        if len(found) == 1:
            return found[0]
        return _last_line(ended.stderr) or f"its process ended with exit code {ended.returncode} and no record"

    def _words(self, record: Record) -> list[str]:
        """The options of a repetition."""
        told, protocol = record.provenance, protocol_of(record)
        said = parse_command(told.command)
        words = [
            *("--strategy", self.strategy, "--space", record.space.name, "--dataset", self._place.dataset(record)),
            *("--protocol", said.options["--protocol"], "--precision", protocol.precision),
            *("--cap", record.space.cap, "--budget", repr(record.protocol.budget), "--seed", str(record.seed)),
            *("--device", "cpu" if record.device == "cpu" else "auto"),
            *("--threads", str(self._place.threads or told.threads), "--no-reference", "--json"),
        ]
        for key, value in said.settings.items():
            words += ["--set", f"{key}={value}"]
        if table_of(record):
            words.append("--tabular")
            words += ["--tables", str(self._place.tables.resolve())] if self._place.tables else []
        if "--partial" in said.switches:
            words.append("--partial")
        if not told.deterministic:
            words.append("--no-deterministic")
        return words

    def _python(self, words: Sequence[str], given: str | None = None) -> "subprocess.CompletedProcess[str]":
        """Run this Python with the strategy's folder at the end of its path, after the package's libraries."""
        environment = dict(os.environ)
        path = [environment.get("PYTHONPATH", ""), str(self._root / STRATEGY)]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, path))
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
        if self._place.cache is not None:
            environment["PVNAS_BENCH_CACHE"] = str(self._place.cache.resolve())
        return subprocess.run(
            [sys.executable, "-P", *words],
            cwd=self._root,
            env=environment,
            input=given or "",
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )


@contextmanager
def workplace(folder: Path, manifest: Manifest, place: Place) -> Iterator[Workplace]:
    """Copy the strategy of a submission to a temporary folder, which is gone with the context."""
    with TemporaryDirectory(prefix="pvnas_bench_verify_") as root:
        if manifest.strategy.file is not None:
            shutil.copytree(folder / STRATEGY, Path(root) / STRATEGY)
        yield Workplace(Path(root).resolve(), manifest, place)


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].removeprefix("error: ").strip() if lines else ""


def described(found: Sequence[tuple[str, Record]], manifest: Manifest, here: Workplace) -> Iterator[Disagreement]:
    """Compare what records say of the strategy with what it says itself."""
    said = [parse_command(record.provenance.command).settings for _, record in found]
    answer = here.described(said)
    if isinstance(answer, str):
        yield Disagreement(manifest.strategy.file or manifest.strategy.name, f"does not describe itself: {answer}")
        return
    listed = answer.get("settings")
    if not isinstance(listed, list) or len(listed) != len(found) or not all(isinstance(one, dict) for one in listed):
        yield Disagreement(manifest.strategy.file or manifest.strategy.name, "does not describe itself as asked")
        return
    for (where, record), of_settings in zip(found, listed, strict=True):
        yield from at(where, _description(record, answer, of_settings))


def _description(record: Record, answer: Mapping[str, Any], of_settings: Mapping[str, Any]) -> Iterator[str]:
    strategy = record.strategy
    for name in ("name", "title", "role"):
        if getattr(strategy, name) != answer.get(name):
            yield f"strategy.{name} is {shown(getattr(strategy, name))}, the code says {shown(answer.get(name))}"
    if list(strategy.levels) != answer.get("levels"):
        yield f"strategy.levels is {shown(list(strategy.levels))}, the code says {shown(answer.get('levels'))}"
    if "error" in of_settings:
        yield f"provenance.command: {of_settings['error']}"
        return
    if strategy.entry != of_settings.get("entry"):
        given = shown(of_settings.get("entry"))
        yield f"strategy.entry is {shown(strategy.entry)}, its command gives {given}"
    config = dict(of_settings.get("config") or {})
    for key in sorted(strategy.config.keys() | config.keys()):
        if strategy.config.get(key) != config.get(key):
            told, given = shown(strategy.config.get(key)), shown(config.get(key))
            yield f"strategy.config.{key} is {told}, its command gives {given}"


# --- comparison ------------------------------------------------------------------------------------------------------


def compared(told: Record, again: Record, known: Sequence[Record]) -> Compared:
    """Compare a record with its repetition.

    Args:
        known: records of the same board, from whose seeds the noise is estimated.
    """
    for name, mine, other in (
        ("status", told.status, again.status),
        ("id", told.id, again.id),
        ("strategy.config", told.strategy.config, again.strategy.config),
        ("data.fingerprint", told.data.fingerprint, again.data.fingerprint),
    ):
        if mine != other:
            return Compared([f"{name} is {shown(mine)}, the repetition has {shown(other)} ({again.error})"], "")
    findings = list(exact([again], [told]))
    unlike = [finding.message for finding in findings if finding.verdict == "skipped"]
    differing = [
        f"{finding.message}: {finding.baseline} in the record, {finding.fresh} in the repetition"
        for finding in findings
        if finding.verdict == "regressed"
    ]
    if not unlike:
        differing += _tests(told, again)
        return Compared(differing, "equal to the last digit")
    reason = unlike[0].rpartition(": ")[2]
    if not differing and not list(_tests(told, again)):
        return Compared([], f"equal tests, although {reason}")
    return _within_noise(told, again, known, reason, differing)


def _tests(told: Record, again: Record) -> Iterator[str]:
    """Compare the tests of two runs to the last digit."""
    assert told.outcome is not None and again.outcome is not None
    if len(told.outcome.trained) != len(again.outcome.trained):
        yield "outcome.trained has another number of trainings than the repetition"
    for number, (mine, other) in enumerate(zip(told.outcome.trained, again.outcome.trained, strict=False)):
        for name in MEASURED:
            a, b = getattr(mine, name), getattr(other, name)
            if not np.array_equal(_array(a), _array(b), equal_nan=True):
                yield f"outcome.trained.{number}.{name} is {shown(a)}, the repetition has {shown(b)}"


def _array(value: Any) -> npt.NDArray[np.float64]:
    """Numbers of a field; of a curve, its rows by name."""
    if isinstance(value, tuple) and value and isinstance(value[0], dict):
        value = [[row[key] for key in sorted(row)] for row in value]
    return np.array(value, dtype=np.float64)


def _within_noise(told: Record, again: Record, known: Sequence[Record], reason: str, differing: list[str]) -> Compared:
    """Compare the scores of two runs that differ in rounding."""
    mine, other = leaderboard.score(told), leaderboard.score(again)
    assert mine is not None and other is not None
    limit, seeds = noise_limit(told, known)
    difference = mine.top1 - other.top1
    words = f"top-1 {mine.top1:.2%}, repeated {other.top1:.2%}, {limit:.2%} allowed by {seeds}, as {reason}"
    return Compared([*differing, *([f"test scores: {words}"] if abs(difference) > limit else [])], words)


def noise_limit(told: Record, known: Sequence[Record]) -> tuple[float, str]:
    """Largest difference of two seeds' mean top-1 in 999 of 1000 pairs, and where it is from.

    The variance between seeds is pooled over the entries of the board. It is at least the binomial one of the test
    clips, and the limit at most that of `WIDEST` times the binomial deviation, which holds where seeds are few.
    """
    from scipy.special import ndtri, stdtrit

    result = leaderboard.score(told)
    assert result is not None
    clips = max(told.data.clips.get("test", 1), 1) * (len(told.outcome.trained) if told.outcome else 1)
    chance = min(max(result.top1, 1 / clips), 1 - 1 / clips)
    binomial = math.sqrt(chance * (1 - chance) / clips)
    widest = -float(ndtri(ERROR / 2)) * math.sqrt(2) * WIDEST * binomial
    entries: dict[str, list[Record]] = {}
    for record in known:
        if record.board == told.board and record.strategy.role == "search":
            entries.setdefault(record.strategy.entry, []).append(record)
    scores = [np.array(list(seed_scores(of_entry).values())) for of_entry in entries.values()]
    freedom = sum(len(one) - 1 for one in scores if len(one) > 1)
    if freedom == 0:
        return widest, f"{WIDEST:g} times the deviation of {clips:,} test clips"
    squares = sum(float(((one - one.mean()) ** 2).sum()) for one in scores if len(one) > 1)
    deviation = max(math.sqrt(squares / freedom), binomial)
    limit = -float(stdtrit(freedom, ERROR / 2)) * math.sqrt(2) * deviation
    if limit > widest:
        return widest, f"{WIDEST:g} times the deviation of {clips:,} test clips"
    return limit, f"a deviation of {deviation:.2%} between seeds ({freedom} degrees of freedom)"
