"""NAS-TC: bit-identical backbone, order of blocks, whole runs."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from driven import Driven, completed

from pvnas_bench.spaces.st_default import SPACE
from pvnas_bench.strategies._nas_tc_blocks import BlockStitching, flat_architectures
from pvnas_bench.strategies.nas_tc import NASTC

BUDGET = 6.0


def test_flat_networks() -> None:
    flat = list(flat_architectures(SPACE))
    assert len(set(flat)) == 3 * 3 * 2 * 9
    assert SPACE.experts["c2d"] in flat


def backbone_of(strategy: BlockStitching) -> dict[str, torch.Tensor]:
    """All weights of the 2-D network except the classifier's."""
    spatial = {}
    for name, parameter in strategy.supernet.named_parameters():
        value = parameter.detach().clone()
        if "classifier" in name or any(part in name for part in (".temporal", ".full")):
            continue
        if any(f"operator_norms.{o}." in name for o in ("st3", "f3", "t5", "tsm")):
            continue
        spatial[name] = value[0] if name.endswith((".scale", ".shift")) else value  # operator 0 is s3
    return spatial


@dataclass(frozen=True)
class Searched:
    """A finished search, its backbone before the temporal stage, and names of the weights changed by that stage."""

    driven: Driven
    backbone: dict[str, torch.Tensor]
    changed: set[str]


@pytest.fixture(scope="module")
def searched(tiny_dataset: Path) -> Searched:
    driven, changed = Driven("nas_tc", tiny_dataset, BUDGET), set[str]()
    strategy = driven.strategy
    while strategy.problem.progress_to(strategy.config.backbone_share) < 1:
        driven.step()
    backbone = backbone_of(strategy)
    first = {name: p.detach().clone() for name, p in strategy.supernet.named_parameters()}
    while not driven.finished:
        driven.step()
        changed |= {n for n, p in strategy.supernet.named_parameters() if not torch.equal(p, first[n])}
    return Searched(driven, backbone, changed)


def test_the_backbone_is_bit_identical_after_the_temporal_search(searched: Searched) -> None:
    after = backbone_of(searched.driven.strategy)
    assert after.keys() == searched.backbone.keys() and len(after) > 40
    for name, value in searched.backbone.items():
        assert torch.equal(value, after[name]), name
    for part in ("temporal", "full", "operator_norms.f3", "scale", "classifier"):
        assert any(part in name for name in searched.changed), part


def test_the_classifier_and_temporal_parts_are_all_that_trains(searched: Searched) -> None:
    strategy = searched.driven.strategy
    for slot in SPACE.slots:
        names = strategy.trainable(slot.name)
        blocks = {name.split(".")[1] for name in names if name.startswith("blocks.")}
        assert blocks == {str([s.name for s in SPACE.slots].index(slot.name))}
        assert not any(part in name for name in names for part in ("spatial", "expand", "project", "stem", ".s3."))


def test_blocks_are_searched_in_order_and_the_best_operator_stays(searched: Searched) -> None:
    driven = searched.driven
    trials = driven.problem.facts["trials"]
    assert [row[:2] for row in trials] == [
        [block, operator] for block in ("1.1", "1.2", "2.1", "2.2") for operator in ("s3", "st3", "f3", "t5", "tsm")
    ]
    options = SPACE.options(driven.strategy.incumbent())
    backbone = SPACE.options(driven.strategy.backbone)
    for block in ("1.1", "1.2", "2.1", "2.2"):
        of_block = {operator: top1 for b, operator, top1 in trials if b == block}
        assert of_block[options[f"operator.{block}"]] == max(of_block.values())
    assert {k: v for k, v in options.items() if "operator" not in k} == {
        k: v for k, v in backbone.items() if "operator" not in k
    }


def test_the_best_operator_stays_with_its_weights(tiny_dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driven = Driven("nas_tc", tiny_dataset, BUDGET)
    strategy = driven.strategy
    scores, seen = iter([0.2, 0.1, 0.6, 0.3, 0.6]), []

    def validate(*_: object) -> tuple[float, float]:
        seen.append({name: p.detach().clone() for name, p in strategy.supernet.named_parameters()})
        return next(scores), 1.0

    monkeypatch.setattr(strategy.supernet, "validate", validate)
    while len(strategy.trials) < 5:
        driven.step()
    assert SPACE.options(strategy.chosen)["operator.1.1"] == "f3"  # the third; the last is no better
    assert all(torch.equal(p, seen[2][name]) for name, p in strategy.supernet.named_parameters())
    assert not all(torch.equal(seen[2][name], p) for name, p in seen[4].items())


def test_both_phases_are_within_the_budget(searched: Searched) -> None:
    driven = searched.driven
    found = driven.problem.facts
    assert driven.problem.ledger.overshoot == 0
    assert found["cost"]["backbone"] == pytest.approx(0.4 * BUDGET, abs=0.15 * BUDGET)
    assert sum(found["cost"].values()) <= driven.problem.ledger.spent <= BUDGET
    assert {f"top1_at_{f}_frames" for f in SPACE.frames} <= found.keys()
    cost = driven.problem.cost
    difference = cost(driven.strategy.chosen).parameters - cost(driven.strategy.backbone).parameters
    assert found["temporal_parameters"] == difference


def test_a_whole_run(tiny_dataset: Path, tmp_path: Path) -> None:
    completed(NASTC, tiny_dataset, tmp_path, 2.0)
