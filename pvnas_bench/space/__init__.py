"""Search spaces: decisions, architectures, encoding, sampling and neighbours, in pure Python and numpy."""

from pvnas_bench.space._blocks import (
    KERNELS,
    OPERATORS,
    SE,
    BlockSpace,
    Slot,
    Stage,
    hidden_channels,
    mixes_time,
    uniform_options,
)
from pvnas_bench.space._caps import KEYS, Caps, Costed, Limit, written
from pvnas_bench.space._cell import (
    CELL_OPERATORS,
    EDGES,
    TEMPORAL_KERNELS,
    Cell,
    CellSpace,
    CellSpec,
    cell_options,
    edge_name,
)
from pvnas_bench.space._decisions import INACTIVE, Architecture, Decision, Level, SearchSpace
from pvnas_bench.space._specs import Backbone, Block, NetworkSpec

__all__ = [
    "CELL_OPERATORS",
    "EDGES",
    "INACTIVE",
    "KERNELS",
    "KEYS",
    "OPERATORS",
    "SE",
    "TEMPORAL_KERNELS",
    "Architecture",
    "Backbone",
    "Block",
    "BlockSpace",
    "Caps",
    "Cell",
    "CellSpace",
    "CellSpec",
    "Costed",
    "Decision",
    "Level",
    "Limit",
    "NetworkSpec",
    "SearchSpace",
    "Slot",
    "Stage",
    "cell_options",
    "edge_name",
    "hidden_channels",
    "mixes_time",
    "uniform_options",
    "written",
]
