"""SM-NAS: front by brute force, partial order, and whole runs."""

import itertools
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from driven import Driven, completed

from pvnas_bench import Architecture, Evaluation, SearchFinished
from pvnas_bench.api.runs import execute
from pvnas_bench.conformance._world import World
from pvnas_bench.methods import crowding_distance, hypervolume
from pvnas_bench.runs.request import Request
from pvnas_bench.space import INACTIVE
from pvnas_bench.spaces.st_default import SPACE
from pvnas_bench.strategies.sm_nas import SMNAS, smaller

BUDGET = 3.0
TABLES = Path(__file__).resolve().parents[2] / "results" / "reference" / "tables"
FEW = {"initial": 3, "population": 2, "fidelity": 1}


def parse(string: str) -> Architecture:
    return SPACE.parse(string)


SMALL = parse("4-24-1-1/s3-e2-no/_/_/f3-e2-no/_/_")


@pytest.mark.parametrize(
    ("larger", "comparable"),
    [
        ("8-24-1-1/s3-e2-no/_/_/f3-e2-no/_/_", True),
        ("4-40-1-1/s3-e2-no/_/_/f3-e2-no/_/_", True),
        ("4-24-2-1/s3-e2-no/t5-e4-se/_/f3-e2-no/_/_", True),
        ("4-24-1-1/s3-e2-no/_/_/f3-e2-no/_/_", True),
        ("8-24-1-1/s3-e2-no/_/_/st3-e2-no/_/_", False),  # another operator, though it has more MACs
        ("8-24-1-1/s3-e4-no/_/_/f3-e2-no/_/_", False),
        ("8-24-1-1/s3-e2-se/_/_/f3-e2-no/_/_", False),
    ],
)
def test_the_partial_order_is_over_depth_frames_and_size_only(larger: str, comparable: bool) -> None:
    assert smaller(SPACE, SMALL, parse(larger)) == comparable


def test_the_partial_order_needs_every_axis() -> None:
    longer, wider = (parse(f"{i}-1-1/s3-e2-no/_/_/f3-e2-no/_/_") for i in ("8-24", "4-32"))
    assert not smaller(SPACE, longer, wider) and not smaller(SPACE, wider, longer)
    assert not smaller(SPACE, longer, SMALL)


def test_the_partial_order_satisfies_its_axioms() -> None:
    """Reflexive, antisymmetric, transitive, and the larger costs at least as much, on a chain of mutations."""
    rng = np.random.default_rng(0)
    some = [SMALL]
    for _ in range(60):
        choices = [max(c, 0) for c in some[int(rng.integers(len(some)))].choices]
        axis = int(rng.integers(4))
        choices[axis] = int(rng.integers(3))
        some.append(SPACE.architecture(choices))
    for x, y, z in itertools.product(some[:20], repeat=3):
        assert smaller(SPACE, x, x)
        if smaller(SPACE, x, y) and smaller(SPACE, y, x):
            assert x == y
        if smaller(SPACE, x, y) and smaller(SPACE, y, z):
            assert smaller(SPACE, x, z)


def test_crowding_distance_by_hand() -> None:
    points = np.array([[0.0, 1.0], [1.0, 0.0], [0.5, 0.25], [0.25, 0.5]])
    # [0.5, 0.25]: (1 - 0.25) + (0.5 - 0); [0.25, 0.5]: (0.5 - 0) + (1 - 0.25)
    np.testing.assert_allclose(crowding_distance(points), [np.inf, np.inf, 1.25, 1.25])
    assert np.isinf(crowding_distance(np.zeros((1, 2)))).all()


@pytest.fixture(scope="module")
def searched(tiny_dataset: Path) -> Driven:
    return Driven("sm_nas", tiny_dataset, BUDGET, **FEW).to_the_end()


def test_the_front_is_non_dominated(searched: Driven) -> None:
    points = {(e.macs, e.top1, str(e.architecture)) for e in searched.strategy.evaluated}
    assert len(points) == len(searched.strategy.evaluated) > 6
    best = {
        name
        for macs, top1, name in points
        if not any(m <= macs and t >= top1 and (m < macs or t > top1) for m, t, _ in points)
    }
    assert set(map(str, searched.strategy.front())) == best
    assert str(searched.strategy.incumbent()) in best


def test_the_hypervolume_is_the_area_under_the_steps(searched: Driven) -> None:
    cap, area = searched.problem.cap, 0.0
    front = sorted(
        (e for e in searched.strategy.evaluated if str(e.architecture) in set(map(str, searched.strategy.front()))),
        key=lambda e: e.macs,
    )
    reach = [*[e.macs / cap for e in front[1:]], 1.0]
    for evaluation, until in zip(front, reach, strict=True):
        area += evaluation.top1 * (until - evaluation.macs / cap)
    history = searched.series("hypervolume")
    assert hypervolume(searched.strategy.evaluated, cap) == pytest.approx(area)
    assert history == sorted(history) and history[-1] <= area + 1e-12


def test_structure_first_then_modules(searched: Driven) -> None:
    structural = searched.series("structural")
    assert structural == sorted(structural, reverse=True) and set(structural) == {1.0, 0.0}
    for evaluation in searched.strategy.evaluated[: FEW["initial"]]:
        operators = {
            d.options[c]
            for d, c in zip(SPACE.decisions, evaluation.architecture.choices, strict=True)
            if d.name.startswith("operator") and c != INACTIVE
        }
        assert operators <= {"s3", "f3"}


def test_violations_by_brute_force(searched: Driven) -> None:
    wrong = total = 0
    for x, y in itertools.permutations(searched.strategy.evaluated, 2):
        a, b = (SPACE.options(e.architecture) for e in (x, y))
        structural = ("frames", "size", "depth.1", "depth.2")
        if any(int(a[k]) > int(b[k]) for k in structural) or any(a[k] != b.get(k) for k in set(a) - set(structural)):
            continue
        total += 1
        wrong += x.top1 > y.top1
    facts = searched.problem.facts
    assert (facts["order_violations"], facts["order_pairs"]) == (wrong, total)
    assert total > 0
    assert facts["order_violation_rate"] == wrong / total


def test_architectures_that_cannot_reach_the_front_are_skipped_and_audited(tiny_dataset: Path) -> None:
    driven = Driven("sm_nas", tiny_dataset, BUDGET, audit=1.0, **FEW)
    strategy, problem = driven.strategy, driven.problem
    large, cheap = (parse(s) for s in ("8-32-1-1/s3-e2-no/_/_/f3-e2-no/_/_", "4-24-1-1/s3-e2-no/_/_/s3-e2-no/_/_"))

    def evaluated(architecture: Architecture, top1: float) -> Evaluation:
        cost = problem.cost(architecture)
        return Evaluation(architecture, top1, 1.0, 1, cost.macs, cost.parameters)

    strategy.evaluated = [evaluated(large, 0.5), evaluated(cheap, 0.6)]
    between = parse("4-32-1-1/s3-e2-no/_/_/f3-e2-no/_/_")
    assert strategy.hopeless(between)
    assert not strategy.hopeless(parse("4-32-1-1/s5-e2-no/_/_/f3-e2-no/_/_"))
    strategy.evaluated[1] = evaluated(cheap, 0.4)
    assert not strategy.hopeless(between)


def test_a_search_goes_further_once_all_neighbours_are_known(tmp_path: Path) -> None:
    """In a space of 584 networks those next to the front are soon used up; the published table answers."""
    asked = Request("sm_nas", space="st_micro", dataset="fir_days", tabular=True, tables=TABLES, seed=1, threads=1)
    record = execute(replace(asked, results=tmp_path)).record
    assert record.search.reference_trainings > 0.95 * record.protocol.budget


def test_a_search_ends_once_children_change_all_modules_and_none_is_new(
    clips: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four modules have options here: after the last new child, draws fail for one to four changes at most."""
    problem, _ = clips.problem("structural", 1, 40.0)
    draw = problem.draw
    drawn: list[Architecture | None] = []

    def noted(make: Callable[[], Architecture], known: Collection[Architecture] = ()) -> Architecture | None:
        drawn.append(draw(make, known))
        return drawn[-1]

    monkeypatch.setattr(problem, "draw", noted)
    strategy = SMNAS(problem, SMNAS.Config(stages="modular", pruning=False))
    strategy.setup()
    finished = False
    while not finished:
        try:
            strategy.step()
        except SearchFinished:
            finished = True
    assert len(strategy.evaluated) > 18
    assert 1 <= len(list(itertools.takewhile(lambda one: one is None, reversed(drawn)))) <= 4


@pytest.mark.parametrize("stages", ["structural", "modular", "random"])
def test_controls(tiny_dataset: Path, stages: str) -> None:
    driven = Driven("sm_nas", tiny_dataset, 1.0, stages=stages, **FEW).to_the_end()
    assert driven.strategy.stage == stages and set(driven.series("structural")) == {float(stages == "structural")}
    if stages == "modular":
        kept = {e.architecture.choices[:4] for e in driven.strategy.evaluated}
        assert kept == {SPACE.reference.choices[:4]}


def test_a_whole_run(tiny_dataset: Path, tmp_path: Path) -> None:
    record = completed(SMNAS, tiny_dataset, tmp_path, 1.5, **FEW)
    assert record.outcome is not None and record.outcome.architecture in record.outcome.front
