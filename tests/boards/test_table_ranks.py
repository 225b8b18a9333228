"""Rank correlations of scores with a synthetic table whose truth is known."""

import json
import math
from dataclasses import asdict
from typing import Any

import made_up
import numpy as np
import pytest
from record_factory import record
from scipy.stats import kendalltau

from pvnas_bench import registry
from pvnas_bench.boards import table_ranks
from pvnas_bench.boards.table_lessons import truth
from pvnas_bench.boards.table_ranks import Ranks, rank, to_json, to_markdown
from pvnas_bench.records import Record
from pvnas_bench.table import Table

SPACE = registry.get_space("st_micro")


@pytest.fixture(scope="module")
def table() -> Table:
    content = made_up.content(SPACE, seeds=3, sample=60, noise=0.05)
    assert content.about is not None
    return Table(content.about, content.sessions, content.trainings, SPACE)


def searched(table: Table, entry: str, seed: int, scores: Any, **diagnostics: Any) -> Record:
    """A record of a search on the table whose scores of its architectures are these."""
    made = record(entry, seed, 0.5)
    pairs = [[float(score), top1] for score, top1 in zip(scores, truth(table), strict=True)]
    return made.model_copy(
        update={
            "space": made.space.model_copy(update={"name": table.about.space.name}),
            "data": made.data.model_copy(update={"fingerprint": table.about.data.fingerprint}),
            "protocol": made.protocol.model_copy(update={"fingerprint": f"micro@1:{table.fingerprint}"}),
            "diagnostics": {"rank_pairs": pairs, "rank_cost": 0.5, **diagnostics},
        }
    )


def row(rows: list[Ranks], name: str) -> Ranks:
    (found,) = [each for each in rows if each.name == name]
    return found


def test_tau_is_scipys_and_the_mean_over_seeds(table: Table) -> None:
    true, rng = truth(table), np.random.default_rng(0)
    noisy = [true + rng.normal(0, 0.1, len(true)) for _ in range(3)]
    runs = [searched(table, "a", seed, scores) for seed, scores in enumerate(noisy)]
    runs += [searched(table, "b", 0, true), searched(table, "c", 0, -true)]
    rows = rank(runs, table)
    assert [each.name for each in rows[:3]] == ["b", "a", "c"]
    assert row(rows, "a").tau == pytest.approx(np.mean([kendalltau(scores, true).statistic for scores in noisy]))
    assert (row(rows, "b").tau, row(rows, "c").tau) == pytest.approx((1, -1))
    assert (row(rows, "a").seeds, row(rows, "a").ranking) == (3, 0.5)
    assert row(rows, "b").above == 1 and row(rows, "c").above == 0


def test_the_interval_covers_the_tau_of_new_architectures_and_seeds() -> None:
    """Of simulated experiments, each with scores of known τ."""
    rng, covered = np.random.default_rng(1), []
    exact = 2 / math.pi * math.asin(1 / math.sqrt(2))  # of normal scores with correlation 1/√2
    content = made_up.content(SPACE, seeds=1, sample=60, noise=0.0)
    assert content.about is not None
    for _ in range(40):
        quality = rng.normal(0.5, 0.05, len(content.trainings))
        trainings = [t._replace(test_top1=float(q)) for t, q in zip(content.trainings, quality, strict=True)]
        table = Table(content.about, content.sessions, trainings, SPACE)
        scores = truth(table) + rng.normal(0, 0.05, len(table))
        found = rank([searched(table, "a", 0, scores)], table)[0]
        covered.append(found.low <= exact <= found.high)
    assert sum(covered) >= 34


def test_tau_of_a_bootstrap_sample_is_scipys_of_the_repeated_architectures() -> None:
    rng = np.random.default_rng(2)
    scores, true = rng.integers(9, size=30).astype(float), rng.random(30).round(1)
    picked = rng.integers(30, size=(20, 30))
    counts = np.array([np.bincount(sample, minlength=30) for sample in picked], dtype=float)
    expected = [kendalltau(scores[sample], true[sample]).statistic for sample in picked]
    assert table_ranks._resampled(scores, true, counts) == pytest.approx(expected)


def test_orders_without_training_and_the_ceiling_stand_beside_the_searches(table: Table) -> None:
    rows = rank([], table)
    assert [each.kind for each in rows] == ["known", "known", "random", "ceiling"]
    macs = [table.trainings(a)[0].macs for a in table.architectures]
    assert row(rows, "MACs only").tau == pytest.approx(kendalltau(macs, truth(table)).statistic)
    random = row(rows, "random scores")
    rng = np.random.default_rng(0)
    drawn = [kendalltau(rng.permutation(60), truth(table)).statistic for _ in range(2000)]
    assert (random.low, random.high) == pytest.approx(np.quantile(drawn, (0.025, 0.975)), abs=0.02)
    tops = table.matrix("test_top1")
    ceiling = row(rows, "another training")
    assert ceiling.tau == pytest.approx(kendalltau(tops[:, 0], tops[:, 1:].mean(1)).statistic)
    assert ceiling.low < ceiling.tau < ceiling.high


def test_a_search_on_a_large_table_is_compared_on_the_architectures_that_it_scored(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pvnas_bench.table.table.RANKED", 12)
    samples = [table.ranked(seed) for seed in (0, 1)]
    assert samples[0] != samples[1] and samples[0] == table.ranked(0)
    assert all(len(set(sample)) == 12 and set(sample) < set(table.architectures) for sample in samples)
    rng, taus, runs = np.random.default_rng(5), [], []
    for seed, sample in enumerate(samples):
        known = [table.top1(architecture) for architecture in sample]
        scores = np.array(known) + 0.05 * rng.standard_normal(12)
        taus.append(kendalltau(scores, known).statistic)
        pairs = [list(pair) for pair in zip(scores, known, strict=True)]
        runs.append(searched(table, "spos", seed, truth(table), rank_pairs=pairs))
    found = row(rank(runs, table), "spos")
    assert found.seeds == 2 and found.tau == pytest.approx(np.mean(taus))
    assert found.low < found.tau < found.high


def test_runs_that_did_not_score_the_whole_table_are_left_out(table: Table) -> None:
    good = searched(table, "a", 0, truth(table))
    failed = good.model_copy(update={"diagnostics": {"rank_error": "MemoryError: "}})
    part = good.model_copy(update={"diagnostics": {"rank_pairs": good.diagnostics["rank_pairs"][:9]}})
    elsewhere = good.model_copy(update={"protocol": good.protocol.model_copy(update={"fingerprint": "x:other"})})
    assert [each.kind for each in rank([failed, part, elsewhere], table)] == ["known", "known", "random", "ceiling"]
    constant = searched(table, "flat", 0, np.ones(len(table)))
    (flat,) = [each for each in rank([constant], table) if each.kind == "search"]
    assert math.isnan(flat.tau) and flat.above == 0


def test_the_page_and_the_json_say_the_same(table: Table) -> None:
    rows = rank([searched(table, "a|b", 0, truth(table)), searched(table, "flat", 0, np.ones(len(table)))], table)
    page = to_markdown(rows, table)
    assert r"| a\|b | 1 | +1.00 [+1.00, +1.00] |" in page
    assert "| flat | 1 | – |" in page
    assert "60 networks" in page
    found = json.loads(to_json(rows))
    assert found[0]["tau"] == pytest.approx(asdict(rows[0])["tau"])
    assert {each["name"]: each["tau"] for each in found}["flat"] is None
