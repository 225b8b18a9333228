"""Candidates of one edge of a temporal network, for searches of cells edge by edge."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from pvnas_bench.network.temporal_cell import TemporalNetwork
from pvnas_bench.problem import Problem
from pvnas_bench.space import Architecture, CellSpace

Edge = tuple[int, tuple[int, int]]
"""A cell, counted from 1, and one of its `EDGES`."""


class EdgeCandidates:
    """A temporal network, and for one of its edges a candidate per operator, which shares all other layers with it.

    The cell of the edge and all layers behind it train with the candidates; all before it is frozen. Batch-norm uses
    the statistics of the batch, because it serves many operators, and nothing is dropped out.

    Attributes:
        network: the network chosen so far.
        candidates: the candidates, by operator; empty between two edges.
        optimiser: Adam on all that trains with the candidates.
    """

    def __init__(self, problem: Problem[CellSpace], architecture: Architecture) -> None:
        self._problem, self._architecture = problem, architecture
        self.network = self.build(architecture)
        self._edge: Edge = (1, (0, 1))
        self._architectures: dict[str, Architecture] = {}
        self.candidates: dict[str, TemporalNetwork] = {}

    def build(self, architecture: Architecture) -> TemporalNetwork:
        """A charged network of an architecture, in the mode of the candidates.

        Raises:
            TypeError: the space is not one of temporal cells.
        """
        network = self._problem.metered.network(architecture)
        if not isinstance(network, TemporalNetwork):
            raise TypeError(f"{architecture} is no network of temporal cells: it is a {type(network).__name__}")
        network.train()
        network.dropout.eval()
        return network

    def begin(self, edge: Edge, architectures: Mapping[str, Architecture]) -> None:
        """Build the candidates of an edge.

        Args:
            architectures: by operator, the current architecture with that operator on the edge; other edges that
                this switches on are absent.
        """
        cell, nodes = edge
        self._edge, self._architectures = edge, dict(architectures)
        self.candidates = {operator: self.build(architecture) for operator, architecture in architectures.items()}
        for candidate in self.candidates.values():
            candidate.share(self.network, cell, nodes)
        trained = self.network.from_cell(cell)
        for name, parameter in self.network.named_parameters():
            parameter.requires_grad_(name in trained)
        networks = (self.network, *self.candidates.values())
        parameters: dict[int, nn.Parameter] = {id(p): p for n in networks for p in n.from_cell(cell).values()}
        self.optimiser = torch.optim.Adam(parameters.values())

    def choose(self, operator: str) -> Architecture:
        """Go on with a candidate and drop the others; return its architecture."""
        self.network, self._architecture = self.candidates[operator], self._architectures[operator]
        self.candidates, self._architectures = {}, {}
        return self._architecture

    def state_dict(self) -> dict[str, Any]:
        """State of the network, the candidates and the optimiser."""
        return {
            "architecture": str(self._architecture),
            "edge": [self._edge[0], *self._edge[1]],
            "architectures": {operator: str(architecture) for operator, architecture in self._architectures.items()},
            "network": self.network.state_dict(),
            "candidates": {operator: network.state_dict() for operator, network in self.candidates.items()},
            "optimiser": self.optimiser.state_dict() if self.candidates else {},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume from a `state_dict`."""
        parse, (cell, *nodes) = self._problem.space.parse, state["edge"]
        self._architecture = parse(state["architecture"])
        self.network = self.build(self._architecture)
        self.network.load_state_dict(state["network"])
        self.begin((cell, (nodes[0], nodes[1])), {name: parse(a) for name, a in state["architectures"].items()})
        for operator, network in state["candidates"].items():
            self.candidates[operator].load_state_dict(network)
        if self.candidates:
            self.optimiser.load_state_dict(state["optimiser"])
