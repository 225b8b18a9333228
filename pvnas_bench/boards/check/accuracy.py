"""Accuracy over seeds: tests if the fresh mean is below the baseline's by more than the margin."""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from pvnas_bench.boards import statistics
from pvnas_bench.boards.check.findings import Finding, board, seed_scores
from pvnas_bench.records import Record
from pvnas_bench.system.text import counted


def accuracy(
    pairs: Sequence[tuple[Sequence[Record], Sequence[Record]]], margin: float, alpha: float
) -> Iterator[Finding]:
    """Test the accuracy of all entries together; yield a finding for each.

    An entry with so few seeds and test clips that even an accuracy of 0 would pass is skipped: its test has no power.
    """
    sides = [(reference[0], seed_scores(fresh), seed_scores(reference)) for fresh, reference in pairs]
    powerless, tested = _by_power([side for side in sides if side[1] and side[2]], margin, alpha)
    for record, ours, theirs, least in powerless:
        seeds, clips = counted(min(len(ours), len(theirs)), "seed"), counted(_test_clips(record), "test clip")
        yield Finding(
            "skipped",
            "accuracy",
            board(record),
            record.strategy.entry,
            "test top-1",
            f"{100 * np.mean(list(theirs.values())):.2f} %",
            f"{100 * np.mean(list(ours.values())):.2f} %",
            f"no power: with {seeds} of {clips} even a top-1 of 0 would pass (p = {least:.2g}): run more seeds",
        )
    adjusted = statistics.holm(
        [worse_p(theirs, ours, margin, _test_clips(record)) for record, ours, theirs, _ in tested]
    )
    for (record, ours, theirs, _), p in zip(tested, adjusted.tolist(), strict=True):
        before, after = float(np.mean(list(theirs.values()))), float(np.mean(list(ours.values())))
        change = f"mean top-1 {100 * (after - before):+.2f} points over {len(theirs)} and {counted(len(ours), 'seed')}"
        yield Finding(
            "regressed" if p < alpha else "ok",
            "accuracy",
            board(record),
            record.strategy.entry,
            "test top-1",
            f"{100 * before:.2f} %",
            f"{100 * after:.2f} %",
            f"{change}, p = {p:.2g} of a loss beyond {100 * margin:g} points",
        )


_Side = tuple[Record, dict[int, float], dict[int, float]]
_Tested = tuple[Record, dict[int, float], dict[int, float], float]


def _by_power(sides: Sequence[_Side], margin: float, alpha: float) -> tuple[list[_Tested], list[_Tested]]:
    """Divide entries into those whose test has no power and the others; each with the p value of an accuracy of 0.

    The division does not depend on fresh scores, so leaving entries out does not bias the tests of the others.
    """
    powered: list[_Tested] = []
    for record, ours, theirs in sides:
        least = worse_p(theirs, dict.fromkeys(ours, 0.0), margin, _test_clips(record))
        powered.append((record, ours, theirs, least))
    powerless: list[_Tested] = []
    while weak := [one for one in powered if one[-1] * len(powered) >= alpha]:
        weakest = max(weak, key=lambda one: one[-1])
        powered.remove(weakest)
        powerless.append(weakest)
    return powerless, powered


def _test_clips(record: Record) -> int:
    return max(record.data.clips.get("test", 1), 1)


def worse_p(reference: Mapping[int, float], fresh: Mapping[int, float], margin: float, clips: int) -> float:
    """p value of the one-sided test that the fresh mean is below the reference mean by more than the margin.

    It is twice the smaller p value of two t tests: one of the differences of shared seeds, which is powerful if a seed
    determines most of a run, and one of two samples with pooled variance, which uses every seed. With a single run on
    each side it is a test of two proportions. Since a score is a count of clips, standard deviations are at least one
    clip.

    Args:
        reference, fresh: score of each seed.
        margin: tolerated loss, a fraction.
        clips: number of test clips of each score.
    """
    before, after = np.array(list(reference.values())), np.array(list(fresh.values()))
    if len(before) + len(after) == 2:
        variance = float(before[0] * (1 - before[0]) + after[0] * (1 - after[0])) / clips
        error = max(math.sqrt(variance), 1 / clips)
        return 0.5 * math.erfc(float(before[0] - after[0] - margin) / error / math.sqrt(2))
    p_values = [
        _t_p(before.mean() - after.mean() - margin, _pooled(before, after, clips), len(before) + len(after) - 2)
    ]
    shared = sorted(reference.keys() & fresh.keys())
    if len(shared) > 1:
        loss = np.array([reference[seed] - fresh[seed] for seed in shared])
        error = max(float(loss.std(ddof=1)), 1 / clips) / math.sqrt(len(shared))
        p_values.append(_t_p(loss.mean() - margin, error, len(shared) - 1))
    return min(1.0, len(p_values) * min(p_values))


def _pooled(first: statistics.Floats, second: statistics.Floats, clips: int) -> float:
    """Standard error of the difference of two means, from the variance within both."""
    squares = float(((first - first.mean()) ** 2).sum() + ((second - second.mean()) ** 2).sum())
    deviation = max(math.sqrt(squares / (len(first) + len(second) - 2)), 1 / clips)
    return deviation * math.sqrt(1 / len(first) + 1 / len(second))


def _t_p(shortfall: float, error: float, freedom: int) -> float:
    from scipy.special import stdtr

    return float(stdtr(freedom, -float(shortfall) / error))
