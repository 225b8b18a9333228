"""A latency table is measured once, read again for the same machine, and a cap on it holds in whole runs."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_space import SPACE

from pvnas_bench import UsageError
from pvnas_bench.network.families import cost_model, timed_layers
from pvnas_bench.network.latencies import LatencyTable
from pvnas_bench.runs import latency
from pvnas_bench.runs.latency import Place, Prediction, fitted, open_table, summary, table_path, timed
from pvnas_bench.runs.observer import Observer
from pvnas_bench.runs.request import Request
from pvnas_bench.runs.runner import run
from pvnas_bench.runs.setup import Setup

CPU = torch.device("cpu")
PLACE = Place(CPU, 1, True, False)
CLASSES = 3
TINY = str(Path(__file__).resolve().parents[1] / "support" / "tiny_space.py")


class Counted(Observer):
    def __init__(self) -> None:
        self.seen: list[tuple[int, int]] = []

    def timing(self, done: int, total: int) -> None:
        self.seen.append((done, total))


@pytest.mark.long
def test_a_table_is_measured_once(tmp_path: Path) -> None:
    first, second = Counted(), Counted()
    table = open_table(SPACE, CLASSES, PLACE, tmp_path, first)
    assert table.milliseconds.keys() == timed_layers(SPACE, CLASSES).keys()
    assert all(0 < ms < 1e4 for ms in table.milliseconds.values())
    assert table.scale > 0 and table.overhead_ms >= 0 and table.layer_ms >= 0
    assert first.seen[-1][0] == first.seen[-1][1] > len(table.milliseconds)
    again = open_table(SPACE, CLASSES, PLACE, tmp_path, second)
    assert (again, second.seen) == (table, [])
    path = table_path(SPACE, CLASSES, PLACE, tmp_path)
    path.write_text(path.read_text()[:-20])  # damaged: measured again
    open_table(SPACE, CLASSES, PLACE, tmp_path, second)
    assert second.seen


def test_a_table_is_of_a_space_a_machine_and_its_settings(tmp_path: Path) -> None:
    places = [PLACE, Place(CPU, 2, True, False), Place(CPU, 1, False, False), Place(CPU, 1, True, True)]
    paths = {table_path(SPACE, classes, place, tmp_path) for place in places for classes in (3, 4)}
    assert len(paths) == 8
    assert all(path.parent == tmp_path / "latency" for path in paths)
    assert PLACE.identity["torch"] == torch.__version__ and PLACE.identity["threads"] == 1


def test_the_fit_recovers_the_line_among_outliers() -> None:
    rng = np.random.default_rng(0)
    layers, sums = rng.integers(3, 9, 60).astype(float), rng.uniform(0.5, 3.0, 60)
    measured = 0.2 + 0.05 * layers + 1.4 * sums
    assert fitted(list(layers), list(sums), list(measured)) == pytest.approx((0.2, 0.05, 1.4), rel=1e-6)
    measured[:6] *= 5
    assert fitted(list(layers), list(sums), list(measured)) == pytest.approx((0.2, 0.05, 1.4), rel=0.05)


def test_interrupted_passes_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every second pass is interrupted, and the clock says that it took ten times as long."""
    state = {"passes": 0, "now": 0.0}

    def one() -> torch.Tensor:
        state["passes"] += 1
        state["now"] += 0.01 if state["passes"] % 2 else 0.001
        return torch.zeros(())

    monkeypatch.setattr(latency, "_interruptions", lambda: (state["passes"] + 1) // 2)
    monkeypatch.setattr(latency.time, "perf_counter", lambda: state["now"])
    assert timed({"one": one}, CPU, rounds=4)["one"] == pytest.approx([0.001] * 4)
    monkeypatch.setattr(latency, "_interruptions", lambda: state["passes"])
    assert timed({"one": one}, CPU, rounds=4)["one"] == pytest.approx([0.001])  # the least, if nothing else


def test_the_summary_is_of_relative_errors() -> None:
    predictions = [Prediction(str(i), p, 1.0 + i, 0.1 * i) for i, p in enumerate((1.1, 2.0, 2.7))]
    found = summary(predictions)
    assert found["error_median"] == pytest.approx(0.1)
    assert found["error_most"] == pytest.approx(0.1)
    assert found["bias"] == pytest.approx(0.0)
    assert (found["spread"], found["tau"], found["networks"]) == (pytest.approx(0.1), 1.0, 3)


def table_of_steps(setup_cache: Path) -> LatencyTable:
    """A table for this machine, written where runs look for it: `f3` takes 2 ms, everything else 1 ms."""
    rows = {name: 2.0 if " f3 " in name else 1.0 for name in timed_layers(SPACE, CLASSES)}
    path = table_path(SPACE, CLASSES, PLACE, setup_cache)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"identity": PLACE.identity, "milliseconds": rows, "overhead_ms": 0.5, "layer_ms": 0.0, "scale": 1.0}
    path.write_text(json.dumps(content))
    return LatencyTable(rows, 0.5)


def request(cap: str, tiny_dataset: Path, tmp_path: Path, strategy: str = "random_search") -> Request:
    return Request(
        strategy,
        space=TINY,
        dataset=str(tiny_dataset),
        cap=cap,
        budget=2.0,
        threads=1,
        device="cpu",
        results=tmp_path / "results",
        cache=tmp_path / "cache",
    )


def test_a_run_stays_under_its_caps_and_its_record_says_which(tiny_dataset: Path, tmp_path: Path) -> None:
    table = table_of_steps(tmp_path / "cache")
    costs = cost_model(SPACE, CLASSES, table)
    record, _ = run(request("latency=5ms,params=2k", tiny_dataset, tmp_path))
    assert record.status == "ok", record.error
    assert record.space.cap == "params=2000,latency=5ms"
    assert record.space.caps == {"params": 2000.0, "latency": 5.0}
    assert record.space.fingerprint.endswith(f":params=2000,latency=5ms:{table.fingerprint}")
    for step in record.trajectory:
        assert costs(SPACE.parse(step.incumbent)).latency_ms <= 5.0  # 2 + 2 x 1 + 0.5, so no f3 twice
        assert "f3" not in step.incumbent or "skip" in step.incumbent
    assert record.outcome is not None and record.outcome.predicted_latency_ms is not None
    assert record.outcome.predicted_latency_ms <= 5.0
    assert record.outcome.latency_ms > 0
    under = [a for a in SPACE.enumerate() if costs(a).latency_ms <= 5.0 and costs(a).parameters <= 2000]
    assert record.space.cap_macs == max(costs(a).macs for a in under)


def test_a_cap_on_macs_alone_has_the_fingerprint_that_it_had(tiny_dataset: Path, tmp_path: Path) -> None:
    for cap, name in (("all", "all"), ("500000", "500000"), ("macs=500k", "500000")):
        setup = Setup(request(cap, tiny_dataset, tmp_path), Observer())
        assert setup.space_fingerprint == f"{SPACE.fingerprint}:{name}"
        assert setup.costs.latencies is None


@pytest.mark.parametrize(
    ("cap", "reason"),
    [
        ("latency=2ms", "no architecture of tiny is under the cap of 2 ms, the cheapest has 3.5 ms: raise --cap"),
        ("latency=3.4ms,params=1M", "under the cap of 3.4 ms, the cheapest has 3.5 ms"),
    ],
)
def test_a_latency_that_nothing_meets_is_refused(cap: str, reason: str, tiny_dataset: Path, tmp_path: Path) -> None:
    table_of_steps(tmp_path / "cache")
    with pytest.raises(UsageError, match=reason):
        Setup(request(cap, tiny_dataset, tmp_path), Observer())
    assert not (tmp_path / "results").exists()


def test_a_table_that_cannot_be_written_is_one_clear_line_before_the_measurement(tmp_path: Path) -> None:
    (tmp_path / "latency").write_text("a file where the folder should be")
    observer = Counted()
    with pytest.raises(UsageError, match="the latency table cannot be written to"):
        open_table(SPACE, CLASSES, PLACE, tmp_path, observer)
    assert observer.seen == []
