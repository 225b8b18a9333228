"""Benchmark of neural-architecture-search strategies for video recognition.

Users call `run`, `compare`, `leaderboard`, `load_…` and `list_…`, as the command line does. A strategy imports what it
needs from here and from `pvnas_bench.methods`. Names are loaded when they are first used: importing the package takes
milliseconds, and what only reads records never imports torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

from pvnas_bench.release import VERSION

if TYPE_CHECKING:  # the same names, for type checkers
    from pvnas_bench.api.boards import leaderboard as leaderboard
    from pvnas_bench.api.grids import Comparison as Comparison
    from pvnas_bench.api.grids import compare as compare
    from pvnas_bench.api.listing import DatasetItem as DatasetItem
    from pvnas_bench.api.listing import ProtocolItem as ProtocolItem
    from pvnas_bench.api.listing import SpaceItem as SpaceItem
    from pvnas_bench.api.listing import StrategyItem as StrategyItem
    from pvnas_bench.api.listing import list_datasets as list_datasets
    from pvnas_bench.api.listing import list_protocols as list_protocols
    from pvnas_bench.api.listing import list_spaces as list_spaces
    from pvnas_bench.api.listing import list_strategies as list_strategies
    from pvnas_bench.api.loading import load_record as load_record
    from pvnas_bench.api.loading import load_records as load_records
    from pvnas_bench.api.loading import load_table as load_table
    from pvnas_bench.api.outcome import RunResult as RunResult
    from pvnas_bench.api.runs import run as run
    from pvnas_bench.deploy.model import EvaluationResult as EvaluationResult
    from pvnas_bench.deploy.model import Model as Model
    from pvnas_bench.deploy.model import load_model as load_model
    from pvnas_bench.deploy.predictions import Prediction as Prediction
    from pvnas_bench.deploy.predictions import Predictions as Predictions
    from pvnas_bench.errors import UsageError as UsageError
    from pvnas_bench.ledger import BACKWARD as BACKWARD
    from pvnas_bench.ledger import BudgetExhausted as BudgetExhausted
    from pvnas_bench.network.blocks import InvertedBottleneck as InvertedBottleneck
    from pvnas_bench.network.cost import Candidate as Candidate
    from pvnas_bench.network.cost import candidates as candidates
    from pvnas_bench.network.standalone import Classifier as Classifier
    from pvnas_bench.network.standalone import Head as Head
    from pvnas_bench.network.standalone import Stem as Stem
    from pvnas_bench.network.supernet import ElasticNorm as ElasticNorm
    from pvnas_bench.network.supernet import Gated as Gated
    from pvnas_bench.network.supernet import Plan as Plan
    from pvnas_bench.network.supernet import SuperBlock as SuperBlock
    from pvnas_bench.network.supernet import Supernet as Supernet
    from pvnas_bench.network.supernet import path_plan as path_plan
    from pvnas_bench.network.temporal_cell import TemporalCell as TemporalCell
    from pvnas_bench.network.temporal_cell import TemporalNetwork as TemporalNetwork
    from pvnas_bench.problem import Evaluation as Evaluation
    from pvnas_bench.problem import Json as Json
    from pvnas_bench.problem import Problem as Problem
    from pvnas_bench.records import Record as Record
    from pvnas_bench.runs.observer import Observer as Observer
    from pvnas_bench.seeding import derive as derive
    from pvnas_bench.seeding import torch_seeded as torch_seeded
    from pvnas_bench.space import EDGES as EDGES
    from pvnas_bench.space import INACTIVE as INACTIVE
    from pvnas_bench.space import KERNELS as KERNELS
    from pvnas_bench.space import Architecture as Architecture
    from pvnas_bench.space import Block as Block
    from pvnas_bench.space import BlockSpace as BlockSpace
    from pvnas_bench.space import Caps as Caps
    from pvnas_bench.space import CellSpace as CellSpace
    from pvnas_bench.space import Decision as Decision
    from pvnas_bench.space import NetworkSpec as NetworkSpec
    from pvnas_bench.space import SearchSpace as SearchSpace
    from pvnas_bench.space import Slot as Slot
    from pvnas_bench.space import Stage as Stage
    from pvnas_bench.space import cell_options as cell_options
    from pvnas_bench.space import edge_name as edge_name
    from pvnas_bench.space import mixes_time as mixes_time
    from pvnas_bench.space import uniform_options as uniform_options
    from pvnas_bench.state import State as State
    from pvnas_bench.strategy import Info as Info
    from pvnas_bench.strategy import SearchFinished as SearchFinished
    from pvnas_bench.strategy import Strategy as Strategy
    from pvnas_bench.strategy import StrategyConfig as StrategyConfig
    from pvnas_bench.table import Table as Table
    from pvnas_bench.training.search_supernet import SearchSupernet as SearchSupernet
    from pvnas_bench.video import ClipBatch as ClipBatch

__version__ = VERSION

_HOMES = {
    "api.boards": ("leaderboard",),
    "api.grids": ("Comparison", "compare"),
    "api.listing": (
        "DatasetItem",
        "ProtocolItem",
        "SpaceItem",
        "StrategyItem",
        "list_datasets",
        "list_protocols",
        "list_spaces",
        "list_strategies",
    ),
    "api.loading": ("load_record", "load_records", "load_table"),
    "api.outcome": ("RunResult",),
    "api.runs": ("run",),
    "deploy.model": ("EvaluationResult", "Model", "load_model"),
    "deploy.predictions": ("Prediction", "Predictions"),
    "errors": ("UsageError",),
    "ledger": ("BACKWARD", "BudgetExhausted"),
    "network.blocks": ("InvertedBottleneck",),
    "network.cost": ("Candidate", "candidates"),
    "network.standalone": ("Classifier", "Head", "Stem"),
    "network.supernet": ("ElasticNorm", "Gated", "Plan", "SuperBlock", "Supernet", "path_plan"),
    "network.temporal_cell": ("TemporalCell", "TemporalNetwork"),
    "problem": ("Evaluation", "Json", "Problem"),
    "records": ("Record",),
    "runs.observer": ("Observer",),
    "seeding": ("derive", "torch_seeded"),
    "space": (
        "EDGES",
        "INACTIVE",
        "KERNELS",
        "Architecture",
        "Block",
        "BlockSpace",
        "Caps",
        "CellSpace",
        "Decision",
        "NetworkSpec",
        "SearchSpace",
        "Slot",
        "Stage",
        "cell_options",
        "edge_name",
        "mixes_time",
        "uniform_options",
    ),
    "state": ("State",),
    "strategy": ("Info", "SearchFinished", "Strategy", "StrategyConfig"),
    "table": ("Table",),
    "training.search_supernet": ("SearchSupernet",),
    "video": ("ClipBatch",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [*sorted(_HOME), "__version__"]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"pvnas_bench.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
