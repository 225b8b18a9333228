"""The published page of claims follows from the stored results and the package's claims, byte for byte."""

from pathlib import Path

import pytest

from pvnas_bench.claims import judged, packaged, read
from pvnas_bench.claims import page as pages

RESULTS = Path(__file__).resolve().parents[2] / "results"


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
