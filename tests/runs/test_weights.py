"""The weights that a run keeps: the best retraining's, whatever stops the run on its way."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from pvnas_bench import records
from pvnas_bench.errors import UsageError
from pvnas_bench.protocol import PROTOCOLS
from pvnas_bench.runs.final import best_of
from pvnas_bench.runs.observer import Observer
from pvnas_bench.runs.request import Request
from pvnas_bench.runs.runner import run
from pvnas_bench.training.model_file import load


def test_no_weights_leaves_none(tiny_dataset: Path, tmp_path: Path) -> None:
    request = Request("expert", dataset=str(tiny_dataset), budget=0.4, threads=1, results=tmp_path, weights=False)
    _, path = run(request)
    assert sorted(file.name for file in path.parent.iterdir()) == ["record.json"]
    assert "--no-weights" in request.words()


def curves(*accuracies: float | None) -> list[records.Trained]:
    """Retrainings that differ in their last accuracy on the val split; the later, the better on the test split."""
    return [
        records.Trained(
            seed=i,
            test_top1=i / 10,
            test_top5=1.0,
            test_mean_class=0.0,
            test_loss=1.0,
            confusion=(),
            curve=({"epoch": 1.0} | ({} if accuracy is None else {"val_top1": accuracy}),),
        )
        for i, accuracy in enumerate(accuracies)
    ]


def test_the_best_retraining_is_chosen_by_validation_and_never_by_the_test() -> None:
    assert best_of(curves(0.2, 0.7, 0.5)) == 1
    assert best_of(curves(0.5, 0.5, 0.4)) == 0
    assert best_of(curves(None, None, None)) == 0


class Stopping(Observer):
    """Asks for a stop, as Ctrl-C does, while the last retraining is under way."""

    def training(self, architecture: str, retraining: int, retrainings: int, epoch: int, epochs: int) -> None:
        if (retraining, epoch) == (retrainings, 1):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_run_stopped_in_its_last_retraining_keeps_the_weights_of_the_best(
    tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    thrice = replace(PROTOCOLS["quick"], name="thrice", epochs=2, retrainings=3)
    monkeypatch.setitem(PROTOCOLS, "thrice", thrice)  # type: ignore[arg-type]

    def asked(name: str) -> Request:
        return Request(
            "expert", dataset=str(tiny_dataset), protocol="thrice", threads=1, results=tmp_path / name, budget=0.4
        )

    whole, path = run(asked("whole"))
    assert whole.outcome is not None and len(whole.outcome.trained) == 3
    best = best_of(whole.outcome.trained)
    info = load(path.with_name("model.safetensors")).info
    assert (info.training.retraining, info.scores.test_loss) == (best, whole.outcome.trained[best].test_loss)

    stopped, place = run(asked("stopped"), Stopping())
    assert stopped.status == "interrupted"
    assert not place.with_name("model.safetensors").exists()
    resumed, place = run(asked("stopped"))
    assert resumed.status == "ok" and resumed.outcome is not None
    assert [one.test_loss for one in resumed.outcome.trained] == [one.test_loss for one in whole.outcome.trained]
    assert place.with_name("model.safetensors").read_bytes() == path.with_name("model.safetensors").read_bytes()


def test_weights_that_find_no_room_leave_no_record(
    tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pvnas_bench.runs import runner

    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    request = Request("expert", dataset=str(tiny_dataset), threads=1, results=tmp_path, budget=0.4)
    with monkeypatch.context() as patch:
        patch.setattr(runner.files, "write_atomically", full)
        with pytest.raises(UsageError, match="No space left on device"):
            run(request)
    assert not list(tmp_path.rglob("record.json"))
    record, _ = run(request)
    assert record.status == "ok"
