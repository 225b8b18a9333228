"""NAS-TC on spaces of blocks: temporal operators are stitched to a 2-D path of the supernet, block by block.

Stage 1 trains a 2-D network once, for the heavy spatial features, and freezes it. Stage 2 goes from the first block to
the last; each block tries the operators that mix time. Only an operator's new parts train (temporal kernels, their
batch-norms, the classifier), from the same start and for the same number of steps. The most accurate on search-val
stays, with its weights; the next block is searched on top of the prefix chosen so far.
"""

import itertools
from collections.abc import Iterator

import torch
from pydantic import Field
from torch import Tensor, nn

from pvnas_bench import Architecture, BlockSpace, SearchFinished, Strategy, mixes_time
from pvnas_bench.methods import SharedWeights, WeightsConfig, set_rate

SPARE = 1.2
"""Budget reserved for the last measurement, in its present cost: the final network may cost more."""

Snapshot = dict[str, Tensor]
"""Parameters of the supernet by name."""


def flat_architectures(space: BlockSpace) -> Iterator[Architecture]:
    """2-D networks: one spatial operator and one expansion throughout, no squeeze-excitation."""
    spatial, depths = ["s3"] * len(space.stages), itertools.product(*(stage.depths for stage in space.stages))
    for frames, size, expansion, chosen in itertools.product(space.frames, space.sizes, space.expansions, depths):
        yield space.uniform(frames=frames, size=size, depths=chosen, operators=spatial, expansion=expansion)


class NASTCConfig(WeightsConfig):
    """Hyper-parameters of NAS-TC."""

    weight_rate: float = Field(4e-3, gt=0, description="peak rate of the weights (R, tuned)")
    backbone_share: float = Field(
        0.4, gt=0, lt=1, description="part of the budget that trains the backbone; cells come with theirs (R)"
    )
    temporal_rate: float = Field(0.016, gt=0, description="peak rate of Adam for what is temporal (R, tuned)")


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
        """(block, operator, top-1) of each trial; -1 above the cap."""
        self.start: Snapshot = {}
        """Initial temporal weights of every candidate of the current block."""
        self.best: Snapshot = {}
        """Temporal weights of the best candidate of the current block, trained."""
        self.spent = {"backbone": 0.0, "temporal": 0.0}
        """Reference trainings spent on each stage."""
        self.measured = False

    def _structure(self, architecture: Architecture) -> dict[str, str]:
        """Options of frames, size, depths and expansions, by decision."""
        options = self.problem.space.options(architecture)
        return {name: option for name, option in options.items() if not name.startswith(("operator.", "se."))}

    def _queue(self) -> list[tuple[str, str]]:
        """Trials (block, operator): blocks in order, the spatial operator first."""
        space, options = self.problem.space, self.problem.space.options(self.backbone)
        first = {slot: options.get(f"operator.{slot.name}", "skip") for slot in space.slots}
        present = [slot for slot in space.slots if first[slot] != "skip"]
        return [(slot.name, o) for slot in present for o in (first[slot], *filter(mixes_time, slot.operators))]

    # --- stage 1: the backbone ----------------------------------------------------------------------------------------

    def step(self) -> None:
        """Train the backbone for one epoch, or try one operator in one block."""
        if self.problem.progress_to(self.config.backbone_share) < 1 and not self.trials:
            self._train_backbone()
        elif len(self.trials) < len(self.queue):
            self._try(*self.queue[len(self.trials)])
        elif not self.measured:
            self._measure_clip_lengths()
        else:
            raise SearchFinished
        parameters, backbone = (self.problem.cost(a).parameters for a in (self.chosen, self.backbone))
        self.problem.note(
            trials=self.trials,
            cost=self.spent,
            temporal_parameters=parameters - backbone,
            temporal_share=(parameters - backbone) / parameters,
        )

    def _train_backbone(self) -> None:
        before = self.problem.ledger.spent
        for batch in self.problem.search_batches("train"):
            if (progress := self.problem.progress_to(self.config.backbone_share)) >= 1:
                break
            self.weights.step(batch, self.backbone, self.config.rate(progress))
        self.spent["backbone"] += self.problem.ledger.spent - before

    # --- stage 2: time ------------------------------------------------------------------------------------------------

    def trainable(self, block: str) -> dict[str, nn.Parameter]:
        """Parameters that stage 2 trains for a block, by name: those of operators that mix time, and the classifier.

        γ and β of spatial candidates are among them, as parts of the same tensors, but get no gradient.
        """
        network = self.supernet.network
        trained = {*network.block(block).temporal_parameters(), *network.head.classifier.parameters()}
        return {name: parameter for name, parameter in network.named_parameters() if parameter in trained}

    def _snapshot(self, block: str) -> Snapshot:
        return {name: parameter.detach().clone() for name, parameter in self.trainable(block).items()}

    def replaced(self, decision: str, option: str) -> Architecture:
        """The network chosen so far with another option of one decision."""
        return self.problem.space.from_options(self.problem.space.options(self.chosen) | {decision: option})

    def _try(self, block: str, operator: str) -> None:
        """Train the new parts of one operator in one block, measure it, and keep it if it is the best of its block."""
        before = self.problem.ledger.spent
        candidate = self.replaced(f"operator.{block}", operator)
        earlier = [top1 for b, _, top1 in self.trials if b == block]
        if not earlier:
            self.start = self._snapshot(block)
        self.supernet.network.load_state_dict(self.start, strict=False)
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
        optimiser = torch.optim.Adam(self.trainable(block).values(), lr=config.temporal_rate)
        start, batches, share = problem.ledger.spent, problem.repeated_batches("train"), self._share(candidate)
        step = 3 * problem.cost(candidate).macs * min(problem.batch_size, problem.clips_in("train"))
        while (spent := problem.ledger.spent - start) + step / problem.ledger.reference <= share:
            set_rate(optimiser, config.temporal_rate * (1 - spent / share))
            problem.backward(self.supernet.loss(next(batches), candidate, config.label_smoothing))
            self.supernet.network.block(block).clear_spatial_gradients()
            problem.update(optimiser, clip=config.gradient_clip)
            self.supernet.zero_grad(set_to_none=True)

    def _share(self, candidate: Architecture) -> float:
        """Reference trainings for the training of a candidate, without its measurement and the last one."""
        problem, clips = self.problem, self.problem.clips_in("val")
        reference, trials = problem.ledger.reference, len(self.queue) - len(self.trials)
        last = clips * sum(problem.cost(network).macs for network in self._all_lengths()) / reference
        return (problem.ledger.left - SPARE * last) / trials - problem.cost(candidate).macs * clips / reference

    def _choose(self, block: str) -> None:
        top1, _, operator = max((t, -i, o) for i, (b, o, t) in enumerate(self.trials) if b == block)
        if top1 >= 0:
            self.chosen = self.replaced(f"operator.{block}", operator)
            self.supernet.network.load_state_dict(self.best, strict=False)

    def _all_lengths(self) -> list[Architecture]:
        """The current network at every number of frames."""
        return [self.replaced("frames", str(frames)) for frames in self.problem.space.frames]

    def _measure_clip_lengths(self) -> None:
        """Measure the final network's accuracy at every number of frames, with the weights of the search."""
        self.measured = True
        for frames, architecture in zip(self.problem.space.frames, self._all_lengths(), strict=True):
            top1, _ = self.supernet.validate(architecture, self.problem.validation_batches())
            self.problem.note(**{f"top1_at_{frames}_frames": top1})

    # --- the result ---------------------------------------------------------------------------------------------------

    def incumbent(self) -> Architecture:
        """The current network."""
        return self.chosen

    def score(self, architecture: Architecture) -> None:
        """No score: the weights of rejected operators are not trained to the end."""
