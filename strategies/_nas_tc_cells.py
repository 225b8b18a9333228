"""NAS-TC on spaces of temporal cells: cells are stitched to the frozen backbone's features, one after another.

The search begins with idle cells: every edge is none or skip. Then, cell by cell and edge by edge, all operators of an
edge train together, one per step in a fair random order; the most accurate on search-val stays, with its weights. The
layers behind a cell (the classifier, batch-norms of idle cells) train with it, the input projection with the first one;
all before it is frozen. Batch-norm uses statistics of the batch, because it serves many operators.
"""

import itertools
from collections.abc import Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pvnas_bench import (
    EDGES,
    INACTIVE,
    Architecture,
    CellSpace,
    ClipBatch,
    Json,
    SearchFinished,
    State,
    Strategy,
    TemporalCell,
    TemporalNetwork,
    cell_options,
    edge_name,
)
from pvnas_bench.methods import set_rate
from pvnas_bench.strategies._nas_tc_blocks import NASTCConfig

IDLE = ("none", "skip", "none")
"""Operators of a cell that only applies its batch-norm, in the order of `EDGES`."""
SPARE = 1.2
"""Budget reserved for the last measurement, in its present cost: the final network may cost more."""

Edge = tuple[int, tuple[int, int]]
"""A cell, counted from 1, and one of its `EDGES`."""


def idle_architectures(space: CellSpace) -> Iterator[Architecture]:
    """Networks without temporal mixing: all cells idle."""
    for steps, cells, channels in itertools.product(space.steps, space.cells, space.channels):
        yield space.from_options(cell_options(steps=steps, cells=cells, channels=channels, operators=IDLE))


class CellStitching(Strategy[NASTCConfig, CellSpace]):
    """The search of `nas_tc` on a space of temporal cells."""

    def setup(self) -> None:
        """Begin with a network of idle cells."""
        problem, self.space = self.problem, self.problem.space
        fallback = problem.sample(problem.rng("fallback"))
        idle = [a for a in idle_architectures(self.space) if problem.feasible(a)]
        structure = self.space.reference.choices[:3]
        like = [a for a in idle if a.choices[:3] == structure]
        self.chosen = max(like or idle or [fallback], key=lambda a: problem.cost(a).macs)
        self.network = self._network(self.chosen)
        cells = len(self.space.spec(self.chosen).cells)
        self.edges: list[Edge] = [(cell, edge) for cell in range(1, cells + 1) for edge in EDGES]
        self.position = 0
        """Index of the current edge in `edges`."""
        self.candidates: dict[str, TemporalNetwork] = {}
        """Candidates of the current edge, by operator; they share all modules except that edge's."""
        self.order: list[str] = []
        """Operators still to train in the current round."""
        self.started = self.share = 0.0
        """Reference trainings spent when the current edge began, and the budget of its training."""
        self.trials: list[tuple[str, str, float]] = []
        self.spent: dict[str, float] = {}
        self.final: dict[str, float] = {}

    def step(self) -> None:
        """Train the current edge's operators for one epoch, choose one of them, or make the last measurement."""
        if self.position < len(self.edges):
            before, cell = self.problem.ledger.spent, f"cell.{self.edges[self.position][0]}"
            if not self.candidates:
                self._begin()
            if not self._train():
                self._choose()
            self.spent[cell] = self.spent.get(cell, 0.0) + self.problem.ledger.spent - before
        elif not self.final:
            self._measure_steps()
        else:
            raise SearchFinished

    # --- one edge -----------------------------------------------------------------------------------------------------

    def replaced(self, place: Edge, operator: str) -> Architecture:
        """The current network with another operator on an edge; any edge this switches on is idle."""
        last = self.space.decision(place[0], EDGES[2])
        options = {last: IDLE[2]} | self.space.options(self.chosen) | {self.space.decision(*place): operator}
        return self.space.from_options(options)

    def _begin(self) -> None:
        """Build the candidates of the current edge and the optimiser of their parameters."""
        problem, place = self.problem, self.edges[self.position]
        position = self.space.position(self.space.decision(*place))
        idle = IDLE[EDGES.index(place[1])]
        tokens = sorted(self.space.decisions[position].options, key=lambda token: token != idle)  # idle wins ties
        if self.chosen.choices[position] == INACTIVE:
            tokens = []  # this edge does not exist without edge 01
        for token in tokens:
            architecture = self.replaced(place, token)
            if problem.feasible(architecture):
                self.candidates[token] = self._network(architecture)
                tie(self.candidates[token], self.network, *place)
        self.order = []
        self.started, edges = problem.ledger.spent, len(self.edges) - self.position
        validation = sum(problem.cost(self.replaced(place, t)).macs for t in self.candidates) * problem.clips_in("val")
        self.share = (problem.ledger.left - SPARE * self._measurement()) / edges - validation / problem.ledger.reference
        trained = trainable(self.network, place[0])
        for name, parameter in self.network.named_parameters():
            parameter.requires_grad_(name in trained)
        self.optimiser = torch.optim.Adam(self._parameters(), lr=self.config.temporal_rate)

    def _parameters(self) -> list[nn.Parameter]:
        """Parameters that train with the current edge, without duplicates."""
        place = self.edges[self.position]
        networks = (self.network, *self.candidates.values())
        found = {id(p): p for network in networks for p in trainable(network, place[0]).values()}
        return list(found.values())

    def _train(self) -> bool:
        """Train the candidates for one epoch, one per step; return True if the budget allowed a step."""
        problem, trained, place = self.problem, False, self.edges[self.position]
        batch_macs = 3 * min(problem.batch_size, problem.clips_in("train"))
        for batch in problem.search_batches("train") if self.candidates else ():
            if not self.order:
                tokens = list(self.candidates)
                self.order = [tokens[i] for i in problem.rng("operators").permutation(len(tokens))]
            spent = problem.ledger.spent - self.started
            macs = batch_macs * problem.cost(self.replaced(place, self.order[-1])).macs
            if spent + macs / problem.ledger.reference > self.share:
                break
            self._update(self.candidates[self.order.pop()], batch, 1 - spent / self.share)
            trained = True
        return trained

    def _update(self, network: TemporalNetwork, batch: ClipBatch, progress: float) -> None:
        """Take a step of Adam; its rate falls with progress."""
        set_rate(self.optimiser, self.config.temporal_rate * progress)
        labels = batch.labels.to(self.problem.device)
        loss = F.cross_entropy(self._logits(network, batch), labels, label_smoothing=self.config.label_smoothing)
        self.problem.backward(loss)
        self.problem.update(self.optimiser, clip=self.config.gradient_clip)
        self.problem.log(train_loss=float(loss.detach()))

    def _choose(self) -> None:
        """Measure the candidates, and keep the best."""
        place = self.edges[self.position]
        top1 = {token: self._validate(network) for token, network in self.candidates.items()}
        if top1:
            best = max(top1, key=lambda token: top1[token])
            self.chosen, self.network = self.replaced(place, best), self.candidates[best]
            self.trials += [(f"{place[0]}.{edge_name(place[1])}", *pair) for pair in top1.items()]
            self.problem.log(val_top1=top1[best])
        self.candidates = {}
        self.position += 1

    # --- networks -----------------------------------------------------------------------------------------------------

    def _network(self, architecture: Architecture) -> TemporalNetwork:
        """Return a charged network: batch-norm on batch statistics, no dropout."""
        network = self.problem.metered.network(architecture)
        assert isinstance(network, TemporalNetwork)
        network.train()
        network.dropout.eval()
        return network

    def _logits(self, network: TemporalNetwork, batch: ClipBatch) -> Tensor:
        inputs = self.problem.metered.inputs(batch, network)
        with self.problem.metered.clock("forward"):
            logits: Tensor = network(inputs)
        return logits

    @torch.no_grad()
    def _validate(self, network: TemporalNetwork) -> float:
        """Top-1 on search-val; counts as one architecture evaluated."""
        self.problem.ledger.charge(0, evaluations=1)
        hits = count = 0
        for batch in self.problem.validation_batches():
            hits += int((self._logits(network, batch).argmax(1).cpu() == batch.labels).sum())
            count += len(batch)
        return hits / count

    # --- the last measurement -----------------------------------------------------------------------------------------

    def _all_steps(self) -> list[Architecture]:
        """The current network at every number of time steps."""
        options = self.space.options(self.chosen)
        return [self.space.from_options(options | {"steps": str(steps)}) for steps in self.space.steps]

    def _measurement(self) -> float:
        """Cost of the last measurement, in reference trainings."""
        macs = sum(self.problem.cost(architecture).macs for architecture in self._all_steps())
        return macs * self.problem.clips_in("val") / self.problem.ledger.reference

    def _measure_steps(self) -> None:
        """Measure the final network's accuracy at every number of time steps, with the weights of the search."""
        for steps, architecture in zip(self.space.steps, self._all_steps(), strict=True):
            network = self._network(architecture)
            network.load_state_dict(self.network.state_dict())
            self.final[f"top1_at_{steps}_steps"] = self._validate(network)

    # --- the result ---------------------------------------------------------------------------------------------------

    def incumbent(self) -> Architecture:
        """The current network."""
        return self.chosen

    def diagnostics(self) -> Mapping[str, Json]:
        """Trials and their cost."""
        return {**self.final, "trials": self.trials, "cost": self.spent}

    def state_dict(self) -> dict[str, State]:
        """State without the candidate list: networks share modules, and their number changes."""
        kept = super().state_dict()
        for name in ("network", "candidates", "optimiser"):
            kept.pop(name, None)
        return {
            "attributes": kept,
            "network": self.network.state_dict(),
            "candidates": {token: network.state_dict() for token, network in self.candidates.items()},
            "optimiser": self.optimiser.state_dict() if self.candidates else {},
        }

    def load_state_dict(self, state: Mapping[str, State]) -> None:
        """Build the networks of the current edge and load them."""
        attributes, network, candidates, optimiser = (
            state[name] for name in ("attributes", "network", "candidates", "optimiser")
        )
        assert isinstance(attributes, dict) and isinstance(network, dict)
        assert isinstance(candidates, dict) and isinstance(optimiser, dict)
        super().load_state_dict(attributes)
        self.network = self._network(self.chosen)
        self.network.load_state_dict(network)
        if candidates:
            self._begin()
            for token, own in self.candidates.items():
                own.load_state_dict(candidates[token])
            self.optimiser.load_state_dict(optimiser)
        super().load_state_dict(attributes)


def tie(network: TemporalNetwork, other: TemporalNetwork, cell: int, edge: tuple[int, int]) -> None:
    """Give a network the modules of another, except the operator of one edge."""
    network.projection, network.norm, network.classifier = other.projection, other.norm, other.classifier
    for number, (mine, theirs) in enumerate(zip(network.cells, other.cells, strict=True), 1):
        if number != cell:
            network.cells[number - 1] = theirs
            continue
        assert isinstance(mine, TemporalCell) and isinstance(theirs, TemporalCell)
        mine.norm = theirs.norm
        for name in mine.edges.keys() & theirs.edges.keys() - {edge_name(edge)}:
            mine.edges[name] = theirs.edges[name]


def trainable(network: TemporalNetwork, cell: int) -> dict[str, nn.Parameter]:
    """Parameters that train with a cell, by name: the cell, all layers behind it, and for the first the projection."""
    behind = tuple(f"cells.{i}." for i in range(cell - 1, len(network.cells)))
    own = (*behind, "classifier.", *(("projection.", "norm.") if cell == 1 else ()))
    return {name: parameter for name, parameter in network.named_parameters() if name.startswith(own)}
