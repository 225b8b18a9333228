"""Equal tuning: what is drawn, what wins, and that the defaults of the package are what won."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from record_factory import record

from pvnas_bench import registry
from pvnas_bench.boards.tuning import Declaration, Settings, draw, entry, load, to_markdown, tuned
from pvnas_bench.errors import UsageError
from pvnas_bench.methods.optuna_storage import OptunaConfig
from pvnas_bench.records import Record

PUBLISHED = Path(__file__).parents[2] / "results" / "tuning"
FAIR = (Path(__file__).parents[2] / "docs" / "fair.md").read_text(encoding="utf-8")
VALUES: dict[str, list[Any]] = {"rate": [0.1, 0.2, 0.4], "depth": [1, 2], "on": [True, False]}
DEFAULT: dict[str, Any] = {"rate": 0.2, "depth": 1, "on": True, "other": 7}


@given(st.integers(2, 20), st.text(min_size=1))
def test_draws_are_distinct_within_the_declaration_and_begin_with_the_default(count: int, name: str) -> None:
    drawn = draw(name, VALUES, DEFAULT, count)
    assert len(drawn) == min(count, 12)
    assert drawn[0] == {"rate": 0.2, "depth": 1, "on": True}
    assert len({tuple(settings.items()) for settings in drawn}) == len(drawn)
    assert all(settings[key] in VALUES[key] for settings in drawn for key in VALUES)
    assert drawn == draw(name, VALUES, DEFAULT, count)
    assert drawn[:2] == draw(name, VALUES, DEFAULT, 2), "more configurations keep the first ones"


def test_strategies_have_draws_of_their_own() -> None:
    assert draw("a", VALUES, DEFAULT, 6) != draw("b", VALUES, DEFAULT, 6)


@pytest.mark.parametrize(("name", "options"), [("rate", [0.1, 0.4]), ("unknown", [1, 2])])
def test_a_declaration_without_the_default_or_of_no_hyper_parameter_is_refused(name: str, options: list[Any]) -> None:
    with pytest.raises(UsageError, match=name):
        draw("a", VALUES | {name: options}, DEFAULT, 6)


def searches(entry: str, regrets: list[float], status: str = "ok", tau: float | None = None) -> list[Record]:
    made = [record(entry, seed, 0.5) for seed in range(len(regrets))]
    if tau is not None:
        made = [run.model_copy(update={"diagnostics": {"rank_tau": tau + 0.1 * run.seed}}) for run in made]
    for run, regret in zip(made, regrets, strict=True):
        run.trajectory[-1].metrics["regret"] = regret
    return [run.model_copy(update={"status": status}) for run in made]


DECLARED = Declaration(
    space="st_micro", dataset="d", budget=2.0, seeds=2, configurations=3, strategies={"a": {"rate": [1, 2]}}
)
TRIES: list[Settings] = [{"rate": 1}, {"rate": 2}, {"rate": 3}]


@pytest.mark.parametrize(
    ("regrets", "winner"),
    [
        ([[0.2, 0.4], [0.3, 0.1], [0.5, 0.0]], 1),
        ([[0.2, 0.2], [0.1, 0.3], [0.4, 0.0]], 0),  # a tie goes to the default
        ([[0.5, 0.5], [0.4, 0.4], [0.1, 0.1]], 2),
    ],
)
def test_the_lowest_mean_regret_wins(regrets: list[list[float]], winner: int) -> None:
    tries = [(one, searches("a", values)) for one, values in zip(TRIES, regrets, strict=True)]
    found = tuned("a", "hash", tries, DECLARED)
    assert found.winner.settings == TRIES[winner]
    assert found.changed == ({} if winner == 0 else TRIES[winner])


@pytest.mark.parametrize(
    ("taus", "winner"),
    [((0.1, 0.3, 0.5), 1), ((0.3, 0.1, 0.5), 0), ((0.2, 0.2, 0.5), 0), ((None, 0.2, 0.5), 1)],
)
def test_of_equal_regrets_the_best_ranking_wins(taus: tuple[float | None, ...], winner: int, tmp_path: Path) -> None:
    regrets = ([0.1, 0.3], [0.3, 0.1], [0.3, 0.3])
    tries = [(one, searches("a", r, tau=tau)) for one, r, tau in zip(TRIES, regrets, taus, strict=True)]
    made = tuned("a", "hash", tries, DECLARED)
    assert made.winner.settings == TRIES[winner]
    made.write(tmp_path)
    assert load(tmp_path) == [made]
    if taus[0] is not None:
        assert f"| {taus[0] + 0.05:.2f} → {(taus[winner] or 0) + 0.05:.2f} |" in to_markdown([made])


def test_a_ranking_that_a_seed_lacks_does_not_count(tmp_path: Path) -> None:
    some = searches("a", [0.1, 0.3], tau=0.9)
    some[1] = some[1].model_copy(update={"diagnostics": {"rank_error": "interrupted"}})
    made = tuned("a", "hash", [(TRIES[0], searches("a", [0.1, 0.3], tau=0.1)), (TRIES[1], some)], DECLARED)
    assert made.winner.settings == TRIES[0]
    made = tuned("a", "hash", [(TRIES[0], some), (TRIES[1], searches("a", [0.0, 0.3], tau=0.1))], DECLARED)
    assert made.winner.settings == TRIES[1] and "inf" not in to_markdown([made])


def test_a_configuration_that_failed_cannot_win() -> None:
    tries = [(TRIES[0], searches("a", [0.5, 0.5])), (TRIES[1], searches("a", [0.0, 0.0], "failed"))]
    found = tuned("a", "hash", tries, DECLARED)
    assert found.winner.settings == TRIES[0] and found.configurations[1].regrets == (None, None)


def test_a_tuning_is_read_as_it_was_written_and_is_on_the_page(tmp_path: Path) -> None:
    tries = [(TRIES[0], searches("a", [0.5, 0.3])), (TRIES[1], searches("a", [0.1, 0.2]))]
    made = tuned("a", "hash", tries, DECLARED)
    made.write(tmp_path)
    assert load(tmp_path) == [made]
    (row,) = [line for line in to_markdown([made]).splitlines() if line.startswith("| `a`")]
    assert "40.00 ± 14.14" in row and "15.00 ± 7.07" in row and "`rate=2`" in row and "| 2 | 4 |" in row
    (tmp_path / "b.json").write_text("{}")
    with pytest.raises(UsageError, match=r"b\.json is no tuning"):
        load(tmp_path)


def test_an_entry_names_what_differs() -> None:
    assert entry("a", {"rate": 0.4, "depth": 1, "on": False}, DEFAULT) == "a[rate=0.4, on=false]"
    assert entry("a", {"rate": 0.2, "depth": 1}, DEFAULT) == "a"


# --- what is published ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [PUBLISHED / "one_shot.toml", PUBLISHED / "trials.toml"], ids=lambda path: path.stem)
def test_the_declared_values_hold_the_defaults(path: Path) -> None:
    declared = Declaration.load(path)
    assert declared.configurations == 6
    for name, values in declared.strategies.items():
        config = registry.get_strategy(name).Config
        for settings in draw(name, values, config().model_dump(), declared.configurations):
            config(**settings)  # every value is admitted


def test_every_search_with_hyper_parameters_is_declared_once_and_with_as_many_configurations() -> None:
    one_shot, trials = (Declaration.load(PUBLISHED / f"{group}.toml") for group in ("one_shot", "trials"))
    assert one_shot.configurations == trials.configurations
    assert not one_shot.strategies.keys() & trials.strategies.keys()
    declared = one_shot.strategies.keys() | trials.strategies.keys()
    not_tuned = set(OptunaConfig.model_fields)  # where a study is kept is no hyper-parameter
    searches = [kind for kind in registry.all_strategies() if registry.is_builtin(kind) and kind.info.role == "search"]
    with_options = {kind.info.name for kind in searches if kind.Config.model_fields.keys() - not_tuned}
    assert with_options == declared
    for kind in searches:
        if kind.info.name not in with_options:
            assert f"`{kind.info.name}`" in FAIR, "the document names those that have nothing to tune"


def test_every_declared_strategy_had_as_many_configurations_and_as_much_budget_as_its_likes() -> None:
    tunings = {one.strategy: one for one in load(PUBLISHED)}
    for path in (PUBLISHED / "one_shot.toml", PUBLISHED / "trials.toml"):
        declared = Declaration.load(path)
        assert declared.strategies.keys() <= tunings.keys()
        for name, values in declared.strategies.items():
            one = tunings[name]
            assert (one.budget, one.seeds) == (declared.budget, declared.seeds)
            drawn = draw(name, values, one.configurations[0].settings, declared.configurations)
            assert [configuration.settings for configuration in one.configurations] == drawn


def test_the_defaults_are_the_winners() -> None:
    for one in load(PUBLISHED):
        default = registry.get_strategy(one.strategy).Config().model_dump()
        assert one.winner.settings == {name: default[name] for name in one.winner.settings}, one.strategy


def test_the_page_follows_from_the_tunings() -> None:
    tunings = load(PUBLISHED)
    assert tunings
    assert (PUBLISHED / "README.md").read_text(encoding="utf-8") == to_markdown(tunings)
