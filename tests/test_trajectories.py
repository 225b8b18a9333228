"""Searches equal those of version 0.1.0 to the last bit, except where the contract changed random draws."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from pvnas_bench import BudgetExhausted, SearchFinished, records, registry, seeding
from pvnas_bench.conformance._world import World
from pvnas_bench.runs.observer import Observer
from pvnas_bench.runs.request import Request
from pvnas_bench.runs.search import Search
from pvnas_bench.runs.setup import Setup
from pvnas_bench.space import BlockSpace
from pvnas_bench.system import machine
from pvnas_bench.table.store import read_parquet, to_parquet
from pvnas_bench.training import process

RESULTS = Path(__file__).resolve().parents[1] / "results"
THEN: dict[str, Any] = json.loads((RESULTS / "check" / "trajectories.json").read_text(encoding="utf-8"))
HERE = {
    "torch": torch.__version__,
    "capability": torch.backends.cpu.get_cpu_capability(),
    "processor": machine.processor().partition(" (")[0],
    "optuna": machine.libraries()["optuna"],
}
DIFFERS = {name: f"made with {name} {then}" for name, then in THEN["made_with"].items() if HERE[name] != then}
"""Differences between this environment and the one of the stored trajectories."""
MOST = 60
SLOW = {"optuna_gp"}
"""Strategies tested only by searches on tables."""

TUNED_SINCE: dict[str, dict[str, Any]] = {
    "optuna_hyperband": {"startup": 10},
    "optuna_nsga2": {"population": 10},
    "optuna_tpe": {"startup": 10},
    "regularized_evolution": {"population": 10, "tournament": 3},
    "successive_halving": {"factor": 2},
    "sm_nas": {"structural_share": 0.5, "population": 4, "mutations": 2},
}
"""Hyper-parameters of 0.1.0 that changed since; the searches are compared with those."""

Point = tuple[float, str, dict[str, float]]


def summary(points: Sequence[Point], names: Sequence[str]) -> dict[str, Any]:
    """Stored summary of a trajectory, without metrics that were added later."""
    rows = [
        [cost, incumbent, sorted((k, v) for k, v in logged.items() if k in names)] for cost, incumbent, logged in points
    ]
    digest = hashlib.sha256(json.dumps(rows, separators=(",", ":")).encode()).hexdigest()[:32]
    return {"steps": len(points), "cost": points[-1][0], "incumbent": points[-1][1], "digest": digest}


def expected(entry: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """The stored summary; where digits depend on the processor, and it is another one, all but the digest."""
    digest = entry["digest"]
    if not isinstance(digest, str):
        digest = digest.get(machine.processor(), now["digest"])
    return {key: entry[key] for key in ("steps", "cost", "incumbent")} | {"digest": digest}


def compare_only_if_equal(*names: str) -> None:
    for name in names:
        if name in DIFFERS:
            pytest.skip(DIFFERS[name])


@pytest.fixture(autouse=True)
def isomorphs_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Architectures that build one network were trained separately then."""
    monkeypatch.setattr(BlockSpace, "canonical", lambda _, architecture: architecture)


@pytest.mark.parametrize("name", sorted(set(THEN["world"]) - SLOW))
def test_a_search_that_trains_is_unchanged(clips: World, name: str) -> None:
    compare_only_if_equal("torch", "capability", "processor", *(["optuna"] if name.startswith("optuna") else []))
    then, kind = THEN["world"][name], registry.get_strategy(name)
    problem, _ = clips.problem("all", 3, then["budget"])
    strategy = kind.info.variants.get(problem.space.family, kind)(problem, kind.Config(**TUNED_SINCE.get(name, {})))
    with seeding.torch_seeded(problem.seed, "setup"):
        strategy.setup()
    points: list[Point] = []
    over = False
    while not over and len(points) < MOST:
        with seeding.torch_seeded(problem.seed, "step", len(points)):
            try:
                strategy.step()
            except (SearchFinished, BudgetExhausted):
                over = True
        points.append((problem.ledger.macs, str(strategy.incumbent()), problem.take_logged()))
    now = summary(points, then["metrics"])
    assert now == expected(then, now)


class Ends(Observer):
    """Ends a search after a number of steps."""

    def __init__(self, most: int) -> None:
        self.most = most

    def stepped(self, step: records.Step, budget: float) -> None:
        if step.step == self.most:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tables with only their trainings of that time, as a run's results depend on the seeds present."""
    folder = tmp_path_factory.mktemp("tables")
    for name, sessions in THEN["sessions"].items():
        file = f"st_micro-{name}.parquet"
        content = read_parquet(RESULTS / "reference" / "tables" / file)
        content.trainings = [training for training in content.trainings if training.session < sessions]
        (folder / file).write_bytes(to_parquet(content))
    return folder


@pytest.mark.parametrize("which", sorted(THEN["tables"]))
def test_a_search_on_a_table_is_unchanged(tables: Path, which: str) -> None:
    name, dataset = which.split()
    if name.startswith("optuna"):  # its samplers change from version to version, and one of them rounds
        compare_only_if_equal("optuna", *(["torch", "capability", "processor"] if name == "optuna_gp" else []))
    settings = {key: str(value) for key, value in TUNED_SINCE.get(name, {}).items()}
    request = Request(
        name, space="st_micro", dataset=dataset, settings=settings, tabular=True, tables=tables, budget=40, seed=1
    )
    then = THEN["tables"][which]
    search = Search(Setup(request, Observer()), Ends(then["most"]) if "most" in then else Observer())
    with process.configured(1, True):
        assert search.run()[0] == ("interrupted" if "most" in then else "ok")
    points = [(step.cost, step.incumbent, dict(step.metrics)) for step in search.trajectory]
    now = summary(points, then["metrics"])
    assert now == expected(then, now)


def test_every_strategy_is_compared_or_listed_with_its_reason() -> None:
    names = {kind.info.name for kind in registry.all_strategies()}
    assert names == set(THEN["world"]) | set(THEN["changed"])
    assert all(THEN["changed"].values())
