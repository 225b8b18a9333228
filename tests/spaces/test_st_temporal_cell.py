"""Whole runs on `st_temporal_cell`: strategies that support it, and contents of records."""

import json
from pathlib import Path

import pytest

from pvnas_bench import records, registry
from pvnas_bench.boards import leaderboard
from pvnas_bench.cli import USAGE, main
from pvnas_bench.errors import UsageError
from pvnas_bench.network.backbone import frame_cost
from pvnas_bench.records import Record
from pvnas_bench.runs.observer import Observer
from pvnas_bench.runs.request import Request
from pvnas_bench.runs.runner import run
from pvnas_bench.runs.setup import Setup
from pvnas_bench.spaces.st_temporal_cell import BACKBONE, SPACE

BUDGET = 1.5
WORKING = (
    "random_search",
    "regularized_evolution",
    "local_search",
    "optuna_tpe",
    "successive_halving",
    "random_sampling",
    "expert",
    "synflow",
    "nas_tc",
)
REAL = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "surv_fight" / "manifest.csv"


def request(strategy: str, dataset: Path, results: Path, **changes: object) -> Request:
    settings = {
        "budget": BUDGET,
        "threads": 1,
        "space": "st_temporal_cell",
        "results": results,
        "dataset": str(dataset),
    }
    return Request(strategy, **settings | changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def found(tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Record]:
    """A record of each strategy."""
    results = tmp_path_factory.mktemp("results")
    return {name: run(request(name, tiny_dataset, results))[0] for name in WORKING}


@pytest.mark.parametrize("strategy", WORKING)
def test_a_strategy_works_within_budget_and_cap(found: dict[str, Record], strategy: str) -> None:
    record = found[strategy]
    assert (record.status, record.error) == ("ok", None)
    assert record.search.overshoot == 0
    assert all(step.macs <= record.space.cap_macs for step in record.trajectory)
    assert record.outcome is not None
    assert SPACE.parse(record.outcome.architecture)
    assert record.space.fingerprint == f"{SPACE.fingerprint}:L"
    text = record.model_dump_json()
    assert records.Record.model_validate_json(text).model_dump_json() == text


def test_all_are_on_one_leaderboard(found: dict[str, Record]) -> None:
    assert len({record.board for record in found.values()}) == 1
    (board,) = leaderboard.build(list(found.values()))
    assert {row.entry for row in board.rows} == set(WORKING)


@pytest.mark.parametrize("strategy", WORKING)
def test_a_record_says_what_the_backbone_is_and_costs(found: dict[str, Record], strategy: str) -> None:
    record = found[strategy]
    about, cost = record.diagnostics["backbone"], frame_cost(BACKBONE)
    assert (about["parameters"], about["macs_per_frame"]) == (cost.parameters, cost.macs)
    assert about["extraction_macs"] == about["extraction_frames"] * cost.macs == 36 * 8 * cost.macs
    assert about["training_clips"] < record.data.clips["train"]
    unit = record.search.macs / record.search.reference_trainings if record.search.macs else None
    for work in ("training", "extraction"):
        assert about[f"{work}_macs"] > 0
        if unit is not None:
            assert about[f"{work}_reference_trainings"] == pytest.approx(about[f"{work}_macs"] / unit)
    assert record.outcome is not None
    parameters = record.diagnostics["parameters"]
    assert parameters["backbone"] == cost.parameters
    assert parameters["temporal"] == record.outcome.parameters
    share = record.outcome.parameters / (record.outcome.parameters + cost.parameters)
    assert parameters["temporal_share"] == pytest.approx(share)
    assert record.outcome.network[0]["name"] == "backbone"
    assert sum(layer["macs"] for layer in record.outcome.network[1:]) == record.outcome.macs


@pytest.mark.parametrize("strategy", WORKING)
def test_a_record_has_the_controls_of_time(found: dict[str, Record], strategy: str) -> None:
    record = found[strategy]
    lengths = record.diagnostics["clip_length"]
    assert [frames for frames, _ in lengths] == [1, 4, 8]
    shuffle = record.diagnostics["frame_shuffle"]
    assert record.outcome is not None
    assert shuffle["top1"] == lengths[-1][1] == record.outcome.trained[0].test_top1
    assert 0 <= shuffle["top1_shuffled"] <= 1


def test_without_time_order_does_not_matter(tiny_dataset: Path, tmp_path: Path) -> None:
    settings = {"network": "c2d"}
    record, _ = run(request("expert", tiny_dataset, tmp_path, settings=settings))
    shuffle = record.diagnostics["frame_shuffle"]
    # 32 steps of 8 frames: every frame is seen as often in any order.
    assert shuffle["top1_shuffled"] == shuffle["top1"]


def test_the_same_seed_gives_the_same_result_and_reuses_the_features(
    found: dict[str, Record], tiny_dataset: Path, tmp_path: Path
) -> None:
    record, _ = run(request("random_search", tiny_dataset, tmp_path))
    first = found["random_search"]
    assert record.diagnostics["backbone"]["reused"]
    assert record.diagnostics["backbone"]["weights_sha256"] == first.diagnostics["backbone"]["weights_sha256"]
    assert record.outcome is not None and first.outcome is not None
    assert record.outcome.architecture == first.outcome.architecture
    assert record.outcome.trained == first.outcome.trained
    assert [s.incumbent for s in record.trajectory] == [s.incumbent for s in first.trajectory]


def test_seeds_and_strategies_share_one_backbone(found: dict[str, Record]) -> None:
    assert len({record.diagnostics["backbone"]["weights_sha256"] for record in found.values()}) == 1
    assert [record.diagnostics["backbone"]["reused"] for record in found.values()].count(False) <= 1


@pytest.mark.parametrize(
    "strategy", [kind.info.name for kind in registry.all_strategies() if "temporal_cell" not in kind.info.families]
)
def test_a_strategy_works_here_or_says_where_it_does(strategy: str, tiny_dataset: Path, tmp_path: Path) -> None:
    if not registry.get_strategy(strategy).info.families:
        Setup(request(strategy, tiny_dataset, tmp_path), Observer())
        return
    message = (
        rf"^{strategy} works on spaces of the family mbconv \(st_default, st_kinetics[^)]*\), but st_temporal_cell "
        "has the family temporal_cell: change --space or --strategy$"
    )
    with pytest.raises(UsageError, match=message):
        Setup(request(strategy, tiny_dataset, tmp_path), Observer())


SUPERNET = """
from pvnas_bench import Info, Strategy


class Mine(Strategy):
    info = Info("mine", "Needs a supernet and does not say so", "-", 2024, ("modular",), "-")

    def setup(self):
        self.problem.supernet()
"""


def test_a_strategy_that_needs_a_supernet_gets_one_line(
    tiny_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.py").write_text(SUPERNET)
    words = [
        "run",
        "--strategy",
        str(tmp_path / "mine.py"),
        "--space",
        "st_temporal_cell",
        "--dataset",
        str(tiny_dataset),
    ]
    assert main([*words, "--results", str(tmp_path / "results"), "--threads", "1"]) == USAGE
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert "st_temporal_cell has no supernet" in last and "st_default" in last
    assert not (tmp_path / "results").exists()


@pytest.mark.long
def test_surveillance_clips(tmp_path: Path) -> None:
    if not REAL.is_file():
        pytest.skip("no ../shared/data beside the repository")
    record, path = run(request("random_search", REAL, tmp_path, budget=2.0))
    assert record.status == "ok"
    assert record.diagnostics["backbone"]["longest_clip_frames"] > 100
    assert json.loads(path.read_text())["diagnostics"]["clip_length"][-1][0] > 100
