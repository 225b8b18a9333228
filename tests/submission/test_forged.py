"""Forged and damaged submissions are rejected, each for its reason."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from forgery import Forger

from pvnas_bench.submission.verify import Repeat, verify

from .forgeries import CLIPS, DESCRIBED, REPEATED, STATIC, Forgery

LEAST = 100
LONG = ("code that searches otherwise", "a validation that was not measured", "fewer evaluations")


def forged(forgery: Forgery, request: pytest.FixtureRequest, copied: Callable[[Path], Path]) -> Path:
    """The submission with the forgery."""
    forger = Forger(copied(request.getfixturevalue(forgery.base)))
    forgery.make(forger)
    if forgery.seal == "renamed":
        forger.rename()
    if forgery.seal != "raw":
        forger.seal()
    return forger.folder


def rejected(folder: Path, reason: str, repeat: Repeat) -> None:
    verdict = verify(folder, repeat)
    lines = [str(one) for one in verdict.disagreements]
    assert verdict.exit_code == 1
    assert any(re.search(reason, line) for line in lines), lines
    assert all(line.isprintable() for line in lines)


def named(forgery: Forgery) -> str:
    return forgery.name.replace(" ", "-")


@pytest.mark.parametrize("forgery", STATIC, ids=named)
def test_a_forgery_is_rejected_without_running_its_code(
    forgery: Forgery, request: pytest.FixtureRequest, copied: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def started(*_: object, **__: object) -> None:
        pytest.fail("the code of a forgery ran")

    monkeypatch.setattr("pvnas_bench.submission.repetition.subprocess.run", started)
    datasets = (request.getfixturevalue("tiny_dataset"),) if forgery.base == "trained" else ()
    rejected(forged(forgery, request, copied), forgery.reason, Repeat(datasets=datasets))


@pytest.mark.parametrize("forgery", CLIPS, ids=named)
def test_other_clips_than_those_of_the_data_set_are_rejected(
    forgery: Forgery, request: pytest.FixtureRequest, copied: Callable[[Path], Path], tiny_dataset: Path
) -> None:
    rejected(forged(forgery, request, copied), forgery.reason, Repeat(datasets=(tiny_dataset,)))


@pytest.mark.parametrize("forgery", DESCRIBED, ids=named)
def test_what_the_code_says_otherwise_is_rejected(
    forgery: Forgery, request: pytest.FixtureRequest, copied: Callable[[Path], Path]
) -> None:
    rejected(forged(forgery, request, copied), forgery.reason, Repeat())


@pytest.mark.parametrize(
    "forgery",
    [pytest.param(one, marks=pytest.mark.long) if one.name in LONG else one for one in REPEATED],
    ids=named,
)
def test_what_a_repetition_does_not_give_is_rejected(
    forgery: Forgery, request: pytest.FixtureRequest, copied: Callable[[Path], Path]
) -> None:
    folder = forged(forgery, request, copied)
    first = Forger(folder).paths[0].name.partition(".")[0]
    rejected(folder, forgery.reason, Repeat(named=(first,)))


def test_there_are_more_than_a_hundred_forgeries_of_different_names() -> None:
    forgeries = [*STATIC, *CLIPS, *DESCRIBED, *REPEATED]
    assert len({forgery.name for forgery in forgeries}) == len(forgeries) >= LEAST


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_is_never_opened(looked_up: Path, copied: Callable[[Path], Path]) -> None:
    """It would wait for a writer for ever."""
    folder = copied(looked_up)
    (folder / "manifest.json").unlink()
    os.mkfifo(folder / "manifest.json")
    assert verify(folder).exit_code == 1
