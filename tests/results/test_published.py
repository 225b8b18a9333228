"""Published files in `results/` follow from its records, byte for byte."""

import json
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

from pvnas_bench import records
from pvnas_bench.boards import leaderboard, learnt, learnt_page, reliability, render
from pvnas_bench.grid.definition import Grid
from pvnas_bench.protocol import get_protocol, protocol_entry
from pvnas_bench.table.schema import recipe_of

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "results"
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def boards() -> list[leaderboard.Board]:
    found, unreadable = records.load_folder(RESULTS / "reference")
    assert not unreadable
    return leaderboard.build(found)


def test_the_published_tables_follow_from_the_records(boards: list[leaderboard.Board]) -> None:
    assert (RESULTS / "leaderboard.md").read_text(encoding="utf-8") == render.to_markdown(boards)
    assert (RESULTS / "leaderboard.csv").read_text(encoding="utf-8") == render.to_csv(boards)


def test_the_board_of_real_data_sets_follows_from_its_records() -> None:
    found, unreadable = records.load_folder(RESULTS / "real")
    grid = Grid.load(RESULTS / "real" / "grid.toml")
    assert not unreadable
    made = leaderboard.build(found)
    assert (RESULTS / "real" / "leaderboard.md").read_text(encoding="utf-8") == render.to_markdown(made)
    assert {board.data for board in made} == {Path(dataset).name for dataset in grid.datasets}
    for board in made:
        assert {row.entry for row in board.rows} == set(grid.strategies)
        assert all(row.seeds == grid.seeds and not row.failures for row in board.rows)


def test_the_readme_shows_the_published_board_of_the_table() -> None:
    """Rank, entry and accuracy of each row, and the notes; the records of its searches are not kept."""
    page = (RESULTS / "st_micro" / "leaderboard-fir_days.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("|")]
    head, entries = rows[0], rows[2:]
    shown = README.partition("```text\n")[2].partition("```")[0]
    for row in entries:
        cells = dict(zip(head, row, strict=True))
        start = re.escape(f"{cells['rank']}  {cells['entry'].replace(chr(92), '')}")
        assert re.search(rf"^ *{start} +{re.escape(cells['top-1 %'])} ", shown, re.MULTILINE), cells["entry"]
    notes = re.findall(r"^- ((?:headroom|the choice of strategy|one training|compared with).*)$", page, re.MULTILINE)
    assert len(notes) == 4 and all(f"· {note.replace(chr(92), '')}" in shown for note in notes)


def test_the_page_of_null_searches_follows_from_their_records_and_real_ones() -> None:
    real, _ = records.load_folder(RESULTS / "st_micro" / "records")
    null, unreadable = records.load_folder(RESULTS / "st_micro" / "nulls")
    assert not unreadable and null and all(record.null and record.status == "ok" for record in null)
    page = learnt_page.to_markdown(learnt.compare([*real, *null]))
    assert (RESULTS / "st_micro" / "learnt.md").read_text(encoding="utf-8") == page


def test_published_reports_of_reliability_are_of_protocols_as_they_are_today() -> None:
    published = {(one.protocol, one.data_name): one for one in reliability.published()}
    for (name, _), one in published.items():
        assert one.recipe == recipe_of(protocol_entry(get_protocol(name)))
    standard, trainings = published["standard", "fir_days"], get_protocol("standard").retrainings
    assert standard.scores.noise / trainings**0.5 <= 0.03
    assert trainings * standard.seconds <= 120
    assert standard.scores.seeds == 2 * trainings  # so its halves are two final scores
    assert standard.tau_of_halves is not None and standard.tau_of_halves >= 0.7


def test_the_board_of_supernets_follows_from_its_records() -> None:
    found, unreadable = records.load_folder(RESULTS / "st_micro" / "records")
    assert not unreadable and not any(record.null for record in found)
    made = leaderboard.build(found)
    assert (RESULTS / "st_micro" / "supernets.md").read_text(encoding="utf-8") == render.to_markdown(made)
    assert [board.data for board in made] == ["fir_days", "words"]
    for board, seeds in zip(made, (20, 10), strict=True):
        assert not any(row.failures for row in board.rows)
        assert {row.seeds for row in board.rows if row.role == "search"} == {seeds}
        note = next(note for note in board.notes if note.startswith("the choice of strategy"))
        assert float(note.partition("p = ")[2].partition(",")[0]) < 0.001


def test_the_page_states_how_little_the_boards_tell() -> None:
    """The one-way analysis of variance over the searches: F, ICC(1) and the deviation within a strategy."""
    found, _ = records.load_folder(RESULTS / "reference")
    page = (RESULTS / "README.md").read_text(encoding="utf-8")
    for data in ("synthetic_motion", "words"):
        scores: dict[str, list[float]] = {}
        for record in found:
            if record.data.name == data and record.strategy.role == "search" and record.outcome is not None:
                top1 = [training.test_top1 for training in record.outcome.trained]
                scores.setdefault(record.strategy.entry, []).append(sum(top1) / len(top1))
        table = np.array(list(scores.values()))
        entries, seeds = table.shape
        between, within = seeds * table.mean(1).var(ddof=1), table.var(1, ddof=1).mean()
        icc = (between - within) / (between + (seeds - 1) * within)
        row = f"{entries} × {seeds} | {between / within:.2f} | {icc:.2f} | {100 * within**0.5:.1f} points"
        assert f"| {data} | {row} |" in page


def test_every_cell_of_the_grid_has_a_record_on_both_data_sets(boards: list[leaderboard.Board]) -> None:
    grid = Grid.load(RESULTS / "reference" / "grid.toml")
    assert [board.data for board in boards] == ["synthetic_motion", "words"]
    for board in boards:
        rows = {row.entry: row for row in board.rows}
        for strategy in grid.strategies:
            entry = "expert" if strategy == "expert[network=r2plus1d]" else strategy  # its default
            assert rows[entry].seeds >= grid.seeds, f"{entry} on {board.data}"
            assert rows[entry].failures == 0


def test_records_contain_no_local_paths() -> None:
    for path in [*RESULTS.rglob("*.json"), *RESULTS.glob("*.md"), *RESULTS.glob("*.csv")]:
        assert not re.search(r"(?<![\w.])/(home|root|tmp|work|Users)/", path.read_text(encoding="utf-8")), path


def test_the_baseline_of_ci_is_the_grid_that_it_runs() -> None:
    grid = tomllib.loads((RESULTS / "check" / "grid.toml").read_text(encoding="utf-8"))
    baseline = json.loads((RESULTS / "check" / "baseline.json").read_text(encoding="utf-8"))
    cells = {(record["strategy"]["entry"], record["seed"]) for record in baseline}
    assert cells == {(strategy, seed) for strategy in grid["strategies"] for seed in range(grid["seeds"])}
    assert all(record["speed"] for record in baseline)
