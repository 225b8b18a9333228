"""TensorBoard and MLflow have what the record has, also of a run that was resumed, and never cost a run."""

import importlib.util
import math
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pvnas_bench import UsageError, records
from pvnas_bench.runs import tracking, words
from pvnas_bench.runs.observer import Observer
from pvnas_bench.runs.request import Request
from pvnas_bench.runs.runner import run
from pvnas_bench.runs.setup import Setup

TINY = str(Path(__file__).resolve().parents[1] / "support" / "tiny_space.py")


class Heard(Observer):
    """Interrupts a search after some steps, or the final training after some epochs."""

    def __init__(self, steps: int = 10**6, epochs: int = 10**6) -> None:
        self.warnings: list[str] = []
        self._steps, self._epochs = steps, epochs

    def warned(self, message: str) -> None:
        self.warnings.append(message)

    def stepped(self, step: records.Step, budget: float) -> None:
        if step.step == self._steps:
            raise KeyboardInterrupt

    def training(self, architecture: str, retraining: int, retrainings: int, epoch: int, epochs: int) -> None:
        if epoch == self._epochs:
            raise KeyboardInterrupt


def request(tiny_dataset: Path, tmp_path: Path, **more: Any) -> Request:
    return Request(
        "random_search",
        space=TINY,
        dataset=str(tiny_dataset),
        budget=4.0,
        threads=1,
        device="cpu",
        results=tmp_path / "results",
        checkpoint_seconds=0.0,
        **more,
    )


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Every series of a folder of event files."""
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def mlflow_runs(uri: str) -> list[Any]:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name(tracking.EXPERIMENT)
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id]))


def series(uri: str, number: str, name: str) -> list[tuple[int, float]]:
    from mlflow.tracking import MlflowClient

    history = MlflowClient(tracking_uri=uri).get_metric_history(number, name)
    return sorted({(metric.step, metric.value) for metric in history})


@pytest.mark.parametrize(
    "stop",
    [
        pytest.param(None, id="whole"),
        pytest.param({"steps": 3}, id="search", marks=pytest.mark.long),
        pytest.param({"epochs": 2}, id="final", marks=pytest.mark.long),
    ],
)
def test_trackers_have_what_the_record_has(tiny_dataset: Path, tmp_path: Path, stop: dict[str, int] | None) -> None:
    board, uri = tmp_path / "board", f"sqlite:///{tmp_path}/mlflow.db"
    asked = request(tiny_dataset, tmp_path, tensorboard=board, mlflow=uri)
    if stop is not None:
        record, _ = run(asked, Heard(**stop))
        assert record.status == "interrupted"
        (one,) = mlflow_runs(uri)
        assert (one.info.status, one.data.tags[tracking.STATUS_TAG]) == ("KILLED", "interrupted")
    heard = Heard()
    record, path = run(asked, heard)
    assert (record.status, heard.warnings) == ("ok", [])
    outcome = record.outcome
    assert outcome is not None
    (trained,) = outcome.trained

    logged = scalars(board / path.parent.name / "search")
    assert [step for step, _ in logged["spent"]] == [step.step for step in record.trajectory]
    assert [value for _, value in logged["spent"]] == pytest.approx([step.cost for step in record.trajectory])
    tops = [(step.step, step.metrics["val_top1"]) for step in record.trajectory if "val_top1" in step.metrics]
    assert [step for step, _ in logged["val_top1"]] == [step for step, _ in tops]
    assert [value for _, value in logged["val_top1"]] == pytest.approx([top1 for _, top1 in tops])
    final = scalars(board / path.parent.name / "final")
    assert [value for _, value in final["train_loss"]] == pytest.approx([row["train_loss"] for row in trained.curve])
    assert [step for step, _ in final["train_loss"]] == list(range(1, len(trained.curve) + 1))
    assert final["result/test_top1"][0][1] == pytest.approx(trained.test_top1)

    (one,) = mlflow_runs(uri)
    assert one.info.status == "FINISHED" and one.data.tags[tracking.STATUS_TAG] == "ok"
    assert one.data.tags["incumbent"] == outcome.architecture
    assert one.data.params["strategy"] == "random_search" and one.data.params["seed"] == "0"
    assert series(uri, one.info.run_id, "spent") == [(step.step, step.cost) for step in record.trajectory]
    assert [v for _, v in series(uri, one.info.run_id, "final.train_loss")] == pytest.approx(
        [row["train_loss"] for row in trained.curve]
    )
    assert one.data.metrics["result.test_top1"] == trained.test_top1
    assert one.data.metrics["result.macs"] == outcome.macs


def test_a_run_that_starts_over_is_another_one(tiny_dataset: Path, tmp_path: Path) -> None:
    board, uri = tmp_path / "board", f"sqlite:///{tmp_path}/mlflow.db"
    run(request(tiny_dataset, tmp_path, tensorboard=board, mlflow=uri), Heard(steps=4))
    record, path = run(request(tiny_dataset, tmp_path, tensorboard=board, mlflow=uri, resume=False), Heard())
    assert len(mlflow_runs(uri)) == 2
    steps = [step for step, _ in scalars(board / path.parent.name / "search")["spent"]]
    assert steps == [step.step for step in record.trajectory]


def test_a_server_that_is_not_there_costs_one_warning(
    tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    (tmp_path / "board").write_text("a file where the folder should be")
    heard = Heard()
    uri = "http://someone:hunter2secret@127.0.0.1:9/"
    record, path = run(request(tiny_dataset, tmp_path, tensorboard=tmp_path / "board", mlflow=uri), heard)
    assert record.status == "ok"
    assert [warning.partition(" ")[0] for warning in heard.warnings] == ["TensorBoard", "MLflow"]
    assert all("the run goes on without it" in warning for warning in heard.warnings)
    assert not any("hunter2secret" in text for text in (*heard.warnings, path.read_text()))


def test_secrets_among_the_hyper_parameters_are_masked(tiny_dataset: Path, tmp_path: Path) -> None:
    asked = Request(
        "optuna_tpe",
        space=TINY,
        dataset=str(tiny_dataset),
        settings={"storage": "postgresql://me:hunter2secret@host/db"},
        results=tmp_path,
    )
    setup = Setup(asked, Observer())
    texts = [*tracking.parameters(setup).values(), *tracking.tags(setup).values()]
    assert any("***" in text for text in texts) and not any("hunter2secret" in text for text in texts)


@pytest.mark.parametrize(("flag", "value"), [("tensorboard", Path("board")), ("mlflow", "http://localhost:5000")])
def test_a_missing_package_is_named_with_its_extra(
    flag: str, value: Any, tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(words, "find_spec", lambda name: None if name == flag else there(name))
    with pytest.raises(
        UsageError, match=rf"--{flag} needs a package: install it with pip install 'pvnas-bench\[{flag}\]'"
    ):
        Setup(request(tiny_dataset, tmp_path, **{flag: value}), Observer())
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    "uri", ["ftp://user:hunter2@host/x", "mlruns", "", "file:///x", "sqlite", "://", "http://[::1"]
)
def test_a_uri_that_mlflow_has_no_store_for_is_refused(uri: str, tiny_dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="names no server and no database: give http://HOST:PORT or") as refused:
        Setup(request(tiny_dataset, tmp_path, mlflow=uri), Observer())
    assert "hunter2" not in str(refused.value)
    assert not (tmp_path / "results").exists()


def test_a_value_that_is_not_finite_is_left_out_of_mlflow(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    sink = tracking.MLflow(uri, "name", {"seed": "0"}, {tracking.RUN_TAG: "a"}, resume=True)
    sink.searched(1, {"loss": math.inf, "spent": 0.5}, "one")
    sink.ended("failed", {}, "RuntimeError: it broke")
    (one,) = mlflow_runs(uri)
    assert one.data.metrics == {"spent": 0.5}
    assert one.info.status == "FAILED" and one.data.tags["pvnas_bench.error"] == "RuntimeError: it broke"
