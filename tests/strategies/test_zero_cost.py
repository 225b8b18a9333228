"""Zero-cost scores against closed forms and numpy, charged passes, whole runs."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from driven import Driven, completed
from torch import nn

from pvnas_bench.space import Block, NetworkSpec
from pvnas_bench.spaces.st_default import SPACE
from pvnas_bench.strategies.naswot import NASWOT, code_kernel
from pvnas_bench.strategies.stentr import CLOSEST, STEntr, refinement, stage_entropy
from pvnas_bench.strategies.synflow import SynFlow, synaptic_flow

BUDGET = 1.0
FEW = {"samples": 6, "evolved": 4, "population": 2, "generation": 4}


# --- the problem's networks -------------------------------------------------------------------------------------------


def test_a_network_of_the_problem_is_charged(tiny_dataset: Path) -> None:
    problem = Driven("synflow", tiny_dataset, BUDGET).problem
    network = problem.metered.network(SPACE.reference)
    clips = torch.zeros(2, 8, 3, 32, 32)
    macs = problem.cost(SPACE.reference).macs
    with torch.no_grad():
        network(clips)
    assert problem.ledger.macs == 2 * macs
    loss = network(clips).sum()
    assert problem.ledger.macs == 4 * macs
    problem.backward(loss)
    assert problem.ledger.macs == 8 * macs and problem.ledger.samples == 4
    with pytest.raises(ValueError, match="takes clips"):
        network(torch.zeros(2, 4, 3, 32, 32))
    same = problem.metered.network(SPACE.reference)
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), same.parameters(), strict=True))
    other = problem.metered.network(SPACE.reference, "other")
    assert not torch.equal(network.stem.convolution.weight, other.stem.convolution.weight)


# --- synflow ----------------------------------------------------------------------------------------------------------


def test_the_flow_of_a_linear_network_in_closed_form() -> None:
    """Every layer conserves it (Tanaka et al., theorem 1): Σ θ ∂R/∂θ = layers · 1ᵀ|W3||W2||W1|1."""
    rng = np.random.default_rng(0)
    matrices = [rng.normal(size=shape) for shape in ((5, 4), (3, 5), (2, 3))]
    layers = [nn.Linear(m.shape[1], m.shape[0], bias=False, dtype=torch.float64) for m in matrices]
    with torch.no_grad():
        for layer, matrix in zip(layers, matrices, strict=True):
            layer.weight.copy_(torch.tensor(matrix))
    network = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])
    first, second, third = map(np.abs, matrices)
    expected = 3 * (np.ones(2) @ third @ second @ first @ np.ones(4))
    assert synaptic_flow(network, torch.ones(1, 4, dtype=torch.float64)) == pytest.approx(expected)


def test_the_flow_is_the_same_for_other_signs(tiny_dataset: Path) -> None:
    problem = Driven("synflow", tiny_dataset, BUDGET).problem
    one, other = (problem.metered.network(SPACE.reference).double() for _ in range(2))
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.neg_()
    ones = torch.ones(1, 8, 3, 32, 32, dtype=torch.float64)
    assert synaptic_flow(one, ones) == pytest.approx(synaptic_flow(other, ones))


@pytest.mark.long
def test_the_flow_of_a_deep_wide_network_is_a_finite_number(tiny_dataset: Path) -> None:
    """A chain of 20 layers of ones, 1,000 wide: 20 · 1000 ^ 21, far beyond float32."""
    chain = nn.Sequential(*(nn.Linear(1000, 1000, bias=False) for _ in range(20)))
    with torch.no_grad():
        for weight in chain.parameters():
            weight.fill_(1.0)
    assert synaptic_flow(chain, torch.ones(1, 1000)) == math.inf
    flow = synaptic_flow(chain.double(), torch.ones(1, 1000, dtype=torch.float64))
    assert math.log(flow) == pytest.approx(math.log(20) + 21 * math.log(1000))
    driven = Driven("synflow", tiny_dataset, BUDGET, space="st_kinetics")
    assert math.isfinite(driven.strategy.score(driven.problem.space.reference))


# --- naswot -----------------------------------------------------------------------------------------------------------


def test_the_kernel_counts_agreements() -> None:
    codes = torch.tensor(np.random.default_rng(0).random((5, 40)) > 0.5)
    array = codes.numpy()
    hamming = (array[:, None] != array[None]).sum(2)
    np.testing.assert_array_equal(code_kernel(codes).numpy(), 40 - hamming)


def test_the_score_is_the_log_determinant_over_all_relus(tiny_dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ReLUs as they run, in place of the batch-norms before them; by Hamming distances and numpy."""
    driven = Driven("naswot", tiny_dataset, BUDGET)
    strategy, problem = driven.strategy, driven.problem
    architecture = SPACE.parse("4-24-2-1/s3-e2-no/t5-e2-no/_/st3-e2-no/_/_")
    network, batch = problem.metered.network(architecture).train(), strategy.batch
    outputs: list[np.ndarray] = []
    relu = torch.nn.functional.relu

    def recorded(x: torch.Tensor, inplace: bool = False) -> torch.Tensor:
        y = relu(x)
        outputs.append((y > 0).reshape(len(batch), -1).numpy())
        return y

    with monkeypatch.context() as patch, torch.no_grad():
        patch.setattr(torch.nn.functional, "relu", recorded)
        network(batch.clips(4, 24))
    codes = np.concatenate(outputs, axis=1)
    assert len(outputs) == 1 + 3 * 2 + 1
    agreements = codes.shape[1] - (codes[:, None] != codes[None]).sum(2)
    expected = math.log(np.linalg.det(agreements / codes.shape[1])) + len(batch) * math.log(codes.shape[1])
    assert strategy.score(architecture) == pytest.approx(expected, rel=1e-6)


# --- stentr -----------------------------------------------------------------------------------------------------------


AUTHORS_ALPHA = [
    ((13, 80, 80), (1, 3, 3), 4.984183465704922),
    ((13, 40, 40), (1, 5, 5), 5.614621469925076),
    ((13, 20, 20), (3, 3, 3), 4.074520084099622),
    ((16, 10, 10), (1, 3, 3), 1.6955219791146432),
    ((4, 5, 5), (3, 3, 3), 5.285732158782742),
    ((8, 12, 12), (3, 3, 3), 4.181991417535906),
    ((16, 10, 10), (5, 1, 1), 1.0),
    ((16, 10, 10), (3, 1, 1), 1.0),
]
"""`get_alpha_w` of the authors' code, alibaba/lightweight-neural-architecture-search at 8ccaf88."""


@pytest.mark.parametrize(("size", "kernel", "alpha"), AUTHORS_ALPHA)
def test_the_refinement_factor_is_that_of_the_authors_code(
    size: tuple[int, int, int], kernel: tuple[int, int, int], alpha: float
) -> None:
    assert refinement(size, kernel) == pytest.approx(alpha, rel=1e-12)


def test_the_refinement_factor_is_finite_where_kernel_and_map_are_cubes() -> None:
    assert refinement((8, 8, 8), (3, 3, 3)) == pytest.approx(-math.log(CLOSEST))


def test_the_entropy_of_each_stage_is_that_of_the_authors_code() -> None:
    """`ComputeStentrScore` at 8ccaf88, each stage with weight 1, for two structures.

    The first is the initial one of `E3D_X3DS_FLOPs.py` (13 frames of 160 px), the second a small one of 16 frames of
    40 px with a temporal, a spatial and a full kernel.
    """
    e3d = (
        Block("1.1", 24, 24, 2, "s5", 2, False),
        Block("2.1", 24, 48, 2, "st3", 4, False),
        Block("3.1", 48, 96, 2, "st3", 4, False),
        Block("3.2", 96, 96, 1, "st3", 2, False),
        Block("4.1", 96, 192, 2, "st3", 4, False),
    )
    small = (
        Block("1.1", 8, 16, 2, "t5", 2, False),
        Block("1.2", 16, 16, 1, "s3", 4, False),
        Block("2.1", 16, 32, 2, "st3", 4, False),
    )
    for spec, authors in (
        (
            NetworkSpec(13, 160, 24, e3d, 512),
            [5.629107059221923, 11.62585947820153, 18.540502587163633, 33.575057417453586, 45.1944256900253],
        ),
        (NetworkSpec(16, 40, 8, small, 96), [4.312382401997915, 13.06460718505499, 22.037528518491182]),
    ):
        assert [sum(stage) for stage in stage_entropy(spec)] == pytest.approx(authors, rel=1e-12)


def test_the_kernels_of_a_factorised_operator_are_two_layers() -> None:
    block = Block("1.1", 8, 16, 2, "f3", 2, False)
    stages = stage_entropy(NetworkSpec(4, 24, 8, (block,), 96))
    stem = 0.5 * math.log(27 * refinement((4, 12, 12), (1, 3, 3)))
    inside = 0.5 * (math.log(8) + math.log(9 * refinement((4, 6, 6), (1, 3, 3))) + math.log(3) + math.log(16))
    head = 0.5 * math.log(16)
    assert stages == [pytest.approx((stem, math.log(8))), pytest.approx((stem + inside + head, math.log(96)))]


def test_zero_cost_search_improves_its_score_at_no_training_cost(tiny_dataset: Path) -> None:
    driven = Driven("stentr", tiny_dataset, BUDGET, samples=50, evolved=300, generation=50).to_the_end()
    assert driven.problem.ledger.macs == 0
    best = driven.series("best_score")
    assert best == sorted(best) and best[-1] > best[0]
    assert max(driven.strategy.scores.values()) == driven.strategy.score(driven.strategy.incumbent())


# --- the search -------------------------------------------------------------------------------------------------------


def test_finalists_are_trained(tiny_dataset: Path) -> None:
    driven = Driven("synflow", tiny_dataset, 3.0, finalists=2, **FEW).to_the_end()
    found = driven.strategy.diagnostics()
    assert found["scored"] == 10 and len(found["finalists"]) == 2
    ranked = sorted(driven.strategy.scores, key=lambda a: -driven.strategy.scores[a])
    assert [name for name, _ in found["finalists"]] == list(map(str, ranked[:2]))
    assert dict(found["finalists"])[str(driven.strategy.incumbent())] == max(t for _, t in found["finalists"])


@pytest.mark.parametrize("kind", [SynFlow, NASWOT, STEntr])
def test_a_whole_run(tiny_dataset: Path, tmp_path: Path, kind: type) -> None:
    record = completed(kind, tiny_dataset, tmp_path, BUDGET, **FEW)
    assert record.search.reference_trainings < 0.5
