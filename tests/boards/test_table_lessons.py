"""Numbers of the table page, against synthetic tables with known answers."""

import math
import shutil
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import made_up
import numpy as np
import planted
import pytest
from numpy.testing import assert_allclose
from scipy.stats import kendalltau

from pvnas_bench import registry
from pvnas_bench.boards import table_lessons, table_scored
from pvnas_bench.boards.plots._table import agreement, operators
from pvnas_bench.boards.report import table_page as report
from pvnas_bench.boards.statistics import step_values
from pvnas_bench.boards.table_regret import from_csv, regrets, to_csv
from pvnas_bench.errors import UsageError
from pvnas_bench.records import load_folder
from pvnas_bench.runs.request import Request
from pvnas_bench.runs.runner import run
from pvnas_bench.system.files import write_atomically
from pvnas_bench.table import Table
from pvnas_bench.table.store import Files, to_parquet

SPACE, BASELINE = registry.get_space("st_micro"), "random_search"


def table(content: made_up.Content) -> Table:
    assert content.about is not None
    return Table(content.about, content.sessions, content.trainings, SPACE)


def test_noise_recovers_the_deviations_of_the_random_numbers() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(0.5, 0.10, (20_000, 1)) + rng.normal(0, 0.04, (20_000, 3))
    values[::2, 2] = np.nan  # two seeds only
    values[1::4, 1:] = np.nan  # one seed: left out
    found = table_lessons.noise(values[:, :])
    assert found is not None
    assert found.architectures == 15_000
    assert found.seeds == pytest.approx((2 * 10_000 + 3 * 5_000) / 15_000)
    assert found.seed_deviation == pytest.approx(0.04, rel=0.02)
    assert found.spread == pytest.approx(0.10, rel=0.02)
    assert found.standard_error == pytest.approx(found.seed_deviation / math.sqrt(found.seeds))


def test_the_tau_of_two_seeds_is_that_of_scipy() -> None:
    values = np.random.default_rng(1).random((40, 2)).round(1)
    found = table_lessons.noise(values)
    assert found is not None
    assert found.tau == pytest.approx(kendalltau(values[:, 0], values[:, 1]).statistic)


def test_noise_of_single_seeds_is_not_known() -> None:
    assert table_lessons.noise(np.ones((9, 1))) is None
    assert table_lessons.noise(np.array([[0.1, 0.2], [0.1, np.nan], [0.1, np.nan]])) is None


def additive() -> made_up.Content:
    """Additive accuracies: t5 in the first block adds 0.2, each skip subtracts 0.1."""
    content = made_up.content(SPACE)
    trainings = []
    for training in content.trainings:
        options = SPACE.options(SPACE.parse(training.architecture))
        value = 0.5 + 0.2 * (options["operator.1.1"] == "t5") - 0.1 * list(options.values()).count("skip")
        trainings.append(training._replace(test_top1=value))
    return made_up.Content(content.about, content.sessions, trainings)


def test_effects_are_differences_from_the_mean() -> None:
    effects = table_lessons.effects(SPACE, table(additive()))
    first, last = effects["operator.1.1"], effects["operator.1.3"]
    assert first["t5"] - first["s3"] == pytest.approx(0.2)
    assert last["skip"] - last["s3"] == pytest.approx(-0.1)
    assert sum(first.values()) == pytest.approx(0)  # the space is balanced
    assert effects["operator.1.2"] == pytest.approx(last)
    assert effects["expansion.1.1"] == pytest.approx(dict.fromkeys(effects["expansion.1.1"], 0.0))
    assert "frames" not in effects


def test_a_sum_of_effects_explains_a_sum_and_not_chance() -> None:
    assert table_lessons.additive_share(SPACE, table(additive())) == pytest.approx(1)
    assert table_lessons.additive_share(SPACE, table(made_up.content(SPACE))) < 0.1


def test_predictors_and_fidelity_are_correlations_with_the_truth() -> None:
    made = table(made_up.content(SPACE, seeds=2))
    truth = table_lessons.truth(made)
    found = table_lessons.predictors(made, {"score": (-truth).tolist()})
    assert found["score"] == pytest.approx(-1)
    macs = [made.trainings(a)[0].macs for a in made.architectures]
    assert found["MACs"] == pytest.approx(kendalltau(macs, truth).statistic)
    taus = table_lessons.fidelity(made)
    last = [made.trainings(a)[0].val_top1[-1] for a in made.architectures]
    assert taus[-1] == pytest.approx(kendalltau(last, truth).statistic)
    assert len(taus) == made.about.epochs


def test_regret_of_exhaustive_search_uses_the_means_of_all_seeds() -> None:
    content = made_up.content(SPACE, seeds=2, noise=0.1)
    made = table(content)
    found = []
    for seed in range(2):
        of_seed = [training for training in content.trainings if training.seed == seed]
        best = max(of_seed, key=lambda training: training.val_top1[-1])
        found.append(max(map(made.top1, made.architectures)) - made.top1(best.architecture))
    assert table_lessons.exhaustive_regret(made) == pytest.approx(np.mean(found))
    one_missing = content.trainings[:-1]  # of seed 1, which counts no more
    left = table(made_up.Content(content.about, content.sessions, one_missing))
    assert table_lessons.exhaustive_regret(left) == pytest.approx(found[0])
    assert max(found) > 0
    once = {t.architecture: t for t in content.trainings if t.seed == 0 or t.architecture > "8"}
    mixed = table(made_up.Content(content.about, content.sessions, list(once.values())))
    best = max(once.values(), key=lambda training: training.val_top1[-1])
    assert table_lessons.exhaustive_regret(mixed) == pytest.approx(mixed.regret(best.architecture))


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Table, Path, Path]:
    """A synthetic table, its folder, and the records of two searches with two seeds each."""
    folder, runs = tmp_path_factory.mktemp("tables"), tmp_path_factory.mktemp("runs")
    content = made_up.content(SPACE, seeds=2)
    write_atomically(Files(folder, "st_micro-made_up").parquet, to_parquet(content))
    for strategy in ("random_search", "random_sampling"):
        for seed in range(2):
            request = Request(strategy, "st_micro", "made_up", seed=seed, tabular=True, tables=folder, results=runs)
            assert run(request)[0].status == "ok"
    return table(content), folder, runs


def test_regret_curves_follow_the_trajectories(searched: tuple[Table, Path, Path]) -> None:
    made, _, runs = searched
    search, sampling = regrets(runs, made)
    assert (search.entry, sampling.entry) == ("random_search", "random_sampling")
    assert sampling.role == "random_control"
    assert np.ptp(sampling.mean) == 0
    last = [r.trajectory[-1].metrics["regret"] for r in load_folder(runs)[0] if r.strategy.entry == "random_search"]
    assert (search.runs, search.mean[-1]) == (2, pytest.approx(np.mean(last)))
    assert search.best_found == np.mean([value <= 0 for value in last])
    assert np.isnan(search.tau)
    validated = made.matrix("val_top1").mean(1)
    ended = [r.trajectory[-1].incumbent for r in load_folder(runs)[0] if r.strategy.entry == "random_search"]
    seen = [validated.max() - validated[made.architectures.index(incumbent)] for incumbent in ended]
    assert search.val == pytest.approx(np.mean(seen)) and max(seen) > 0
    assert search.mean[-1] < search.mean[0]
    assert (search.low <= search.mean).all() and (search.mean <= search.high).all()


def test_a_cheaper_search_is_a_separate_entry(searched: tuple[Table, Path, Path], tmp_path: Path) -> None:
    made, folder, runs = searched
    shutil.copytree(runs, tmp_path / "runs")
    for seed in range(2):
        request = Request("random_search", "st_micro", "made_up", seed=seed, budget=6, tabular=True, tables=folder)
        assert run(replace(request, results=tmp_path / "runs"))[0].status == "ok"
    of = {(one.entry, one.budget): one for one in regrets(tmp_path / "runs", made)}
    cheap, whole = of["random_search", 6], of["random_search", 60]
    assert (cheap.runs, whole.runs) == (2, 2)
    assert cheap.at[-1] == pytest.approx(6) and whole.at[-1] == pytest.approx(60)
    assert cheap.mean[-1] == pytest.approx(step_values(whole.at, whole.mean, [6])[0])  # the same searches, ended early
    report.write(SPACE, [made], {}, tmp_path / "runs", tmp_path / "page.md", BASELINE)
    page = (tmp_path / "page.md").read_text()
    sampling = of["random_sampling", 60]
    assert f"| {100 * (whole.mean[-1] - sampling.mean[-1]):+.2f} | {100 * sampling.val:.2f} |" in page


def test_runs_under_a_cap_that_leaves_networks_out_are_left_out(
    searched: tuple[Table, Path, Path], tmp_path: Path
) -> None:
    made, folder, _ = searched
    largest = max(one.macs for name in made.architectures for one in made.trainings(name))
    for cap in (str(largest - 1), str(largest), f"{largest},params=1e6"):
        request = Request("random_search", "st_micro", "made_up", cap=cap, budget=4, tabular=True, tables=folder)
        assert run(replace(request, results=tmp_path / cap))[0].status == "ok"
        assert [one.runs for one in regrets(tmp_path / cap, made)] == ([1] if cap == str(largest) else [])


def test_runs_on_another_state_of_the_table_are_left_out(searched: tuple[Table, Path, Path]) -> None:
    _, _, runs = searched
    assert regrets(runs, table(made_up.content(SPACE, seeds=1))) == []


def test_the_page_says_what_the_table_says(searched: tuple[Table, Path, Path], tmp_path: Path) -> None:
    made, _, runs = searched
    other = made_up.content(SPACE, sample=50)
    assert other.about is not None
    data = other.about.data.model_copy(update={"name": "second"})
    other = made_up.Content(other.about.model_copy(update={"data": data}), other.sessions, other.trainings)
    report.write(SPACE, [made, table(other)], {}, runs, tmp_path / "page.md", BASELINE)
    page = (tmp_path / "page.md").read_text()
    best = max(made.architectures, key=made.top1)
    assert f"| 1 | `{best}` | {made.top1(best):.1%} |" in page
    assert "| second | 50 of 648 | 50 |" in page
    assert "needs two seeds" in page
    assert "| random_search | 60 | 2 |" in page
    search, sampling = regrets(runs, made)
    less = f"{100 * (search.mean[-1] - sampling.mean[-1]):+.2f}"
    assert f"| {less} | {100 * sampling.val:.2f} | {sampling.best_found:.0%} | – |\n" in page
    pictures = {path.name for path in (tmp_path / "page").glob("*.png")}
    expected = {"distribution", "operators", "fidelity", "tasks", "regret-made_up"}
    assert pictures == {f"{name}.png" for name in expected}
    assert all(f"(page/{name})" in page for name in pictures)


def test_each_pair_of_tasks_is_compared(tmp_path: Path) -> None:
    made = []
    for name, seeds in (("first", 1), ("second", 2), ("third", 3)):
        one = made_up.content(SPACE, seeds=seeds)
        assert one.about is not None
        about = one.about.model_copy(update={"data": one.about.data.model_copy(update={"name": name})})
        made.append(table(made_up.Content(about, one.sessions, one.trainings)))
    report.write(SPACE, made, {}, None, tmp_path / "page.md", BASELINE)
    page = (tmp_path / "page.md").read_text()
    pairs = {(one.about.data.name, other.about.data.name): (one, other) for one, other in combinations(made, 2)}
    truths = {
        names: tuple([table.top1(name) for name in made[0].architectures] for table in pair)
        for names, pair in pairs.items()
    }
    for (one, other), values in truths.items():
        tau = kendalltau(*values).statistic
        assert f"The rankings of {one} and {other} agree with a Kendall τ of {tau:.2f}.\n" in page
    drawn = agreement({names: (np.array(one), np.array(other)) for names, (one, other) in truths.items()})
    for axes, (names, values) in zip(drawn.axes, truths.items(), strict=True):
        assert (axes.get_xlabel(), axes.get_ylabel()) == tuple(f"test top-1 on {name} (%)" for name in names)
        assert_allclose(axes.lines[0].get_xydata(), 100 * np.column_stack(values))


def test_a_page_follows_from_tables_and_stored_curves_of_an_earlier_page(
    searched: tuple[Table, Path, Path], tmp_path: Path
) -> None:
    made, _, runs = searched
    rng = np.random.default_rng(0)
    scores = {"made_up": {"one": rng.normal(size=len(made)).tolist(), "two": list(range(len(made)))}}
    page = tmp_path / "page.md"
    report.write(SPACE, [made], scores, runs, page, BASELINE)
    first = {path.name: path.read_bytes() for path in [page, *(tmp_path / "page").iterdir()]}
    assert {"regret-made_up.csv", "scores-made_up.csv"} < set(first)
    assert (
        f"{kendalltau(scores['made_up']['one'], table_lessons.truth(made)).statistic:+.2f}" in first["page.md"].decode()
    )
    report.write(SPACE, [made], {}, None, page, BASELINE)
    assert {path.name: path.read_bytes() for path in [page, *(tmp_path / "page").iterdir()]} == first
    other = table(made_up.content(SPACE, seeds=1))  # another state: its runs are not these
    report.write(SPACE, [other], {}, None, page, BASELINE)
    assert "random_search" not in page.read_text()


@pytest.mark.parametrize("name", ["regret", "scores"])
def test_a_damaged_stored_file_is_named(searched: tuple[Table, Path, Path], tmp_path: Path, name: str) -> None:
    made, _, _ = searched
    path = tmp_path / "page" / f"{name}-made_up.csv"
    path.parent.mkdir()
    path.write_text("architecture,one\nno-such,1\n")
    with pytest.raises(UsageError, match=rf"{name}-made_up.csv .*--(results|scores)"):
        report.write(SPACE, [made], {}, None, tmp_path / "page.md", BASELINE)


def test_curves_and_scores_round_trip_through_files(searched: tuple[Table, Path, Path], tmp_path: Path) -> None:
    made, _, runs = searched
    (tmp_path / "regret.csv").write_text(to_csv(regrets(runs, made), made))
    for one, other in zip(regrets(runs, made), from_csv(tmp_path / "regret.csv", made), strict=True):
        for name in ("entry", "role", "budget", "runs", "best_found"):
            assert getattr(one, name) == getattr(other, name)
        for name in ("at", "mean", "low", "high", "val", "tau"):
            np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-5)
    backwards = [-float(i) for i in range(len(made))]
    lines = table_scored.to_csv({"x": backwards}, made).splitlines()
    (tmp_path / "scores.csv").write_text("\n".join([lines[0], *lines[:0:-1]]) + "\n")  # in another order
    assert table_scored.from_csv(tmp_path / "scores.csv", made) == {"x": backwards}


def test_the_options_of_a_block_share_a_column() -> None:
    made = operators({"made_up": table_lessons.effects(SPACE, table(additive()))})
    (axes,) = made.axes
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1.1", "1.2", "1.3"]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["f3", "s3", "skip", "t5", "tsm", "e1", "e3"]
    first = {float(t.get_position()[1]): t.get_text() for t in axes.texts if t.get_position()[0] == 0}
    assert first[3] == "+15.0" and first[0] == "-5.0" and 2 not in first  # the first block is never skipped


def test_effects_in_a_sample_of_a_large_space_are_those_of_the_trained_architectures() -> None:
    space, sample = registry.get_space(planted.SPACE), planted.table(80, noise=0.0)
    told = table_lessons.effects(space, sample)["frames"]
    by_option = {option: [a for a in sample.architectures if a.startswith(f"{option}-")] for option in told}
    everything = np.mean([sample.top1(a) for a in sample.architectures])
    for option, names in by_option.items():
        assert told[option] == pytest.approx(np.mean([sample.top1(a) for a in names]) - everything)
    assert 0 < table_lessons.additive_share(space, sample) <= 1
