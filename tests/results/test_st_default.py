"""The published surrogate of st_default, how good it is, and the boards that it judges."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from pvnas_bench import records, registry
from pvnas_bench.boards import leaderboard, render, retrained
from pvnas_bench.grid.definition import Grid
from pvnas_bench.protocol import get_protocol, protocol_entry
from pvnas_bench.runs.request import Request
from pvnas_bench.runs.surrogates import surrogate_of
from pvnas_bench.space import Architecture
from pvnas_bench.table import Surrogate, Table, find
from pvnas_bench.table.schema import recipe_of
from pvnas_bench.table.store import Files, load

RESULTS = Path(__file__).resolve().parents[2] / "results"
FOLDER = RESULTS / "st_default"
SPACE = registry.get_space("st_default")
STEM = "st_default-fir_days"


@pytest.fixture(scope="module")
def table() -> Table:
    return load(Files(RESULTS / "reference" / "tables", STEM), SPACE)


@pytest.fixture(scope="module")
def surrogate(table: Table) -> Surrogate:
    return surrogate_of(table, SPACE)


def test_the_table_has_six_hundred_random_networks_and_those_that_searches_visited(table: Table) -> None:
    assert table.about.protocol == protocol_entry(get_protocol("quick"))
    assert len(table) >= 600
    repeated = [name for name in table.architectures if len(table.trainings(name)) > 1]
    assert len(repeated) >= 60  # the noise is measured
    assert (RESULTS / "reference" / "tables" / f"{STEM}.parquet").stat().st_size <= 2**20


@pytest.mark.parametrize("cap", ["L", "M"])
def test_the_surrogate_predicts_as_well_as_trainings_allow(surrogate: Surrogate, cap: str) -> None:
    quality = surrogate.quality(lambda one: surrogate.cost(one).macs <= SPACE.caps[cap])
    assert quality is not None and quality.tau_ceiling is not None
    assert quality.tau >= min(0.75, 0.95 * quality.tau_ceiling)
    assert quality.within_50 == pytest.approx(0.5, abs=0.1)
    assert quality.within_90 == pytest.approx(0.9, abs=0.05)


def test_networks_that_searches_visited_were_predicted_before_they_were_trained(table: Table) -> None:
    """The last build trained the incumbents of searches on the surrogate of all builds before it."""
    every = [training for name in table.architectures for training in table.trainings(name)]
    last = max(training.session for training in every)
    before = Table(table.about, table.sessions, [one for one in every if one.session < last], SPACE)
    model, later = surrogate_of(before, SPACE), [one for one in every if one.session == last]
    assert len(later) >= 300
    errors = np.array([model.top1(one.architecture) - one.test_top1 for one in later])
    assert np.abs(errors).mean() <= model.noise
    assert abs(errors.mean()) <= 0.01  # what looks best is not overrated


def test_networks_that_searches_found_are_as_good_as_predicted(surrogate: Surrogate) -> None:
    found = load(Files(FOLDER / "found", STEM), SPACE)
    assert found.about.recipe == surrogate.about.recipe
    names = [name for name in found.architectures if not surrogate.trainings(name)]
    assert len(names) >= 20
    errors = [surrogate.top1(name) - found.top1(name) for name in names]
    assert np.mean(np.abs(errors)) <= surrogate.noise


def test_a_run_with_default_options_is_placed_among_random_networks() -> None:
    """The README's first command ends with a place: its data set and protocol have a table of enough networks."""
    default = Request("pvnas")
    published = find(registry.get_space(default.space), default.dataset, default.tables)
    found, _ = records.load_folder(RESULTS / "reference")
    runs = [record for record in found if record.data.name == default.dataset and record.strategy.name == "pvnas"]
    assert recipe_of(published.about.protocol) == recipe_of(protocol_entry(get_protocol("quick")))
    assert runs and all(record.data.fingerprint == published.about.data.fingerprint for record in runs)
    model = surrogate_of(published, SPACE)

    def allowed(one: Architecture) -> bool:
        return model.cost(one).macs <= SPACE.caps["L"]

    quality = model.quality(allowed)
    assert quality is not None and quality.networks >= 150 and quality.tau >= 0.45
    assert quality.within_90 == pytest.approx(0.9, abs=0.05)
    for record in runs:
        assert record.outcome is not None
        place = model.standing(SPACE.parse(record.outcome.architecture), allowed)
        assert place is not None and 0 <= place.low <= place.share <= place.high <= 1


def test_boards_follow_from_their_records_and_this_state_of_the_table(surrogate: Surrogate) -> None:
    found, unreadable = records.load_folder(FOLDER / "records")
    assert not unreadable and not any(record.null for record in found)
    (board,) = leaderboard.build(found)
    assert (FOLDER / "supernets.md").read_text(encoding="utf-8") == render.to_markdown([board])
    grid = Grid.load(FOLDER / "supernets-fir_days.toml")
    assert {row.entry for row in board.rows} <= set(grid.strategies)  # some have not run yet
    assert all(row.seeds == grid.seeds and not row.failures for row in board.rows)
    assert board.fingerprints["protocol"].endswith(f":{surrogate.fingerprint}")
    of_searches = (FOLDER / "leaderboard-fir_days.md").read_text(encoding="utf-8")
    under = surrogate.quality(lambda one: surrogate.cost(one).macs <= SPACE.caps[board.cap])
    assert str(under) in of_searches


def test_entries_have_nearly_the_same_order_if_what_they_found_is_trained() -> None:
    """Searches, controls and hand-designed networks together; the searches alone do not (results/README.md)."""
    found, _ = records.load_folder(FOLDER / "records")
    (before,) = leaderboard.build(found)
    (after,) = retrained.build(found, [load(Files(FOLDER / "retrained", f"{STEM}-quick"), SPACE)])
    assert (FOLDER / "retrained.md").read_text(encoding="utf-8") == render.to_markdown([after])
    old, new = ({row.entry: row.top1_mean for row in board.rows} for board in (before, after))
    assert old.keys() == new.keys()
    assert spearmanr([old[entry] for entry in new], [new[entry] for entry in new])[0] >= 0.8
