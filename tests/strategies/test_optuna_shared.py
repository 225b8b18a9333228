"""Studies that several runs share, in Optuna's own storages."""

from pathlib import Path

import pytest
import torch
from black_box import BlackBox

from pvnas_bench import Architecture, Caps, UsageError
from pvnas_bench.runs.states import decode, encode


def accuracy(architecture: Architecture, epochs: int) -> float:
    return 1 / (1 + sum(choice for choice in architecture.choices if choice > 0))


def where(kind: str, folder: Path) -> str:
    return f"sqlite:///{folder}/study.db" if kind == "database" else str(folder / "new" / "study.log")


@pytest.mark.parametrize(
    ("name", "kind"), [("optuna_tpe", "database"), ("optuna_nsga2", "journal"), ("optuna_hyperband", "journal")]
)
def test_runs_learn_from_each_others_trials_and_count_their_own(
    name: str, kind: str, tiny_dataset: Path, tmp_path: Path
) -> None:
    storage = where(kind, tmp_path)
    one, other = (BlackBox(name, tiny_dataset, accuracy, seed=seed, storage=storage) for seed in range(2))
    for _ in range(6):
        one.step()
        other.step()
    told = [driven.strategy.diagnostics() for driven in (one, other)]
    assert told[0]["trials"] == told[1]["trials_of_others"]
    assert told[1]["trials"] == told[0]["trials_of_others"]
    for driven in (one, other):
        known = {driven.problem.space.from_options(trial.params) for trial in driven.strategy.trials}
        assert {architecture for architecture, _ in driven.asked} <= known
        assert len(driven.strategy.study.trials) == told[0]["trials"] + told[1]["trials"]
        assert driven.strategy.study.sampler is driven.strategy._sampler


def test_what_a_run_suggests_depends_on_the_trials_of_the_others(tiny_dataset: Path, tmp_path: Path) -> None:
    def asked(storage: str) -> list[Architecture]:
        before = BlackBox("optuna_tpe", tiny_dataset, accuracy, seed=1, storage=storage, startup=4)
        for _ in range(6):
            before.step()
        later = BlackBox("optuna_tpe", tiny_dataset, accuracy, seed=2, storage=storage, startup=4)
        alone = BlackBox("optuna_tpe", tiny_dataset, accuracy, seed=2, startup=4)
        later.step()
        alone.step()
        return [later.asked[0][0], alone.asked[0][0]]

    later, alone = asked(str(tmp_path / "study.log"))
    assert later != alone  # the first trials of a study are random, and these were not its first


def test_runs_of_another_cap_have_another_study(tiny_dataset: Path, tmp_path: Path) -> None:
    storage = str(tmp_path / "study.log")
    one = BlackBox("optuna_random", tiny_dataset, accuracy, storage=storage)
    one.step()
    other = BlackBox("optuna_random", tiny_dataset, accuracy, storage=storage)
    other.problem.caps = Caps(macs=other.problem.cap + 1)
    other.strategy.setup()
    other.step()
    assert other.strategy.diagnostics()["trials_of_others"] == 0


def test_a_run_goes_on_with_its_own_trials(tiny_dataset: Path, tmp_path: Path) -> None:
    storage = str(tmp_path / "study.log")
    before = BlackBox("optuna_hyperband", tiny_dataset, accuracy, storage=storage)
    before.step()
    while before.strategy.trials[-1].state.name != "RUNNING":
        before.step()
    state = decode(encode(before.strategy.state_dict()), torch.device("cpu"))
    after = BlackBox("optuna_hyperband", tiny_dataset, accuracy, storage=storage)
    after.strategy.load_state_dict(state)
    running = after.strategy.trials[-1]
    assert [trial.number for trial in after.strategy.trials] == [trial.number for trial in before.strategy.trials]
    after.step()
    assert after.asked[-1][0] == after.problem.space.from_options(running.params)  # it goes on, at its next rung
    assert after.asked[-1][1] > next(iter(running.intermediate_values))


@pytest.mark.parametrize("storage", ["nodatabase://x", "sqlite:////proc/nothing/study.db", "/proc/nothing/study.log"])
def test_a_storage_that_cannot_be_opened(storage: str, tiny_dataset: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot open the storage .*: name a journal file or a URL"):
        BlackBox("optuna_tpe", tiny_dataset, accuracy, storage=storage)
