"""Searches on a table that share a process and a file: records as of separate runs, and resuming after kills."""

from dataclasses import replace
from pathlib import Path

import made_up
import pytest

from pvnas_bench import records, registry
from pvnas_bench.grid.cells import GridCell, open_cells
from pvnas_bench.grid.compare import compare
from pvnas_bench.grid.definition import Grid
from pvnas_bench.grid.table_searches import append
from pvnas_bench.records import Record, Unreadable
from pvnas_bench.runs.request import Request
from pvnas_bench.runs.runner import run
from pvnas_bench.system.files import write_atomically
from pvnas_bench.table.store import Files, to_parquet

SEEDS = 5


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic table of st_micro with two seeds; read-only."""
    folder = tmp_path_factory.mktemp("tables")
    content = made_up.content(registry.get_space("st_micro"), seeds=2)
    write_atomically(Files(folder, "st_micro-made_up").parquet, to_parquet(content))
    return folder


def requests(tables: Path, results: Path, *strategies: str) -> list[Request]:
    grid = {"strategies": strategies, "spaces": ["st_micro"], "datasets": ["made_up"], "seeds": SEEDS, "budget": 4.0}
    return Grid.parse({**grid, "tabular": True}).requests(results, tables=tables)


def finished(cells: list[GridCell]) -> list[GridCell]:
    state = {cell.path: cell for cell in cells} | {cell.path: cell for cell in compare(cells, workers=2)}
    return list(state.values())


def without_times(record: Record) -> Record:
    """A record without fields that depend on machine and time."""
    steps = tuple(replace(step, wall=0.0) for step in record.trajectory)
    assert record.outcome is not None
    outcome = record.outcome.model_copy(update={"cost": None})
    gone = {"search": None, "provenance": None, "trajectory": steps, "outcome": outcome}
    return record.model_copy(update=gone)


def test_a_batch_gives_the_records_of_separate_runs(tables: Path, tmp_path: Path) -> None:
    strategies = ("random_search", "local_search[restart=false]", "random_sampling")
    asked = requests(tables, tmp_path / "batch", *strategies)
    cells = finished(open_cells(asked))
    assert [cell.state for cell in cells] == ["ok"] * len(asked)
    found, unreadable = records.load_folder(tmp_path / "batch")
    assert not unreadable
    assert len(list(records.find(tmp_path / "batch"))) == len(strategies)
    batch = {record.id: record for record in found}
    assert len(batch) == len(asked)
    for request, cell in zip(asked, cells, strict=True):
        alone = records.load(run(request)[1])
        assert without_times(batch[alone.id]) == without_times(alone)
        assert alone.provenance.command == batch[alone.id].provenance.command
        assert alone.outcome is not None
        assert cell.top1 == pytest.approx(sum(t.test_top1 for t in alone.outcome.trained) / 2)


def test_only_searches_without_a_record_run_again(tables: Path, tmp_path: Path) -> None:
    asked = requests(tables, tmp_path, "random_search")
    finished(open_cells(asked))
    (path,) = records.find(tmp_path)
    whole = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(whole[:3]) + whole[3][:100])  # killed while it wrote the fourth
    cells = open_cells(asked)
    known = [record.seed for record in records.load_folder(tmp_path)[0]]
    assert [cell.request.seed for cell in cells if cell.state == "ok"] == sorted(known)
    assert len(known) == 3
    again = list(compare(cells, workers=1))
    assert sorted(known + [cell.request.seed for cell in again]) == list(range(SEEDS))
    found, unreadable = records.load_folder(tmp_path)
    assert (sorted(record.seed for record in found), unreadable) == (list(range(SEEDS)), [])
    assert path.read_bytes().splitlines(keepends=True)[:3] == whole[:3]
    assert list(compare(open_cells(asked), workers=1)) == []


def test_runs_with_separate_records_count_as_done(tables: Path, tmp_path: Path) -> None:
    asked = requests(tables, tmp_path, "random_search")
    run(asked[2])
    assert [cell.state for cell in open_cells(asked)] == ["waiting", "waiting", "ok", "waiting", "waiting"]


@pytest.mark.long
def test_strategies_that_train_get_a_separate_process_and_file(tables: Path, tmp_path: Path) -> None:
    """Only running a search shows that it needs clips; this data set has none, so the error says so."""
    ended = {cell.entry: cell for cell in compare(open_cells(requests(tables, tmp_path, "random_search", "spos")))}
    assert (ended["random_search"].batched, ended["random_search"].state) == (True, "ok")
    assert (ended["spos"].batched, ended["spos"].state) == (False, "refused")
    assert "spos trains on clips, which a table does not contain" in ended["spos"].note
    assert [path.name for path in records.find(tmp_path)] == [records.LINES_NAME]


EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
PLUG_IN = """
from pvnas_bench import Info, SearchFinished, Strategy


class Mine(Strategy):
    info = Info("mine", "Mine", "-", 2024, ("structural", "modular"), "-")

    def setup(self):
        self.best = self.problem.sample()

    def step(self):
        {step}
        raise SearchFinished

    def incumbent(self):
        return self.best
"""
STEPS = {
    "nothing": ("pass", True),
    "a training": ("self.problem.evaluate(self.best)", True),
    "a supernet that is not trained": ("self.problem.supernet()", True),
    "a batch": ("next(self.problem.search_batches('train'))", False),
    "held-out clips": ("next(self.problem.validation_batches())", False),
}


ORDINARY = ("a training", "held-out clips")


@pytest.mark.parametrize(
    "step", [pytest.param(step, marks=() if step in ORDINARY else pytest.mark.long) for step in STEPS]
)
def test_a_plug_in_shares_a_process_unless_it_needs_clips(tables: Path, tmp_path: Path, step: str) -> None:
    """Nothing has to be declared: whether a search opens the clips shows when it runs."""
    (tmp_path / "mine.py").write_text(PLUG_IN.format(step=STEPS[step][0]))
    name, batched = str(tmp_path / "mine.py"), STEPS[step][1]
    cells = finished(open_cells(requests(tables, tmp_path / "results", name)[:2]))
    assert {(cell.batched, cell.state) for cell in cells} == {(batched, "ok" if batched else "refused")}, cells[0].note
    assert [path.name for path in records.find(tmp_path / "results")] == [records.LINES_NAME] * batched


def test_an_interrupted_search_that_needs_clips_runs_again(tables: Path, tmp_path: Path) -> None:
    """It is tried among the searches on tables first; here the data set has no clips, so that the error says it ran."""
    (tmp_path / "mine.py").write_text(PLUG_IN.format(step=STEPS["held-out clips"][0]))
    asked = open_cells(requests(tables, tmp_path / "results", str(tmp_path / "mine.py"))[:2])
    cells = finished([replace(cell, state="interrupted") for cell in asked])
    assert [cell.state for cell in cells] == ["refused"] * 2
    assert all("trains on clips" in cell.note for cell in cells)


def test_the_example_of_the_readme_shares_a_process(tables: Path, tmp_path: Path) -> None:
    cells = finished(open_cells(requests(tables, tmp_path, str(EXAMPLES / "black_box.py"))[:2]))
    assert {(cell.batched, cell.state) for cell in cells} == {(True, "ok")}
    assert [path.name for path in records.find(tmp_path)] == [records.LINES_NAME]


def test_appending_cuts_off_half_a_line_however_long(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "records.jsonl"
    append(path, [b"one\n"])
    with path.open("ab") as file:
        file.write(b"x" * 200_000)
    append(path, [b"two\n", b"three\n"])
    assert path.read_bytes() == b"one\ntwo\nthree\n"
    path.write_bytes(b"half")
    append(path, [b"four\n"])
    assert path.read_bytes() == b"four\n"


def test_a_bad_line_of_a_file_is_named_and_the_last_record_of_a_run_counts(tables: Path, tmp_path: Path) -> None:
    record, _ = run(requests(tables, tmp_path / "alone", "random_sampling")[0])
    path = tmp_path / "many" / "records.jsonl"
    later = record.model_copy(update={"device": "later"})
    lines = [record.model_dump_json(), '{"id": "broken"}', later.model_dump_json(), "{"]
    append(path, [line.encode() + b"\n" for line in lines[:3]])
    with path.open("a") as file:
        file.write(lines[3])  # incomplete: still being written
    found, unreadable = records.load_folder(tmp_path / "many")
    assert [r.device for r in found] == ["later"]
    ((bad, reason),) = [(u.path, u.reason) for u in unreadable]
    assert bad == path and reason.startswith("line 2: not a record")
    assert [type(item) for item in records.read(path)] == [Record, Unreadable, Record]
