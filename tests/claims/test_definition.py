"""Definitions of claims: those of the package can run here, and what is no claim is refused by name."""

from pathlib import Path
from typing import Any

import made_claims
import pytest

from pvnas_bench import registry
from pvnas_bench.claims import Claim, load, load_all, packaged
from pvnas_bench.claims.definition import parse
from pvnas_bench.errors import UsageError
from pvnas_bench.grid.definition import Grid
from pvnas_bench.protocol import get_protocol
from pvnas_bench.runs.request import parse_entry
from pvnas_bench.runs.words import check_family, parse_config
from pvnas_bench.space import Caps
from pvnas_bench.table import find
from pvnas_bench.video import list_datasets

CLAIMS = packaged()
SYSTEMS = {"PV-NAS", "FP-NAS", "BN-NAS", "DA-NAS", "SM-NAS", "NAS-TC"}


def unmet(claim: Claim) -> list[str]:
    """What a claim names and this package lacks."""
    lacking = []
    for entry in claim.entries:
        name, settings = parse_entry(entry)
        try:
            kind = registry.get_strategy(name)
            parse_config(kind, settings)
            check_family(kind, registry.get_space(claim.setting.space))
        except UsageError as error:
            lacking.append(str(error))
    try:
        if claim.setting.tabular:
            find(registry.get_space(claim.setting.space), claim.setting.dataset)
        elif claim.setting.dataset not in dict(list_datasets()):
            lacking.append(f"no data set {claim.setting.dataset}")
    except UsageError as error:
        lacking.append(str(error))
    return lacking


def test_there_is_a_claim_of_each_seed_and_of_the_baselines() -> None:
    assert {claim.system for claim in CLAIMS.values()} >= SYSTEMS
    assert len(CLAIMS) >= 15


@pytest.mark.parametrize("name", CLAIMS)
def test_a_claim_of_the_package_names_strategies_options_and_data_that_exist(name: str) -> None:
    """One that needs something lacks something, so that the remark goes when it is there."""
    claim = CLAIMS[name]
    assert (claim.needs is None) == (unmet(claim) == []), unmet(claim)
    Grid.parse(claim.grid)
    Caps.parse(registry.get_space(claim.setting.space), claim.setting.cap)
    get_protocol(claim.setting.protocol or "quick")
    assert claim.setting.seeds >= 10


@pytest.mark.parametrize("name", CLAIMS)
def test_metrics_of_a_truth_are_used_on_tables(name: str) -> None:
    claim = CLAIMS[name]
    known = {"regret", "cost_to_quality", "rank_tau", "hypervolume", "cost_at_accuracy"}
    assert claim.setting.tabular or known.isdisjoint(test.metric.name for test in claim.tests)


def test_the_grid_has_each_entry_once_and_the_setting() -> None:
    tests = [made_claims.TEST, {**made_claims.TEST, "title": "again", "against": "gamma"}]
    claim = made_claims.claim(tests=tests)
    assert claim.grid == {
        "strategies": ["alpha", "beta", "gamma"],
        "spaces": ["st_micro"],
        "datasets": ["made_up"],
        "tabular": True,
        "budget": 4.0,
        "seeds": 3,
    }
    assert len(Grid.parse(claim.grid).requests(Path("results"))) == 9


CHANGED: dict[str, Any] = {
    "statement": "Alpha finds worse networks than beta.",
    "differs": ["Nothing."],
    "needs": "luck",
    "setting": {**made_claims.CLAIM["setting"], "budget": 5.0},  # type: ignore[dict-item]
    "rule": {"error": 0.1, "power": 0.8},
    "tests": [{**made_claims.TEST, "least": 0.03}],
}


@pytest.mark.parametrize("key", CHANGED)
def test_every_change_of_a_definition_changes_its_hash(key: str) -> None:
    changed = parse("made_up", {**made_claims.CLAIM, key: CHANGED[key]})
    assert changed.sha256 != parse("made_up", made_claims.CLAIM).sha256


def test_comments_and_layout_do_not_change_the_hash(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "pvnas_bench/claims/published/tpe.toml").read_text("utf-8")
    path = tmp_path / "tpe.toml"
    path.write_text("# a comment\n\n" + text.replace(" = ", "  =  "), encoding="utf-8")
    assert load(path).sha256 == CLAIMS["tpe"].sha256


RATIO = {**made_claims.TEST, "metric": {"name": "cost_to_quality", "regret": 0.1}}
FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown key": ({"colour": "red"}, "colour"),
    "a text of two lines": ({"statement": "a\nb"}, "statement"),
    "no difference from the paper": ({"differs": []}, "differs"),
    "a word in place of a number": ({"rule": {"error": "0.05", "power": 0.8}}, "rule.error"),
    "an unknown metric": ({"tests": [{**made_claims.TEST, "metric": {"name": "beauty"}}]}, "metric"),
    "a ratio of less than one": ({"tests": [{**RATIO, "least": 0.5}]}, "a factor above 1"),
    "a metric of two entries with one": (
        {"tests": [{k: v for k, v in made_claims.TEST.items() if k != "against"}]},
        "needs entry in `against`",
    ),
    "a metric of one entry with two": (
        {"tests": [{**made_claims.TEST, "metric": {"name": "diagnostic_ratio", "of": "a", "over": "b"}, "least": 2.0}]},
        "needs no entry in `against`",
    ),
    "an entry that is none": ({"tests": [{**made_claims.TEST, "entry": "alpha[k]"}]}, "key=value"),
    "a single seed": ({"setting": {**made_claims.CLAIM["setting"], "seeds": 1}}, "setting.seeds"),  # type: ignore[dict-item]
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_no_claim_is_refused_by_name(fault: str) -> None:
    changed, told = FAULTS[fault]
    with pytest.raises(UsageError) as refused:
        parse("made_up", {**made_claims.CLAIM, **changed})
    assert "claim made_up" in str(refused.value) or fault == "an entry that is none"
    assert told in str(refused.value)


def test_folders_without_claims_and_files_that_are_not_toml_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no claims in"):
        load_all(tmp_path)
    (tmp_path / "bad.toml").write_text("title =")
    with pytest.raises(UsageError, match="is not TOML"):
        load_all(tmp_path)
    with pytest.raises(UsageError, match="name the TOML file"):
        load(tmp_path / "none.toml")
