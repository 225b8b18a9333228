import re

import pytest

from pvnas_bench.cli import _progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A fake clock for the display, in seconds."""
    now = [100.0]
    monkeypatch.setattr(_progress.time, "monotonic", lambda: now[0])
    return now


def test_progress_lines_are_few_and_estimate_the_remaining_time(
    capsys: pytest.CaptureFixture[str], clock: list[float]
) -> None:
    with _progress.Lines() as display:
        for done in range(101):
            clock[0] = 100.0 + 6 * done
            display.show("search", done, 100, f"step {done}")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == _progress.LINES_PER_PHASE + 1
    assert lines[0] == "search: 0%, step 0"
    assert lines[2] == "search: 20%, step 20, 8:00 left"
    assert lines[-1] == "search: 100%, step 100"


@pytest.mark.parametrize("clips", [3, 6, 36, 1000])
def test_a_short_phase_has_two_lines(capsys: pytest.CaptureFixture[str], clock: list[float], clips: int) -> None:
    with _progress.Lines() as display:
        for done in range(1, clips + 1):
            clock[0] += 0.4 / clips
            display.show("clips", done, clips, f"{done} of {clips}")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and lines[0].startswith("clips: ") and lines[1] == f"clips: 100%, {clips} of {clips}"


def test_a_falling_count_begins_a_new_phase(capsys: pytest.CaptureFixture[str]) -> None:
    with _progress.Lines() as display:
        for done in (1, 2, 1, 2):
            display.show("clips", done, 2)
    assert [re.sub(", .* left", "", line) for line in capsys.readouterr().err.splitlines()] == [
        "clips: 50%",
        "clips: 100%",
        "clips: 50%",
        "clips: 100%",
    ]
