"""NAS-TC on spaces of temporal cells: cells are stitched to the frozen backbone's features, one after another.

The search begins with idle cells: every edge is none or skip. Then, cell by cell and edge by edge, all operators of an
edge train together, one per step in a fair random order; the most accurate on search-val stays, with its weights. The
layers behind a cell (the classifier, batch-norms of idle cells) train with it, the input projection with the first one;
all before it is frozen.
"""

import itertools
from collections.abc import Iterator

import torch.nn.functional as F

from pvnas_bench import (
    EDGES,
    INACTIVE,
    Architecture,
    CellSpace,
    ClipBatch,
    SearchFinished,
    Strategy,
    TemporalNetwork,
    cell_options,
    edge_name,
)
from pvnas_bench.methods import Edge, EdgeCandidates, set_rate
from pvnas_bench.strategies._nas_tc_blocks import SPARE, NASTCConfig

IDLE = ("none", "skip", "none")
"""Operators of a cell that only applies its batch-norm, in the order of `EDGES`."""


def idle_architectures(space: CellSpace) -> Iterator[Architecture]:
    """Networks without temporal mixing: all cells idle."""
    for steps, cells, channels in itertools.product(space.steps, space.cells, space.channels):
        yield space.from_options(cell_options(steps=steps, cells=cells, channels=channels, operators=IDLE))


class CellStitching(Strategy[NASTCConfig, CellSpace]):
    """The search of `nas_tc` on a space of temporal cells."""

    def setup(self) -> None:
        """Begin with a network of idle cells."""
        problem, space = self.problem, self.problem.space
        fallback = problem.sample(problem.rng("fallback"))
        idle = [a for a in idle_architectures(space) if problem.feasible(a)]
        like = [a for a in idle if a.choices[:3] == space.reference.choices[:3]]
        self.chosen = max(like or idle or [fallback], key=lambda a: problem.cost(a).macs)
        self.current = EdgeCandidates(problem, self.chosen)
        """The network of `chosen`, and the candidates of the current edge."""
        cells = len(space.spec(self.chosen).cells)
        self.edges: list[Edge] = [(cell, edge) for cell in range(1, cells + 1) for edge in EDGES]
        self.position = 0
        """Index of the current edge in `edges`."""
        self.order: list[str] = []
        """Operators still to train in the current round."""
        self.started = self.share = 0.0
        """Reference trainings spent when the current edge began, and the budget of its training."""
        self.trials: list[tuple[str, str, float]] = []
        """(edge, operator, top-1) of each trial."""
        self.spent: dict[str, float] = {}
        """Reference trainings spent on each cell."""
        self.measured = False

    def step(self) -> None:
        """Train the current edge's operators for one epoch, choose one of them, or make the last measurement."""
        if self.position < len(self.edges):
            before, cell = self.problem.ledger.spent, f"cell.{self.edges[self.position][0]}"
            if not self.current.candidates:
                self._begin()
            if not self._train():
                self._choose()
            self.spent[cell] = self.spent.get(cell, 0.0) + self.problem.ledger.spent - before
            self.problem.note(cost=self.spent)
        elif not self.measured:
            self._measure_steps()
        else:
            raise SearchFinished

    # --- one edge -----------------------------------------------------------------------------------------------------

    def replaced(self, edge: Edge, operator: str) -> Architecture:
        """The current network with another operator on an edge; any edge this switches on is idle."""
        space, (cell, nodes) = self.problem.space, edge
        options = {space.decision(cell, EDGES[2]): IDLE[2]} | space.options(self.chosen)
        return space.from_options(options | {space.decision(cell, nodes): operator})

    def _begin(self) -> None:
        """Build the candidates of the current edge, and give it its share of the budget."""
        problem, space, edge = self.problem, self.problem.space, self.edges[self.position]
        position, idle = space.position(space.decision(*edge)), IDLE[EDGES.index(edge[1])]
        operators = sorted(space.decisions[position].options, key=lambda token: token != idle)  # idle wins ties
        if self.chosen.choices[position] == INACTIVE:
            operators = []  # this edge does not exist without edge 01
        architectures = {token: self.replaced(edge, token) for token in operators}
        architectures = {token: a for token, a in architectures.items() if problem.feasible(a)}
        self.current.begin(edge, architectures)
        self.order = []
        self.started, edges = problem.ledger.spent, len(self.edges) - self.position
        validation = sum(problem.cost(a).macs for a in architectures.values()) * problem.clips_in("val")
        self.share = (problem.ledger.left - SPARE * self._measurement()) / edges - validation / problem.ledger.reference

    def _train(self) -> bool:
        """Train the candidates for one epoch, one per step; return True if the budget allowed a step."""
        problem, trained, candidates = self.problem, False, self.current.candidates
        batch_macs = 3 * min(problem.batch_size, problem.clips_in("train"))
        for batch in problem.search_batches("train") if candidates else ():
            if not self.order:
                operators = list(candidates)
                self.order = [operators[i] for i in problem.rng("operators").permutation(len(operators))]
            spent = problem.ledger.spent - self.started
            macs = batch_macs * problem.cost(self.replaced(self.edges[self.position], self.order[-1])).macs
            if spent + macs / problem.ledger.reference > self.share:
                break
            self._update(candidates[self.order.pop()], batch, 1 - spent / self.share)
            trained = True
        return trained

    def _update(self, network: TemporalNetwork, batch: ClipBatch, left: float) -> None:
        """Take a step of Adam, whose rate falls with what is left of the edge's budget."""
        problem, config, optimiser = self.problem, self.config, self.current.optimiser
        labels = batch.labels.to(problem.device)
        loss = F.cross_entropy(problem.metered.logits(network, batch), labels, label_smoothing=config.label_smoothing)
        problem.backward(loss)
        set_rate(optimiser, config.temporal_rate * left)
        problem.update(optimiser, clip=config.gradient_clip)
        problem.log(train_loss=float(loss.detach()))

    def _choose(self) -> None:
        """Measure the candidates, and keep the best."""
        cell, nodes = self.edges[self.position]
        top1 = {operator: self._validate(network) for operator, network in self.current.candidates.items()}
        if top1:
            best = max(top1, key=lambda operator: top1[operator])
            self.chosen = self.current.choose(best)
            self.trials += [(f"{cell}.{edge_name(nodes)}", *pair) for pair in top1.items()]
            self.problem.log(val_top1=top1[best])
            self.problem.note(trials=self.trials)
        self.position += 1

    def _validate(self, network: TemporalNetwork) -> float:
        """Top-1 on search-val."""
        return self.problem.metered.validate(network, self.problem.validation_batches())

    # --- the last measurement -----------------------------------------------------------------------------------------

    def _all_steps(self) -> list[Architecture]:
        """The current network at every number of time steps."""
        space, options = self.problem.space, self.problem.space.options(self.chosen)
        return [space.from_options(options | {"steps": str(steps)}) for steps in space.steps]

    def _measurement(self) -> float:
        """Cost of the last measurement, in reference trainings."""
        macs = sum(self.problem.cost(architecture).macs for architecture in self._all_steps())
        return macs * self.problem.clips_in("val") / self.problem.ledger.reference

    def _measure_steps(self) -> None:
        """Measure the final network's accuracy at every number of time steps, with the weights of the search."""
        self.measured = True
        for steps, architecture in zip(self.problem.space.steps, self._all_steps(), strict=True):
            network = self.current.build(architecture)
            network.load_state_dict(self.current.network.state_dict())
            self.problem.note(**{f"top1_at_{steps}_steps": self._validate(network)})

    # --- the result ---------------------------------------------------------------------------------------------------

    def incumbent(self) -> Architecture:
        """The current network."""
        return self.chosen
