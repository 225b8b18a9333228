"""Candidates of an edge: what they share, what trains, and what a state has."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from driven import Driven

from pvnas_bench import CellSpace, Problem, TemporalNetwork
from pvnas_bench.methods import EdgeCandidates
from pvnas_bench.runs.states import decode, encode
from pvnas_bench.spaces.st_temporal_cell import SPACE

IDLE = SPACE.parse("8-2-32/none-skip-_/none-skip-_/_")
OPERATORS = {token: SPACE.parse(f"8-2-32/none-skip-_/none-{token}-_/_") for token in ("skip", "t3", "max3")}


@pytest.fixture
def problem(tiny_dataset: Path) -> Problem[CellSpace]:
    driven: Problem[CellSpace] = Driven("random_search", tiny_dataset, 4.0, space="st_temporal_cell").problem
    return driven


def train(problem: Problem[CellSpace], current: EdgeCandidates) -> None:
    """One step of each candidate."""
    for network, batch in zip(current.candidates.values(), problem.repeated_batches("train"), strict=False):
        problem.backward(F.cross_entropy(problem.metered.logits(network, batch), batch.labels))
        problem.update(current.optimiser)


def values(network: TemporalNetwork) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in network.named_parameters()}


def test_candidates_share_all_but_their_operator_and_all_before_the_cell_is_frozen(problem: Problem[CellSpace]) -> None:
    current = EdgeCandidates(problem, IDLE)
    current.begin((2, (0, 2)), OPERATORS)
    before = {operator: values(network) for operator, network in current.candidates.items()}
    train(problem, current)
    shared = dict(current.network.named_parameters())
    for operator, network in current.candidates.items():
        for name, parameter in network.named_parameters():
            assert (parameter is shared.get(name)) == (".edges." not in name)
            frozen = name.startswith(("projection.", "norm.", "cells.0."))
            assert torch.equal(parameter, before[operator][name]) == frozen, name
    assert current.choose("t3") == OPERATORS["t3"] and current.candidates == {}
    assert "cells.1.edges.02.depthwise" in dict(current.network.named_parameters())


@pytest.mark.parametrize("chosen", [False, True])
def test_a_state_goes_on_as_the_original(problem: Problem[CellSpace], chosen: bool) -> None:
    one, other = (EdgeCandidates(problem, IDLE) for _ in range(2))
    one.begin((2, (0, 2)), OPERATORS)
    train(problem, one)
    if chosen:
        one.choose("t3")
    state = decode(encode(one.state_dict()), torch.device("cpu"))
    other.load_state_dict(state)
    assert list(other.candidates) == list(one.candidates)
    both = ([current.network, *current.candidates.values()] for current in (one, other))
    for mine, theirs in zip(*both, strict=True):
        assert values(mine).keys() == values(theirs).keys()
        assert all(torch.equal(value, values(theirs)[name]) for name, value in values(mine).items())
    if not chosen:
        batch = next(problem.search_batches("train"))
        for current in (one, other):
            problem.backward(problem.metered.logits(current.candidates["t3"], batch).square().sum())
            problem.update(current.optimiser)
        after = [values(current.candidates["t3"]) for current in (one, other)]
        assert all(torch.equal(value, after[1][name]) for name, value in after[0].items())


def test_a_validation_counts_hits_and_one_architecture(problem: Problem[CellSpace]) -> None:
    network = EdgeCandidates(problem, IDLE).network
    before = problem.ledger.evaluations, problem.ledger.macs
    with torch.no_grad():
        hits = [
            (network(problem.metered.inputs(batch, network)).argmax(1) == batch.labels).float()
            for batch in problem.validation_batches()
        ]
    once = problem.ledger.macs - before[1]
    assert problem.metered.validate(network, problem.validation_batches()) == pytest.approx(
        float(torch.cat(hits).mean())
    )
    assert (problem.ledger.evaluations, problem.ledger.macs) == (before[0] + 1, before[1] + 2 * once)
    assert once == problem.cost(IDLE).macs * problem.clips_in("val")
