"""The page of all claims, as Markdown with plots beside it and as one HTML file. Equal results give equal bytes."""

import base64
import hashlib
import html
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from pvnas_bench.boards.render import markdown_text
from pvnas_bench.claims.definition import Claim
from pvnas_bench.claims.judgement import Judged, JudgedTest, judged, verdicts
from pvnas_bench.claims.results import Result, hours
from pvnas_bench.claims.words import effect, span, with_unit
from pvnas_bench.system.files import write_atomically
from pvnas_bench.system.text import counted

TITLE = "Published claims on video"
HEADERS = ("claim", "method", "effect that counts", "effect", "interval", "seeds", "verdict")
NOTHING: Mapping[str, str] = {}
Changed = Mapping[str, Sequence[str]]
NONE: Changed = {}
TESTS = ("test", "metric", "effect that counts", "mean", "interval", "sd", "n", "power", "verdict")


@dataclass(frozen=True)
class Table:
    """Rows of plain text."""

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Section:
    """A claim on the page.

    Attributes:
        facts: pairs of a word and a text.
        plot: PNG, if it was run.
        notes: sentences below the table.
    """

    name: str
    title: str
    state: str
    facts: Sequence[tuple[str, str]]
    table: Table | None
    plot: bytes | None
    notes: Sequence[str]
    command: str


@dataclass(frozen=True)
class Page:
    """What both forms of the page show."""

    introduction: Sequence[str]
    summary: Table
    sections: Sequence[Section]


def write(
    output: Path, claims: Mapping[str, Claim], results: Mapping[str, Result], changed: Changed = NONE
) -> list[Judged]:
    """Write the Markdown page, a folder of the same name with its plots, and the HTML page; return the verdicts.

    Args:
        output: path of the Markdown file; the HTML file has the same name with another suffix.
        changed: by claim, the entries whose strategy has changed since they were run.
    """
    found = judged(claims, results)
    plots = draw(found)
    folder = output.with_suffix("")
    page = content(found, plots, changed)
    for name, plot in plots.items():
        write_atomically(folder / f"{name}.png", plot)
    for name in claims.keys() - plots.keys():
        (folder / f"{name}.png").unlink(missing_ok=True)
    write_atomically(output, to_markdown(page, folder.name).encode())
    write_atomically(output.with_suffix(".html"), to_html(page).encode())
    return found


def draw(found: Sequence[Judged]) -> dict[str, bytes]:
    """The plot of each claim that was run, as PNG, by name."""
    drawn = [one for one in found if any(test.estimate for test in one.tests)]
    if not drawn:
        return {}
    from pvnas_bench.boards.plots import encoded, styled
    from pvnas_bench.claims import figures

    with styled():
        return {one.claim.name: encoded(figures.plot(one), "png") for one in drawn}


def content(found: Sequence[Judged], plots: Mapping[str, bytes], changed: Changed = NONE) -> Page:
    """The content of the page; see `write`."""
    return Page(
        tuple(_introduction(found)),
        Table(HEADERS, [row for one in found for row in _summary(one)]),
        [_section(one, plots.get(one.claim.name), changed.get(one.claim.name, ())) for one in found],
    )


def _introduction(found: Sequence[Judged]) -> Iterator[str]:
    several = {"holds": "hold", "fails": "fail"}
    counts = ", ".join(f"{n} {several.get(state, state) if n > 1 else state}" for state, n in verdicts(found).items())
    spent = hours([one.result for one in found if one.result is not None])
    yield (
        f"{counted(len(found), 'claim')} that papers make about architecture search, each tested on this benchmark's "
        f"ground: {counts}. The runs took {spent:.1f} CPU hours."
    )
    yield (
        "Every claim is a file that was fixed before it was run; a result of another version of the file is not shown. "
        "A claim has one or more tests. Each compares an entry with another one, paired by seed, and names the effect "
        "that counts. A test holds if the interval of the mean advantage is above no effect and does not exclude the "
        "effect that counts, fails if the interval excludes that effect, and is undecided otherwise. A claim holds if "
        "all its tests hold, and fails if one fails. A verdict is about this setting: each section says how it "
        "differs from the paper's."
    )
    decided = [one for one in found if one.decided]
    if decided:
        error = max(one.claim.rule.error for one in decided)
        alone = [one.claim.name for one in found if one.state == "holds" and not one.stands]
        yield (
            f"Each verdict has its own error rate, at most {100 * error:g} %: of {counted(len(decided), 'claim')} with "
            f"a verdict, {error * len(decided):.1f} false ones are to be expected at most."
        )
        if any(one.state == "holds" for one in decided):
            but = f", but for {', '.join(alone)}" if alone else ""
            yield f"Holm's correction for all of them leaves all that hold{but}."


def _summary(one: Judged) -> Iterator[Sequence[str]]:
    """A row for each test; title, method and verdict of the claim in the first."""
    claim = one.claim
    by_test = {id(test.test): test for test in one.tests}
    for number, test in enumerate(claim.tests):
        known = by_test.get(id(test))
        found = known.estimate if known else None
        yield (
            claim.title if number == 0 else "",
            claim.system if number == 0 else "",
            f"{test.title}: {effect(test)}",
            with_unit(test, found.mean) if found else "",
            span(test, found) if found else "",
            str(found.pairs) if found else "",
            _state(one) if number == 0 else "",
        )


def _state(one: Judged) -> str:
    if one.state != "undecided":
        return one.state
    return f"undecided: {_needed(one)}"


def _needed(one: Judged) -> str:
    if one.withheld:
        return "it takes a larger budget"
    seeds = "more than 10,000" if one.seeds is None else f"{one.seeds:,}"
    return f"it takes {seeds} seeds"


def _section(one: Judged, plot: bytes | None, changed: Sequence[str]) -> Section:
    claim, setting = one.claim, one.claim.setting
    where = f"{setting.space}, {setting.dataset}{', on its table' if setting.tabular else ''}"
    more = "".join(
        f", {word} {value}" for word, value in (("protocol", setting.protocol), ("cap", setting.cap)) if value
    )
    since = f" from {setting.first_seed}" if setting.first_seed else ""
    facts = [
        ("Claim", claim.statement),
        ("Source", claim.source),
        ("Hypothesis", claim.hypothesis),
        (
            "Setting",
            f"{where}{more}; budget {setting.budget:g} reference trainings; {counted(setting.seeds, 'seed')}{since}; "
            f"error rate {100 * claim.rule.error:g} %, wanted power {100 * claim.rule.power:g} %",
        ),
        ("Differs from the paper", " ".join(claim.differs)),
    ]
    if claim.needs:
        facts.append(("Needs", claim.needs))
    return Section(
        claim.name,
        claim.title,
        one.state,
        facts,
        _tests(one),
        plot,
        tuple(_notes(one, changed)),
        f"pvnas-bench claims run {claim.name}",
    )


def _tests(one: Judged) -> Table:
    by_test = {id(test.test): test for test in one.tests}
    rows = []
    for test in one.claim.tests:
        known = by_test.get(id(test))
        found = known.estimate if known else None
        against = "" if test.against is None else f" against {test.against}"
        measured = ("", "", "", "", "", "")
        if found is not None:
            power = f"{100 * found.power:.0f} %"
            deviation = with_unit(test, found.deviation).lstrip("+")
            measured = (
                with_unit(test, found.mean),
                span(test, found),
                deviation,
                str(found.pairs),
                power,
                found.verdict if one.decided else "",
            )
        rows.append((f"{test.title}: {test.entry}{against}", test.metric.words, effect(test), *measured))
    return Table(TESTS, rows)


def _notes(one: Judged, changed: Sequence[str]) -> Iterator[str]:
    if one.state == "undecided":
        yield (
            f"Undecided: with this spread the power for the effect that counts is {100 * one.power:.0f} %, and "
            f"{_needed(one)} to decide."
        )
    if one.reason:
        yield f"{one.reason[0].upper()}{one.reason[1:]}."
    if one.state == "holds" and not one.stands:
        yield "It does not hold any more after Holm's correction for all claims of this page."
    for test in one.tests:
        if note := _censored(test):
            yield note
    if one.result is not None:
        spent = math.fsum(entry.cpu_seconds for entry in one.result.entries) / 3600
        versions = sorted({version for entry in one.result.entries for version in entry.versions})
        mixed = [entry.entry for entry in one.result.entries if len(entry.sources) > 1]
        yield f"{spent:.2g} CPU hours; pvnas_bench {', '.join(versions)}; definition {one.claim.sha256[:12]}."
        if mixed:
            yield f"Runs of several versions of the code: {', '.join(mixed)}."
        if changed:
            yield f"The code of the strategy has changed since its runs: {', '.join(changed)}."
    else:
        yield f"Definition {one.claim.sha256[:12]}."


def _censored(one: JudgedTest) -> str | None:
    ours = sum(pair.censored for pair in one.measured.pairs)
    theirs = sum(pair.against_censored for pair in one.measured.pairs)
    if not ours and not theirs:
        return None
    return (
        f"{one.test.title}: {ours} runs of {one.test.entry} and {theirs} of {one.test.against} did not reach the "
        "quality, and count with the bound, so that the ratio is one of restricted means."
    )


def to_markdown(page: Page, folder: str) -> str:
    """Render the page as Markdown.

    Args:
        folder: relative path of the folder of plots.
    """
    lines = [f"# {TITLE}", ""]
    for paragraph in page.introduction:
        lines += [markdown_text(paragraph), ""]
    lines += ["```bash", "pvnas-bench claims run all", "```", ""]
    lines += _markdown(page.summary, {section.title: section.name for section in page.sections})
    for section in page.sections:
        lines += [f"## {section.name}", "", f"**{markdown_text(section.title)}: {section.state}**", ""]
        lines += [f"- {word}: {markdown_text(text)}" for word, text in section.facts]
        lines += ["", *(_markdown(section.table) if section.table else ())]
        if section.plot is not None:
            lines += [f"![{markdown_text(section.title)}]({folder}/{section.name}.png)", ""]
        lines += [*(f"- {markdown_text(note)}" for note in section.notes), ""]
        lines += ["```bash", section.command, "```", ""]
    return "\n".join(lines)


def _markdown(table: Table, linked: Mapping[str, str] = NOTHING) -> Iterator[str]:
    """Lines of a table; cells that are keys of `linked` link to their sections."""
    yield "| " + " | ".join(table.headers) + " |"
    yield "|" + " --- |" * len(table.headers)
    for row in table.rows:
        cells = [f"[{markdown_text(cell)}](#{linked[cell]})" if cell in linked else markdown_text(cell) for cell in row]
        yield "| " + " | ".join(cells) + " |"
    yield ""


def to_html(page: Page) -> str:
    """Render the page as one HTML file without scripts, with its plots inside."""
    style = resources.files(__package__).joinpath("page.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    linked = {section.title: section.name for section in page.sections}
    lines = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="referrer" content="no-referrer">',
        f"<title>{TITLE}</title>",
        f"<style>{style}</style>",
        "</head>",
        "<body>",
        f"<h1>{TITLE}</h1>",
        *(f"<p>{html.escape(paragraph)}</p>" for paragraph in page.introduction),
        "<pre>pvnas-bench claims run all</pre>",
        *_html(page.summary, linked),
    ]
    for section in page.sections:
        lines += [f'<section id="{html.escape(section.name)}">', f"<h2>{html.escape(section.title)}</h2>"]
        lines += [
            f'<p class="state">{html.escape(section.name)}: <strong>{html.escape(section.state)}</strong></p>',
            "<dl>",
        ]
        lines += [f"<dt>{html.escape(word)}</dt><dd>{html.escape(text)}</dd>" for word, text in section.facts]
        lines += ["</dl>", *(_html(section.table) if section.table else ())]
        if section.plot is not None:
            image = base64.b64encode(section.plot).decode()
            lines.append(f'<img alt="{html.escape(section.title)}" src="data:image/png;base64,{image}">')
        lines += [f"<p>{html.escape(note)}</p>" for note in section.notes]
        lines += [f"<pre>{html.escape(section.command)}</pre>", "</section>"]
    return "\n".join([*lines, "</body>", "</html>", ""])


def _html(table: Table, linked: Mapping[str, str] = NOTHING) -> Iterator[str]:
    yield '<div class="wide"><table>'
    yield "<tr>" + "".join(f"<th>{html.escape(header)}</th>" for header in table.headers) + "</tr>"
    for row in table.rows:
        cells = (
            f'<a href="#{html.escape(linked[cell])}">{html.escape(cell)}</a>' if cell in linked else html.escape(cell)
            for cell in row
        )
        yield "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
    yield "</table></div>"
