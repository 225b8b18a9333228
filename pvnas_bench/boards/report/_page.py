"""The report's page: boards, curves and runs are embedded as data, from which page.js builds everything visible.

Records are embedded whole while they fit into `MOST_BYTES`: one of each entry of each board, then a second of each, and
so on. Of further runs the page shows seed, accuracy and MACs, so that a page of thousands of runs opens at once.
"""

import base64
import hashlib
import html
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from pvnas_bench.boards import leaderboard
from pvnas_bench.boards import render as rendering
from pvnas_bench.boards.leaderboard import Board
from pvnas_bench.boards.report._clips import Thumbnail
from pvnas_bench.boards.trajectories import AXES, mean_curve
from pvnas_bench.records import Record, Unreadable
from pvnas_bench.system.files import write_atomically

MOST_BYTES = 3 * 2**20
"""Largest size in bytes of all records in a page."""
MOST_POINTS = 200
"""Largest number of points of a curve."""

Clips = Callable[[Record], Sequence[Thumbnail]]
"""Function from a run's record to the clips shown with it."""


def render(
    records: Sequence[Record],
    unreadable: Sequence[Unreadable] = (),
    *,
    title: str = "pvnas_bench results",
    thumbnails: Clips | None = None,
) -> str:
    """Render the page of records; the same records always give the same page.

    Args:
        unreadable: files that were left out; the page lists them.
        title: title of the page.
        thumbnails: called with a completed run of each board; returns clips of its data set. Images shared by boards
            are embedded once.
    """
    records = leaderboard.by_source(records)
    images: dict[str, int] = {}
    boards = [(board, _runs_of(board, records)) for board in leaderboard.build(records)]
    whole = _embeddable([run for _, runs in boards for run in runs])
    data = {
        "title": title,
        "boards": [_board(board, runs, whole, thumbnails, images) for board, runs in boards],
        "images": list(images),
        "unreadable": [{"path": str(entry.path), "reason": entry.reason} for entry in unreadable],
    }
    script = files(__package__).joinpath("page.js").read_text("utf-8")
    style = files(__package__).joinpath("page.css").read_text("utf-8")
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    return (
        "<!DOCTYPE html>\n"
        '<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{html.escape(title)}</title>\n"
        f"<style>{style}</style>\n</head>\n<body>\n"
        "<noscript>This page needs JavaScript to show its tables and curves; its scripts are embedded.</noscript>\n"
        f'<script type="application/json" id="data">{_embedded(data)}</script>\n'
        f"<script>{script}</script>\n</body>\n</html>\n"
    )


def write(
    path: Path,
    records: Sequence[Record],
    unreadable: Sequence[Unreadable] = (),
    *,
    title: str = "pvnas_bench results",
    thumbnails: Clips | None = None,
) -> None:
    """Write the page atomically; see `render`."""
    page = render(records, unreadable, title=title, thumbnails=thumbnails)
    write_atomically(path, page.encode("utf-8", "backslashreplace"))


def _hash(content: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"


def _embedded(data: Any) -> str:
    """Encode JSON without <, > and &, so that no HTML parser takes it for markup."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _runs_of(board: Board, records: Sequence[Record]) -> list[Record]:
    key = (*board.fingerprints.values(), board.cap_macs, board.budget)
    runs = [record for record in records if tuple(leaderboard.board_key(record).values()) == key]
    return sorted(runs, key=lambda run: (run.strategy.entry, run.seed, run.provenance.created, run.id))


def _embeddable(runs: Sequence[Record]) -> dict[int, Any]:
    """JSON of the records that are embedded, by the identity of the record."""
    place: Counter[tuple[Any, ...]] = Counter()
    order: list[tuple[int, Record]] = []
    for run in runs:
        entry = (*leaderboard.board_key(run).values(), run.strategy.entry)
        order.append((place[entry], run))
        place[entry] += 1
    whole: dict[int, Any] = {}
    size = 0
    for _, run in sorted(order, key=itemgetter(0)):
        text = run.model_dump_json()
        if size + len(text) <= MOST_BYTES:
            size += len(text)
            whole[id(run)] = json.loads(text)
    return whole


def _board(
    board: Board, runs: Sequence[Record], whole: Mapping[int, Any], thumbnails: Clips | None, images: dict[str, int]
) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(rendering.to_json([board]))[0]
    content["title"] = board.title
    content["description"] = rendering.describe(board)
    columns = rendering.columns_of([board])
    content["columns"] = [
        {name: getattr(column, name) for name in ("key", "header", "help", "keep")} for column in columns
    ]
    by_entry: dict[str, list[Record]] = defaultdict(list)
    for run in runs:
        by_entry[run.strategy.entry].append(run)
    for row, shown in zip(content["rows"], board.rows, strict=True):
        row["cells"] = [column.cell(shown) for column in columns]
        row["curves"] = _curves(by_entry[shown.entry])
    entries = {entry: number for number, entry in enumerate(by_entry)}
    content["entries"] = list(entries)
    content["runs"] = [_run(run, entries[run.strategy.entry], whole.get(id(run))) for run in runs]
    content["clips"] = _shown(runs, thumbnails, images)
    return content


def _curves(runs: Sequence[Record]) -> dict[str, Any]:
    """Mean curve of the completed runs, by axis."""
    completed = [run for run in runs if leaderboard.score(run) is not None]
    curves: dict[str, Any] = {}
    for axis in AXES:
        curve = mean_curve(completed, axis, MOST_POINTS)
        if curve is not None:
            curves[axis] = {name: _numbers(getattr(curve, name)) for name in ("at", "mean", "low", "high")}
    return curves


def _numbers(values: "np.ndarray[Any, np.dtype[np.float64]]") -> list[float | None]:
    return [None if np.isnan(value) else float(f"{value:.6g}") for value in values]


def _run(record: Record, entry: int, whole: Any) -> list[Any]:
    """Data of a run: entry, seed, status, test top-1, MACs, and the record if it is embedded."""
    score, outcome = leaderboard.score(record), record.outcome
    top1 = None if score is None else float(f"{score.top1:.6g}")
    return [entry, record.seed, record.status, top1, outcome and outcome.macs, *([] if whole is None else [whole])]


def _shown(runs: Sequence[Record], thumbnails: Clips | None, images: dict[str, int]) -> list[dict[str, Any]]:
    """Clips of the board's data set, from its first completed run; their images are added to `images`."""
    first = next((run for run in runs if leaderboard.score(run) is not None), None)
    clips = thumbnails(first) if thumbnails is not None and first is not None else ()
    return [{"image": images.setdefault(clip.image, len(images)), "caption": clip.caption} for clip in clips]
