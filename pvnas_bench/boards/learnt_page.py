"""Rendering of the comparison of real with null searches, as Markdown for people and JSON for programs."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from pvnas_bench.boards.learnt import EFFECT, POWER, Comparison, Row
from pvnas_bench.boards.render import markdown_text

HEADERS = (
    "strategy",
    "verdict",
    "seeds real / null",
    "real %",
    "null %",
    "difference (points)",
    "P(real > null)",
    "p",
    "p (Holm)",
    f"power for {100 * EFFECT:g} points",
    f"detectable (points, power {100 * POWER:g} %)",
    "Hamming real / null / between",
    "held-out loss / chance",
    "entropy",
    "MACs share",
)
LEGEND = (
    "A null search has the labels of search-val permuted where architectures are compared; all else is the same. "
    "*learnt*: real searches score higher than null ones in a one-sided Mann-Whitney test over seeds, p after Holm's "
    "correction for the strategies of the board below 0.05. *not shown* is not a proof of the opposite: its power is "
    "given. Scores are test accuracies of the final architectures, on a table the true ones. Hamming: mean number of "
    "decisions in which two final architectures differ. The last three columns are the last logged values, real / "
    "null: the loss on search-val as a fraction of chance, the entropy of the distribution, the MACs term's share of "
    "the gradient."
)


def to_markdown(boards: Sequence[Comparison]) -> str:
    """Render comparisons as Markdown: a heading, a table and notes for each, then what the columns mean."""
    return "\n".join([*map(_board, boards), LEGEND, ""])


def _board(board: Comparison) -> str:
    lines = [f"### {markdown_text(board.title)}, budget {board.budget:g} rt", ""]
    if board.rows:
        lines += ["| " + " | ".join(HEADERS) + " |", "|" + " --- |" * len(HEADERS)]
        lines += ["| " + " | ".join(_cells(row)) + " |" for row in board.rows]
        lines.append("")
    if board.control is not None:
        lines.append(f"- the random control has a mean of {100 * board.control:.1f} %.")
    if left_out := sum(row.left_out for row in board.rows):
        lines.append(f"- runs without a score, left out: {left_out}.")
    if board.incomplete:
        lines.append(f"- not compared, real or null runs are missing: {markdown_text(', '.join(board.incomplete))}.")
    return "\n".join(lines) + "\n"


def _cells(row: Row) -> list[str]:
    interval = "" if row.low is None or row.high is None else f" [{100 * row.low:+.1f}, {100 * row.high:+.1f}]"
    learnt, near = row.verdict == "learnt", row.agreement
    distances = " / ".join("–" if d is None else f"{d:.1f}" for d in (near.reals, near.nulls, near.between))
    return [
        markdown_text(row.entry),
        f"**{row.verdict}**" if learnt else row.verdict,
        f"{row.reals} / {row.nulls}",
        f"{100 * row.real_mean:.1f}",
        f"{100 * row.null_mean:.1f}",
        f"{100 * row.effect:+.1f}{interval}",
        f"{row.superiority:.2f}",
        f"{row.p:.2g}",
        f"{row.adjusted:.2g}",
        "" if learnt else f"{100 * row.power:.0f} %",
        "" if learnt else "none" if math.isinf(row.detectable) else f"{100 * row.detectable:.1f}",
        f"{distances} of {near.decisions}",
        *(_pair(row, name) for name in ("search_val_loss_of_chance", "alpha_entropy", "macs_gradient_share")),
    ]


def _pair(row: Row, name: str) -> str:
    real, null = row.series.get(name, (None, None))
    if real is None and null is None:
        return ""
    return " / ".join("–" if value is None else f"{value:.2f}" for value in (real, null))


def to_json(boards: Sequence[Comparison]) -> str:
    """Render comparisons as a JSON array; an infinite detectable difference is null."""
    return (
        json.dumps([_finite(asdict(board)) for board in boards], indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    )


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
