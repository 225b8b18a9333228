"""Local search: neighbours only, first improvement, local optima."""

from pathlib import Path

from black_box import BlackBox
from driven import completed

from pvnas_bench import Architecture
from pvnas_bench.spaces.st_default import SPACE
from pvnas_bench.strategies.local_search import LocalSearch

NAME = "local_search"


def smooth(architecture: Architecture, epochs: int) -> float:
    """An accuracy of networks with one optimum: few decisions, each at its first option."""
    return 1 / (1 + sum(choice + 0.1 for choice in SPACE.canonical(architecture).choices if choice >= 0))


def rugged(architecture: Architecture, epochs: int) -> float:
    return (hash(SPACE.canonical(architecture).choices) % 1009) / 1009


def test_it_climbs_from_neighbour_to_neighbour_and_stops_at_an_optimum(tiny_dataset: Path) -> None:
    for accuracy in (smooth, rugged):
        driven = BlackBox(NAME, tiny_dataset, accuracy, restart=False)
        problem = driven.problem
        driven.to_the_end(2000)
        here, *rest = [architecture for architecture, _ in driven.asked]
        for architecture in rest:
            assert architecture in set(problem.space.neighbours(here))
            if accuracy(architecture, 4) > accuracy(here, 4):
                here = architecture  # the first better one, not the best of all
        assert driven.strategy.incumbent() == here
        near = [a for a in problem.space.neighbours(here) if problem.feasible(a)]
        assert all(accuracy(a, 4) <= accuracy(here, 4) for a in near)
        assert set(map(SPACE.canonical, near)) <= {SPACE.canonical(architecture) for architecture, _ in driven.asked}
        assert driven.problem.facts == {"local_optima": 1}


def test_local_search_restarts_at_an_optimum(tiny_dataset: Path) -> None:
    driven = BlackBox(NAME, tiny_dataset, rugged)
    while driven.strategy.optima < 2:
        driven.step()
    assert not driven.finished
    asked = [architecture for architecture, _ in driven.asked]
    assert len(asked) == len(set(asked))  # what is known is not trained again


def test_a_whole_run(tiny_dataset: Path, tmp_path: Path) -> None:
    record = completed(LocalSearch, tiny_dataset, tmp_path, 2.0)
    assert record.search.architectures_evaluated >= 2
