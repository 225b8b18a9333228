"""The page of a space: an analysis of its tables, as Markdown with plots. The same inputs always give the same page."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path

from matplotlib.figure import Figure

from pvnas_bench.boards import table_lessons, table_scored
from pvnas_bench.boards.plots import _table as figures
from pvnas_bench.boards.plots._files import encoded
from pvnas_bench.boards.plots._style import styled
from pvnas_bench.boards.statistics import kendall_tau, step_values
from pvnas_bench.boards.table_regret import Regret, from_csv, regrets, to_csv
from pvnas_bench.space import SearchSpace
from pvnas_bench.system.files import write_atomically
from pvnas_bench.table.frame_order import blind_share
from pvnas_bench.table.table import Table

BEST = 10
"""Number of architectures listed for each task."""

Scores = Mapping[str, Mapping[str, Sequence[float]]]
"""Zero-cost scores by data set and name, in the order of the table's architectures."""


def write(
    space: SearchSpace, tables: Sequence[Table], scores: Scores, runs: Path | None, output: Path, baseline: str
) -> None:
    """Write the page, and next to it a folder of the same name with plots, and with curves and scores as CSV.

    Args:
        scores: newly computed scores; those missing are read from the CSV files of an earlier page.
        runs: folder of records of runs on the tables; None: curves are read from the CSV files of an earlier page.
        output: path of the Markdown file.
        baseline: entry that the others are compared with, such as random_search.
    """
    folder = output.with_suffix("")
    curves = {table.about.data.name: _regrets(runs, table, folder) for table in tables}
    scores = {table.about.data.name: _scores(scores, table, folder) for table in tables}
    with styled():
        for name, figure in _figures(space, tables, curves, baseline):
            write_atomically(folder / f"{name}.png", encoded(figure, "png"))
    text = "\n".join(_page(space, tables, scores, curves, folder.name, baseline))
    write_atomically(output, (text + "\n").encode())


def _regrets(runs: Path | None, table: Table, folder: Path) -> list[Regret]:
    path = folder / f"regret-{table.about.data.name}.csv"
    if runs is not None and (curves := regrets(runs, table)):
        write_atomically(path, to_csv(curves, table).encode())
    return from_csv(path, table) if path.exists() else []  # read back, so that new and old curves give the same page


def _scores(scores: Scores, table: Table, folder: Path) -> Mapping[str, Sequence[float]]:
    path = folder / f"scores-{table.about.data.name}.csv"
    if of_table := scores.get(table.about.data.name):
        write_atomically(path, table_scored.to_csv(of_table, table).encode())
    return table_scored.from_csv(path, table) if path.exists() else {}


def _figures(
    space: SearchSpace, tables: Sequence[Table], curves: Mapping[str, Sequence[Regret]], baseline: str
) -> Iterator[tuple[str, Figure]]:
    truths = {table.about.data.name: table_lessons.truth(table) for table in tables}
    experts = {
        table.about.data.name: {
            name: table.top1(str(expert)) for name, expert in space.experts.items() if str(expert) in table
        }
        for table in tables
    }
    yield "distribution", figures.distribution(truths, experts)
    yield "operators", figures.operators({t.about.data.name: table_lessons.effects(space, t) for t in tables})
    yield "fidelity", figures.fidelity({t.about.data.name: table_lessons.fidelity(t) for t in tables})
    if pairs := _pairs(tables):
        yield "tasks", figures.agreement(pairs)
    for task, regret in curves.items():
        if regret:
            yield f"regret-{task}", figures.regret(task, regret, baseline)


def _page(
    space: SearchSpace,
    tables: Sequence[Table],
    scores: Scores,
    curves: Mapping[str, Sequence[Regret]],
    folder: str,
    baseline: str,
) -> Iterator[str]:
    yield f"# {space.name}: analysis of its tables"
    yield ""
    yield f"{space.description[0].upper()}{space.description[1:]}: {space.size} architectures."
    yield ""
    yield from _rows(
        ["task", "architectures", "trainings", "by seed", "clips", "epochs", "CPU hours", "table"], _tables(tables)
    )
    yield from _section("Is it informative?")
    yield "Estimated from the architectures with several seeds; best and median are those of all architectures."
    yield ""
    columns = [
        "task",
        "spread of true accuracy",
        "seed noise",
        "standard error",
        "ratio (3)",
        "best − median (5)",
        "τ of two seeds (0.6)",
    ]
    yield from _rows(columns, map(_informative, tables))
    yield "Values are in points of test top-1; required values are in brackets. A search that trains each architecture"
    yield "once cannot distinguish architectures whose difference is below the seed noise."
    ceilings = {table.about.data.name: table_lessons.exhaustive_regret(table) for table in tables}
    known_regrets = [f"{_points(value)} points on {task}" for task, value in ceilings.items() if not math.isnan(value)]
    if known_regrets:
        yield "Exhaustive search (every architecture trained once, the best on search-val selected) has a regret of"
        yield f"{', '.join(known_regrets)}."
    blind_shares = {table.about.data.name: blind_share(table) for table in tables}
    if blind := [f"{share:.0%} on {task}" for task, share in blind_shares.items() if share is not None]:
        yield "Share of networks that are blind to time (shuffled test frames lower their accuracy by no more than the"
        yield f"noise of one training): {', '.join(blind)}."
    yield from _section("Accuracy")
    yield from _picture(folder, "distribution", "Histogram of test accuracies")
    yield from _rows(
        ["task", "lowest", "quarter", "median", "three quarters", "best", "chance"], map(_quartiles, tables)
    )
    yield from _section("Operators and positions")
    yield from _picture(folder, "operators", "Mean gain or loss of each option in each block")
    shares = (f"{table_lessons.additive_share(space, t):.0%} on {t.about.data.name}" for t in tables)
    yield f"Variance explained by an additive model with one effect per option and block: {', '.join(shares)}."
    for table in tables:
        yield from _section(f"The best on {table.about.data.name}")
        columns = ["rank", "architecture", "test top-1", "search-val top-1", "MMACs", *_others(tables, table)]
        yield from _rows(columns, _best(tables, table))
    if pairs := _pairs(tables):
        yield from _section("Tasks")
        for (one, other), values in pairs.items():
            yield f"The rankings of {one} and {other} agree with a Kendall τ of {kendall_tau(*values):.2f}."
        yield ""
        yield from _picture(folder, "tasks", "Accuracy on one task against accuracy on the other")
    yield from _section("Short training")
    yield from _picture(folder, "fidelity", "Kendall τ between accuracy after fewer epochs and true accuracy")
    yield "Each value is taken from a full training after fewer epochs, before its learning rate has decayed."
    yield from _section("Predictors of accuracy without training")
    known = {
        table.about.data.name: table_lessons.predictors(table, scores.get(table.about.data.name, {}))
        for table in tables
    }
    names_of_scores = list(dict.fromkeys(name for values in known.values() for name in values))
    rows = ([task, *(_tau(values.get(name, math.nan)) for name in names_of_scores)] for task, values in known.items())
    yield from _rows(["Kendall τ with test top-1", *names_of_scores], rows)
    for task, regret in curves.items():
        if regret:
            yield from _section(f"Searches on {task}")
            yield from _picture(folder, f"regret-{task}", "Regret against search cost")
            columns = ["strategy", "budget", "runs", "mean final regret", "95 % interval", f"less than {baseline}"]
            columns += ["on search-val", "best found", "τ of its scores"]
            yield from _rows(columns, (_final(one, regret, baseline) for one in regret))
            yield "Regret is the test top-1 of the best architecture minus that of the incumbent, in points. Budgets"
            yield f"are in reference trainings. Less than {baseline}: the regret of {baseline} at the same cost minus"
            yield "this one. On search-val: regret in search-val top-1, which a search sees; the rest is noise. τ is"
            yield "Kendall's, between true accuracies and a search's scores of all architectures, if it has scores."


def _pairs(tables: Sequence[Table]) -> dict[tuple[str, str], tuple[table_lessons.Floats, table_lessons.Floats]]:
    """True accuracies of the architectures that two tables share, by the names of their tasks."""
    return {
        (one.about.data.name, other.about.data.name): table_lessons.shared(one, other)
        for one, other in combinations(tables, 2)
    }


def _section(title: str) -> Iterator[str]:
    yield from ("", f"## {title}", "")


def _picture(folder: str, name: str, words: str) -> Iterator[str]:
    yield from (f"![{words}]({folder}/{name}.png)", "")


def _rows(columns: Sequence[str], rows: Iterable[list[str]]) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---|' * len(columns)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


def _tables(tables: Sequence[Table]) -> Iterator[list[str]]:
    for table in tables:
        about = table.about
        trainings = [t for architecture in table.architectures for t in table.trainings(architecture)]
        yield [
            about.data.name,
            f"{len(table)} of {about.space.architectures}",
            str(len(trainings)),
            ", ".join(f"{seed}: {sum(t.seed == seed for t in trainings)}" for seed in table.seeds),
            f"{about.clips['train']} / {about.clips['val']} / {about.clips['test']}",
            str(about.epochs),
            f"{sum(t.seconds for t in trainings) / 3600:.1f}",
            f"`{table.fingerprint}`",
        ]


def _informative(table: Table) -> list[str]:
    values = sorted(table_lessons.truth(table).tolist())
    gap = _points(values[-1] - values[len(values) // 2])
    noise = table_lessons.noise(table.matrix("test_top1"))
    if noise is None:
        return [table.about.data.name, *["needs two seeds"] * 4, gap, "needs two seeds"]
    return [
        f"{table.about.data.name} ({noise.architectures} × {noise.seeds:.1f})",
        _points(noise.spread),
        _points(noise.seed_deviation),
        _points(noise.standard_error),
        f"{noise.spread / noise.standard_error:.1f}" if noise.standard_error else "–",
        gap,
        _tau(noise.tau),
    ]


def _quartiles(table: Table) -> list[str]:
    values = sorted(table_lessons.truth(table).tolist())
    places = [values[round(share * (len(values) - 1))] for share in (0, 0.25, 0.5, 0.75, 1)]
    return [table.about.data.name, *(f"{value:.1%}" for value in places), f"{1 / len(table.about.data.classes):.1%}"]


def _others(tables: Sequence[Table], table: Table) -> list[str]:
    return [f"rank on {other.about.data.name}" for other in tables if other is not table]


def _best(tables: Sequence[Table], table: Table) -> Iterator[list[str]]:
    ranking = sorted(table.architectures, key=lambda architecture: -table.top1(architecture))
    for rank, architecture in enumerate(ranking[:BEST], 1):
        trainings = table.trainings(architecture)
        val = sum(t.val_top1[-1] for t in trainings) / len(trainings)
        elsewhere = [_rank(other, architecture) for other in tables if other is not table]
        macs = f"{trainings[0].macs / 1e6:.2f}"
        yield [str(rank), f"`{architecture}`", f"{table.top1(architecture):.1%}", f"{val:.1%}", macs, *elsewhere]


def _rank(table: Table, architecture: str) -> str:
    if architecture not in table:
        return "not trained"
    return str(1 + sum(table.top1(other) > table.top1(architecture) for other in table.architectures))


def _final(regret: Regret, of_all: Sequence[Regret], baseline: str) -> list[str]:
    low, high, final = regret.low[-1], regret.high[-1], regret.mean[-1]
    interval = "one run" if math.isnan(low) else f"{100 * low:.2f} to {100 * high:.2f}"
    shown = [regret.entry, f"{regret.budget:g}", str(regret.runs), f"{100 * final:.2f}", interval]
    compared = [one for one in of_all if one.entry == baseline != regret.entry and one.budget >= regret.budget]
    less = [f"{100 * (step_values(one.at, one.mean, [regret.budget])[0] - final):+.2f}" for one in compared]
    return [*shown, *(less[:1] or ["–"]), f"{100 * regret.val:.2f}", f"{regret.best_found:.0%}", _tau(regret.tau)]


def _points(value: float) -> str:
    return f"{100 * value:.1f}"


def _tau(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:+.2f}"
