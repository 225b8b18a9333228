"""Random search with weight sharing: screening on one batch, finalists on all, charges."""

from pathlib import Path

import pytest
from driven import Driven, completed

from pvnas_bench.strategies.random_search_ws import RandomSearchWS

FEW = {"supernet_share": 0.3, "screened": 12, "finalists": 3, "recalibration": 1}


def test_the_best_on_one_batch_are_measured_on_all_and_the_best_of_them_is_returned(tiny_dataset: Path) -> None:
    driven = Driven("random_search_ws", tiny_dataset, 6.0, **FEW).to_the_end()
    strategy = driven.strategy
    assert strategy.trained and len(strategy.screening) <= 12
    ranked = sorted(strategy.screening, key=lambda a: -strategy.screening[a])
    assert list(strategy.measured) == ranked[:3]
    assert strategy.incumbent() == max(strategy.measured, key=lambda a: strategy.measured[a])
    assert driven.series("val_top1")[-1] == max(strategy.measured.values())


def test_a_screened_architecture_costs_one_batch_and_a_finalist_a_pass_of_search_val(tiny_dataset: Path) -> None:
    driven = Driven("random_search_ws", tiny_dataset, 6.0, **FEW)
    strategy, problem = driven.strategy, driven.problem
    while not strategy.trained:
        driven.step()
    before = problem.ledger.macs
    driven.step()
    batches = [min(problem.batch_size, problem.clips_in("val"))]
    least = sum(problem.cost(a).macs for a in strategy.screening)
    assert least <= problem.ledger.macs - before <= least * batches[0]
    before = problem.ledger.macs
    while not strategy.measured:
        before = problem.ledger.macs
        driven.step()
    (finalist,) = strategy.measured
    clips = problem.clips_in("val") + problem.batch_size
    assert problem.ledger.macs - before == pytest.approx(problem.cost(finalist).macs * clips, rel=0.3)


def test_a_whole_run(tiny_dataset: Path, tmp_path: Path) -> None:
    record = completed(RandomSearchWS, tiny_dataset, tmp_path, 2.0, **FEW)
    assert record.diagnostics["architectures_screened"] >= 1
