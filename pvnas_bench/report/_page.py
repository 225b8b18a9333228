"""Puts boards, curves and records into the page as data; everything that is seen is built from them by page.js."""

import base64
import hashlib
import html
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from pvnas_bench import leaderboard
from pvnas_bench.leaderboard import Board
from pvnas_bench.records import Record, Unreadable, write_atomically
from pvnas_bench.trajectories import AXES, mean_curve

_IMAGE = re.compile(r"data:image/(gif|webp|png|apng);base64,[A-Za-z0-9+/]+=*")


@dataclass(frozen=True)
class Thumbnail:
    """A clip of a run's test split as a small, maybe animated, picture.

    Attributes:
        image: a data URI of a GIF, WebP or PNG.
        caption: the clip's true class, and what the network said if that is known.

    Raises:
        ValueError: the image is not such a data URI.
    """

    image: str
    caption: str

    def __post_init__(self) -> None:
        """Refuse anything that is not a picture within the page."""
        if not _IMAGE.fullmatch(self.image):
            raise ValueError(f"a thumbnail is a base64 data URI of a GIF, WebP or PNG, not {self.image[:40]!r}")


def render(
    records: Sequence[Record],
    unreadable: Sequence[Unreadable] = (),
    *,
    title: str = "pvnas_bench results",
    thumbnails: Callable[[Record], Sequence[Thumbnail]] | None = None,
) -> str:
    """The page of these records: the same records give the same page.

    Args:
        unreadable: the files that were left out; the page names them.
        thumbnails: called with every completed run; gives some clips to show with it.
    """
    data = {
        "title": title,
        "boards": [_board(board, records, thumbnails) for board in leaderboard.build(records)],
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
        "<noscript>This page shows its tables and curves with JavaScript that it contains.</noscript>\n"
        f'<script type="application/json" id="data">{_embedded(data)}</script>\n'
        f"<script>{script}</script>\n</body>\n</html>\n"
    )


def write(
    path: Path,
    records: Sequence[Record],
    unreadable: Sequence[Unreadable] = (),
    *,
    title: str = "pvnas_bench results",
    thumbnails: Callable[[Record], Sequence[Thumbnail]] | None = None,
) -> None:
    """Write the page of `render` atomically."""
    page = render(records, unreadable, title=title, thumbnails=thumbnails)
    write_atomically(path, page.encode("utf-8", "backslashreplace"))


def _hash(content: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"


def _embedded(data: Any) -> str:
    """JSON that no HTML parser can take for markup: without <, > and &, which JSON needs in strings only."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _board(
    board: Board, records: Sequence[Record], thumbnails: Callable[[Record], Sequence[Thumbnail]] | None
) -> dict[str, Any]:
    key = (*board.fingerprints.values(), board.cap_macs, board.budget)
    runs = [record for record in records if tuple(leaderboard.board_key(record).values()) == key]
    runs.sort(key=lambda run: (run.strategy.entry, run.seed, run.provenance.created, run.id))
    content: dict[str, Any] = json.loads(leaderboard.to_json([board]))[0]
    content["title"] = board.title
    content["description"] = leaderboard.describe(board)
    content["columns"] = [
        {name: getattr(column, name) for name in ("key", "header", "help")} for column in leaderboard.COLUMNS
    ]
    for row, shown in zip(content["rows"], board.rows, strict=True):
        row["cells"] = [column.cell(shown) for column in leaderboard.COLUMNS]
        row["curves"] = _curves([run for run in runs if run.strategy.entry == shown.entry])
    content["runs"] = [_run(run, thumbnails) for run in runs]
    return content


def _curves(runs: Sequence[Record]) -> dict[str, Any]:
    """Of each cost axis the mean curve of the completed runs."""
    completed = [run for run in runs if leaderboard.score(run) is not None]
    curves: dict[str, Any] = {}
    for axis in AXES:
        curve = mean_curve(completed, axis)
        if curve is not None:
            curves[axis] = {name: _numbers(getattr(curve, name)) for name in ("at", "mean", "low", "high")}
    return curves


def _numbers(values: "np.ndarray[Any, np.dtype[np.float64]]") -> list[float | None]:
    return [None if np.isnan(value) else float(f"{value:.6g}") for value in values]


def _run(record: Record, thumbnails: Callable[[Record], Sequence[Thumbnail]] | None) -> dict[str, Any]:
    score = leaderboard.score(record)
    clips = thumbnails(record) if thumbnails is not None and score is not None else ()
    return {
        "top1": None if score is None else score.top1,
        "record": json.loads(record.model_dump_json()),
        "clips": [{"image": clip.image, "caption": clip.caption} for clip in clips],
    }
