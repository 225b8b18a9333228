"""Search spaces: decisions, architectures, encoding, sampling, neighbours. Pure Python and numpy."""

from pvnas_bench.space._blocks import (
    KERNELS,
    OPERATORS,
    SE,
    Block,
    BlockSpace,
    NetworkSpec,
    Slot,
    Stage,
    hidden_channels,
    uniform_options,
)
from pvnas_bench.space._decisions import INACTIVE, Architecture, Decision, Level, SearchSpace

__all__ = [
    "INACTIVE",
    "KERNELS",
    "OPERATORS",
    "SE",
    "Architecture",
    "Block",
    "BlockSpace",
    "Decision",
    "Level",
    "NetworkSpec",
    "SearchSpace",
    "Slot",
    "Stage",
    "hidden_channels",
    "uniform_options",
]
