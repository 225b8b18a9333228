"""NAS-TC on temporal cells: edges in order, the prefix frozen to the last bit, whole runs."""

from pathlib import Path

import pytest
import torch
from driven import Driven

from pvnas_bench.network.temporal_cell import TemporalNetwork
from pvnas_bench.runs.states import decode, encode
from pvnas_bench.spaces.st_temporal_cell import SPACE
from pvnas_bench.strategies._nas_tc_cells import IDLE, CellStitching, idle_architectures

BUDGET = 4.0
PLACES = [f"{cell}.{edge}" for cell in (1, 2) for edge in ("01", "02", "12")]


def weights(network: TemporalNetwork) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in network.named_parameters()}


@pytest.fixture(scope="module")
def searched(tiny_dataset: Path) -> tuple[Driven, dict[int, dict[str, torch.Tensor]]]:
    """A finished search, and the weights before the first edge of each cell."""
    driven = Driven("nas_tc", tiny_dataset, BUDGET, space="st_temporal_cell")
    begun: dict[int, dict[str, torch.Tensor]] = {}
    stitching = driven.strategy
    assert isinstance(stitching, CellStitching)
    while not driven.finished:
        if stitching.position in (0, 3) and not stitching.current.candidates:
            begun[stitching.position // 3 + 1] = weights(stitching.current.network)
        driven.step()
    return driven, begun


def test_the_idle_network_has_no_time() -> None:
    idle = list(idle_architectures(SPACE))
    assert len(set(idle)) == 6 * 3 * 3
    assert SPACE.experts["c2d"] in idle


def test_edges_are_searched_in_order_and_the_best_operator_stays(searched: tuple[Driven, object]) -> None:
    driven, _ = searched
    trials = driven.problem.facts["trials"]
    tried = list(dict.fromkeys(place for place, _, _ in trials))
    options = SPACE.options(driven.strategy.incumbent())
    assert tried == [place for place in PLACES if f"operator.{place}" in options]
    for place in tried:
        of_edge = {operator: top1 for p, operator, top1 in trials if p == place}
        decision = SPACE.decisions[SPACE.position(f"operator.{place}")]
        assert set(of_edge) == set(decision.options)
        assert next(iter(of_edge)) == IDLE[["01", "02", "12"].index(place[2:])]
        assert of_edge[options[f"operator.{place}"]] == max(of_edge.values())
    assert driven.strategy.incumbent().choices[:3] == SPACE.reference.choices[:3]


def test_the_most_accurate_operator_stays_with_its_weights(tiny_dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driven, measured = Driven("nas_tc", tiny_dataset, BUDGET, space="st_temporal_cell"), dict[str, TemporalNetwork]()
    stitching = driven.strategy

    def validate(network: TemporalNetwork) -> float:
        token = next(token for token, own in stitching.current.candidates.items() if own is network)
        measured[token] = network
        return {"t5": 0.6, "max3": 0.6, "none": 0.5}.get(token, 0.4)

    monkeypatch.setattr(stitching, "_validate", validate)
    while stitching.position == 0:
        driven.step()
    assert SPACE.option(stitching.chosen, "operator.1.01") == "t5"  # before max3, which is no better
    assert stitching.current.network is measured["t5"]
    assert SPACE.option(stitching.chosen, "operator.1.12") == "none"  # an edge of its own now, idle


def test_layers_before_a_cell_are_bit_identical_after_its_search(
    searched: tuple[Driven, dict[int, dict[str, torch.Tensor]]],
) -> None:
    driven, begun = searched
    after = weights(driven.strategy.current.network)
    searched_network = driven.strategy.current.network
    prefix = [name for name in begun[2] if name.startswith(("projection.", "norm.", "cells.0."))]
    assert len(prefix) > 4
    for name in prefix:
        assert torch.equal(begun[2][name], after[name]), name
        assert searched_network.get_parameter(name).grad is None  # nor was any computed for it
    for name in ("projection.weight", "norm.weight", "cells.0.norm.weight"):
        assert not torch.equal(begun[1][name], begun[2][name]), name  # the first cell trained them
    for name in ("cells.1.norm.weight", "classifier.weight"):
        assert not torch.equal(begun[2][name], after[name]), name


def test_operators_take_turns(tiny_dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driven, turns = Driven("nas_tc", tiny_dataset, 8.0, space="st_temporal_cell"), list[str]()
    stitching = driven.strategy
    update = stitching._update

    def noted(network: TemporalNetwork, *rest: object) -> None:
        turns.append(next(token for token, own in stitching.current.candidates.items() if own is network))
        update(network, *rest)

    monkeypatch.setattr(stitching, "_update", noted)
    while stitching.position == 0:
        driven.step()
    assert len(turns) >= 18
    for start in range(0, len(turns) - 9, 9):
        assert len(set(turns[start : start + 9])) == 9
    assert turns[:9] != turns[9:18]


def test_the_search_keeps_to_its_budget_and_measures_every_number_of_steps(searched: tuple[Driven, object]) -> None:
    driven, _ = searched
    found = driven.problem.facts
    assert driven.problem.ledger.overshoot == 0
    assert {f"top1_at_{steps}_steps" for steps in SPACE.steps} <= found.keys()
    assert found["cost"].keys() == {"cell.1", "cell.2"}
    assert sum(found["cost"].values()) <= driven.problem.ledger.spent <= BUDGET
    assert driven.problem.ledger.evaluations == len(found["trials"]) + len(SPACE.steps)


@pytest.mark.parametrize("steps", [1, 4])
def test_a_search_that_is_loaded_goes_on_as_it_would_have(tiny_dataset: Path, steps: int) -> None:
    """The conformance suite has no cells, in which networks share modules."""
    whole, begun, other = (Driven("nas_tc", tiny_dataset, 2.0, space="st_temporal_cell") for _ in range(3))
    for _ in range(steps):
        begun.step()
    state = decode(encode([begun.strategy.state_dict(), begun.problem._state()]), torch.device("cpu"))
    other.strategy.load_state_dict(state[0])
    other.problem._load_state(state[1])
    other.steps = steps
    assert other.to_the_end().trajectory == whole.to_the_end().trajectory[steps:]
    assert other.problem.facts == whole.problem.facts
