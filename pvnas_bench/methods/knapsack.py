"""The best architecture of additive scores under caps: a multiple-choice knapsack, by dynamic programming.

A single cap on MACs has a search of its own, which is exact up to intervals of the cap; several caps share
`pvnas_bench.network.sums`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pvnas_bench.network.cost import Candidate, Cost, CostModel, candidates
from pvnas_bench.network.sums import LABELS, Scores, Sum, best_sum
from pvnas_bench.space import INACTIVE, Architecture, Caps, SearchSpace

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Ties = Mapping[str, Floats]
"""A preference among the options of each decision, by its name, that decides between equal scores."""
TIE = 1e-5
"""Largest preference of a tie-break; scores are log-probabilities, whose rounding error is a hundredth of it."""


@dataclass(frozen=True)
class CandidateScores:
    """Additive scores of a block space's architectures.

    Attributes:
        frames, size: scores per option.
        depths: scores per stage and option.
        slots: scores per slot and candidate; a slot beyond the depth of its stage adds nothing.
    """

    frames: Floats
    size: Floats
    depths: tuple[Floats, ...]
    slots: tuple[Mapping[Candidate, float], ...]


def decision_scores(costs: CostModel, by_decision: Mapping[str, Floats]) -> CandidateScores:
    """Sum the scores of options over existing decisions to scores of candidates."""
    space = costs.space
    slots = []
    for slot in space.slots:
        parts = [by_decision[f"{kind}.{slot.name}"] for kind in ("operator", "expansion", "se")]
        slots.append(
            {
                choice: float(sum(part[o] for part, o in zip(parts, choice, strict=True) if o != INACTIVE))
                for choice, _ in candidates(space, slot)
                if choice[0] != INACTIVE
            }
        )
    depths = tuple(by_decision[f"depth.{s}"] for s in range(1, len(space.stages) + 1))
    return CandidateScores(by_decision["frames"], by_decision["size"], depths, tuple(slots))


def break_ties(space: SearchSpace, rng: np.random.Generator) -> Ties:
    """A random order of each decision's options, as scores from -`TIE` to 0.

    Without it, the first of equally probable options is chosen, and the cheapest of equally probable architectures.
    """
    draws = {decision.name: rng.uniform(0.0, TIE, len(decision.options)) for decision in space.decisions}
    return {name: draw - draw.max() for name, draw in draws.items()}


def _with_ties(costs: CostModel, scores: CandidateScores, ties: Ties) -> CandidateScores:
    added = decision_scores(costs, ties)
    return CandidateScores(
        scores.frames + added.frames,
        scores.size + added.size,
        tuple(own + more for own, more in zip(scores.depths, added.depths, strict=True)),
        tuple(
            {choice: score + more[choice] for choice, score in own.items()}
            for own, more in zip(scores.slots, added.slots, strict=True)
        ),
    )


@dataclass(frozen=True)
class _Front:
    """Partial architectures that are non-dominated in MACs and score; choices have shape (n, decisions)."""

    macs: Ints
    score: Floats
    choices: npt.NDArray[np.int8]

    def best(self, cap: int, quantum: int) -> "_Front":
        """Keep the non-dominated partial architectures under the cap, only the best per quantum of MACs."""
        order = np.lexsort((-self.score, self.macs))
        order = order[self.macs[order] <= cap]
        before = np.maximum.accumulate(np.concatenate([[-np.inf], self.score[order]]))[:-1]
        selected = order[self.score[order] > before]
        if quantum > 1 and len(selected):
            bucket = self.macs[selected] // quantum
            selected = selected[np.append(bucket[1:] != bucket[:-1], True)]
        return _Front(self.macs[selected], self.score[selected], self.choices[selected])


def best_under_caps(
    costs: CostModel,
    caps: Caps,
    scores: CandidateScores,
    resolution: int | None = 2048,
    ties: Ties | None = None,
) -> Architecture:
    """The architecture of the highest score under all caps.

    Args:
        resolution: number of intervals up to a cap on MACs, with one partial architecture each; under several caps the
            partial architectures are at most half as many. It bounds the work: the result is under the caps, and may
            miss the optimum by the score that one interval per slot buys. None: exact.
        ties: preference among options of equal scores, from `break_ties`; None: fewer MACs.

    Raises:
        ValueError: no architecture is under the caps.
    """
    found = None
    scores = scores if ties is None else _with_ties(costs, scores, ties)
    if caps.only_macs and caps.macs is not None:
        found = _best_under_macs(costs, caps.macs, scores, resolution)
    if found is None:
        labels = None if resolution is None else min(max(resolution // 2, 1), LABELS)
        found = best_sum(costs, caps, lambda total: _scores(costs, scores, total), labels)
    if found is None:
        raise ValueError(f"no architecture of {costs.space.name} is under {caps}")
    return found


def _scores(costs: CostModel, scores: CandidateScores, total: Sum) -> Scores:
    """The scores of one input."""
    space = costs.space
    frames, size = (total.chosen[space.position(name)] for name in ("frames", "size"))
    places = iter(scores.slots)
    return Scores(
        float(scores.frames[frames] + scores.size[size]),
        scores.depths,
        tuple(
            tuple(
                np.array([by_candidate.get((o, e, a), -np.inf) for o, e, a in place.candidates])
                for place, by_candidate in zip(chain.places, places, strict=False)
            )
            for chain in total.chains
        ),
    )


def _best_under_macs(
    costs: CostModel, cap: int, scores: CandidateScores, resolution: int | None
) -> Architecture | None:
    """`best_under_caps` for MACs only; None: the search has lost every architecture."""
    quantum = 1 if resolution is None else max(cap // resolution, 1)
    space, best = costs.space, None
    for f in range(len(space.frames)):
        for s in range(len(space.sizes)):
            front = _fronts(costs, cap, scores, f, s, quantum)
            if len(front.score):
                i = int(front.score.argmax())
                score = float(front.score[i] + scores.frames[f] + scores.size[s])
                if best is None or score > best[0]:
                    best = score, [f, s, *front.choices[i, 2:].tolist()]
    return None if best is None else space.architecture(best[1])


def _fronts(costs: CostModel, cap: int, scores: CandidateScores, f: int, s: int, quantum: int) -> _Front:
    """Non-dominated architectures at one (frames, size)."""
    space, table = costs.space, costs.tables[f][s]
    nothing = np.full((1, len(space.decisions)), INACTIVE, dtype=np.int8)
    front = _Front(np.array([table.fixed.macs]), np.zeros(1), nothing)
    ends: list[_Front] = []
    for slot, slot_costs, slot_scores in zip(space.slots, table.slots, scores.slots, strict=True):
        front = _extended(front, space.groups[slot.name], slot_costs, slot_scores).best(cap, quantum)
        ends.append(front)
        depths = space.stages[slot.stage - 1].depths
        if slot.index == max(depths):
            front = _any_depth(ends, depths, scores.depths[slot.stage - 1], 1 + slot.stage).best(cap, quantum)
            ends = []
    return front


def _extended(
    front: _Front, members: Sequence[int], costs: Mapping[Candidate, Cost], scores: Mapping[Candidate, float]
) -> _Front:
    """Extend every partial architecture by every candidate of the next slot."""
    options = np.array(list(scores), dtype=np.int8)
    block = _Front(
        np.array([costs[choice].macs for choice in scores], dtype=np.int64), np.array(list(scores.values())), options
    ).best(np.iinfo(np.int64).max, 1)
    n, k = len(front.score), len(block.score)
    choices = np.repeat(front.choices, k, axis=0)
    choices[:, list(members)] = np.tile(block.choices, (n, 1))
    return _Front((front.macs[:, None] + block.macs).ravel(), (front.score[:, None] + block.score).ravel(), choices)


def _any_depth(ends: Sequence[_Front], depths: Sequence[int], scores: Floats, decision: int) -> _Front:
    """Merge the fronts of all depths of a stage; `ends[b]` has the partial architectures after b + 1 blocks."""
    parts = []
    for option, depth in enumerate(depths):
        end = ends[depth - 1]
        choices = end.choices.copy()
        choices[:, decision] = option
        parts.append(_Front(end.macs, end.score + scores[option], choices))
    return _Front(
        np.concatenate([part.macs for part in parts]),
        np.concatenate([part.score for part in parts]),
        np.concatenate([part.choices for part in parts]),
    )
