"""The published page of claims follows from the stored results, and these from the published records, byte for byte."""

from collections import defaultdict
from pathlib import Path

import pytest

from pvnas_bench import records, registry
from pvnas_bench.claims import judged, packaged, read, write
from pvnas_bench.claims import page as pages
from pvnas_bench.claims.definition import Claim
from pvnas_bench.claims.measuring import Runs, measure
from pvnas_bench.runs.surrogates import find_whole

RESULTS = Path(__file__).resolve().parents[2] / "results"
WITHOUT_RECORDS = {
    "hyperband", "local_search", "regularized_evolution", "sm_nas_latency", "sm_nas_stages", "successive_halving",
    "tpe", "zero_cost_ranking",  # hundreds of searches on a table, minutes in all
    "pvnas_expert",
}  # fmt: skip
"""Claims whose records are not published."""
FOLDERS = (RESULTS / "claims" / "records", RESULTS / "st_micro" / "records")


@pytest.fixture(scope="module")
def page() -> pages.Page:
    """The page with the published plots."""
    claims = packaged()
    stored = {name: result for name, claim in claims.items() if (result := read(RESULTS / "claims", claim))}
    found = judged(claims, stored)
    plots = {path.stem: path.read_bytes() for path in (RESULTS / "claims").glob("*.png")}
    assert set(plots) == {one.claim.name for one in found if any(test.estimate for test in one.tests)}
    return pages.content(found, plots)


def test_the_page_follows_from_the_results(page: pages.Page) -> None:
    assert (RESULTS / "claims.md").read_text("utf-8") == pages.to_markdown(page, "claims")
    assert (RESULTS / "claims.html").read_text("utf-8") == pages.to_html(page)


def test_every_stored_result_is_of_a_claim_of_the_package() -> None:
    assert {path.stem for path in (RESULTS / "claims").glob("*.json")} <= packaged().keys()


@pytest.fixture(scope="module")
def published() -> list[records.Record]:
    """The records of searches that train, which are kept as they take minutes each."""
    return [record for folder in FOLDERS for record in records.load_folder(folder)[0]]


def runs_of(claim: Claim, published: list[records.Record]) -> Runs:
    """The published runs of a claim's setting, by entry and seed; without a cap of its own, those under a named cap."""
    setting, runs = claim.setting, defaultdict[str, dict[int, records.Record]](dict)
    for record in published:
        here = (record.space.name, record.data.name, record.protocol.budget)
        capped = record.space.cap == setting.cap if setting.cap else not record.space.cap.isdigit()
        if here == (setting.space, setting.dataset, setting.budget) and capped and record.seed in setting.all_seeds:
            runs[record.strategy.entry][record.seed] = record
    return runs


def test_results_of_searches_that_train_follow_from_the_published_records(
    published: list[records.Record], tmp_path: Path
) -> None:
    followed = set()
    for name, claim in packaged().items():
        runs, stored = runs_of(claim, published), read(RESULTS / "claims", claim)
        if stored and all(seed in runs.get(entry, {}) for entry in claim.entries for seed in claim.setting.all_seeds):
            setting = claim.setting
            table = find_whole(registry.get_space(setting.space), setting.dataset, None) if setting.tabular else None
            write(tmp_path, measure(claim, runs, table))
            assert (tmp_path / f"{name}.json").read_text("utf-8") == (RESULTS / "claims" / f"{name}.json").read_text(
                "utf-8"
            )
            followed.add(name)
    stored_names = {path.stem for path in (RESULTS / "claims").glob("*.json")}
    assert stored_names - followed == WITHOUT_RECORDS
