"""Spaces of temporal cells on the features of a frozen 2-D backbone.

The setting of NAS-TC (Ren et al. 2021, arXiv 2104.01110): a 2-D network computes a feature vector of every frame once;
the search is over a chain of small directed graphs of temporal operators.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from pvnas_bench.space._decisions import Architecture, Decision, SearchSpace
from pvnas_bench.space._specs import Backbone

CELL_OPERATORS: dict[str, str] = {
    "t3": "temporal 3, depth-wise, then point-wise",
    "t5": "temporal 5, depth-wise, then point-wise",
    "t7": "temporal 7, depth-wise, then point-wise",
    "t3d2": "temporal 3 with dilation 2, depth-wise, then point-wise",
    "t3d3": "temporal 3 with dilation 3, depth-wise, then point-wise",
    "max3": "maximum over 3 time steps",
    "avg3": "mean over 3 time steps",
    "skip": "identity",
    "none": "no edge",
}
"""Operators of an edge by token."""

TEMPORAL_KERNELS: dict[str, tuple[int, int]] = {
    "t3": (3, 1),
    "t5": (5, 1),
    "t7": (7, 1),
    "t3d2": (3, 2),
    "t3d3": (3, 3),
}
"""Number of taps and dilation of the convolutional operators."""

EDGES: tuple[tuple[int, int], ...] = ((0, 1), (0, 2), (1, 2))
"""Edges (from, to) of a cell, in the order of its decisions. Node 0 is the input; the output sums nodes 1 and 2.

Edge (0, 2) always exists, so no cell is empty; without edge (0, 1) there is no edge (1, 2).
"""


@dataclass(frozen=True)
class Cell:
    """One cell: the operator on each of `EDGES`; ``none``: no edge."""

    name: str
    operators: tuple[str, ...]


@dataclass(frozen=True)
class CellSpec:
    """Specification of a temporal network, except for the number of classes."""

    steps: int
    """Number of time steps of a clip's features."""
    features: int
    """Number of input features per time step."""
    channels: int
    """Channels of all cells, and after the input projection."""
    cells: tuple[Cell, ...]


def edge_name(edge: tuple[int, int]) -> str:
    """Name of an edge in decisions: ``01`` is the edge from node 0 to node 1."""
    return f"{edge[0]}{edge[1]}"


class CellSpace(SearchSpace):
    """Space of temporal-cell networks.

    Structural decisions: ``steps``, ``cells``, ``channels``. Modular decisions: ``operator.C.IJ`` of the edge from node
    I to node J in cell C.

    Attributes:
        backbone: frozen network whose features are the input.
    """

    family = "temporal_cell"
    backbone: Backbone

    def __init__(
        self,
        name: str,
        version: int,
        *,
        description: str,
        backbone: Backbone,
        steps: Sequence[int],
        cells: Sequence[int],
        channels: Sequence[int],
        operators: Sequence[str],
        caps: Mapping[str, int],
        reference: Mapping[str, str],
        experts: Mapping[str, Mapping[str, str]],
    ) -> None:
        """Declare a space; see `SearchSpace`.

        Args:
            steps, cells, channels: options of the structural decisions, ascending.
            operators: tokens of `CELL_OPERATORS` for all edges; edge (0, 2) excludes ``none``.

        Raises:
            ValueError: an operator is unknown.
        """
        if unknown := set(operators) - set(CELL_OPERATORS):
            raise ValueError(f"space {name}: unknown operator {sorted(unknown)[0]}: use {', '.join(CELL_OPERATORS)}")
        self.backbone = backbone
        self.steps, self.cells, self.channels = tuple(steps), tuple(cells), tuple(channels)
        decisions = [
            Decision("steps", tuple(map(str, steps)), "structural", "input"),
            Decision("cells", tuple(map(str, cells)), "structural", "input"),
            Decision("channels", tuple(map(str, channels)), "structural", "input"),
        ]
        real = tuple(operator for operator in operators if operator != "none")
        for cell in range(1, max(cells) + 1):
            deep = ("cells", frozenset(str(depth) for depth in cells if depth >= cell))
            fed = (self.decision(cell, EDGES[0]), frozenset(real))
            decisions += [
                Decision(self.decision(cell, EDGES[0]), tuple(operators), "modular", f"cell.{cell}", deep),
                Decision(self.decision(cell, EDGES[1]), real, "modular", f"cell.{cell}", deep),
                Decision(self.decision(cell, EDGES[2]), tuple(operators), "modular", f"cell.{cell}", fed),
            ]
        super().__init__(
            name, version, decisions, description=description, caps=caps, reference=reference, experts=experts
        )

    @staticmethod
    def decision(cell: int, edge: tuple[int, int]) -> str:
        """Name of an edge's decision; cells count from 1."""
        return f"operator.{cell}.{edge_name(edge)}"

    def describe(self) -> dict[str, object]:
        layout = {"backbone": asdict(self.backbone), "edges": EDGES}
        return super().describe() | {"family": self.family, "layout": layout, "caps": self.caps}

    def spec(self, architecture: Architecture) -> CellSpec:
        """Specification of an architecture's temporal network."""
        options = self.options(architecture)
        cells = tuple(
            Cell(f"cell.{cell}", tuple(options.get(self.decision(cell, edge), "none") for edge in EDGES))
            for cell in range(1, int(options["cells"]) + 1)
        )
        return CellSpec(int(options["steps"]), self.backbone.features, int(options["channels"]), cells)


def cell_options(*, steps: int, cells: int, channels: int, operators: Sequence[str]) -> dict[str, str]:
    """Options of a hand-designed network: the same operators, in the order of `EDGES`, in every cell."""
    options = {"steps": str(steps), "cells": str(cells), "channels": str(channels)}
    for cell in range(1, cells + 1):
        for edge, operator in zip(EDGES, operators, strict=True):
            options[CellSpace.decision(cell, edge)] = operator
    return options
