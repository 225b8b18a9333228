"""The published page of claims follows from the stored results, and these from the published records, byte for byte."""

import shutil
from pathlib import Path

import pytest

from pvnas_bench import records, registry
from pvnas_bench.claims import judged, packaged, read
from pvnas_bench.claims import page as pages
from pvnas_bench.cli import OK, main
from pvnas_bench.cli._claims import changed
from pvnas_bench.runs.request import parse_entry
from pvnas_bench.runs.words import entry_name, parse_config

RESULTS = Path(__file__).resolve().parents[2] / "results"


@pytest.fixture(scope="module")
def page() -> pages.Page:
    """The page with the published plots."""
    claims = packaged()
    stored = {name: result for name, claim in claims.items() if (result := read(RESULTS / "claims", claim))}
    found = judged(claims, stored)
    plots = {path.stem: path.read_bytes() for path in (RESULTS / "claims").glob("*.png")}
    assert set(plots) == {one.claim.name for one in found if any(test.estimate for test in one.tests)}
    return pages.content(found, plots, changed(stored))


def test_the_page_follows_from_the_results(page: pages.Page) -> None:
    assert (RESULTS / "claims.md").read_text("utf-8") == pages.to_markdown(page, "claims")
    assert (RESULTS / "claims.html").read_text("utf-8") == pages.to_html(page)


def test_every_stored_result_is_of_a_claim_of_the_package() -> None:
    assert {path.stem for path in (RESULTS / "claims").glob("*.json")} <= packaged().keys()


def test_all_claims_give_results_and_page_again_from_the_published_records(tmp_path: Path) -> None:
    """Nothing is searched, and no clips are needed. Plots may differ between versions of matplotlib."""
    shutil.copytree(RESULTS / "claims" / "records", tmp_path / "claims" / "records")
    options = ("--output", str(tmp_path / "claims.md"), "--results", str(tmp_path / "runs"))
    assert main(["claims", "run", "all", *options]) == OK
    assert not (tmp_path / "runs").exists() or list(records.find(tmp_path / "runs")) == []
    names = {path.name for path in (RESULTS / "claims").glob("*.*")}
    assert names == {path.name for path in (tmp_path / "claims").glob("*.*")}
    for path in ("claims.md", *(f"claims/{name}" for name in names if name.endswith("json"))):
        assert (tmp_path / path).read_bytes() == (RESULTS / path).read_bytes(), path


def test_every_published_record_serves_a_claim() -> None:
    """An entry whose default has changed, or that no claim names any more, leaves its records behind."""
    made, unreadable = records.load_folder(RESULTS / "claims" / "records")
    assert unreadable == []
    named = {
        (_named(entry), seed)
        for claim in packaged().values()
        for entry in claim.entries
        for seed in claim.setting.all_seeds
    }
    assert {(record.strategy.entry, record.seed) for record in made} <= named


def _named(entry: str) -> str:
    """An entry as records write it: without settings that are defaults."""
    name, settings = parse_entry(entry)
    kind = registry.get_strategy(name)
    return entry_name(kind, parse_config(kind, settings))
