import csv
import io
import json
import math
import random
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import made_up
import numpy as np
import pyarrow.parquet
import pytest
import record_factory
import rich.cells
from hypothesis import given
from hypothesis import strategies as st
from record_factory import content, record

from pvnas_bench import registry
from pvnas_bench.boards import across, leaderboard, reliability, render, statistics
from pvnas_bench.boards.leaderboard import Board, Row
from pvnas_bench.records import Record, Source, slim
from pvnas_bench.system.text import counted, left, no_apostrophe, no_formula, right, shortened, width
from pvnas_bench.table import Table
from pvnas_bench.table.headroom import Headroom
from pvnas_bench.table.schema import SEARCH_ONLY

SUPPORT = Path(record_factory.__file__).parent


def runs(entry: str, scores: list[float], **options: Any) -> list[Record]:
    return [record(entry, seed, score, **options) for seed, score in enumerate(scores)]


def only(boards: list[Board]) -> Board:
    (board,) = boards
    return board


def row(board: Board, entry: str) -> Row:
    return next(r for r in board.rows if r.entry == entry)


CONTROL = runs("control", [0.4, 0.5, 0.6], role="random_control")


def test_a_row_is_the_mean_over_seeds() -> None:
    board = only(leaderboard.build([*CONTROL, *runs("alpha", [0.6, 0.7, 0.8, 0.8])]))
    best = board.rows[0]
    assert (best.entry, best.rank, best.seeds, best.runs, best.failures) == ("alpha", 1, 4, 4, 0)
    assert best.top1_mean == pytest.approx(0.725)
    assert best.top1_iqm == pytest.approx(0.75)
    assert best.improvement == pytest.approx(0.725 / 0.5 - 1)
    assert best.top5 == 1.0
    assert best.mean_class == pytest.approx(0.725)
    assert (best.macs, best.parameters, best.latency_ms) == (12_000_000, 140_000, 4.5)
    assert best.search_peak_memory_bytes == 600 * 2**20
    assert (best.search_reference_trainings, best.search_wall_seconds, best.search_cpu_seconds) == (4.0, 28.0, 30.5)
    assert best.architectures_evaluated == 8
    control = row(board, "control")
    assert (control.rank, control.role, control.improvement) == (2, "random_control", None)


def test_slim_records_give_the_same_board() -> None:
    listed = [*CONTROL, *runs("alpha", [0.6, 0.7])]
    assert leaderboard.build([slim(r) for r in listed]) == leaderboard.build(listed)


def test_the_order_of_records_does_not_matter() -> None:
    listed = [*CONTROL, *runs("alpha", [0.6, 0.7, 0.1]), *runs("alpha", [0.2], data="e" * 64)]
    listed += [record("alpha", 0, 0.5, status="failed", id="again")]
    expected = render.to_json(leaderboard.build(listed))
    for shuffle in range(5):
        random.Random(shuffle).shuffle(listed)
        assert render.to_json(leaderboard.build(listed)) == expected


@pytest.mark.parametrize(
    ("changed", "part"),
    [
        ({"space": "f" * 64}, "space"),
        ({"data": "f" * 64}, "data"),
        ({"protocol": "f" * 64}, "protocol"),
        ({"cap_macs": 30_000_000}, "cap"),
        ({"budget": 8.0}, "budget"),
    ],
)
def test_different_runs_never_share_a_board_and_the_difference_is_named(changed: dict[str, Any], part: str) -> None:
    boards = leaderboard.build([*runs("alpha", [0.5]), *runs("beta", [0.9], **changed)])
    assert sorted(r.entry for board in boards for r in board.rows) == ["alpha", "beta"]
    assert len(boards) == 2
    assert all(board.differs == (part,) for board in boards)
    assert all(r.rank == 1 for board in boards for r in board.rows)


def test_boards_of_the_same_names_say_which_fingerprint_differs() -> None:
    boards = leaderboard.build([*runs("alpha", [0.5]), *runs("alpha", [0.9], data="f" * 64)])
    assert boards[0].title == boards[1].title
    assert f"other fingerprints; this one has data {'b' * 12}." in boards[0].notes[0]
    assert f"other fingerprints; this one has data {'f' * 12}." in boards[1].notes[0]
    short = leaderboard.build(runs("alpha", [0.5], space="st_default@1:57fe422851de:L"))[0]
    assert "space st_default@1:57fe422851de:L, data bbbbbbbbbbbb, protocol" in render.describe(short)
    assert all(not board.differs and "names" not in "".join(board.notes) for board in leaderboard.build(CONTROL))


def test_a_failure_is_scored_as_the_control() -> None:
    listed = [
        *CONTROL,
        *runs("alpha", [0.9, 0.8]),
        record("alpha", 2, status="failed"),
        record("alpha", 3, status="timeout"),
    ]
    board = only(leaderboard.build(listed))
    alpha = row(board, "alpha")
    assert alpha.top1_mean == pytest.approx((0.9 + 0.8 + 0.5 + 0.5) / 4)
    assert (alpha.seeds, alpha.runs, alpha.failures) == (4, 4, 2)
    assert any("scored 50.0% top-1, the mean of the random-sampling control" in note for note in board.notes)


def test_a_strategy_that_only_fails_stays_on_the_board() -> None:
    board = only(leaderboard.build([*CONTROL, record("alpha", 0, status="failed")]))
    alpha = row(board, "alpha")
    assert (alpha.top1_mean, alpha.failures, alpha.macs, alpha.search_wall_seconds) == (
        pytest.approx(0.5),
        1,
        None,
        None,
    )
    assert alpha.rank == 1 == row(board, "control").rank


def test_without_a_control_a_failure_is_scored_at_chance_and_nothing_is_improved_upon() -> None:
    board = only(leaderboard.build([*runs("alpha", [0.75]), record("alpha", 1, status="failed")]))
    assert board.rows[0].top1_mean == pytest.approx((0.75 + 1 / 4) / 2)
    assert board.rows[0].top5 == pytest.approx((1.0 + 1.0) / 2)
    assert board.rows[0].improvement is None
    assert any("chance level" in note for note in board.notes)


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_a_score_that_is_not_a_number_is_a_failure(broken: float) -> None:
    board = only(leaderboard.build([*CONTROL, *runs("alpha", [0.9, broken])]))
    assert (row(board, "alpha").failures, row(board, "alpha").top1_mean) == (1, pytest.approx(0.7))


def test_an_architecture_above_the_cap_is_a_failure() -> None:
    board = only(
        leaderboard.build([*CONTROL, *runs("alpha", [0.99], macs=20_000_001), *runs("beta", [0.5], macs=20_000_000)])
    )
    assert (row(board, "alpha").failures, row(board, "alpha").top1_mean) == (1, pytest.approx(0.5))
    assert row(board, "beta").failures == 0
    assert any(note == "1 run with an architecture above a cap, counted as failed." for note in board.notes)


def test_a_run_without_an_outcome_is_a_failure_even_if_it_claims_success() -> None:
    board = only(leaderboard.build([*CONTROL, record("alpha", 0, outcome=None)]))
    assert row(board, "alpha").failures == 1


def test_interrupted_runs_are_counted_and_not_scored() -> None:
    board = only(leaderboard.build([*CONTROL, *runs("alpha", [0.9]), record("alpha", 1, 0.1, status="interrupted")]))
    alpha = row(board, "alpha")
    assert (alpha.top1_mean, alpha.seeds, alpha.runs, alpha.interrupted, alpha.failures) == (0.9, 1, 2, 1, 0)
    assert only(leaderboard.build([record("alpha", status="interrupted")])).rows == ()


def test_running_a_seed_again_averages_and_never_chooses() -> None:
    twice = [record("alpha", 0, 0.9, id="first"), record("alpha", 0, 0.5, id="second"), record("alpha", 1, 0.6)]
    alpha = row(only(leaderboard.build([*CONTROL, *twice])), "alpha")
    assert (alpha.seeds, alpha.runs) == (2, 3)
    assert alpha.top1_mean == pytest.approx((0.7 + 0.6) / 2)
    same = [
        record("alpha", seed, score, id=f"{seed}{copy}") for seed, score in ((0, 0.4), (1, 0.6)) for copy in range(9)
    ]
    assert row(only(leaderboard.build(same)), "alpha").top1_mean_low == pytest.approx(0.4)


def test_a_failure_still_counts_after_a_successful_run_of_the_seed() -> None:
    listed = [record("alpha", 0, status="failed", id="first"), record("alpha", 0, 0.9, id="second")]
    alpha = row(only(leaderboard.build([*CONTROL, *listed])), "alpha")
    assert (alpha.failures, alpha.seeds, alpha.runs, alpha.top1_mean) == (1, 1, 2, 0.9)


def test_retrainings_are_averaged_within_their_run() -> None:
    made = content("alpha", 0, 0.5, retrainings=2)
    made["outcome"]["trained"][1]["test_top1"] = 0.7
    alpha = only(leaderboard.build([Record.model_validate(made)])).rows[0]
    assert (alpha.top1_mean, alpha.seeds) == (pytest.approx(0.6), 1)


def test_few_seeds_are_called_underpowered_and_share_one_tie_group() -> None:
    for seeds in (3, 5):
        listed = [*runs("alpha", [0.9] * seeds), *runs("beta", [0.1] * seeds)]
        board = only(leaderboard.build(listed))
        assert board.underpowered
        assert board.notes[0].startswith("underpowered: no winner can be declared.")
        assert f"p = {2 / 2**seeds:.3g} at best" in board.notes[0]
        assert "needs 6 seeds each" in board.notes[0]
        assert [r.tie_group for r in board.rows] == [1, 1]


def test_enough_seeds_that_agree_give_a_winner() -> None:
    rng = np.random.default_rng(2)
    scores = {"alpha": 0.8, "beta": 0.8, "gamma": 0.3}
    listed = [r for name, mean in scores.items() for r in runs(name, list(mean + rng.normal(0, 0.02, 12)))]
    board = only(leaderboard.build(listed))
    assert not board.underpowered
    assert [r.tie_group for r in board.rows] == [1, 1, 2]
    assert (board.rows[2].rank_low, board.rows[2].rank_high) == (3, 3)
    assert (board.rows[0].rank_low, board.rows[0].rank_high) == (1, 2)


def test_one_entry_needs_no_power() -> None:
    board = only(leaderboard.build(runs("alpha", [0.5])))
    assert not board.underpowered and board.rows[0].rank_low is None


def test_equal_means_share_a_rank() -> None:
    board = only(leaderboard.build([*runs("beta", [0.6, 0.4]), *runs("alpha", [0.5, 0.5]), *runs("gamma", [0.1])]))
    assert [(r.entry, r.rank) for r in board.rows] == [("alpha", 1), ("beta", 1), ("gamma", 3)]


def test_runs_of_other_machines_and_versions_are_noted() -> None:
    made = content("beta")
    made["provenance"]["hardware"] = {"cpu": "another"}
    made["provenance"]["commit"] = None
    board = only(leaderboard.build([record("alpha"), Record.model_validate(made)]))
    assert any("2 kinds of machine" in note for note in board.notes)
    assert any("2 versions of the code" in note for note in board.notes)


def test_one_more_fact_about_a_machine_does_not_make_it_another() -> None:
    made = content("beta")
    made["provenance"]["hardware"] |= {"instructions": "AVX512"}
    board = only(leaderboard.build([record("alpha"), Record.model_validate(made)]))
    assert not any("kinds of machine" in note for note in board.notes)
    made["provenance"]["hardware"] |= {next(iter(made["provenance"]["hardware"])): "another"}
    board = only(leaderboard.build([record("alpha"), Record.model_validate(made)]))
    assert any("2 kinds of machine" in note for note in board.notes)


def tasks(number: int, scores: dict[str, float]) -> list[Record]:
    rng = np.random.default_rng(1)
    return [
        record(
            name,
            seed,
            float(np.clip(mean + rng.normal(0, 0.01), 0, 1)),
            data=f"{task:064x}",
            data_name=f"data{task:02}",
        )
        for task in range(number)
        for name, mean in scores.items()
        for seed in range(2)
    ]


def test_tasks_not_seeds_are_the_blocks_of_a_comparison() -> None:
    few = across.across(leaderboard.build(tasks(3, {"alpha": 0.8, "beta": 0.5, "gamma": 0.2})))
    assert len(few) == 1
    assert few[0].unjustified is not None
    assert "tasks (space × data set), not seeds, and there are 3: with 3 entries" in few[0].unjustified
    assert "at least 7 tasks" in few[0].unjustified
    (many,) = across.across(leaderboard.build(tasks(8, {"gamma": 0.2, "alpha": 0.8, "beta": 0.5})))
    assert many.unjustified is None
    assert (many.entries, many.mean_ranks) == (("alpha", "beta", "gamma"), (1.0, 2.0, 3.0))
    assert many.friedman_p is not None and many.friedman_p < 0.001
    assert many.adjusted_p[0][1] == pytest.approx(3 * 2 / 2**8)  # all signs agree; Holm over three pairs


def test_only_entries_on_every_board_are_compared_over_tasks() -> None:
    listed = [*tasks(3, {"alpha": 0.8, "beta": 0.5, "gamma": 0.2}), record("delta", 0, 0.9)]
    boards = leaderboard.build(listed)
    assert len(boards) == 4
    (comparison,) = across.across(boards)
    assert comparison.entries == ()
    assert (
        comparison.unjustified is not None
        and "are on every board of the protocol, there are 0" in comparison.unjustified
    )
    assert across.across([]) == []


HOSTILE = "<script>alert(1)</script>|`x`\x1b[31m\u202e*b*\n# h"


def test_hostile_names_stay_text_in_every_format(tmp_path: Path) -> None:
    boards = leaderboard.build([record(HOSTILE, 0, 0.5)])
    for text in (render.render_terminal(boards), render.to_markdown(boards)):
        assert "\x1b" not in text and "\u202e" not in text
    markdown = render.to_markdown(boards)
    assert "<script>" not in markdown and "&lt;script&gt;" in markdown
    lines = [line for line in markdown.splitlines() if "script" in line]
    assert len(lines) == 1 and lines[0].count("|") - lines[0].count("\\|") == len(render.columns_of(boards)) + 1
    assert json.loads(render.to_json(boards))[0]["rows"][0]["entry"] == HOSTILE
    assert next(csv.DictReader(io.StringIO(render.to_csv(boards), newline="")))["entry"] == HOSTILE


def test_csv_json_and_parquet_agree() -> None:
    boards = leaderboard.build([*CONTROL, *runs("alpha", [0.6, 0.7, 0.9]), *runs("alpha", [0.9], data="e" * 64)])
    rows = render.table(boards)
    parquet = pyarrow.parquet.read_table(io.BytesIO(render.to_parquet(boards)), use_threads=False).to_pylist()
    assert parquet == rows
    from_csv = list(csv.DictReader(io.StringIO(render.to_csv(boards))))
    assert [list(line) for line in from_csv] == [list(r) for r in rows]
    for line, expected in zip(from_csv, rows, strict=True):
        assert line == {name: "" if value is None else str(value) for name, value in expected.items()}
    from_json = [r for board in json.loads(render.to_json(boards)) for r in board["rows"]]
    assert from_json == [{name: r[name] for name in from_json[0]} for r in rows]


def test_a_board_states_the_resolution_of_its_protocol_and_which_entries_are_practically_equal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    means = {"alpha": 0.8, "beta": 0.795, "gamma": 0.6, "delta": 0.77}
    records = [
        record(name, seed, float(mean + (0.03 if name == "delta" else 0.002) * rng.normal()))
        for name, mean in means.items()
        for seed in range(12)
    ]
    one = records[0]
    content = made_up.content(registry.get_space("st_micro"), seeds=2, sample=4)
    assert content.about is not None
    table = Table(content.about, content.sessions, content.trainings, registry.get_space("st_micro"))
    made = reliability.report(table, "all")
    settings = {key: value for key, value in one.protocol.settings.items() if key not in SEARCH_ONLY}
    ours = {"space": one.space.fingerprint, "data": one.data.fingerprint, "recipe": settings}
    scores = replace(made.scores, noise=0.02)
    monkeypatch.setattr(leaderboard, "_published", lambda: (made.model_copy(update={**ours, "scores": scores}),))
    (board,) = leaderboard.build(records)
    notes = " ".join(board.notes)
    assert "one training has a noise of 2.0 points" in notes
    assert "compared with alpha: practically equal: beta; undecided: delta; worse: gamma (Bayesian" in notes
    assert "differences up to 2.0 points" in notes
    monkeypatch.setattr(leaderboard, "_published", lambda: (made,))
    (board,) = leaderboard.build(records)
    assert not any("Bayesian" in note for note in board.notes)


def test_a_board_of_a_table_states_its_trainings_and_compares_within_the_error_of_a_score() -> None:
    rng = np.random.default_rng(0)
    scores = statistics.reliability(rng.normal(size=(60, 1)) + 0.2 * rng.normal(size=(60, 2)))
    told = {"headroom": asdict(Headroom(0.9, "tsm", 0.8, 0.9, 0.01)), "reliability": asdict(scores)}
    means = {"alpha": 0.8, "beta": 0.795, "gamma": 0.785}
    looked_up = [
        record(name, seed, mean + 0.002 * float(rng.normal()), protocol="micro@3:1:table", diagnostics=told)
        for name, mean in means.items()
        for seed in range(12)
    ]
    assert all(one.tabular for one in looked_up)
    (board,) = leaderboard.build([slim(one) for one in looked_up])
    assert reliability.sentence(scores, "networks") in board.notes
    assert f"ICC of {scores.icc:.2f}" in reliability.sentence(scores, "networks")
    (note,) = [note for note in board.notes if note.startswith("compared with alpha")]
    assert note.startswith("compared with alpha: practically equal: beta; worse: gamma (Bayesian")
    assert "differences up to 1.0 points, the standard error of a network's score," in note
    for fingerprint in ("micro@3:1", "micro@3:1:table:retrained-1"):  # judged by trainings, not by the table
        protocol = looked_up[0].protocol.model_copy(update={"fingerprint": fingerprint})
        (board,) = leaderboard.build([one.model_copy(update={"protocol": protocol}) for one in looked_up])
        assert not any("Bayesian" in note or "one training" in note for note in board.notes)


def test_an_empty_list_of_boards_can_be_written() -> None:
    assert render.render_terminal([]) == ""
    assert json.loads(render.to_json([])) == []
    assert render.to_csv([]).count("\n") == 1
    header = render.to_csv([]).strip().split(",")
    empty = pyarrow.parquet.read_table(io.BytesIO(render.to_parquet([])), use_threads=False)
    assert empty.column_names == header and empty.num_rows == 0


@pytest.mark.parametrize("width", [40, 80, 120, 180, 400])
def test_terminal_tables_fit_or_show_the_required_columns(width: int) -> None:
    boards = leaderboard.build([*CONTROL, *runs("alpha[cycles=6]", [0.6, 0.7, 0.9])])
    text = render.render_terminal(boards, width)
    rows = [line for line in text.splitlines() if "alpha" in line or "control)" in line]
    assert len(rows) == 2
    if width >= 80:
        assert all(len(line) <= width for line in rows)
    assert ("hidden (terminal too narrow)" in text) == (width < 400)
    assert "73.3 [60.0, 90.0]" in text


def test_tables_are_byte_identical_between_processes(tmp_path: Path) -> None:
    program = (
        "import sys; sys.path.append(sys.argv[1]); from record_factory import record; from pathlib import Path\n"
        "from pvnas_bench.boards import leaderboard, render as l\n"
        "boards = leaderboard.build([record(e, s, 0.3 + (s * 7 % 5) / 9, role=r) for e, r in "
        "(('a', 'search'), ('c', 'random_control')) for s in range(7)])\n"
        "for write in (l.render_terminal, l.to_markdown, l.to_csv, l.to_json, l.to_parquet):\n"
        "    content = write(boards)\n"
        "    path = Path(sys.argv[2], write.__name__)\n"
        "    path.write_bytes(content if isinstance(content, bytes) else content.encode())\n"
    )
    written = []
    for folder, hash_seed in (("one", "1"), ("two", "2")):
        (tmp_path / folder).mkdir()
        subprocess.run(
            [sys.executable, "-c", program, str(SUPPORT), str(tmp_path / folder)],
            check=True,
            env={"PYTHONHASHSEED": hash_seed},
        )
        written.append({path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()})
    assert len(written[0]) == 5
    assert written[0] == written[1]


def test_a_leaderboard_imports_no_torch_pandas_or_scipy() -> None:
    program = (
        "import sys; from pvnas_bench import records; from pvnas_bench.boards import leaderboard, render\n"
        "render.render_terminal([])\n"
        "print([m for m in ('torch', 'pandas', 'scipy', 'matplotlib', 'pyarrow', 'moocore') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout == "[]\n"


def sourced(entry: str, seed: int, sha256: str, *, builtin: bool = False, top1: float = 0.5) -> Record:
    """A run of a strategy with this hash."""
    made = record(entry, seed, top1, id=f"{entry}{seed}{sha256}")
    source = Source(builtin=builtin, sha256=sha256 * 64)
    return made.model_copy(update={"strategy": made.strategy.model_copy(update={"source": source})})


def test_two_sources_of_a_plug_in_are_two_rows() -> None:
    listed = [*CONTROL, *(sourced("mine", seed, "a", top1=0.4) for seed in range(2)), sourced("mine", 0, "b", top1=0.8)]
    board = only(leaderboard.build(listed))
    assert {(r.entry, r.seeds, r.top1_mean) for r in board.rows if r.strategy == "mine"} == {
        ("mine @aaaaaaaa", 2, 0.4),
        ("mine @bbbbbbbb", 1, 0.8),
    }
    assert any("@ marks entries of one plug-in" in note for note in board.notes)


def test_one_source_of_a_plug_in_keeps_its_name() -> None:
    board = only(leaderboard.build([*CONTROL, *(sourced("mine", seed, "a") for seed in range(2))]))
    assert [r.entry for r in board.rows if r.strategy == "mine"] == ["mine"]
    assert not any("source" in note for note in board.notes)


def test_a_plug_in_never_joins_the_row_of_a_strategy_of_the_package() -> None:
    listed = [*(sourced("pvnas", seed, "a", builtin=True) for seed in range(2)), sourced("pvnas", 0, "b")]
    listed.append(record("pvnas", 5))
    board = only(leaderboard.build(listed))
    assert {(r.entry, r.seeds) for r in board.rows} == {("pvnas", 3), ("pvnas @bbbbbbbb", 1)}


def test_a_row_that_mixes_sources_of_a_strategy_of_the_package_says_so() -> None:
    listed = [sourced("pvnas", seed, "a", builtin=True) for seed in (0, 1, 2, 5)]
    listed += [sourced("pvnas", 3, "b", builtin=True), record("pvnas", 4)]
    board = only(leaderboard.build(listed))
    assert [r.seeds for r in board.rows] == [6]
    (note,) = (note for note in board.notes if "mix" in note)
    assert note.endswith("pvnas (aaaaaaaa: seeds 0–2, 5; bbbbbbbb: seed 3; not recorded: seed 4).")


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from("abc"), st.booleans()), min_size=1, max_size=12))
def test_rows_of_mixed_sources_are_reported(runs: list[tuple[int, str, bool]]) -> None:
    listed = [sourced("mine", seed, sha256, builtin=builtin) for seed, sha256, builtin in runs]
    board = only(leaderboard.build(listed))
    told = leaderboard.by_source(listed)
    for row in board.rows:
        behind = {r.strategy.source for r in told if r.strategy.entry == row.entry}
        assert len(behind) == 1 or any("mix runs of different sources" in note for note in board.notes)


WIDE = ("動作認識", "a\u0301e\u0301", "ｆｕｌｌ", "Zürich", "plain")


def columns(text: str) -> int:
    """Width of a text in terminal columns, by an independent implementation."""
    return rich.cells.cell_len(text)


def test_wide_characters_and_combining_marks_keep_the_columns() -> None:
    board = only(leaderboard.build([record(entry, seed) for entry in WIDE for seed in range(2)]))
    text = render.render_terminal([board], 200)
    rule = next(line for line in text.splitlines() if line.startswith("─"))
    rows = [line for line in text.splitlines() if any(name in line for name in WIDE)]
    assert len(rows) == len(WIDE)
    assert {columns(row) for row in rows} == {len(rule)}


@given(st.text(st.characters(exclude_categories=["Cs", "Cc", "Cf", "Co", "Cn", "Zl", "Zp"]), max_size=40))
def test_a_cell_is_as_wide_as_its_column(text: str) -> None:
    assert columns(left("x", 60)) == columns(right("x", 60)) == 60
    assert width(shortened(text, 10)) <= 10
    assert width(left(text, 100)) == width(right(text, 100)) == 100


FORMULAS = ("=cmd|' /C calc'!A0", "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("http://x")')


@pytest.mark.parametrize("name", FORMULAS)
def test_no_text_of_a_csv_file_is_a_formula(name: str) -> None:
    listed = [record(name, seed, data_name=name, cap=name) for seed in range(2)]
    (row,) = csv.DictReader(io.StringIO(render.to_csv(leaderboard.build(listed)), newline=""))
    assert row["entry"] == row["data"] == row["cap"] == f"'{name}"
    assert float(row["top1_mean"]) == 0.5


def test_a_negative_number_of_a_csv_file_is_a_number() -> None:
    text = render.to_csv(leaderboard.build([*CONTROL, *runs("alpha", [0.1, 0.2])]))
    row = next(row for row in csv.DictReader(io.StringIO(text)) if row["entry"] == "alpha")
    assert float(row["improvement"]) < 0


@given(st.text(max_size=20))
def test_a_cell_comes_back_from_a_csv_file(text: str) -> None:
    escaped = no_formula(text)
    assert not escaped.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert no_apostrophe(escaped) == text or text.startswith("'")


def test_one_of_a_thing_is_singular() -> None:
    board = only(leaderboard.build([record("alpha"), record("beta"), record("beta", 1, status="interrupted")]))
    text = " ".join(board.notes)
    assert "only 1 seed" in text and "1 interrupted run not" in text and "as few as 1 " not in text
    words = [counted(1, "entry"), counted(2, "entry"), counted(0, "class"), counted(1200, "day")]
    assert words == ["1 entry", "2 entries", "0 classes", "1,200 days"]
