"""The checklist of best practices for research on architecture search, filled from records.

Source: Lindauer & Hutter, Best Practices for Scientific Research on Neural Architecture Search, JMLR 21(243), 2020.
Section 2 is about releasing code, section 3 about comparing methods, section 4 about reporting details. The items are
in words of our own.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pvnas_bench.boards import leaderboard, statistics
from pvnas_bench.records import Record
from pvnas_bench.system.text import counted

PAPER = "Lindauer & Hutter, JMLR 21(243), 2020"
TITLES = {2: "Code", 3: "Comparison", 4: "Report"}
FEW_SEEDS = 2
"""An entry with fewer seeds has no spread."""


@dataclass(frozen=True)
class Item:
    """One item of the checklist.

    Attributes:
        section: of the paper.
        name: the item in a few words.
        answer: what the records say; empty where they say nothing.
        wanted: what the author has to add; empty where nothing is missing.
        stable: True if the answer follows from the records alone.
    """

    section: int
    name: str
    answer: str = ""
    wanted: str = ""
    stable: bool = True

    @property
    def head(self) -> str:
        """The beginning of its line, the same whether it is answered or not."""
        return f"**{self.name}** (§{self.section})"

    def __str__(self) -> str:
        """Its line in Markdown."""
        answer = f": {self.answer}" if self.answer else "."
        wanted = f" **To add:** {self.wanted}" if self.wanted else ""
        return f"- [{' ' if self.wanted else 'x'}] {self.head}{answer}{wanted}"


def items(found: Sequence[Record], published: Sequence[Record] = (), *, source: str = "") -> list[Item]:
    """Fill the checklist.

    Args:
        found: the records of a study.
        published: further records; those of the same boards count as comparisons.
        source: where the strategy's source is, in words; empty: not known.
    """
    return [item(found, published, source) for item in _ITEMS]


def to_markdown(listed: Iterable[Item]) -> str:
    """The checklist as Markdown, a task list for each section."""
    lines = [
        "# Checklist of best practices",
        "",
        f"The items are those of {PAPER}; § is its section. `[x]` follows from the records. Where an item asks for "
        "something to add, write it in place of the request and tick the box.",
    ]
    ordered = list(listed)
    for section, title in TITLES.items():
        lines += ["", f"## {title}", "", *(str(item) for item in ordered if item.section == section)]
    return "\n".join(lines) + "\n"


def changed(listed: Iterable[Item], text: str) -> Iterator[str]:
    """What a completed checklist says otherwise than the records."""
    lines = text.splitlines()
    for item in listed:
        if not any(item.head in line for line in lines):
            yield f"lacks the item {item.name!r}"
        elif item.stable and not item.wanted and str(item) not in lines:
            yield f"has another answer to {item.name!r} than the records give"


def open_items(text: str) -> int:
    """Number of items that still ask for something."""
    return sum(line.startswith("- [ ]") for line in text.splitlines())


# --- items -----------------------------------------------------------------------------------------------------------


def _some(values: Iterable[object], most: int = 4) -> str:
    """Distinct values in words, in the order of their first occurrence."""
    listed = list(dict.fromkeys(map(str, values)))
    return ", ".join(listed[:most]) + (f" and {len(listed) - most} more" if len(listed) > most else "")


def _pipeline(found: Sequence[Record], _: Sequence[Record], __: str) -> Item:
    commits = sorted({record.provenance.commit for record in found if record.provenance.commit})
    at = f", commit {_some(commits)}" if commits else ""
    versions = _some(sorted({record.provenance.pvnas_bench for record in found}))
    protocols = _some(sorted({record.protocol.fingerprint for record in found}))
    return Item(2, "Code of the training pipeline", f"pvnas_bench {versions}{at}; protocol {protocols}")


def _space(found: Sequence[Record], _: Sequence[Record], __: str) -> Item:
    return Item(2, "Code of the search space", _some(sorted({record.space.fingerprint for record in found})))


def _recipe(found: Sequence[Record], _: Sequence[Record], __: str) -> Item:
    seeds = {len(record.outcome.trained) for record in found if record.outcome and record.outcome.trained}
    trained = f"{_some(sorted(seeds))} final trainings of each run" if seeds else "no final training"
    return Item(
        2,
        "Hyper-parameters and seeds of the final training",
        f"`protocol.settings` and `outcome.trained` of each record; {trained}",
    )


def _method(found: Sequence[Record], _: Sequence[Record], source: str) -> Item:
    name = "Code of the search method"
    unknown = [record for record in found if record.strategy.source is None]
    hashes = _some(sorted({r.strategy.source.sha256[:12] for r in found if r.strategy.source}))
    if unknown or not hashes:
        return Item(2, name, wanted="some records do not name their source: run them again with this version")
    if source or all(record.strategy.source and record.strategy.source.builtin for record in found):
        return Item(2, name, f"{source or 'strategies of the package'}, SHA-256 {hashes}")
    return Item(2, name, f"SHA-256 {hashes}", wanted="where the source is published")


def _settings(found: Sequence[Record], _: Sequence[Record], __: str) -> Item:
    entries = _some(sorted({record.strategy.entry for record in found}))
    return Item(
        2,
        "Hyper-parameters and seeds of the search",
        f"`strategy.config` of each record; {entries}; seeds {_some(sorted({r.seed for r in found}), 8)}",
    )


def _benchmark(found: Sequence[Record], _: Sequence[Record], __: str) -> Item:
    boards = len({record.board for record in found})
    return Item(
        3,
        "The same benchmark for all methods",
        f"{counted(boards, 'board')}; runs share one only if the fingerprints of space, data with its splits, and "
        "protocol agree",
    )


def _confounders(found: Sequence[Record], _: Sequence[Record], __: str) -> Item:
    machines = {str(sorted((k, str(v)) for k, v in record.provenance.hardware.items())) for record in found}
    libraries = {str(sorted(record.provenance.libraries.items())) for record in found}
    threads = {record.provenance.threads for record in found}
    answer = (
        f"{counted(len(machines), 'machine')}, {counted(len(libraries), 'set')} of library versions, threads "
        f"{_some(sorted(threads))}; the budget is counted in MACs and depends on none of them"
    )
    same = len(machines) == len(libraries) == 1
    return Item(3, "Confounding factors", answer, "" if same else "how runs were divided among machines and libraries")


def _ablations(found: Sequence[Record], _: Sequence[Record], __: str) -> Item:
    variants = sorted({record.strategy.entry for record in found if "[" in record.strategy.entry})
    answer = f"variants on the boards: {_some(variants)}" if variants else ""
    return Item(3, "Ablations", answer, "which part of the method accounts for which part of its result")


def _evaluation(found: Sequence[Record], _: Sequence[Record], __: str) -> Item:
    return Item(
        3,
        "One evaluation protocol",
        f"{_some(sorted({record.protocol.name for record in found}))}: the incumbent is retrained by one recipe and "
        "tested once; nothing is selected on the test split",
    )


def _anytime(found: Sequence[Record], _: Sequence[Record], __: str) -> Item:
    steps = sum(len(record.trajectory) for record in found)
    return Item(3, "Performance over time", f"trajectories of {counted(steps, 'step')}; `plot anytime` draws them")


def _random(found: Sequence[Record], published: Sequence[Record], __: str) -> Item:
    boards = {record.board for record in found}
    others = [record for record in (*found, *published) if record.board in boards]
    lacking = [
        what
        for what, there in (
            ("random sampling", {r.board for r in others if r.strategy.role == "random_control"}),
            ("random search", {r.board for r in others if r.strategy.name == "random_search"}),
        )
        if boards - there
    ]
    wanted = f"runs of {' and '.join(lacking)} on every board" if lacking else ""
    answer = "" if lacking else "random sampling and random search with the same budget are on every board"
    return Item(3, "Random sampling and random search", answer, wanted, stable=False)


def _repetitions(found: Sequence[Record], _: Sequence[Record], __: str) -> Item:
    seeds: dict[tuple[object, ...], set[int]] = {}
    for record in found:
        seeds.setdefault((*record.board, record.strategy.entry), set()).add(record.seed)
    fewest = min((len(of_entry) for of_entry in seeds.values()), default=0)
    needed = statistics.pairs_needed(1)
    answer = f"at least {counted(fewest, 'seed')} of each entry; boards show intervals; a single test needs {needed}"
    return Item(3, "Several seeds", answer, "" if fewest >= FEW_SEEDS else "more seeds: one has no spread")


def _tables(found: Sequence[Record], _: Sequence[Record], __: str) -> Item:
    looked_up = sum(record.protocol.fingerprint.count(":") > 1 for record in found)
    answer = f"{counted(looked_up, 'run')} on tables" if looked_up else ""
    return Item(3, "Tabular benchmarks", answer, "" if looked_up else "runs on a table (`--tabular`), or why not")


def _tuning(found: Sequence[Record], _: Sequence[Record], __: str) -> Item:
    changed = sorted({record.strategy.entry for record in found if "[" in record.strategy.entry})
    answer = f"changed from their defaults: {_some(changed)}" if changed else "all at their defaults"
    return Item(
        4, "Tuning of hyper-parameters", answer, "how the defaults were chosen, on which data, and at what cost"
    )


def _end_to_end(found: Sequence[Record], _: Sequence[Record], __: str) -> Item:
    def total(what: Callable[[Record], float]) -> float:
        return math.fsum(map(what, found))

    search = total(lambda r: r.search.wall_seconds)
    final = total(lambda r: r.outcome.cost.wall_seconds if r.outcome else 0.0)
    spent = total(lambda r: r.search.reference_trainings)
    return Item(
        4,
        "Time from beginning to end",
        f"search {search / 3600:.2f} h ({spent:.4g} reference trainings), final trainings {final / 3600:.2f} h, in all "
        f"{(search + final) / 3600:.2f} h of {counted(len(found), 'run')}",
    )


def _setup(found: Sequence[Record], _: Sequence[Record], __: str) -> Item:
    processors = _some(sorted({str(record.provenance.hardware.get("processor")) for record in found}))
    devices, pythons = (
        _some(sorted(values)) for values in ({r.device for r in found}, {r.provenance.python for r in found})
    )
    return Item(
        4,
        "All details of the set-up",
        f"`provenance` of each record: command, versions, hardware; {processors}, {devices}, Python {pythons}",
    )


_ITEMS: Sequence[Callable[[Sequence[Record], Sequence[Record], str], Item]] = (
    _pipeline,
    _space,
    _recipe,
    _method,
    _settings,
    _benchmark,
    _confounders,
    _ablations,
    _evaluation,
    _anytime,
    _random,
    _repetitions,
    _tables,
    _tuning,
    _end_to_end,
    _setup,
)


def board_titles(found: Sequence[Record]) -> Mapping[tuple[str, str, str], str]:
    """Titles of the boards of these records, by fingerprints."""
    return {
        (board.fingerprints["space"], board.fingerprints["data"], board.fingerprints["protocol"]): board.title
        for board in leaderboard.build(found)
    }
