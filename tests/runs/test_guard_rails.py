"""Failures of a training, a search or a process end with a record of the failure."""

import contextlib
import copy
import math
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from told import HEEDLESS, mine

from pvnas_bench import records
from pvnas_bench.conformance._world import PROTOCOL, World, space, world
from pvnas_bench.grid.cells import open_cells
from pvnas_bench.grid.compare import compare
from pvnas_bench.grid.definition import Grid
from pvnas_bench.ledger import Ledger
from pvnas_bench.network.standalone import Network
from pvnas_bench.runs.request import Request
from pvnas_bench.runs.runner import run
from pvnas_bench.system import signals
from pvnas_bench.system.signals import TimedOut
from pvnas_bench.training import train as training
from pvnas_bench.training.train import Training, train
from pvnas_bench.training.workbench import Clock, OutOfMemory, TrainingDiverged, Workbench, out_of_memory


def asked(tiny_dataset: Path, folder: Path, strategy: str, **options: Any) -> Request:
    options = {"budget": 0.05, "threads": 1, "results": folder / "results"} | options
    return Request(strategy, dataset=str(tiny_dataset), **options)


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"body": "raise RuntimeError('lost its way')"}, "RuntimeError: lost its way (mine.py:"),
        ({"body": "sys.exit(3)"}, "SystemExit: 3"),
        ({"body": "raise MemoryError"}, "MemoryError"),
        ({"body": "self.step()"}, "RecursionError"),
        ({"incumbent": "None"}, "None is not an architecture of st_default"),
        ({"incumbent": "'8-32'"}, "is not an architecture of st_default"),
        ({"diagnostics": "{'a': object()}"}, "TypeError: Object of type object is not JSON"),
        ({"diagnostics": "{'a': 'x' * 9_000_000}"}, "the diagnostics have 9,000,009 characters"),
        ({"body": "self.problem.log(a='many')"}, "could not convert string to float"),
        ({"body": "return"}, "10,000 steps in a row spent nothing"),
        ({"body": "self.problem.ledger.charge(10**12); return"}, "of 0.05 reference trainings"),
    ],
)
def test_a_faulty_strategy_fails_with_the_reason(
    tiny_dataset: Path, tmp_path: Path, told: dict[str, str], reason: str
) -> None:
    record, path = run(asked(tiny_dataset, tmp_path, mine(tmp_path, **told)))
    assert (record.status, record.outcome) == ("failed", None)
    assert record.error is not None and reason in record.error
    assert records.load(path).error == record.error
    assert [file.name for file in path.parent.iterdir()] == ["record.json"]


def test_an_invalid_front_fails(tiny_dataset: Path, tmp_path: Path) -> None:
    strategy = mine(tmp_path)
    Path(strategy).write_text(Path(strategy).read_text() + "\n    def front(self):\n        return ['x']\n")
    record, _ = run(asked(tiny_dataset, tmp_path, strategy))
    assert record.status == "failed" and "'x' is not an architecture" in str(record.error)


def test_a_strategy_that_hangs_is_stopped_and_can_resume(tiny_dataset: Path, tmp_path: Path) -> None:
    body = f"""
        if self.steps == 2 and not os.path.exists({str(tmp_path / "go")!r}):
            try:
                signal.raise_signal(signal.SIGALRM)  # the time is over
                threading.Event().wait()
            except Exception:
                pass
"""
    request = asked(tiny_dataset, tmp_path, mine(tmp_path, body), timeout=3000.0, checkpoint_seconds=0.0)
    record, path = run(request)
    assert (record.status, record.error) == ("timeout", "the time limit of 3000 s was reached during the search")
    assert len(record.trajectory) == 2
    assert record.outcome is not None and record.outcome.trained == ()
    assert any(path.parent.glob("checkpoint-*"))
    (tmp_path / "go").touch()
    record, _ = run(asked(tiny_dataset, tmp_path, request.strategy, timeout=300.0))
    assert record.status == "ok"
    assert [step.step for step in record.trajectory] == [1, 2, 3, 4, 5, 6]
    assert sorted(file.name for file in path.parent.iterdir()) == ["model.safetensors", "record.json"]


def grid(tiny_dataset: Path, folder: Path, strategy: str, **options: Any) -> list[Request]:
    values = {"strategies": [strategy], "datasets": [str(tiny_dataset)], "seeds": 1, "budget": 0.05}
    return Grid.parse(values).requests(folder / "results", **options)


def test_a_killed_worker_leaves_a_record_and_the_next_attempt_resumes(tiny_dataset: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    body = f"""
        if self.steps == 2 and not os.path.exists({str(gone)!r}):
            open({str(gone)!r}, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
"""
    requests = grid(tiny_dataset, tmp_path, mine(tmp_path, body))
    events = [cell.state for cell in compare(open_cells(requests), workers=1)]
    assert events == ["running", "failed"]
    (cell,) = open_cells(requests)
    assert "its process died" in cell.note
    assert records.load(cell.path).status == "failed"
    assert [cell.state for cell in compare([cell], workers=1, retry_failed=True)] == ["running", "ok"]
    assert not list(cell.path.parent.glob("*claim*"))


@pytest.mark.long
def test_a_worker_that_ignores_its_time_limit_is_killed(
    tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pvnas_bench.grid.compare.PATIENCE", 0.0)
    requests = grid(tiny_dataset, tmp_path, mine(tmp_path, HEEDLESS), timeout=15.0)
    (cell,) = [cell for cell in compare(open_cells(requests), workers=1) if cell.state != "running"]
    assert cell.state == "timeout" and "nor when interrupted" in cell.note


def test_a_cell_that_another_process_runs_is_skipped(tiny_dataset: Path, tmp_path: Path) -> None:
    from pvnas_bench.system.leases import claimed

    cells = open_cells(grid(tiny_dataset, tmp_path, mine(tmp_path)))
    with claimed(cells[0].path):
        (left,) = compare(cells, workers=1)
    assert left.state == "refused" and left.note.startswith("in use by process ")
    assert [cell.state for cell in compare(cells, workers=1)] == ["running", "ok"]
    (done,) = compare(cells, workers=1)
    assert done.state == "ok", "a record that somebody else wrote meanwhile serves"


# --- stopping ---------------------------------------------------------------------------------------------------------


def test_the_first_request_to_stop_is_noted_and_the_second_interrupts() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with signals.heeded() as stop:
        assert not stop.asked
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.asked
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_the_end_of_the_grace_interrupts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "GRACE", 0.01)
    stop = signals.Stop(None)
    monkeypatch.setattr(signals, "Stop", lambda limit: stop)

    def work() -> None:
        with signals.heeded():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert stop.asked


def test_the_time_limit_interrupts_past_except_exception() -> None:
    def work() -> None:
        with signals.heeded(0.01), contextlib.suppress(Exception):  # as a strategy may do
            time.sleep(60)

    with pytest.raises(TimedOut, match=r"time limit of 0\.01 s was reached"):
        work()


def test_a_ctrl_c_that_is_ignored_stays_ignored_and_other_threads_hear_nothing() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with signals.heeded() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            assert not stop.asked
    finally:
        signal.signal(signal.SIGINT, before)
    heard = []

    def elsewhere() -> None:
        with signals.heeded() as stop:
            heard.append(stop.asked)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert heard == [False]


# --- training ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clips() -> Iterator[World]:
    with world() as made:
        yield made


def trained(clips: World, disturb: Any, *, epochs: int = 2) -> list[dict[str, float]]:
    """A training of a small network whose passes go through `disturb(network, number of the pass, logits)`."""
    searched = space("all")
    torch.manual_seed(0)
    network = Network(searched.spec(searched.reference), 3)
    passes = iter(range(10**6))
    network.register_forward_hook(lambda net, inputs, logits: disturb(inputs[0], next(passes), logits))
    bench = Workbench(clips.store, PROTOCOL, torch.device("cpu"), Ledger(1), Clock())
    return train(network, 1, bench, clips.store.indices("train"), epochs=epochs, seed=0)


STEPS = 3
"""Batches of an epoch."""


def test_a_training_resumes_from_its_state_after_any_epoch(clips: World) -> None:
    def begun(epochs: int = 3) -> tuple[Network, Training]:
        searched = space("all")
        torch.manual_seed(0)
        network = Network(searched.spec(searched.reference), 3)
        bench = Workbench(clips.store, PROTOCOL, torch.device("cpu"), Ledger(1), Clock())
        return network, Training(network, 1, bench, clips.store.indices("train"), epochs=epochs, seed=0)

    whole_network, whole = begun()
    while not whole.finished:
        whole.epoch()
        torch.rand(7)  # other draws between two epochs have no effect
    for stop in range(3):
        _, first = begun()
        for _ in range(stop):
            first.epoch()
        state = copy.deepcopy(first.state_dict())
        network, second = begun()
        second.load_state_dict(state)
        while not second.finished:
            second.epoch()
        assert second.curve == whole.curve
        for name, tensor in network.state_dict().items():
            assert torch.equal(tensor, whole_network.state_dict()[name]), (stop, name)


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("at", [(0,), (1, 2, 4)])
def test_a_few_steps_that_are_not_finite_are_left_out_and_counted(
    clips: World, value: float, at: tuple[int, ...]
) -> None:
    curve = trained(clips, lambda _, number, logits: logits * value if number in at else logits)
    expected = [sum(epoch * STEPS <= n < (epoch + 1) * STEPS for n in at) for epoch in range(2)]
    assert [row.get("skipped_steps", 0) for row in curve] == expected
    assert all(math.isfinite(row["train_loss"]) for row in curve)


def test_a_gradient_that_is_not_finite_is_left_out_too(clips: World) -> None:
    def disturb(_: Any, number: int, logits: torch.Tensor) -> torch.Tensor:
        if number == 1:
            logits.register_hook(lambda gradient: gradient * math.inf)
        return logits

    assert trained(clips, disturb)[0]["skipped_steps"] == 1


def test_a_loss_that_stays_not_finite_ends_the_training(clips: World) -> None:
    with pytest.raises(TrainingDiverged, match="loss is nan"):
        trained(clips, lambda _, number, logits: logits * math.nan)
    seen = []

    def disturb(_: Any, number: int, logits: torch.Tensor) -> torch.Tensor:
        seen.append(number)
        return logits * math.nan

    with pytest.raises(TrainingDiverged):
        trained(clips, disturb)
    assert len(seen) == training.SKIPS + 1


def test_a_batch_that_does_not_fit_is_divided(clips: World) -> None:
    def disturb(inputs: torch.Tensor, number: int, logits: torch.Tensor) -> torch.Tensor:
        if len(inputs) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return logits

    curve = trained(clips, disturb)
    assert [row["batch_parts"] for row in curve] == [4, 4]
    with pytest.raises(OutOfMemory, match="no room at all"):
        trained(clips, lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError("no room at all")))
    with pytest.raises(RuntimeError, match="something else"):
        trained(clips, lambda *_: (_ for _ in ()).throw(RuntimeError("something else")))


def test_the_gradients_of_the_parts_are_those_of_the_batch(clips: World) -> None:
    """Exactly equal in a network without layers that mix clips."""
    inputs, labels = torch.randn(10, 6, dtype=torch.float64), torch.randint(0, 3, (10,))
    bench = Workbench(clips.store, PROTOCOL, torch.device("cpu"), Ledger(1), Clock())

    class Small(torch.nn.Linear):
        most = 10

        def forward(self, given: torch.Tensor) -> torch.Tensor:
            if len(given) > self.most:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate")
            return super().forward(given)

    def gradient(most: int) -> tuple[torch.Tensor, float, int]:
        torch.manual_seed(0)
        network: Any = Small(6, 3, dtype=torch.float64)
        network.most = most
        optimiser = torch.optim.SGD(network.parameters())
        loss, parts = training._gradients(network, optimiser, inputs, labels, bench, 1)
        return network.weight.grad, loss, parts

    whole, loss, parts = gradient(10)
    assert parts == 1
    for most, expected in ((5, 2), (4, 4), (1, 10)):
        found, same_loss, parts = gradient(most)
        assert parts == expected
        torch.testing.assert_close(found, whole)
        assert same_loss == pytest.approx(loss)


def test_out_of_memory_is_distinguished_from_other_errors() -> None:
    with pytest.raises(RuntimeError) as real:
        torch.empty(2**56)
    assert out_of_memory(real.value)
    assert out_of_memory(MemoryError())
    assert not out_of_memory(RuntimeError("shape mismatch"))


def test_an_architecture_that_fails_is_counted_and_the_search_goes_on(
    clips: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem, _ = clips.problem("all", seed=0)
    architecture = problem.sample(problem.rng("sample"))

    def fail(*_: Any, **__: Any) -> Any:
        raise OutOfMemory("no room")

    with monkeypatch.context() as patch:
        patch.setattr("pvnas_bench.problem.train", fail)
        evaluation = problem.evaluate(architecture)
    assert (evaluation.top1, evaluation.loss) == (0.0, math.inf)
    assert problem.failures == {"OutOfMemory": 1}
    other = clips.problem("all", seed=0)[0]
    other._load_state(problem._state())
    assert other.failures == problem.failures
    assert other.evaluate(architecture) == evaluation, "what was found is remembered"


def test_updates_of_a_supernet_that_are_not_finite_are_left_out_then_the_search_fails(clips: World) -> None:
    problem, _ = clips.problem("all", seed=0)
    weight = torch.nn.Parameter(torch.ones(3))
    optimiser = torch.optim.SGD([weight], lr=1.0)
    for _ in range(training.SKIPS):
        weight.grad = torch.full((3,), math.nan)
        problem.update(optimiser, clip=1.0)
    assert torch.equal(weight, torch.ones(3))
    weight.grad = torch.ones(3)
    problem.update(optimiser, clip=10.0)
    assert torch.equal(weight, torch.zeros(3))
    for _ in range(training.SKIPS):
        weight.grad = torch.full((3,), math.inf)
        problem.update(optimiser, clip=1.0)
    weight.grad = torch.full((3,), math.inf)
    with pytest.raises(TrainingDiverged, match="4 updates in a row"):
        problem.update(optimiser, clip=1.0)
    assert problem.failures == {"skipped updates": 2 * training.SKIPS + 1}
