"""The ask/tell base class: trainings, history and results."""

from pathlib import Path

import pytest

from pvnas_bench import Architecture, BudgetExhausted, Evaluation, Info, Problem, SearchFinished
from pvnas_bench.methods.ask_tell import REPEATS, Asked, AskTell, Trial
from pvnas_bench.runs.observer import Observer
from pvnas_bench.runs.request import Request
from pvnas_bench.runs.search import Search
from pvnas_bench.runs.setup import Setup


class Scripted(AskTell):
    """A strategy that asks for given architectures."""

    info = Info("scripted", "-", "-", 2024, ("modular",), "-")
    script: list[Asked]

    def setup(self) -> None:
        super().setup()
        self.heard: list[Evaluation] = []

    def ask(self) -> Asked:
        return self.script.pop(0)

    def tell(self, evaluation: Evaluation) -> None:
        self.heard.append(evaluation)


@pytest.fixture
def problem(tiny_dataset: Path) -> Problem:
    """A problem with synthetic accuracies: higher for fewer MACs and more epochs."""
    setup = Setup(Request("random_search", dataset=str(tiny_dataset), threads=1), Observer())
    made = Search(setup, Observer()).problem

    def evaluate(architecture: Architecture, epochs: int | None = None) -> Evaluation:
        assert epochs is not None
        made.ledger.charge(0, evaluations=1)
        cost = made.cost(architecture)
        return Evaluation(architecture, epochs / (1 + cost.macs), 1.0, epochs, cost.macs, cost.parameters)

    made.evaluate = evaluate  # type: ignore[method-assign]
    return made


def some(problem: Problem, count: int) -> list[Architecture]:
    """Different architectures, sorted by MACs."""
    found = {problem.sample(problem.rng("test")) for _ in range(count * 3)}
    return sorted(found, key=lambda architecture: problem.cost(architecture).macs)[:count]


def started(problem: Problem, *script: Asked) -> Scripted:
    strategy = Scripted(problem, Scripted.Config())
    strategy.setup()
    strategy.script = list(script)
    return strategy


def test_every_answer_is_told_and_paid_for_once(problem: Problem) -> None:
    a, b = some(problem, 2)
    strategy = started(problem, a, a, b)
    strategy.step()
    strategy.step()  # a again, from memory, then b
    assert [evaluation.architecture for evaluation in strategy.heard] == [a, a, b]
    assert strategy.history == strategy.heard
    assert problem.ledger.evaluations == 2


def test_the_same_architecture_at_another_fidelity_is_trained_again(problem: Problem) -> None:
    (a,) = some(problem, 1)
    strategy = started(problem, a, Trial(a, 1), Trial(a, problem.proxy_epochs), Trial(a, 2))
    for _ in range(3):
        strategy.step()
    assert [evaluation.epochs for evaluation in strategy.heard] == [problem.proxy_epochs, 1, problem.proxy_epochs, 2]
    assert problem.ledger.evaluations == 3


def test_the_incumbent_is_the_best_of_those_trained_longest(problem: Problem) -> None:
    a, *_, b, c = some(problem, 20)
    strategy = started(problem, Trial(a, 1), Trial(c, 2), Trial(b, 2))
    assert problem.feasible(strategy.incumbent())
    expected = [a, c, b]
    for architecture in expected:
        strategy.step()
        assert strategy.incumbent() == architecture
    assert strategy.history[0].top1 > strategy.history[2].top1


def test_a_method_without_new_architectures_ends_the_search(problem: Problem) -> None:
    (a,) = some(problem, 1)
    strategy = started(problem, *[a] * (REPEATS + 1))
    strategy.step()
    with pytest.raises(SearchFinished):
        strategy.step()
    assert problem.ledger.evaluations == 1


def test_a_network_is_paid_once_by_whichever_of_its_architectures(problem: Problem) -> None:
    space, rng = problem.space, problem.rng("test")
    draws = (space.sample(rng) for _ in range(10_000))
    twin = next(a for a in draws if space.canonical(a) != a and problem.feasible(a))
    other = next(a for a in some(problem, 20) if space.canonical(a) != space.canonical(twin))
    strategy = started(problem, space.canonical(twin), twin, other)
    strategy.step()
    strategy.step()  # the twin, from memory, then the other one
    heard = strategy.heard
    assert [evaluation.architecture for evaluation in heard] == [space.canonical(twin), twin, other]
    assert heard[0].top1 == heard[1].top1 and problem.ledger.evaluations == 2


def test_an_empty_ask_ends_the_search(problem: Problem) -> None:
    with pytest.raises(SearchFinished):
        started(problem, []).step()


def test_a_batch_is_trained_one_per_step_and_in_order(problem: Problem) -> None:
    a, b, c, d = some(problem, 4)
    strategy = started(problem, [a, Trial(b, 2), a, c], d)
    for trained in (a, b, c, d):
        strategy.step()
        assert strategy.heard[-1].architecture == trained
    assert [evaluation.architecture for evaluation in strategy.heard] == [a, b, a, c, d]
    assert problem.ledger.evaluations == 4


def test_a_training_beyond_the_budget_ends_the_search_and_is_not_told(
    problem: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b, c = some(problem, 3)
    strategy = started(problem, [a, b, c])
    strategy.step()

    def refuse(architecture: Architecture, epochs: int | None = None) -> Evaluation:
        raise BudgetExhausted

    monkeypatch.setattr(problem, "evaluate", refuse)
    with pytest.raises(BudgetExhausted):
        strategy.step()
    assert [evaluation.architecture for evaluation in strategy.heard] == [a] and strategy.incumbent() == a


def test_the_rest_of_a_batch_is_prefetched(problem: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b, c = some(problem, 3)
    fetched: list[list[Architecture]] = []
    monkeypatch.setattr(problem, "prefetch", lambda architectures, epochs: fetched.append(list(architectures)))
    strategy = started(problem, [a, Trial(b, 1), c])
    for _ in range(3):
        strategy.step()
    assert fetched == [[a, c], [b], [c]]  # of one fidelity at a time
