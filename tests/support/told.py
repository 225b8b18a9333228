"""A strategy with a body given by a test."""

from pathlib import Path

STRATEGY = """
import os, signal, sys, threading, time
from pvnas_bench import Info, Strategy

class Mine(Strategy):
    info = Info("mine", "Does as it is told", "-", 2024, ("modular",), "-")
    steps = 0

    def setup(self):
        self.found = self.problem.sample()

    def step(self):
        {body}
        self.steps += 1
        self.problem.ledger.forward(self.problem.ledger.reference // 100, 1, 0)

    def incumbent(self):
        return {incumbent}

    def diagnostics(self):
        return {diagnostics}
"""

HEEDLESS = """
        while True:
            try:
                threading.Event().wait()
            except BaseException:
                pass
"""
"""A step that never ends and ignores requests to stop."""


def mine(folder: Path, body: str = "pass", incumbent: str = "self.found", diagnostics: str = "{}") -> str:
    """File of a strategy that charges a hundredth of a reference training per step."""
    path = folder / "mine.py"
    path.write_text(STRATEGY.format(body=body, incumbent=incumbent, diagnostics=diagnostics))
    return str(path)
