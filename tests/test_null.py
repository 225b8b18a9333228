"""Null searches: permuted labels of search-val, and everything else as in the real search."""

from collections.abc import Iterable
from typing import Any

import pytest
import torch

from pvnas_bench import BudgetExhausted, ClipBatch, Problem, SearchFinished, registry, seeding
from pvnas_bench.conformance._world import World
from pvnas_bench.training import testing

SEED = 3


@pytest.fixture
def real(clips: World) -> Problem[Any]:
    return clips.problem("all", SEED, budget=100.0)[0]


@pytest.fixture
def null(clips: World) -> Problem[Any]:
    return clips.problem("all", SEED, budget=100.0, null=True)[0]


def same_clips(one: ClipBatch, other: ClipBatch) -> bool:
    return one.seed == other.seed and one.indices.tolist() == other.indices.tolist()


def labels(batches: Iterable[ClipBatch]) -> list[int]:
    return torch.cat([batch.labels for batch in batches]).tolist()


def test_held_out_labels_are_a_permutation_within_each_batch_of_the_same_clips(
    real: Problem[Any], null: Problem[Any]
) -> None:
    changed = 0
    for _ in range(5):
        for ours, theirs in zip(real.search_batches("val"), null.search_batches("val"), strict=True):
            assert same_clips(ours, theirs)
            assert torch.equal(ours.labels.sort().values, theirs.labels.sort().values)
            changed += not torch.equal(ours.labels, theirs.labels)
    assert changed >= 4


def test_the_permutation_differs_from_epoch_to_epoch(null: Problem[Any]) -> None:
    clip_labels = [
        dict(zip(batch.indices.tolist(), batch.labels.tolist(), strict=True))
        for _ in range(6)
        for batch in null.search_batches("val")
    ]
    assert len({tuple(sorted(epoch.items())) for epoch in clip_labels}) > 3


def test_training_batches_of_pairs_are_the_real_ones(real: Problem[Any], null: Problem[Any]) -> None:
    for (ours, held_out), (theirs, permuted) in zip(real.search_pairs(), null.search_pairs(), strict=True):
        assert same_clips(ours, theirs) and torch.equal(ours.labels, theirs.labels)
        assert same_clips(held_out, permuted)


def test_labels_stay_within_the_chosen_classes(null: Problem[Any]) -> None:
    for _, held_out in null.search_pairs(classes=[0, 2]):
        assert set(held_out.labels.tolist()) <= {0, 2}


def test_each_pass_of_search_val_has_a_permutation_of_all_its_labels(real: Problem[Any], null: Problem[Any]) -> None:
    truth = labels(real.validation_batches())
    passes = [labels(null.validation_batches()) for _ in range(4)]
    assert all(sorted(one) == sorted(truth) for one in passes)
    assert len(set(map(tuple, [truth, *passes]))) > 3


def test_a_resumed_null_goes_on_with_the_same_permutations(clips: World, null: Problem[Any]) -> None:
    labels(null.validation_batches())
    labels(null.search_batches("val"))
    resumed = clips.problem("all", SEED, budget=100.0, null=True)[0]
    resumed._load_state(null._state())
    assert labels(resumed.validation_batches()) == labels(null.validation_batches())
    assert labels(resumed.search_batches("val")) == labels(null.search_batches("val"))


def test_an_evaluation_trains_alike_and_is_measured_on_permuted_labels(
    real: Problem[Any], null: Problem[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = []
    score = testing.score

    def seen(probabilities: torch.Tensor, of: torch.Tensor) -> testing.Scores:
        measured.append((probabilities, of))
        return score(probabilities, of)

    monkeypatch.setattr(testing, "score", seen)
    ours, theirs = (problem.evaluate(problem.space.reference) for problem in (real, null))
    assert ours.curve == theirs.curve
    assert real.ledger.macs == null.ledger.macs and real.ledger.samples == null.ledger.samples
    (ours_p, truth), (theirs_p, permuted) = measured
    assert torch.equal(ours_p, theirs_p)
    assert not torch.equal(truth, permuted) and torch.equal(truth.sort().values, permuted.sort().values)
    again = null.evaluate(null.space.reference)
    assert again == theirs


def searched(problem: Problem[Any], name: str, **settings: int) -> tuple[list[list[int]], list[int]]:
    """Clips, seeds and labels of all batches of search-train, and the MACs spent after each step of a search."""
    batches: list[list[int]] = []
    original = problem._bench.__class__.batches

    def noted(bench: Any, indices: Any, **options: Any) -> Any:
        for batch in original(bench, indices, **options):
            if options["train"] and set(batch.indices.tolist()) <= train:
                batches.append([*batch.indices.tolist(), batch.seed, *batch.labels.tolist()])
            yield batch

    train = set(problem._splits["train"].tolist())
    kind = registry.get_strategy(name)
    strategy = kind(problem, kind.Config.model_validate(settings))
    spent = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(problem._bench.__class__, "batches", noted)
        with seeding.torch_seeded(problem.seed, "setup"):
            strategy.setup()
        for step in range(40):
            with seeding.torch_seeded(problem.seed, "step", step):
                try:
                    strategy.step()
                except (SearchFinished, BudgetExhausted):
                    break
            spent.append(problem.ledger.macs)
    return batches, spent


@pytest.mark.parametrize(
    ("name", "budget", "settings"), [("random_search", 3.0, {}), ("darts", 3.0, {}), ("naswot", 3.0, {"evolved": 0})]
)
def test_a_null_has_the_weight_batches_and_the_cost_of_the_real_search(
    clips: World, name: str, budget: float, settings: dict[str, int]
) -> None:
    real, null = (searched(clips.problem("all", SEED, budget, null=n)[0], name, **settings) for n in (False, True))
    assert real[0] and real[0] == null[0]
    if name == "darts":  # the last step validates the derived network, each search its own
        assert len(real[1]) == len(null[1]) > 1
        del real[1][-1], null[1][-1]
    assert real[1] == null[1]


def test_a_null_of_a_zero_cost_search_exchanges_scores_among_architectures(clips: World) -> None:
    scores = []
    for null in (False, True):
        kind = registry.get_strategy("stentr")
        problem = clips.problem("all", SEED, null=null)[0]
        strategy: Any = kind(problem, kind.Config(samples=40, evolved=0, generation=20))
        strategy.setup()
        strategy.step()
        scores.append(strategy.scores)
    real, permuted = scores
    assert list(real) == list(permuted)
    assert sorted(real.values()) == sorted(permuted.values())
    assert list(real.values()) != list(permuted.values())


def test_scores_without_labels_are_permuted_by_one_permutation_per_name(real: Problem[Any], null: Problem[Any]) -> None:
    scores = [float(i) for i in range(20)]
    assert real.permuted_if_null(scores, "a") == scores
    permuted = null.permuted_if_null(scores, "a")
    assert permuted != scores and sorted(permuted) == scores
    assert null.permuted_if_null(scores, "a") == permuted != null.permuted_if_null(scores, "b")


def test_the_null_of_bn_nas_evolves_on_exchanged_scales(clips: World) -> None:
    best = []
    for null in (False, True):
        problem = clips.problem("all", SEED, null=null)[0]
        kind = registry.get_strategy("bn_nas")
        strategy: Any = kind(problem, kind.Config())
        strategy.setup()
        blocks = [b for b in strategy.supernet.network.blocks if hasattr(b, "scale")]
        with torch.no_grad():
            for block in blocks:
                block.scale.copy_(torch.arange(block.scale.numel()).reshape(block.scale.shape))
        architectures = [problem.space.sample(problem.rng("any")) for _ in range(20)]
        best.append([strategy.fitness()(a) for a in architectures])
        assert best[-1] == [strategy.score(a) for a in architectures], "one permutation per run"
    assert best[0] != best[1]
