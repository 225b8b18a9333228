"""How well the scores of searches rank a space: Kendall's τ with the true accuracies of a table.

A supernet, a predictor or a zero-cost score orders the architectures of a table. Beside these stand orders that need no
training (MACs, parameters), random ones, and the ceiling: one training of each network against those of other seeds.
"""

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np

from pvnas_bench.boards.render import markdown_text
from pvnas_bench.boards.statistics import kendall_tau
from pvnas_bench.boards.statistics.ranking import Floats
from pvnas_bench.boards.table_lessons import truth
from pvnas_bench.boards.table_regret import on_table
from pvnas_bench.boards.trajectories import logged
from pvnas_bench.records import Record
from pvnas_bench.table.table import RANKED, Table

LEGEND = (
    "τ: Kendall's τ-b between scores and mean test top-1 of all trainings of each network, the mean over seeds, with "
    f"the bootstrap interval over seeds and networks. A search scores all networks, or {RANKED} random ones. *of the "
    "ceiling*: τ over that of another training. *above MACs*: share of the bootstrap samples in which τ is above that "
    "of the MACs. *loss / chance*: last loss on search-val as a fraction of chance. *search*, *ranking*: cost of the "
    "search, and of the scores, in reference trainings."
)
DRAWS = 1000
"""Bootstrap samples of an interval."""
HEADERS = ("scores", "seeds", "τ [95 %]", "of the ceiling", "above MACs", "loss / chance", "search rt", "ranking rt")
Kind = Literal["search", "known", "random", "ceiling"]


@dataclass(frozen=True)
class Ranks:
    """Rank correlation of one kind of scores with the truth.

    Attributes:
        kind: search: scores of searches; known: a number that needs no training; random: random scores; ceiling: a
            single training of each network against the mean of its other trainings.
        seeds: number of searches, or of seeds in the ceiling.
        tau: mean Kendall τ-b.
        low, high: edges of the 95 % interval: of searches the bootstrap over both seeds and architectures, of known
            scores and of the ceiling over architectures, of random scores the 95 % of them (Kendall 1938).
        above: share of these bootstrap samples in which τ is above that of the MACs; None where it is not compared.
        loss: last held-out loss as a fraction of chance, mean over seeds; nan if it was not logged.
        search, ranking: mean cost of the search and of its scores, in reference trainings.
    """

    name: str
    kind: Kind
    seeds: int
    tau: float
    low: float
    high: float
    above: float | None = None
    loss: float = math.nan
    search: float = math.nan
    ranking: float = math.nan


def rank(records: Iterable[Record], table: Table) -> list[Ranks]:
    """Rank correlations of all searches with scores on this state of a table, best first, then what to compare with.

    Runs whose scoring failed, and runs under a cap that leaves architectures out, are not counted.
    """
    true = truth(table)
    rng = np.random.default_rng(0)
    counts = rng.multinomial(len(true), np.full(len(true), 1 / len(true)), size=DRAWS).astype(float)
    macs = _known(table, "macs")
    macs_taus = _resampled(macs, true, counts)
    runs: dict[str, list[Record]] = defaultdict(list)
    for run in records:
        pairs = run.diagnostics.get("rank_pairs")
        ranked = len(table.ranked(run.seed))
        if run.status == "ok" and on_table(run, table) and isinstance(pairs, list) and len(pairs) == ranked:
            runs[run.strategy.entry].append(run)
    place = {architecture: number for number, architecture in enumerate(table.architectures)}
    found = []
    for name, each in runs.items():
        places = [[place[architecture] for architecture in table.ranked(run.seed)] for run in each]
        found.append(_searches(name, each, places, true, counts, macs_taus, rng))
    found.sort(key=lambda row: (math.inf if math.isnan(row.tau) else -row.tau, row.name))
    chance = 1.96 * math.sqrt(2 * (2 * len(true) + 5) / (9 * len(true) * max(len(true) - 1, 1)))  # Kendall 1938
    rest = [
        _row("MACs only", "known", macs, true, counts),
        _row("parameters only", "known", _known(table, "parameters"), true, counts),
        Ranks("random scores", "random", 0, 0.0, -chance, chance),
    ]
    return found + rest + _ceiling(table, counts)


def _searches(
    name: str,
    runs: Sequence[Record],
    places: Sequence[Sequence[int]],
    true: Floats,
    counts: Floats,
    macs_taus: Floats,
    rng: np.random.Generator,
) -> Ranks:
    scores = [np.array([pair[0] for pair in run.diagnostics["rank_pairs"]], dtype=float) for run in runs]
    taus = [kendall_tau(each, true[at]) for each, at in zip(scores, places, strict=True)]
    picked = rng.integers(len(runs), size=(len(counts), len(runs)))
    each = np.array([_resampled(one, true[at], counts[:, at]) for one, at in zip(scores, places, strict=True)])
    drawn = np.take_along_axis(each, picked.T, 0).mean(0)
    losses = [logged(run, "search_val_loss_of_chance") for run in runs]
    last = [values[-1] for values in losses if values]
    return Ranks(
        name,
        "search",
        len(runs),
        float(np.nanmean(taus)) if not np.all(np.isnan(taus)) else math.nan,
        *_quantiles(drawn),
        float(np.mean(drawn > macs_taus)),
        float(np.mean(last)) if last else math.nan,
        float(np.mean([run.trajectory[-1].cost for run in runs])),
        float(np.mean([run.diagnostics.get("rank_cost", math.nan) for run in runs])),
    )


def _known(table: Table, name: Literal["macs", "parameters"]) -> Floats:
    return np.array([getattr(table.trainings(a)[0], name) for a in table.architectures], dtype=float)


def _row(name: str, kind: Kind, scores: Floats, true: Floats, counts: Floats) -> Ranks:
    return Ranks(name, kind, 1, kendall_tau(scores, true), *_quantiles(_resampled(scores, true, counts)))


def _resampled(scores: Floats, true: Floats, counts: Floats) -> Floats:
    """Kendall's τ-b in bootstrap samples of architectures; nan where one side is constant.

    Over the pairs of a sample, τ-b is Σ sign·sign / √(Σ |sign| · Σ |sign|); the architectures' counts are the weights.

    Args:
        counts: (samples, architectures) how often each architecture is in each sample.
    """
    ones, others = (np.sign(values[:, None] - values) for values in (scores, true))
    pairs, untied, others_untied = (
        np.einsum("sa,sa->s", counts @ signs, counts) for signs in (ones * others, np.abs(ones), np.abs(others))
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(pairs / np.sqrt(untied * others_untied), np.float64)


def _quantiles(values: Sequence[float] | Floats) -> tuple[float, float]:
    low, high = np.nanquantile(values, (0.025, 0.975)) if not np.all(np.isnan(values)) else (math.nan, math.nan)
    return float(low), float(high)


def _ceiling(table: Table, counts: Floats) -> list[Ranks]:
    """τ of a network's first training with the mean of its others, over the networks that have several."""
    trainings = table.matrix("test_top1")
    several = trainings[(~np.isnan(trainings)).sum(1) > 1]
    if len(several) < 3:
        return []
    one, others = several[:, 0], np.nanmean(several[:, 1:], axis=1)
    drawn = _resampled(one, others, counts[:, (~np.isnan(trainings)).sum(1) > 1])
    return [Ranks("another training", "ceiling", trainings.shape[1], kendall_tau(one, others), *_quantiles(drawn))]


# --- as a page --------------------------------------------------------------------------------------------------------


def to_markdown(rows: Sequence[Ranks], table: Table) -> str:
    """Render rank correlations as Markdown: a heading, a table, and what its columns mean."""
    about = table.about
    ceiling = next((row.tau for row in rows if row.kind == "ceiling"), math.nan)
    lines = [
        f"### {markdown_text(about.space.name)} · {markdown_text(about.data.name)}: {len(table):,} networks",
        "",
        "| " + " | ".join(HEADERS) + " |",
        "|" + " --- |" * len(HEADERS),
        *("| " + " | ".join(_cells(row, ceiling)) + " |" for row in rows),
        "",
        LEGEND,
        "",
    ]
    return "\n".join(lines)


def _cells(row: Ranks, ceiling: float) -> list[str]:
    searched = row.kind == "search"
    return [
        markdown_text(row.name),
        str(row.seeds) if row.kind in ("search", "ceiling") else "",
        "–" if math.isnan(row.tau) else f"{row.tau:+.2f} [{row.low:+.2f}, {row.high:+.2f}]",
        f"{row.tau / ceiling:.2f}" if searched and ceiling > 0 and not math.isnan(row.tau) else "",
        "" if row.above is None else f"{100 * row.above:.1f} %",
        *("" if math.isnan(value) else f"{value:.2f}" for value in (row.loss, row.search, row.ranking)),
    ]


def to_json(rows: Sequence[Ranks]) -> str:
    """Render rank correlations as a JSON array; what is not known is null."""
    finite = [
        {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in asdict(row).items()}
        for row in rows
    ]
    return json.dumps(finite, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
