"""A grid of runs: cells, their order, and no repetition of finished runs."""

from pathlib import Path

import pytest
from told import mine

from pvnas_bench import records
from pvnas_bench.boards import leaderboard
from pvnas_bench.errors import UsageError
from pvnas_bench.grid.cells import open_cells
from pvnas_bench.grid.compare import compare
from pvnas_bench.grid.definition import Grid
from pvnas_bench.runs.request import parse_entry
from pvnas_bench.runs.runner import run

BROKEN = """
from pvnas_bench import Info, Strategy


class Broken(Strategy):
    info = Info("broken", "Raises", "-", 2024, ("modular",), "-")

    def setup(self):
        raise RuntimeError("lost its way")
"""


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("pvnas", ("pvnas", {})),
        ("expert[network=tsm]", ("expert", {"network": "tsm"})),
        ("mine.py[a=1, b=x]", ("mine.py", {"a": "1", "b": "x"})),
        ("pvnas[]", ("pvnas", {})),
    ],
)
def test_entries(entry: str, expected: tuple[str, dict[str, str]]) -> None:
    assert parse_entry(entry) == expected


@pytest.mark.parametrize("entry", ["", "a[b", "a]b", "expert[network]", "expert[=tsm]", "a[b=1][c=2]"])
def test_invalid_entries_are_refused(entry: str) -> None:
    with pytest.raises(UsageError, match=r"is not a strategy|is key=value"):
        parse_entry(entry)


def test_a_grid_is_the_product_of_its_axes_seed_by_seed() -> None:
    grid = Grid.parse({"strategies": ["a", "b"], "datasets": ["x", "y"], "seeds": 2, "protocol": "standard"})
    requests = grid.requests(Path("out"))
    assert [(r.seed, r.dataset, r.strategy) for r in requests] == [
        (seed, data, name) for seed in (0, 1) for data in "xy" for name in "ab"
    ]
    assert {(r.protocol, r.results, r.threads) for r in requests} == {("standard", Path("out"), 1)}


def test_the_seeds_of_a_grid_begin_at_the_first() -> None:
    requests = Grid.parse({"strategies": ["a"], "seeds": 3}).requests(Path("out"), first_seed=10)
    assert [request.seed for request in requests] == [10, 11, 12]


def test_an_invalid_grid_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "grid.toml"
    with pytest.raises(UsageError, match="No such file"):
        Grid.load(path)
    path.write_text("strategies = [")
    with pytest.raises(UsageError, match="is not TOML"):
        Grid.load(path)
    path.write_text('strategy = ["pvnas"]')
    with pytest.raises(UsageError, match=r"key strateg\w* of the grid: .*the keys are strategies, spaces"):
        Grid.load(path)


def test_finished_cells_are_not_run_again_and_failed_ones_only_on_request(tiny_dataset: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text(BROKEN)
    grid = Grid.parse(
        {
            "strategies": ["random_sampling", str(broken)],
            "datasets": [str(tiny_dataset)],
            "spaces": ["st_micro"],
            "seeds": 1,
            "budget": 0.2,
        }
    )
    requests = grid.requests(tmp_path / "results")

    events = [(cell.entry, cell.state) for cell in compare(open_cells(requests), workers=1)]
    assert events == [
        ("random_sampling", "running"), ("random_sampling", "ok"), ("broken", "running"), ("broken", "failed")
    ]  # fmt: skip
    cells = open_cells(requests)
    assert [cell.state for cell in cells] == ["ok", "failed"]
    assert cells[0].top1 == records.load(cells[0].path).outcome.trained[0].test_top1  # type: ignore[union-attr]
    assert "lost its way" in cells[1].note

    assert list(compare(cells, workers=2)) == []
    assert [cell.entry for cell in compare(cells, workers=2, retry_failed=True)] == ["broken", "broken"]

    cells[0].path.write_text("{")
    assert [cell.entry for cell in compare(open_cells(requests), workers=2)] == ["random_sampling"] * 2
    assert open_cells(requests)[0].state == "ok"


def test_an_edited_plug_in_is_a_new_entry_and_runs_again(tiny_dataset: Path, tmp_path: Path) -> None:
    name = mine(tmp_path)
    values = {"strategies": [name, "random_sampling"], "datasets": [str(tiny_dataset)], "seeds": 1, "budget": 0.02}
    requests = Grid.parse(values).requests(tmp_path / "results")
    run(requests[0])
    before = open_cells(requests)
    assert [cell.state for cell in before] == ["ok", "waiting"]
    with Path(name).open("a") as file:
        file.write("# edited\n")
    after = open_cells(requests)
    assert [cell.state for cell in after] == ["waiting", "waiting"]
    assert after[0].path != before[0].path and after[1].path == before[1].path
    run(requests[0])
    (board,) = leaderboard.build(records.load_folder(tmp_path / "results")[0])
    assert len(board.rows) == 2 and all(row.entry.startswith("mine @") for row in board.rows)
