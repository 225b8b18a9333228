"""NAS-TC on spaces of blocks: temporal operators are stitched to a 2-D path of the supernet, block by block.

Stage 1 trains a 2-D network once, for the heavy spatial features, and freezes it. Stage 2 goes from the first block to
the last; each block tries the operators that mix time. Only an operator's new parts train (temporal kernels, their
batch-norms, the classifier), from the same start and for the same number of steps. The most accurate on search-val
stays, with its weights; the next block is searched on top of the prefix chosen so far.
"""

import itertools
from collections.abc import Iterator, Mapping

import torch
from pydantic import Field
from torch import Tensor, nn

from pvnas_bench import KERNELS, Architecture, BlockSpace, Json, SearchFinished, Strategy, uniform_options
from pvnas_bench.methods import SharedWeights, WeightsConfig, set_rate

Snapshot = dict[str, Tensor]


def mixes_time(operator: str) -> bool:
    """Return True if an operator sees other frames."""
    return operator == "tsm" or any(len(k) == 3 or k[-1] == 1 for k in KERNELS.get(operator, ()))


def flat_architectures(space: BlockSpace) -> Iterator[Architecture]:
    """2-D networks: one spatial operator and one expansion throughout, no squeeze-excitation."""
    depths = [stage.depths for stage in space.stages]
    for frames, size, expansion in itertools.product(space.frames, space.sizes, space.expansions):
        for chosen in itertools.product(*depths):
            yield space.from_options(
                uniform_options(
                    space.stages,
                    frames=frames,
                    size=size,
                    depths=chosen,
                    operators=["s3"] * len(space.stages),
                    expansion=expansion,
                    se=space.se[0],
                )
            )


class NASTCConfig(WeightsConfig):
    """Hyper-parameters of NAS-TC."""

    backbone_share: float = Field(
        0.4, gt=0, lt=1, description="part of the budget that trains the backbone; cells come with theirs (R)"
    )
    temporal_rate: float = Field(8e-3, gt=0, description="peak rate of Adam for what is temporal (R)")


class BlockStitching(Strategy[NASTCConfig, BlockSpace]):
    """The search of `nas_tc` on a space of blocks."""

    def setup(self) -> None:
        """Choose the backbone and build the supernet that contains it."""
        problem, space = self.problem, self.problem.space
        self.fallback = problem.sample(problem.rng("fallback"))
        flat = [a for a in flat_architectures(space) if problem.feasible(a)]
        like = [a for a in flat if self._structure(a) == self._structure(space.reference)]
        self.backbone = max(like or flat or [self.fallback], key=lambda a: problem.cost(a).macs)
        self.chosen = self.backbone
        self.supernet = problem.supernet()
        self.weights = SharedWeights(problem, self.config, self.supernet)
        self.queue = self._queue()
        self.trials: list[tuple[str, str, float]] = []
        self.start: Snapshot = {}
        """Initial temporal weights of every candidate of the current block."""
        self.best: Snapshot = {}
        self.spent = {"backbone": 0.0, "temporal": 0.0}
        self.final: dict[str, float] = {}

    def _structure(self, architecture: Architecture) -> list[int]:
        """Choices of frames, size, depths and expansions."""
        return [
            choice
            for decision, choice in zip(self.problem.space.decisions, architecture.choices, strict=True)
            if decision.level == "structural" or decision.name.startswith("expansion")
        ]

    def _queue(self) -> list[tuple[str, str]]:
        """Trials (block, operator): blocks in order, the spatial operator first."""
        space, options = self.problem.space, self.problem.space.options(self.backbone)
        queue = []
        for slot in space.slots:
            if (spatial := options.get(f"operator.{slot.name}")) is not None and spatial != "skip":
                queue += [(slot.name, o) for o in (spatial, *filter(mixes_time, slot.operators))]
        return queue

    # --- stage 1: the backbone ----------------------------------------------------------------------------------------

    def step(self) -> None:
        """Train the backbone for one epoch, or try one operator in one block."""
        if self.problem.progress_to(self.config.backbone_share) < 1 and not self.trials:
            self._train_backbone()
        elif len(self.trials) < len(self.queue):
            self._try(*self.queue[len(self.trials)])
        elif not self.final:
            self._measure_clip_lengths()
        else:
            raise SearchFinished

    def _train_backbone(self) -> None:
        before = self.problem.ledger.spent
        for batch in self.problem.search_batches("train"):
            if (progress := self.problem.progress_to(self.config.backbone_share)) >= 1:
                break
            self.weights.step(batch, self.backbone, self.config.rate(progress))
        self.spent["backbone"] += self.problem.ledger.spent - before

    # --- stage 2: time ------------------------------------------------------------------------------------------------

    def trainable(self, block: str) -> dict[str, nn.Parameter]:
        """Parameters that stage 2 trains for a block, by name: temporal kernels, batch-norms of operators that mix
        time, γ and β of its candidates (see `_keep_spatial`), and the classifier.
        """
        index = [slot.name for slot in self.problem.space.slots].index(block)
        kinds = ("operators.temporal", "operators.full", "scale", "shift")
        norms = tuple(f"operator_norms.{operator}" for operator in KERNELS if mixes_time(operator))
        own = tuple(f"network.blocks.{index}.{part}" for part in (*kinds, *norms))
        return {
            name: parameter
            for name, parameter in self.supernet.named_parameters()
            if name.startswith((*own, "network.head.classifier."))
        }

    def _keep_spatial(self, block: str, parameters: Mapping[str, nn.Parameter]) -> None:
        """Clear the gradient of the spatial candidates' γ and β: they are the backbone's."""
        slot = next(slot for slot in self.problem.space.slots if slot.name == block)
        spatial = [o for o, operator in enumerate(slot.operators) if not mixes_time(operator)]
        for name, parameter in parameters.items():
            if name.endswith(("scale", "shift")) and parameter.grad is not None:
                parameter.grad[spatial] = 0.0

    def _snapshot(self, block: str) -> Snapshot:
        return {name: parameter.detach().clone() for name, parameter in self.trainable(block).items()}

    def _restore(self, snapshot: Snapshot) -> None:
        parameters = dict(self.supernet.named_parameters())
        with torch.no_grad():
            for name, value in snapshot.items():
                parameters[name].copy_(value)

    def replaced(self, block: str, operator: str) -> Architecture:
        """The prefix chosen so far with another operator in a block."""
        space, choices = self.problem.space, [max(c, 0) for c in self.chosen.choices]
        slot = next(slot for slot in space.slots if slot.name == block)
        choices[space.groups[block][0]] = slot.operators.index(operator)
        return space.architecture(choices)

    def _try(self, block: str, operator: str) -> None:
        """Train the new parts of one operator in one block, measure it, and keep it if it is the best of its block."""
        before = self.problem.ledger.spent
        candidate = self.replaced(block, operator)
        earlier = [top1 for b, _, top1 in self.trials if b == block]
        if not earlier:
            self.start = self._snapshot(block)
        self._restore(self.start)
        top1 = -1.0
        if self.problem.feasible(candidate):
            self._train_temporal(block, candidate)
            top1, _ = self.supernet.validate(candidate, self.problem.validation_batches())
        if not earlier or top1 > max(earlier):
            self.best = self._snapshot(block)
        self.trials.append((block, operator, top1))
        if len(self.trials) == len(self.queue) or self.queue[len(self.trials)][0] != block:
            self._choose(block)
        self.spent["temporal"] += self.problem.ledger.spent - before
        self.problem.log(val_top1=max(top1 for b, _, top1 in self.trials if b == block))

    def _train_temporal(self, block: str, candidate: Architecture) -> None:
        """Train the temporal weights along one path with Adam, for its share of the remaining budget."""
        problem, config = self.problem, self.config
        clips, reference = problem.clips_in("val"), problem.ledger.reference
        validation = problem.cost(candidate).macs * clips / reference
        lengths = clips * sum(problem.cost(self._at(f)).macs for f in range(len(problem.space.frames))) / reference
        trials = len(self.queue) - len(self.trials)
        share = (problem.ledger.left - 1.2 * lengths) / trials - validation
        start, batches = problem.ledger.spent, iter(problem.search_batches("train"))
        parameters = self.trainable(block)
        optimiser = torch.optim.Adam(parameters.values(), lr=config.temporal_rate)
        macs = problem.cost(candidate).macs
        one = 3 * macs * min(problem.batch_size, problem.clips_in("train")) / problem.ledger.reference
        while (spent := problem.ledger.spent - start) + one <= share:
            batch = next(batches, None)
            if batch is None:
                batches = iter(problem.search_batches("train"))
                batch = next(batches)
            set_rate(optimiser, config.temporal_rate * (1 - spent / share))
            problem.backward(self.supernet.loss(batch, candidate, config.label_smoothing))
            self._keep_spatial(block, parameters)
            problem.update(optimiser, clip=config.gradient_clip)
            self.supernet.zero_grad(set_to_none=True)

    def _choose(self, block: str) -> None:
        top1, _, operator = max((t, -i, o) for i, (b, o, t) in enumerate(self.trials) if b == block)
        if top1 >= 0:
            self.chosen = self.replaced(block, operator)
            self._restore(self.best)

    def _measure_clip_lengths(self) -> None:
        """Measure the final network's accuracy at every number of frames, with the weights of the search."""
        for f, frames in enumerate(self.problem.space.frames):
            top1, _ = self.supernet.validate(self._at(f), self.problem.validation_batches())
            self.final[f"top1_at_{frames}_frames"] = top1

    def _at(self, frames: int) -> Architecture:
        """The current network with another option of frames."""
        return self.problem.space.architecture([frames, *(max(c, 0) for c in self.chosen.choices[1:])])

    # --- the result ---------------------------------------------------------------------------------------------------

    def incumbent(self) -> Architecture:
        """The current network."""
        return self.chosen

    def score(self, architecture: Architecture) -> None:
        """No score: the weights of rejected operators are not trained to the end."""

    def diagnostics(self) -> Mapping[str, Json]:
        """Trials, their cost, and the number of temporal parameters."""
        temporal = self.problem.cost(self.chosen).parameters - self.problem.cost(self.backbone).parameters
        return {
            **self.final,
            "trials": self.trials,
            "cost": self.spent,
            "temporal_parameters": temporal,
            "temporal_share": temporal / self.problem.cost(self.chosen).parameters,
        }
