"""The report's page: boards, curves and records are embedded as data, from which page.js builds everything visible."""

import base64
import hashlib
import html
import json
from collections.abc import Callable, Sequence
from importlib.resources import files
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
        thumbnails: called with the record of every completed run; returns clips to show with it. Images shared by runs
            are embedded once.
    """
    records = leaderboard.by_source(records)
    images: dict[str, int] = {}
    data = {
        "title": title,
        "boards": [_board(board, records, thumbnails, images) for board in leaderboard.build(records)],
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


def _board(board: Board, records: Sequence[Record], thumbnails: Clips | None, images: dict[str, int]) -> dict[str, Any]:
    key = (*board.fingerprints.values(), board.cap_macs, board.budget)
    runs = [record for record in records if tuple(leaderboard.board_key(record).values()) == key]
    runs.sort(key=lambda run: (run.strategy.entry, run.seed, run.provenance.created, run.id))
    content: dict[str, Any] = json.loads(rendering.to_json([board]))[0]
    content["title"] = board.title
    content["description"] = rendering.describe(board)
    content["columns"] = [
        {name: getattr(column, name) for name in ("key", "header", "help", "keep")} for column in rendering.COLUMNS
    ]
    for row, shown in zip(content["rows"], board.rows, strict=True):
        row["cells"] = [column.cell(shown) for column in rendering.COLUMNS]
        row["curves"] = _curves([run for run in runs if run.strategy.entry == shown.entry])
    content["runs"] = [_run(run, thumbnails, images) for run in runs]
    return content


def _curves(runs: Sequence[Record]) -> dict[str, Any]:
    """Mean curve of the completed runs, by axis."""
    completed = [run for run in runs if leaderboard.score(run) is not None]
    curves: dict[str, Any] = {}
    for axis in AXES:
        curve = mean_curve(completed, axis)
        if curve is not None:
            curves[axis] = {name: _numbers(getattr(curve, name)) for name in ("at", "mean", "low", "high")}
    return curves


def _numbers(values: "np.ndarray[Any, np.dtype[np.float64]]") -> list[float | None]:
    return [None if np.isnan(value) else float(f"{value:.6g}") for value in values]


def _run(record: Record, thumbnails: Clips | None, images: dict[str, int]) -> dict[str, Any]:
    """Data of a run for the page; images of its clips are added to `images`."""
    score = leaderboard.score(record)
    clips = thumbnails(record) if thumbnails is not None and score is not None else ()
    return {
        "top1": None if score is None else score.top1,
        "record": json.loads(record.model_dump_json()),
        "clips": [{"image": images.setdefault(c.image, len(images)), "caption": c.caption} for c in clips],
    }
