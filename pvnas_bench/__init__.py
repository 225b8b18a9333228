"""A benchmark of neural-architecture-search strategies for video recognition.

Names are loaded when first used, so that commands which only read records never import torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the same names, for type checkers
    from pvnas_bench.errors import UsageError as UsageError
    from pvnas_bench.ledger import BudgetExhausted as BudgetExhausted
    from pvnas_bench.network.supernet import Plan as Plan
    from pvnas_bench.network.supernet import path_plan as path_plan
    from pvnas_bench.problem import Evaluation as Evaluation
    from pvnas_bench.problem import Problem as Problem
    from pvnas_bench.space import Architecture as Architecture
    from pvnas_bench.space import BlockSpace as BlockSpace
    from pvnas_bench.space import Decision as Decision
    from pvnas_bench.space import SearchSpace as SearchSpace
    from pvnas_bench.space import Stage as Stage
    from pvnas_bench.strategy import Info as Info
    from pvnas_bench.strategy import SearchFinished as SearchFinished
    from pvnas_bench.strategy import Strategy as Strategy
    from pvnas_bench.strategy import StrategyConfig as StrategyConfig

__version__ = "0.1.0"

_HOMES = {
    "Architecture": "space",
    "BlockSpace": "space",
    "BudgetExhausted": "ledger",
    "Decision": "space",
    "Evaluation": "problem",
    "Info": "strategy",
    "Plan": "network.supernet",
    "Problem": "problem",
    "SearchFinished": "strategy",
    "SearchSpace": "space",
    "Stage": "space",
    "Strategy": "strategy",
    "StrategyConfig": "strategy",
    "UsageError": "errors",
    "path_plan": "network.supernet",
}

__all__ = [*sorted(_HOMES), "__version__"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"pvnas_bench.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
