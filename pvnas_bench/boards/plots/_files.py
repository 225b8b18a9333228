"""The kinds of plots, and writing their files."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from matplotlib.figure import Figure

from pvnas_bench.boards import across, leaderboard
from pvnas_bench.boards.plots import _architecture, _critical, _curves, _gradient, _tradeoff
from pvnas_bench.boards.plots._boards import Runs, boards
from pvnas_bench.boards.plots._style import freeze, styled
from pvnas_bench.boards.trajectories import AXES, Axis, Measure
from pvnas_bench.errors import UsageError
from pvnas_bench.records import Record
from pvnas_bench.system.files import write_atomically

FORMATS = ("png", "svg")


@dataclass(frozen=True)
class Kind:
    """A kind of plot."""

    name: str
    help: str
    board: Callable[[Runs], Figure | str] | None = None
    """Draws one board, or returns the reason for no plot. None for plots that are of no single board, or need more."""


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("anytime", "search-val accuracy of the incumbent against search cost"),
        Kind("incumbents", "test accuracy of the incumbent, by a table or its surrogate, against search cost"),
        Kind("tradeoff", "test accuracy against MACs with the Pareto front", _tradeoff.tradeoff),
        Kind("profiles", "share of runs above each test accuracy", _curves.profiles),
        Kind("critical", "critical-difference diagram over tasks, if justified"),
        Kind("costs", "cost of the search", _tradeoff.costs),
        Kind("diversity", "entropy and diversity of gradient-based strategies", _gradient.diversity),
        Kind("ranking", "supernet score against stand-alone accuracy", _gradient.ranking),
        Kind("architecture", "final network of each entry's best run"),
    )
}


@dataclass(frozen=True)
class Drawn:
    """Result of a plot: its files, or the reason why there are none."""

    kind: str
    subject: str
    files: tuple[Path, ...]
    reason: str | None = None


def plot(
    records: Sequence[Record],
    kind: str,
    folder: Path,
    *,
    formats: Sequence[str] = FORMATS,
    axis: str = "cost",
    truth: Measure | None = None,
) -> list[Drawn]:
    """Draw one kind of plot for every board of these records (or task comparison, or entry) and write the files.

    Args:
        axis: cost axis of the curves anytime and incumbents: cost (reference trainings), wall (seconds) or step.
        truth: test accuracies of a run's incumbents, for the curves incumbents; None: they are unknown.

    Returns:
        For each subject (board, comparison or entry) the files, or the reason why there are none.

    Raises:
        UsageError: the kind, a format or the axis is unknown.
    """
    if kind not in KINDS:
        raise UsageError(f"unknown plot {kind!r}: choose one of {', '.join(KINDS)}")
    for name in formats:
        if name not in FORMATS:
            raise UsageError(f"unknown --format {name!r}: choose one of {', '.join(FORMATS)}")
    chosen = next((known for known in AXES if known == axis), None)
    if chosen is None:
        raise UsageError(f"unknown --axis {axis!r}: choose one of {', '.join(AXES)}")
    with styled():
        return [
            _write(kind, subject, stem, figure, folder, formats)
            for subject, stem, figure in _figures(records, kind, chosen, truth)
        ]


def _figures(
    records: Sequence[Record], kind: str, axis: Axis, truth: Measure | None
) -> list[tuple[str, str, Figure | str]]:
    grouped = boards(records)
    if kind == "critical":
        comparisons = across.across([runs.board for runs in grouped])
        names = _distinct([(c.protocol, f"budget {c.budget:g}") for c in comparisons])
        return [(c.protocol, name, _critical.critical(c)) for c, name in zip(comparisons, names, strict=True)]
    marks = [" ".join(runs.board.fingerprints.values()) for runs in grouped]
    words = [f"{b.space} {b.cap} {b.data} {b.protocol} {b.budget:g}rt" for b in (runs.board for runs in grouped)]
    names = _distinct(list(zip(words, marks, strict=True)))
    if kind == "architecture":
        return [item for runs, name in zip(grouped, names, strict=True) for item in _architectures(runs, name)]
    over_cost = {
        "anytime": lambda runs: _curves.anytime(runs, axis),
        "incumbents": lambda runs: _curves.incumbents(runs, axis, truth),
    }
    draw = KINDS[kind].board or over_cost[kind]
    stems = [f"{axis}-{name}" if kind in over_cost and axis != "cost" else name for name in names]
    return [(runs.board.title, stem, draw(runs)) for runs, stem in zip(grouped, stems, strict=True)]


def _architectures(runs: Runs, name: str) -> list[tuple[str, str, Figure | str]]:
    """Draw the best run of each entry by test score; of equal runs the one with the first seed."""
    figures: list[tuple[str, str, Figure | str]] = []
    stems = _distinct([(f"{name} {entry.row.entry}", entry.row.entry) for entry in runs.entries])
    for entry, stem in zip(runs.entries, stems, strict=True):
        subject = f"{runs.board.title}: {entry.row.entry}"
        if not entry.completed:
            figures.append((subject, stem, "no run was completed"))
            continue
        best = max(entry.completed, key=lambda run: (leaderboard.score(run) or (0.0,))[0])
        figures.append((subject, stem, _architecture.architecture(best)))
    return figures


def _distinct(names: Sequence[tuple[str, str]]) -> list[str]:
    """File stems from names; equal stems get a digest of the second string."""
    from hashlib import sha256

    stems = [re.sub(r"[^A-Za-z0-9.=]+", "_", name).strip("_.")[:100] or "unnamed" for name, _ in names]
    return [
        f"{stem}-{sha256(mark.encode('utf-8', 'replace')).hexdigest()[:8]}" if stems.count(stem) > 1 else stem
        for stem, (_, mark) in zip(stems, names, strict=True)
    ]


def _write(kind: str, subject: str, stem: str, figure: Figure | str, folder: Path, formats: Sequence[str]) -> Drawn:
    if isinstance(figure, str):
        return Drawn(kind, subject, (), figure)
    files = []
    for name in formats:
        path = folder / f"{kind}-{stem}.{name}"
        write_atomically(path, encoded(figure, name))
        files.append(path)
    return Drawn(kind, subject, tuple(files))


def encoded(figure: Figure, name: str) -> bytes:
    """Encode a figure in a format, without dates or program versions."""
    freeze(figure)
    content = BytesIO()
    metadata = {"Software": None} if name == "png" else {"Date": None, "Creator": None}
    figure.savefig(content, format=name, metadata=metadata)
    return content.getvalue()
