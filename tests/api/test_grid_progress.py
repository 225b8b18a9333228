"""Lines about the cells of a grid: every failure, and not thousands of lines about searches that take milliseconds."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from pvnas_bench.api import grid_progress
from pvnas_bench.grid.cells import GridCell, State
from pvnas_bench.runs.request import Request


def printed(ends: list[State], step: float, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Lines about cells that end like this, with a clock that each look advances."""
    waiting = [
        GridCell(Request("random_search", seed=seed), "random_search", Path(f"{seed}.json"))
        for seed in range(len(ends))
    ]

    def events() -> Iterator[GridCell]:
        for cell, end in zip(waiting, ends, strict=True):
            yield replace(cell, state="running")
            yield replace(cell, state=end, note="too small" if end == "failed" else "")

    state, ticks = {cell.path: cell for cell in waiting}, count(0.0, step)
    grid_progress.lines(state, events(), clock=lambda: next(ticks))  # type: ignore[arg-type]
    assert [cell.state for cell in state.values()] == ends
    return capsys.readouterr().err.splitlines()


def test_slow_cells_have_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    first, *rest = printed(["ok"] * 4, 2.0, capsys)
    assert first == "4 cells: 4 waiting"
    assert [line.split(":")[1] for line in rest] == [
        " 3 waiting, 1 ok",
        " 2 waiting, 2 ok",
        " 1 waiting, 3 ok",
        " 4 ok",
    ]
    assert rest[-1].startswith("4 cells: 4 ok: random_search st_default synthetic_motion seed 3 ok")


def test_of_quick_cells_the_last_and_every_failure_have_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed([*["ok"] * 500, "failed", *["ok"] * 500], 1e-6, capsys)
    assert len(lines) == 4
    assert "seed 500 failed: too small" in lines[2]
    assert lines[3].startswith("1,001 cells: 1,000 ok, 1 failed: ")
