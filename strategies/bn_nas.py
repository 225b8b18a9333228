"""BN-NAS: the scales of batch-norm score the candidates.

The supernet keeps its random weights; only batch-norm trains, along uniformly sampled paths (`trained` has variants). A
candidate's score is the mean |γ| of its last batch-norm, an architecture's the sum over its layers (equations 5 and 6
of Chen et al. 2021), and the evolution of SPOS maximises it under the cap: a table look-up replaces a validation.

Depth: a skip needs a batch-norm to have a score, or else more layers always score more. Here each slot's skip gets
one, which trains when a sampled path skips that slot; a slot that its stage's depth leaves out computes the same as a
skip and scores the same.
"""

import time
from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from scipy import stats
from torch import nn

from pvnas_bench import (
    INACTIVE,
    Architecture,
    BlockSpace,
    Info,
    Json,
    SearchFinished,
    Supernet,
)
from pvnas_bench.methods import CandidateScores, PathEvolution, PathEvolutionConfig

Trained = Literal["norms", "last", "all"]
TIMED = 1000
"""Number of look-ups averaged to time a score (the authors' code)."""


def trained_parameters(supernet: Supernet, which: Trained) -> list[nn.Parameter]:
    """All parameters, γ and β of every batch-norm, or those of each candidate's last one."""
    if which != "last":
        return list(supernet.parameters() if which == "all" else supernet.affine_parameters())
    last = [parameter for block in supernet.superblocks for parameter in (block.scale, block.shift)]
    skips = [block.skip_norm for block in supernet.superblocks if block.skip_norm is not None]
    return last + [parameter for norm in skips for parameter in norm.parameters()]


def unchanged(scores: list[float], _: str) -> list[float]:
    return scores


def gamma_scores(supernet: Supernet, order: Callable[[list[float], str], list[float]] = unchanged) -> CandidateScores:
    """Mean |γ| of each candidate's last batch-norm; the slots that a depth leaves out score as skips.

    Args:
        order: function that reorders the scores of a slot, given with its name.
    """
    space = supernet.space
    slots, absent = [], []
    for slot, block in zip(space.slots, supernet.superblocks, strict=True):
        gamma = block.scale.detach().abs().mean(-1).double()
        table = {}
        for o, operator in enumerate(slot.operators):
            if operator == "skip":
                assert block.skip_norm is not None and block.skip_norm.weight is not None
                table[o, INACTIVE, INACTIVE] = float(block.skip_norm.weight.detach().abs().mean())
            else:
                table |= {
                    (o, e, a): float(gamma[o, e, a]) for e in range(gamma.shape[1]) for a in range(gamma.shape[2])
                }
        table = dict(zip(table, order(list(table.values()), slot.name), strict=True))
        slots.append(table)
        skips = [score for (_, e, _), score in table.items() if e == INACTIVE]
        absent.append(skips[0] if skips else float(np.mean(list(table.values()))))
    depths = []
    for s, stage in enumerate(space.stages, 1):
        of_stage = [score for slot, score in zip(space.slots, absent, strict=True) if slot.stage == s]
        depths.append(np.array([sum(of_stage[depth:]) for depth in stage.depths]))
    return CandidateScores(np.zeros(len(space.frames)), np.zeros(len(space.sizes)), tuple(depths), tuple(slots))


def score(space: BlockSpace, scores: CandidateScores, architecture: Architecture) -> float:
    """Score of an architecture: the sum over its layers."""
    choices = architecture.choices
    total = sum(float(depth[choice]) for depth, choice in zip(scores.depths, choices[2:], strict=False))
    for slot, table in zip(space.slots, scores.slots, strict=True):
        o, e, a = (choices[i] for i in space.groups[slot.name])
        total += 0.0 if o == INACTIVE else table[o, e, a]
    return total


class BNNASConfig(PathEvolutionConfig):
    """Hyper-parameters of BN-NAS."""

    trained: Trained = Field(
        "norms", description="norms: all batch-norms (BN-NAS), last: each block's last (its code), all: all weights (R)"
    )
    supernet_share: float = Field(0.06, gt=0, lt=1, description="a tenth or less of SPOS' (BN-NAS: 10 epochs for 100)")
    optimiser: Literal["adamw", "sgd"] = Field("sgd", description="sgd with momentum 0.9 (BN-NAS' code)")
    weight_rate: float = Field(0.1, gt=0, description="peak rate (R, tuned; BN-NAS' code: 0.25)")
    weight_floor: float = Field(5e-4, ge=0, description="last rate (BN-NAS' code)")
    decay: Literal["cosine", "linear"] = Field("linear", description="how the rate falls (BN-NAS' code)")
    weight_decay: float = Field(4e-5, ge=0, description="where all weights train; none on batch-norm (BN-NAS' code)")
    clipped: Literal["norm", "value"] = Field("value", description="each value of the gradient (BN-NAS' code)")
    rising: float = Field(0.0, ge=0, lt=1, description="no warm-up (BN-NAS' code)")
    probes: int = Field(0, ge=0, description="random architectures trained in the end to rank scores by (R)")


class BNNAS(PathEvolution[BNNASConfig]):
    """Evolution on batch-norm scales of a supernet (BN-NAS)."""

    info = Info(
        name="bn_nas",
        title="BN-NAS: batch-norm scales as scores",
        paper="Chen et al., BN-NAS: Neural Architecture Search with Batch Normalization, ICCV 2021, arXiv 2108.07375",
        year=2021,
        levels=("structural", "modular"),
        families=("mbconv",),
        published="random weights, only batch-norm trains, uniform paths, mean |γ| as score, evolution on the sum "
        "under the cap, a tenth of SPOS' supernet training, learning rates, the evolution's numbers",
        reconstructed="batch-norm of skips and the score of absent layers; frames and size have no γ and no score; "
        "gain of the frozen classifier; `verify`",
    )

    logged = "score"

    def setup(self) -> None:
        """Build the supernet and the evolution, and draw the probes."""
        super().setup()
        problem = self.problem
        self.probes = [problem.sample(problem.rng("probes")) for _ in range(self.config.probes)]
        self.probe_scores: list[list[float]] = []
        self.probe_top1: list[float] = []
        self.seconds: dict[str, float] = {}

    def trained_parameters(self) -> list[nn.Parameter]:
        """The parameters that train; all others are frozen.

        Skips get a batch-norm. A frozen classifier gets a gain that passes gradients: its usual one starts near zero.
        """
        network, which = self.supernet.network, self.config.trained
        network.norm_skips()
        if which != "all":
            classifier, generator = network.head.classifier, self.problem.torch_rng("classifier")
            gain = classifier.in_features**-0.5  # PyTorch's own for a linear layer, up to a constant
            classifier.weight.data.copy_(gain * torch.randn(classifier.weight.shape, generator=generator))
        self.supernet.requires_grad_(False)
        trained = trained_parameters(network, which)
        for parameter in trained:
            parameter.requires_grad_()
        return trained

    def epoch_over(self) -> None:
        """Score the probes; after the last epoch, time a validation and a score."""
        scores = gamma_scores(self.supernet.network)
        self.probe_scores.append([score(self.problem.space, scores, probe) for probe in self.probes])
        if self.trained:
            start = time.perf_counter()
            self.validated(self.fallback)
            self.seconds["validation"] = time.perf_counter() - start
            start = time.perf_counter()
            for _ in range(TIMED):
                score(self.problem.space, scores, self.fallback)
            self.seconds["score"] = (time.perf_counter() - start) / TIMED

    def fitness(self) -> Callable[[Architecture], float]:
        """The sum of the scales of an architecture's candidates."""
        scores = gamma_scores(self.supernet.network, self.problem.permuted_if_null)
        return lambda architecture: score(self.problem.space, scores, architecture)

    def step(self) -> None:
        """Take a step of the evolution; after the last, train a probe stand-alone."""
        try:
            super().step()
        except SearchFinished:
            if len(self.probe_top1) == len(self.probes):
                raise
            self.probe_top1.append(self.problem.evaluate(self.probes[len(self.probe_top1)]).top1)

    def diagnostics(self) -> Mapping[str, Json]:
        """Seconds of one score and of one validation, and the scores' rank correlation with probes after each epoch."""
        measured = [row[: len(self.probe_top1)] for row in self.probe_scores]
        found = dict(super().diagnostics()) | {"seconds": self.seconds, "kendall_tau": []}
        if len(set(self.probe_top1)) > 1:
            taus = [float(stats.kendalltau(row, self.probe_top1).statistic) for row in measured if len(set(row)) > 1]
            found["kendall_tau"] = taus
        if measured and self.probe_top1:
            found["rank_pairs"] = [list(pair) for pair in zip(measured[-1], self.probe_top1, strict=True)]
        return found
