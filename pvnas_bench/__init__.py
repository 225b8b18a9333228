"""A benchmark of neural-architecture-search strategies for video recognition.

Names are loaded when first used, so that commands which only read records never import torch.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "Architecture": "space",
    "BlockSpace": "space",
    "BudgetExhausted": "ledger",
    "Decision": "space",
    "Evaluation": "strategy",
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
