"""Writes the page of benchmarks: `python page.py BENCHMARKS.json PAGE.md`, the first from `--benchmark-json`."""

import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from pvnas_bench import __version__
from pvnas_bench.system import machine
from pvnas_bench.training import process

TITLES = {
    "bench_supernet": "Supernet steps beside NNI's DARTS over `nn.Conv3d`",
    "bench_training": "Training a network beside the same in `nn.Conv3d`",
    "bench_overhead": "Where the time of a run goes",
    "bench_memory": "Peak memory of searches along sampled paths",
    "bench_queries": "Questions of searches",
    "bench_data": "Clips: the cache beside decoding, input beside training, many workers, many rows",
    "bench_tabular": "Searches on a table",
    "bench_leaderboard": "A leaderboard of 10,000 records",
    "bench_ray": "Cells and trials on a local Ray",
    "bench_start": "From the shell to the answer",
}


def page(found: dict[str, Any]) -> str:
    """Render the page as Markdown: one table per file of benchmarks."""
    facts = process.hardware(torch.device("cpu"))
    lines = [
        "# Benchmarks",
        "",
        "Written by `tox -e benchmark`. Ratios are of medians in one run, the sides taking turns; times alone say "
        "little about another machine.",
        "",
        f"{facts['processor']}, {facts['cores']} cores, {facts['instructions']}; pvnas-bench {__version__}, "
        f"{', '.join(f'{name} {version}' for name, version in machine.libraries().items() if name in ('torch', 'nni'))}"
        ".",
    ]
    rows: dict[str, list[dict[str, str]]] = {}
    for benchmark in found["benchmarks"]:
        file = Path(benchmark["fullname"].partition("::")[0]).stem
        row = {"benchmark": benchmark["name"], "median": _seconds(benchmark["stats"]["median"])}
        rows.setdefault(file, []).append(row | {k: str(v) for k, v in benchmark["extra_info"].items()})
    for file, own in rows.items():
        lines += ["", f"## {TITLES.get(file, file)}", "", table(own)]
    return "\n".join(lines) + "\n"


def table(rows: list[dict[str, str]]) -> str:
    frame = pd.DataFrame(rows).fillna("")
    head = "| " + " | ".join(frame.columns) + " |\n|" + "---|" * len(frame.columns)
    return "\n".join([head, *("| " + " | ".join(row) + " |" for row in frame.itertuples(index=False))])


def _seconds(seconds: float) -> str:
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    target.write_text(page(json.loads(source.read_text())))
