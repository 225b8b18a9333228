"""BN-NAS: the scales of batch-norm tell which candidates are good.

The supernet keeps its random weights; only batch-norm trains, along uniformly sampled paths. A candidate's score is the
mean |γ| of its last batch-norm, an architecture's the sum over its layers (equations 5 and 6 of Chen et al. 2021), and
the evolution of SPOS maximises it under the cap: a look-up in a table takes the place of a validation.

Depth: a skip needs a batch-norm of its own to have a score, or else more layers always score more. Here each slot's
skip gets one, which trains when a sampled path skips that slot; a slot that the depth of its stage leaves out computes
the same as a skip and scores the same.

What was found on synthetic_motion (protocol quick, cap L; random sampling has a mean test top-1 of 0.46): 0.67 with
seed 0, after 0.4 reference trainings; 0.54 over seeds 0-2, as random search. Whether the scores deserve the credit is
doubtful: random weights with trained batch-norm stay at chance, 2.77 (loss 2.80 after these 8 epochs; 2.77 after 25
with SGD at 1.0 or AdamW at 0.02), and the sums of 1000 architectures hardly differ from 6. With skips scored about as
blocks are, the largest γ of each slot is mostly a block, and so the result a deep network near the cap. A score takes 6
µs, a validation 0.22 s. Kendall τ against 8 networks trained for 4 epochs: 0.36, not significant.
"""

import time
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
import torch
from pvnas_bench.strategies.spos import SPOS
from pydantic import Field
from scipy import stats
from torch import nn

from pvnas_bench import Architecture, BlockSpace, Info, Problem, SearchFinished
from pvnas_bench.methods.bilevel import make_weight_optimiser
from pvnas_bench.methods.knapsack import Scores
from pvnas_bench.network.supernet import ElasticNorm, SuperBlock, Supernet
from pvnas_bench.space import INACTIVE

TIMED = 1000
"""Look-ups that the time of a score is averaged over (the authors' code)."""


def blocks_of(supernet: Supernet) -> list[SuperBlock]:
    return [block for block in supernet.blocks if isinstance(block, SuperBlock)]


def norm_parameters(supernet: Supernet, which: Literal["all", "last"]) -> Iterator[nn.Parameter]:
    """The affine parameters of every batch-norm, or of the last one of each candidate."""
    for block in blocks_of(supernet):
        yield from (block.scale, block.shift)
        if which == "last" and block.skip_norm is not None:
            yield from block.skip_norm.parameters()
    if which == "all":
        for norm in supernet.norms():
            yield from norm.parameters()


def gamma_scores(supernet: Supernet) -> Scores:
    """Mean |γ| of each candidate's last batch-norm; the slots that a depth leaves out score as skips."""
    space = supernet.space
    slots, absent = [], []
    for slot, block in zip(space.slots, blocks_of(supernet), strict=True):
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
        slots.append(table)
        skips = [score for (_, e, _), score in table.items() if e == INACTIVE]
        absent.append(skips[0] if skips else float(np.mean(list(table.values()))))
    depths = []
    for s, stage in enumerate(space.stages, 1):
        of_stage = [score for slot, score in zip(space.slots, absent, strict=True) if slot.stage == s]
        depths.append(np.array([sum(of_stage[depth:]) for depth in stage.depths]))
    return Scores(np.zeros(len(space.frames)), np.zeros(len(space.sizes)), tuple(depths), tuple(slots))


def score(space: BlockSpace, scores: Scores, architecture: Architecture) -> float:
    """The sum over layers."""
    choices = architecture.choices
    total = sum(float(depth[choice]) for depth, choice in zip(scores.depths, choices[2:], strict=False))
    for slot, table in zip(space.slots, scores.slots, strict=True):
        o, e, a = (choices[i] for i in space.groups[slot.name])
        total += 0.0 if o == INACTIVE else table[o, e, a]
    return total


class BNNAS(SPOS):
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

    class Config(SPOS.Config):
        trained: Literal["all", "last"] = Field(
            "all", description="batch-norms that train: all (the text), the last of each block (the authors' code)"
        )
        supernet_share: float = Field(0.06, gt=0, lt=1, description="a tenth of SPOS' (BN-NAS: 10 epochs for 100)")
        optimiser: Literal["adamw", "sgd"] = Field("sgd", description="sgd with momentum 0.9 (BN-NAS' code)")
        weight_rate: float = Field(0.25, gt=0, description="peak rate (BN-NAS' code)")
        weight_floor: float = Field(5e-4, ge=0, description="last rate; of a cosine, in the authors' code linear")
        weight_decay: float = Field(0.0, ge=0, description="none on batch-norm (BN-NAS' code)")
        rising: float = Field(0.0, ge=0, lt=1, description="no warm-up (BN-NAS' code)")
        probes: int = Field(0, ge=0, description="random architectures trained in the end to rank scores by (R)")

    def setup(self, problem: Problem) -> None:
        super().setup(problem)
        self.scores = gamma_scores(self.supernet.network)
        self.probes = [problem.sample(problem.rng("probes")) for _ in range(self.config.probes)]
        self.probe_scores: list[list[float]] = []
        self.probe_top1: list[float] = []
        self.seconds: dict[str, float] = {}

    def _optimiser(self) -> torch.optim.Optimizer:
        """Of batch-norm alone: all else is frozen; skips get a batch-norm, and the classifier a gain that lets through
        gradients, as its usual one is near zero at the start.
        """
        network, config = self.supernet.network, self.config
        for slot, block in zip(network.space.slots, blocks_of(network), strict=True):
            if "skip" in slot.operators:
                block.skip_norm = ElasticNorm(slot.cout).to(self.problem.device)
        classifier = network.head.classifier
        generator = self.problem.torch_rng("classifier")
        with torch.no_grad():
            gain = classifier.in_features**-0.5  # PyTorch's own for a linear layer, up to a constant
            classifier.weight.copy_(gain * torch.randn(classifier.weight.shape, generator=generator))
        self.supernet.requires_grad_(False)
        trained = list(norm_parameters(network, config.trained))
        for parameter in trained:
            parameter.requires_grad_()
        return make_weight_optimiser(trained, config)

    def _train(self) -> None:
        super()._train()
        self.scores = gamma_scores(self.supernet.network)
        self.probe_scores.append([score(self.problem.space, self.scores, probe) for probe in self.probes])

    def _plan(self) -> None:
        """Scores are free: the evolution is that of the paper."""
        start = time.perf_counter()
        super()._fitness(self.fallback)
        self.seconds["validation"] = time.perf_counter() - start
        start = time.perf_counter()
        for _ in range(TIMED):
            self._fitness(self.fallback)
        self.seconds["score"] = (time.perf_counter() - start) / TIMED

    def _fitness(self, architecture: Architecture) -> float:
        return score(self.problem.space, self.scores, architecture)

    def _log_generation(self) -> None:
        self.problem.log(score=max(self.fitness.values()))

    def step(self) -> None:
        """A step of SPOS; when it has none left, the stand-alone training of a probe."""
        try:
            super().step()
        except SearchFinished:
            if len(self.probe_top1) == len(self.probes):
                raise
            self.probe_top1.append(self.problem.evaluate(self.probes[len(self.probe_top1)]).top1)

    def diagnostics(self) -> Mapping[str, Any]:
        """Seconds of one score and of one validation, and the scores' rank correlation with probes after each epoch."""
        measured = [row[: len(self.probe_top1)] for row in self.probe_scores]
        found = dict(super().diagnostics()) | {"seconds": self.seconds, "kendall_tau": []}
        if len(set(self.probe_top1)) > 1:
            taus = [float(stats.kendalltau(row, self.probe_top1).statistic) for row in measured if len(set(row)) > 1]
            found["kendall_tau"] = taus
        if measured and self.probe_top1:
            found["rank_pairs"] = [list(pair) for pair in zip(measured[-1], self.probe_top1, strict=True)]
        return found

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {
            "probes": [str(probe) for probe in self.probes],
            "probe_scores": [list(row) for row in self.probe_scores],
            "probe_top1": list(self.probe_top1),
            "seconds": dict(self.seconds),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.scores = gamma_scores(self.supernet.network)
        self.probes = [self.problem.space.parse(string) for string in state["probes"]]
        self.probe_scores = [list(row) for row in state["probe_scores"]]
        self.probe_top1 = list(state["probe_top1"])
        self.seconds = dict(state["seconds"])
