"""Supernet training on uniform paths, evolution, stand-alone trainings: the phases and their results."""

from collections.abc import Callable
from typing import Any

import pytest

from pvnas_bench import Architecture, Evaluation, Info, Problem, SearchFinished
from pvnas_bench.conformance._world import World
from pvnas_bench.methods import PathEvolution, PathEvolutionConfig

FEW = PathEvolutionConfig(
    supernet_share=0.5, population=6, generations=3, top=2, mutations=2, crossovers=2, verify=2, rising=0.2
)


def distance(architecture: Architecture) -> float:
    """A fitness that costs nothing: minus the number of decisions that are not the first option."""
    return -float(sum(choice > 0 for choice in architecture.choices))


class Told(PathEvolution):
    """A strategy with a given fitness."""

    info = Info("told", "-", "-", 2024, ("structural", "modular"), "-")

    def setup(self) -> None:
        super().setup()
        self.epochs: list[bool] = []

    def epoch_over(self) -> None:
        self.epochs.append(self.trained)

    def fitness(self) -> Callable[[Architecture], float]:
        return distance


def begun(clips: World, config: PathEvolutionConfig = FEW, budget: float = 6.0) -> Told:
    strategy = Told(clips.problem("all", 1, budget)[0], config)
    strategy.setup()
    return strategy


def trained(strategy: Told) -> Told:
    while not strategy.trained:
        strategy.step()
    return strategy


def evolved(strategy: Told) -> Told:
    while not strategy.evolution.over:
        strategy.step()
    return strategy


def batch_cost(problem: Problem[Any]) -> float:
    """Cost of a training step on the most expensive path, in reference trainings."""
    return 3 * problem.cap * problem.batch_size / problem.ledger.reference


def test_the_supernet_trains_for_its_share_of_the_budget_to_a_batch(clips: World) -> None:
    strategy = trained(begun(clips))
    ledger = strategy.problem.ledger
    assert 3.0 <= ledger.spent < 3.0 + batch_cost(strategy.problem)
    assert strategy.epochs == [False] * (len(strategy.epochs) - 1) + [True] and len(strategy.epochs) > 1
    spent = ledger.spent
    evolved(strategy)
    assert ledger.spent == spent, "this fitness is free"


def test_each_step_is_at_the_rate_of_the_progress_before_it(clips: World, monkeypatch: pytest.MonkeyPatch) -> None:
    strategy = begun(clips)
    problem, rates = strategy.problem, []
    update = problem.update

    def noted(optimiser: Any, **clip: Any) -> None:
        rates.append(optimiser.param_groups[0]["lr"])
        update(optimiser, **clip)

    monkeypatch.setattr(problem, "update", noted)
    costs = [0]
    loss = strategy.supernet.loss

    def priced(batch: Any, path: Architecture, label_smoothing: float) -> Any:
        costs.append(costs[-1] + 3 * problem.cost(path).macs * len(batch))
        return loss(batch, path, label_smoothing)

    monkeypatch.setattr(strategy.supernet, "loss", priced)
    trained(strategy)
    share = 0.5 * problem.ledger.budget * problem.ledger.reference
    assert rates == pytest.approx([FEW.rate(macs / share) for macs in costs[:-1]])
    assert min(rates) < 0.2 * max(rates) and rates.index(max(rates)) == pytest.approx(0.2 * len(rates), abs=2)


def test_the_incumbent_is_random_then_the_fittest_then_the_best_trained(clips: World) -> None:
    strategy = trained(begun(clips))
    assert strategy.problem.feasible(strategy.incumbent()) and strategy.incumbent() == strategy.fallback
    evolved(strategy)
    fitness = strategy.evolution.fitness
    assert strategy.incumbent() == max(fitness, key=lambda a: fitness[a])
    best = strategy.evolution.best(2)
    strategy.problem.take_logged()
    for number in (1, 2):
        strategy.step()
        assert [e.architecture for e in strategy.verified] == best[:number]
        top = max(e.top1 for e in strategy.verified)
        assert strategy.problem.take_logged() == {"val_top1": top}
        assert strategy.incumbent() == next(e.architecture for e in strategy.verified if e.top1 == top)
    with pytest.raises(SearchFinished):
        strategy.step()
    assert strategy.diagnostics() == {
        "population": 6,
        "generations": 3,
        "architectures_scored": 18,
        "rank_pairs": [[fitness[e.architecture], e.top1] for e in strategy.verified],
    }


def test_accuracy_decides_between_trained_architectures(clips: World) -> None:
    strategy = evolved(trained(begun(clips)))
    first, second = strategy.evolution.best(2)
    strategy.verified = [Evaluation(a, top1, 1.0, 1, 1, 1) for a, top1 in ((first, 0.4), (second, 0.5))]
    assert strategy.incumbent() == second


def test_a_generation_logs_the_best_fitness_so_far_and_scores_are_the_fitness(clips: World) -> None:
    strategy = trained(begun(clips))
    strategy.problem.take_logged()
    logged = []
    while not strategy.evolution.over:
        strategy.step()
        logged.append(strategy.problem.take_logged()["best_fitness"])
    scored = list(strategy.evolution.fitness.values())
    assert logged == [max(scored[: 6 * n]) for n in (1, 2, 3)]
    architecture = strategy.problem.sample()
    assert strategy.score(architecture) == distance(architecture)


def test_without_verification_the_evolution_ends_the_search(clips: World) -> None:
    strategy = evolved(trained(begun(clips, FEW.model_copy(update={"verify": 0}))))
    with pytest.raises(SearchFinished):
        strategy.step()
