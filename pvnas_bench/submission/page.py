"""The README of a submission: its results, and the exact commands of its runs."""

import shlex
from collections.abc import Iterator, Mapping, Sequence

from pvnas_bench.records import Record
from pvnas_bench.submission.checklist import board_titles
from pvnas_bench.submission.layout import CHECKLIST, RECORDS
from pvnas_bench.submission.manifest import Manifest


def to_markdown(manifest: Manifest, found: Sequence[Record]) -> str:
    """The page."""
    strategy = manifest.strategy
    titles = sorted({record.strategy.title for record in found})
    source = (
        f"Its source is [`{strategy.file}`]({strategy.file})"
        if strategy.file
        else f"It is the strategy of pvnas_bench {manifest.pvnas_bench}"
    )
    lines = [
        f"# Results of {strategy.name}",
        "",
        f"{' / '.join(titles)}. {source}, SHA-256 `{strategy.source.sha256}`. The records are in `{RECORDS}/`, the "
        f"checklist of best practices is [{CHECKLIST}]({CHECKLIST}).",
        "",
        "## Results",
        "",
        "Means over seeds, as a leaderboard of these records scores them.",
        "",
        *_table(manifest, board_titles(found)),
        "",
        "## Commands",
        "",
        "Each command is of one or several runs; `SEED` is one of the numbers in the comment.",
        "",
        "```bash",
        *_commands(manifest, found),
        "```",
        "",
        "## Verification",
        "",
        "In the folder of this page:",
        "",
        "```bash",
        "pvnas-bench verify .",
        "```",
    ]
    return "\n".join(lines) + "\n"


def _table(manifest: Manifest, titles: Mapping[tuple[str, str, str], str]) -> Iterator[str]:
    yield "| board | entry | top-1 % | top-5 % | mean-class % | search rt | seeds | failures |"
    yield "|---|---|---|---|---|---|---|---|"
    for row in manifest.results:
        spent = row.search_reference_trainings
        cells = [
            titles[row.space, row.data, row.protocol],
            row.entry,
            *(f"{100 * value:.2f}" for value in (row.top1_mean, row.top5, row.mean_class)),
            "" if spent is None else f"{spent:.2f}",
            str(len(row.seeds)),
            str(row.failures),
        ]
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _commands(manifest: Manifest, found: Sequence[Record]) -> Iterator[str]:
    """The commands of all runs, those that differ in the seed only as one."""
    seeds: dict[tuple[str, ...], list[int]] = {}
    for record in found:
        words = list(record.provenance.command)
        if "--seed" in words[:-1]:
            words[words.index("--seed") + 1] = "SEED"
        if manifest.strategy.file and "--strategy" in words[:-1]:
            words[words.index("--strategy") + 1] = manifest.strategy.file
        seeds.setdefault(tuple(words), []).append(record.seed)
    for command, of_command in sorted(seeds.items()):
        yield f"# seeds {', '.join(map(str, sorted(of_command)))}"
        yield shlex.join(command)
