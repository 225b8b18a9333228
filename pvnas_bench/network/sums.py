"""Costs as sums over independent places, and the best architecture under several caps by dynamic programming."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from pvnas_bench.space import INACTIVE, Architecture, Caps, Costed, Limit, SearchSpace

Floats = npt.NDArray[np.float64]
LABELS = 1024
"""Most partial architectures that the search keeps after each place."""
FINEST = 1024
"""Intervals up to each cap at first; halved while more than `LABELS` partial architectures differ."""
ROUNDING = 1e-12
"""Relative error of a sum of latencies, whose order differs between the search and a cost model."""


@dataclass(frozen=True)
class Place:
    """One slot or cell: its decisions, its candidates' options (tuples), and the cost of each."""

    members: tuple[int, ...]
    candidates: tuple[tuple[int, ...], ...]
    costs: Mapping[Any, Costed]


@dataclass(frozen=True)
class Chain:
    """Places of which the first few exist: the depth is one decision, an option for each number of places."""

    decision: int
    depths: tuple[int, ...]
    places: tuple[Place, ...]


@dataclass(frozen=True)
class Sum:
    """All architectures of one input: a fixed cost, plus that of the places that exist.

    Attributes:
        chosen: options of the input's decisions.
    """

    chosen: Mapping[int, int]
    fixed: Costed
    chains: tuple[Chain, ...]


@dataclass(frozen=True)
class Scores:
    """Additive scores of a `Sum`'s architectures, higher is better.

    Attributes:
        fixed: of the input.
        depths: per chain, by depth option.
        places: per chain and place, by candidate.
    """

    fixed: float
    depths: tuple[Floats, ...]
    places: tuple[tuple[Floats, ...], ...]


class Summed(Protocol):
    """A cost model whose costs are sums."""

    @property
    def space(self) -> SearchSpace:
        """The space."""

    def sums(self) -> Iterator[Sum]:
        """The costs as sums, one for each input."""

    def __call__(self, architecture: Architecture) -> Costed:
        """The cost of an architecture."""


def best_sum(
    costs: Summed, caps: Caps, scored: Callable[[Sum], Scores], labels: int | None = LABELS
) -> Architecture | None:
    """The architecture of the highest score under all caps; None: there is none.

    Args:
        scored: the scores of the architectures of one input.
        labels: partial architectures kept after each place, at most; it bounds the work. The result is under the caps,
            and may miss the optimum by the score that one interval of a cap per place buys. None: exact.
    """
    options = [(total, scored(total)) for total in costs.sums()]
    options = [(total, scores) for total, scores in options if scores.fixed > -np.inf]
    options.sort(key=lambda pair: -_most(*pair))  # stable
    best: tuple[float, tuple[int, ...]] | None = None
    for total, scores in options:
        floor = best[0] if best else -np.inf
        if _most(total, scores) <= floor:
            break
        best = _Search(total, scores, caps, labels, len(costs.space.decisions)).run(floor) or best
    if best is not None:
        return costs.space.architecture(best[1])
    return lightest(costs, caps) if labels is not None and _anything(options) else None


def _anything(options: Sequence[tuple[Sum, Scores]]) -> bool:
    """Return True if no architecture is excluded by its score."""
    return all(
        np.isfinite(scores.fixed)
        and all(np.isfinite(row).all() for row in scores.depths)
        and all(np.isfinite(row).all() for places in scores.places for row in places)
        for _, scores in options
    )


def lightest(costs: Summed, caps: Caps) -> Architecture | None:
    """An architecture under all caps; None: there is none, which is exact."""
    decisions = len(costs.space.decisions)
    for total in costs.sums():
        for weights in _weightings(len(caps.limits)):
            architecture = costs.space.architecture(_lightest_sum(total, caps, weights, decisions))
            if caps.allow(costs(architecture)):
                return architecture
    for total in costs.sums():
        found = _Search(total, scores_of(total, lambda _: 0.0), caps, None, decisions).run(-np.inf)
        if found is not None:
            return costs.space.architecture(found[1])
    return None


def _weightings(caps: int) -> Iterator[tuple[float, ...]]:
    """Weights of several caps that sum to 1, on a grid of tenths."""
    for tenths in product(range(11), repeat=caps):
        if sum(tenths) == 10:
            yield tuple(count / 10 for count in tenths)


def _lightest_sum(total: Sum, caps: Caps, weights: Sequence[float], decisions: int) -> list[int]:
    """Options of the architecture of the least weighted sum of costs over caps, at one input."""

    def load(cost: Costed) -> float:
        return sum(w * limit.of(cost) / limit.most for w, limit in zip(weights, caps.limits, strict=True))

    choices = [0] * decisions
    for decision, option in total.chosen.items():
        choices[decision] = option
    for chain in total.chains:
        cheapest = [min(place.candidates, key=lambda c, p=place: load(p.costs[c])) for place in chain.places]  # type: ignore[misc]
        for place, candidate in zip(chain.places, cheapest, strict=True):
            for decision, option in zip(place.members, candidate, strict=True):
                choices[decision] = max(option, 0)
        choices[chain.decision] = chain.depths.index(min(chain.depths))
    return choices


def least(costs: Summed, key: str, caps: Caps) -> float:
    """About the least of one quantity (see `KEYS`) under caps that an architecture meets."""
    limit = Limit(key, 0.0)
    found = best_sum(costs, caps, lambda total: scores_of(total, lambda cost: -limit.of(cost)))
    assert found is not None
    return limit.of(costs(found))


def most_macs(costs: Summed, caps: Caps) -> int:
    """About the most MACs under caps that an architecture meets."""
    found = best_sum(costs, caps, lambda total: scores_of(total, lambda cost: cost.macs))
    assert found is not None
    return costs(found).macs


def scores_of(total: Sum, value: Callable[[Costed], float]) -> Scores:
    """Scores that add up to a quantity of the cost."""
    return Scores(
        value(total.fixed),
        tuple(np.zeros(len(chain.depths)) for chain in total.chains),
        tuple(
            tuple(np.array([value(place.costs[c]) for c in place.candidates]) for place in chain.places)
            for chain in total.chains
        ),
    )


def _most(total: Sum, scores: Scores) -> float:
    """An upper bound of the score."""
    most = scores.fixed
    for chain, depths, places in zip(total.chains, scores.depths, scores.places, strict=True):
        reach = np.concatenate([[0.0], np.cumsum([row.max() for row in places])])
        most += float(max(score + reach[depth] for score, depth in zip(depths, chain.depths, strict=True)))
    return most


@dataclass(frozen=True)
class _Labels:
    """Partial architectures: weights (n, caps), scores (n,), choices (n, decisions)."""

    weights: Floats
    scores: Floats
    choices: npt.NDArray[np.int16]

    def take(self, which: npt.NDArray[np.intp] | npt.NDArray[np.bool_]) -> "_Labels":
        return _Labels(self.weights[which], self.scores[which], self.choices[which])


class _Search:
    """Label-setting over the places of one input, with bounds on what the rest costs and scores."""

    def __init__(self, total: Sum, scores: Scores, caps: Caps, labels: int | None, decisions: int) -> None:
        self._total, self._scores, self._labels, self._decisions = total, scores, labels, decisions
        self._limits = caps.limits
        self._most = np.array([limit.most * (1 - ROUNDING * (limit.key == "latency")) for limit in self._limits])

    def _weights(self, costs: Sequence[Costed]) -> Floats:
        return np.array([[limit.of(cost) for limit in self._limits] for cost in costs], dtype=np.float64).reshape(
            len(costs), len(self._limits)
        )

    def run(self, floor: float) -> tuple[float, tuple[int, ...]] | None:
        """The best score above the floor, with its options."""
        total, scores = self._total, self._scores
        weights = [
            [self._weights([place.costs[c] for c in place.candidates]) for place in chain.places]
            for chain in total.chains
        ]
        after = self._after(weights)
        start = np.full((1, self._decisions), INACTIVE, dtype=np.int16)
        for decision, option in total.chosen.items():
            start[0, decision] = option
        labels = _Labels(self._weights([total.fixed]), np.array([scores.fixed]), start)
        for c, chain in enumerate(total.chains):
            ends: dict[int, _Labels] = {}
            if 0 in chain.depths:
                ends[0] = labels
            for p, place in enumerate(chain.places):
                extended = _extended(labels, place, weights[c][p], scores.places[c][p])
                labels = self._reduced(extended, *after[c][p], floor)
                if p + 1 in chain.depths:
                    ends[p + 1] = labels
            joined = _joined(ends, chain, scores.depths[c])
            labels = self._reduced(joined, *after[c + 1][-1], floor)
        if not len(labels.scores):
            return None
        i = int(labels.scores.argmax())
        return float(labels.scores[i]), tuple(int(choice) for choice in labels.choices[i])

    def _after(self, weights: Sequence[Sequence[Floats]]) -> list[list[tuple[Floats, float]]]:
        """Least weights and highest score of what follows: after each place of each chain, and before each chain.

        The last entry of a chain's list is for its start, and there is one more chain for the end.
        """
        nothing = np.zeros(len(self._limits))
        later: tuple[Floats, float] = (nothing, 0.0)
        result: list[list[tuple[Floats, float]]] = [[later]]
        for c in reversed(range(len(self._total.chains))):
            chain, depth_scores = self._total.chains[c], self._scores.depths[c]
            least = [row.min(0) for row in weights[c]]
            most = [float(row.max()) for row in self._scores.places[c]]
            bounds = []
            for reached in [*range(1, len(chain.places) + 1), 0]:
                options = [
                    (sum(least[reached:depth], nothing), float(score) + sum(most[reached:depth]))
                    for depth, score in zip(chain.depths, depth_scores, strict=True)
                    if depth >= reached
                ]
                weight = np.min([w for w, _ in options], axis=0)
                bounds.append((weight + later[0], max(s for _, s in options) + later[1]))
            later = bounds[-1]
            result.insert(0, bounds)
        return result

    def _reduced(self, labels: _Labels, least: Floats, most: float, floor: float) -> _Labels:
        """Labels that can still be completed above the floor; non-dominated, and at most so many."""
        fits = (labels.weights + least <= self._most).all(1) & (labels.scores + most > floor)
        labels = labels.take(fits & (labels.scores > -np.inf))
        if self._labels is not None and len(labels.scores) > self._labels:
            labels = labels.take(self._buckets(labels, self._labels))
        return labels.take(_nondominated(labels)) if len(labels.scores) > 1 else labels

    def _buckets(self, labels: _Labels, most: int) -> npt.NDArray[np.intp]:
        """The best label of each interval of every cap."""
        order = np.lexsort((*labels.weights.T, -labels.scores))
        shares = labels.weights[order] / self._most
        resolution = FINEST
        while True:
            keys = np.zeros(len(order), dtype=np.int64)
            for column in np.floor(shares * resolution).astype(np.int64).T:
                keys = keys * (resolution + 1) + column
            _, first = np.unique(keys, return_index=True)
            if len(first) <= most or resolution == 1:
                return order[first]
            resolution //= 2


def _nondominated(labels: _Labels) -> npt.NDArray[np.bool_]:
    from moocore import is_nondominated

    points = np.column_stack([labels.weights, -labels.scores])
    return np.asarray(is_nondominated(points, keep_weakly=False), np.bool_)


def _extended(labels: _Labels, place: Place, weights: Floats, scores: Floats) -> _Labels:
    """Every label with every candidate of a place."""
    n, k = len(labels.scores), len(scores)
    choices = np.repeat(labels.choices, k, axis=0)
    choices[:, list(place.members)] = np.tile(np.array(place.candidates, dtype=np.int16), (n, 1))
    return _Labels(
        (labels.weights[:, None] + weights).reshape(n * k, weights.shape[1]),
        (labels.scores[:, None] + scores).ravel(),
        choices,
    )


def _joined(ends: Mapping[int, _Labels], chain: Chain, scores: Floats) -> _Labels:
    """The union over the depths of a chain."""
    parts = []
    for option, depth in enumerate(chain.depths):
        choices = ends[depth].choices.copy()
        choices[:, chain.decision] = option
        parts.append(_Labels(ends[depth].weights, ends[depth].scores + scores[option], choices))
    return _Labels(
        np.concatenate([part.weights for part in parts]),
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.choices for part in parts]),
    )
