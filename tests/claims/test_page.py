"""Results and pages of claims: equal bytes from equal results, and nothing from a result of another definition."""

import re
from html.parser import HTMLParser
from pathlib import Path

import made_claims
import numpy as np
import pytest

from pvnas_bench.claims import Claim, Result, judged, packaged, read, write
from pvnas_bench.claims import page as pages
from pvnas_bench.claims.judgement import judge
from pvnas_bench.errors import UsageError

SEEDS = 12


def pairs(effect: float, spread: float = 0.01) -> list[tuple[float, float]]:
    rng = np.random.default_rng(0)
    return [(0.5 + effect + float(v), 0.5) for v in spread * rng.normal(size=SEEDS)]


TESTS = (
    made_claims.TEST,
    {**made_claims.TEST, "title": "cost", "metric": {"name": "cost_to_quality", "regret": 0.1}, "least": 2.0},
)


def three() -> tuple[dict[str, Claim], dict[str, Result]]:
    """A claim that holds, one that fails, one of two tests, and one that was not run."""
    claims = {
        "good": made_claims.claim("good", seeds=SEEDS, title="Good"),
        "bad": made_claims.claim("bad", seeds=SEEDS, title="Bad"),
        "both": made_claims.claim("both", TESTS, seeds=SEEDS, title="Both"),
        "open": made_claims.claim("open", seeds=SEEDS, title="Open", needs="a <b>data set</b> | of `its` own"),
    }
    costs = [(10.0 + n, 30.0 + 2 * n) for n in range(SEEDS)]
    results = {
        "good": made_claims.result(claims["good"], pairs(0.03)),
        "bad": made_claims.result(claims["bad"], pairs(-0.01)),
        "both": made_claims.result(claims["both"], pairs(0.02, 0.1), costs),
    }
    return claims, results


def test_verdicts_of_planted_results() -> None:
    found = {one.claim.name: one for one in judged(*three())}
    assert {name: one.state for name, one in found.items()} == {
        "good": "holds",
        "bad": "fails",
        "both": "undecided",
        "open": "not run",
    }
    assert found["good"].stands and not found["bad"].stands
    assert found["both"].seeds is not None and found["both"].seeds > SEEDS
    assert 0 < found["both"].power < 1
    assert found["open"].reason == "needs a <b>data set</b> | of `its` own"


def test_a_claim_among_many_that_fail_has_to_stand_holms_correction() -> None:
    """One p value just below the rate of its own verdict, among forty."""
    claims, results = {}, {}
    for number in range(40):
        claim = claims[f"c{number}"] = made_claims.claim(f"c{number}", seeds=SEEDS)
        results[claim.name] = made_claims.result(claim, pairs(0.012 if number == 0 else -0.02, 0.02))
    (first, *_) = judged(claims, results)
    assert first.state == "holds" and first.p < 0.025
    assert not first.stands
    assert judged({"c0": claims["c0"]}, results)[0].stands


def test_a_result_of_another_definition_is_not_used(tmp_path: Path) -> None:
    """The file of the claim changed after it was run: its effect that counts."""
    claims, results = three()
    write(tmp_path, results["good"])
    changed = made_claims.claim("good", [{**made_claims.TEST, "least": 0.01}], seeds=SEEDS, title="Good")
    stored = read(tmp_path, changed)
    assert stored is not None and stored.of(claims["good"]) and not stored.of(changed)
    assert judge(changed, stored).state == "not run"
    assert judge(claims["good"], stored).state == "holds"


def test_there_is_no_verdict_before_all_seeds_have_run() -> None:
    claims, results = three()
    (test,) = results["good"].tests
    short = test.model_copy(update={"pairs": test.pairs[:-1], "missing": ("beta has not run (seeds 11)",)})
    one = judge(claims["good"], results["good"].model_copy(update={"tests": (short,)}))
    assert (one.state, one.reason) == ("incomplete", "11 of 12 pairs: beta has not run (seeds 11)")


def test_runs_of_different_boards_have_no_verdict() -> None:
    claims, results = three()
    first, second = results["good"].entries
    mixed = results["good"].model_copy(update={"entries": (first, second.model_copy(update={"board": ("other",)}))})
    assert judge(claims["good"], mixed).state == "incomplete"


def test_a_verdict_that_is_withheld_asks_for_budget_and_not_for_seeds() -> None:
    """All runs of the other entry end above the quality, and the entry is slower."""
    claim = made_claims.claim("slow", [TESTS[1]], seeds=SEEDS)
    result = made_claims.result(claim, [(30.0 + n, 30.0) for n in range(SEEDS)])
    censored = tuple(pair.model_copy(update={"against_censored": True}) for pair in result.tests[0].pairs)
    measured = result.tests[0].model_copy(update={"pairs": censored})
    one = judge(claim, result.model_copy(update={"tests": (measured,)}))
    assert (one.state, one.withheld, one.seeds) == ("undecided", True, None)
    assert one.reason == "100 % of the other runs end before the quality is reached"
    (row,) = pages.content([one], {}).summary.rows
    assert row[-1] == "undecided: it takes a larger budget"
    assert judge(claim, result).state == "fails"


def test_a_result_is_read_as_it_was_written(tmp_path: Path) -> None:
    claims, results = three()
    for name, result in results.items():
        write(tmp_path, result)
        stored = read(tmp_path, claims[name])
        assert stored is not None
        content = (tmp_path / f"{name}.json").read_bytes()
        write(tmp_path, stored)
        assert (tmp_path / f"{name}.json").read_bytes() == content
        for a, b in zip(stored.tests, result.tests, strict=True):
            assert [p.value for p in a.pairs] == pytest.approx([p.value for p in b.pairs], rel=1e-8)
    assert read(tmp_path, claims["open"]) is None


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"claim": "good", "sha256": 3}', b"\xff"])
def test_a_file_that_is_no_result_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "good.json").write_bytes(content)
    with pytest.raises(UsageError, match="is no result of a claim"):
        read(tmp_path, three()[0]["good"])


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_results_give_the_same_bytes(tmp_path: Path) -> None:
    claims, results = three()
    for folder in ("one", "two"):
        pages.write(tmp_path / folder / "claims.md", claims, results)
    one = files(tmp_path / "one")
    assert one == files(tmp_path / "two")
    assert set(one) == {"claims.md", "claims.html", "claims/good.png", "claims/bad.png", "claims/both.png"}


def test_a_plot_goes_when_its_result_is_not_used_any_more(tmp_path: Path) -> None:
    claims, results = three()
    pages.write(tmp_path / "claims.md", claims, results)
    pages.write(tmp_path / "claims.md", claims, {"bad": results["bad"]})
    assert {name for name in files(tmp_path) if name.endswith("png")} == {"claims/bad.png"}


def test_the_page_has_a_row_a_section_a_plot_and_a_command_for_each_claim(tmp_path: Path) -> None:
    claims, results = three()
    pages.write(tmp_path / "claims.md", claims, results)
    text = (tmp_path / "claims.md").read_text("utf-8")
    for name in claims:
        assert f"| [{name.title()}](#{name}) |" in text
        assert f"\n## {name}\n" in text
        assert f"pvnas-bench claims run {name}\n" in text
        assert (f"](claims/{name}.png)" in text) == (name in results)
    (row,) = re.findall(r"^\| \[Good\].*$", text, re.MULTILINE)
    assert "better by 2 points | +3.0" in row.replace("\\", "") and row.endswith("| 12 | holds |")
    (row,) = re.findall(r"^\| \[Both\].*$", text, re.MULTILINE)
    assert re.search(r"undecided: it takes \d+ seeds", row)
    assert "| [Open](#open) | Alpha | accuracy: better by 2 points |  |  |  | not run |" in text


def test_an_entry_whose_code_has_changed_is_named_in_its_sections(tmp_path: Path) -> None:
    claims, results = three()
    entry = results["bad"].entries[0].entry
    told = f"The code of the strategy has changed since its runs: {entry}."
    page = pages.content(judged(claims, results), {}, {"bad": [entry], "both": []})
    assert [section.name for section in page.sections if told in section.notes] == ["bad"]
    assert not any(told in section.notes for section in pages.content(judged(claims, results), {}).sections)


def test_ratios_are_shown_as_ratios(tmp_path: Path) -> None:
    claims, results = three()
    page = pages.content(judged(claims, results), {})
    (row,) = (row for section in page.sections if section.table for row in section.table.rows if "cost" in row[0])
    costs = [(30.0 + 2 * n) / (10.0 + n) for n in range(SEEDS)]
    assert row[2:4] == ("better by 2×", f"{np.exp(np.mean(np.log(costs))):.3g}×")


class Parsed(HTMLParser):
    """Tags and attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "href"):
                self.links.append(value or "")
            if name == "id":
                self.ids.add(value or "")


def test_the_html_page_is_one_file_and_takes_nothing_for_markup(tmp_path: Path) -> None:
    claims, results = three()
    pages.write(tmp_path / "claims.md", claims, results)
    text = (tmp_path / "claims.html").read_text("utf-8")
    parsed = Parsed()
    parsed.feed(text)
    assert {"script", "link", "b", "iframe"}.isdisjoint(parsed.tags)
    assert parsed.tags.count("img") == len(results)
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in parsed.links)
    assert {link[1:] for link in parsed.links if link.startswith("#")} == parsed.ids == set(claims)
    assert "&lt;b&gt;data set&lt;/b&gt;" in text
    assert "default-src 'none'" in text


def test_a_page_without_results_lists_all_claims_of_the_package(tmp_path: Path) -> None:
    """The claims as they are fixed before they are run."""
    found = pages.write(tmp_path / "claims.md", packaged(), {})
    assert {one.state for one in found} == {"not run"}
    text = (tmp_path / "claims.md").read_text("utf-8")
    for name, claim in packaged().items():
        assert f"## {name}\n" in text
        assert claim.sha256[:12] in text
