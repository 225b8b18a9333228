"""NAS-TC on temporal cells: edges in order, the prefix frozen to the last bit, whole runs."""

from pathlib import Path

import pytest
import torch
from driven import Driven

from pvnas_bench.network import families
from pvnas_bench.network.temporal_cell import TemporalNetwork
from pvnas_bench.run.states import decode, encode
from pvnas_bench.space import EDGES
from pvnas_bench.spaces.st_temporal_cell import SPACE
from pvnas_bench.strategies._nas_tc_cells import IDLE, CellStitching, idle_architectures, tie, trainable

BUDGET = 4.0
PLACES = [f"{cell}.{edge}" for cell in (1, 2) for edge in ("01", "02", "12")]


def weights(network: TemporalNetwork) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in network.named_parameters()}


def network_of(string: str, seed: int) -> TemporalNetwork:
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(seed)
        network = families.build(SPACE, SPACE.parse(string), 3)
    assert isinstance(network, TemporalNetwork)
    return network.eval()


@pytest.fixture(scope="module")
def searched(tiny_dataset: Path) -> tuple[Driven, dict[int, dict[str, torch.Tensor]]]:
    """A finished search, and the weights before the first edge of each cell."""
    driven = Driven("nas_tc", tiny_dataset, BUDGET, space="st_temporal_cell")
    begun: dict[int, dict[str, torch.Tensor]] = {}
    stitching = driven.strategy
    assert isinstance(stitching, CellStitching)
    while not driven.finished:
        if stitching.position in (0, 3) and not stitching.candidates:
            begun[stitching.position // 3 + 1] = weights(stitching.network)
        driven.step()
    return driven, begun


def test_the_idle_network_has_no_time() -> None:
    idle = list(idle_architectures(SPACE))
    assert len(set(idle)) == 6 * 3 * 3
    assert SPACE.experts["c2d"] in idle


def test_edges_are_searched_in_order_and_the_best_operator_stays(searched: tuple[Driven, object]) -> None:
    driven, _ = searched
    trials = driven.strategy.diagnostics()["trials"]
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
        token = next(token for token, own in stitching.candidates.items() if own is network)
        measured[token] = network
        return {"t5": 0.6, "max3": 0.6, "none": 0.5}.get(token, 0.4)

    monkeypatch.setattr(stitching, "_validate", validate)
    while stitching.position == 0:
        driven.step()
    assert SPACE.option(stitching.chosen, "operator.1.01") == "t5"  # before max3, which is no better
    assert stitching.network is measured["t5"]
    assert SPACE.option(stitching.chosen, "operator.1.12") == "none"  # an edge of its own now, idle


def test_layers_before_a_cell_are_bit_identical_after_its_search(
    searched: tuple[Driven, dict[int, dict[str, torch.Tensor]]],
) -> None:
    driven, begun = searched
    after = weights(driven.strategy.network)
    searched_network = driven.strategy.network
    prefix = [name for name in begun[2] if name.startswith(("projection.", "norm.", "cells.0."))]
    assert len(prefix) > 4
    for name in prefix:
        assert torch.equal(begun[2][name], after[name]), name
        assert searched_network.get_parameter(name).grad is None  # nor was any computed for it
    for name in ("projection.weight", "norm.weight", "cells.0.norm.weight"):
        assert not torch.equal(begun[1][name], begun[2][name]), name  # the first cell trained them
    for name in ("cells.1.norm.weight", "classifier.weight"):
        assert not torch.equal(begun[2][name], after[name]), name


def test_a_cell_trains_with_the_layers_behind_it() -> None:
    network = network_of("8-3-32/t3-skip-t3/t3-skip-t3/t3-skip-t3", 0)
    everything = set(dict(network.named_parameters()))
    assert set(trainable(network, 1)) == everything
    second = {name for name in everything if name.startswith(("cells.1.", "cells.2.", "classifier."))}
    assert set(trainable(network, 2)) == second
    assert {name.split(".")[0] for name in trainable(network, 3)} == {"cells", "classifier"}


def test_candidates_share_all_but_the_edges_operator() -> None:
    one, other = network_of("8-2-32/t3-t5-max3/avg3-t7-t3/_", 0), network_of("8-2-32/t7-t5-max3/avg3-t7-t3/_", 1)
    tie(one, other, 1, EDGES[0])
    mine, theirs = dict(one.named_parameters()), dict(other.named_parameters())
    assert mine.keys() == theirs.keys()
    for name, parameter in mine.items():
        assert (parameter is theirs[name]) == (not name.startswith("cells.0.edges.01.")), name


def test_operators_take_turns(tiny_dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driven, turns = Driven("nas_tc", tiny_dataset, 8.0, space="st_temporal_cell"), list[str]()
    stitching = driven.strategy
    update = stitching._update

    def noted(network: TemporalNetwork, *rest: object) -> None:
        turns.append(next(token for token, own in stitching.candidates.items() if own is network))
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
    found = driven.strategy.diagnostics()
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
    assert other.strategy.diagnostics() == whole.strategy.diagnostics()
