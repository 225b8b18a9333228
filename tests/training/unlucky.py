"""A strategy that evaluates random architectures and, in the second process, fails in several ways, once each.

The folder in UNLUCKY holds a file for each that has happened.
"""

import os
import signal
from pathlib import Path

from pvnas_bench import Info, SearchFinished, Strategy

STEPS = 3


class Unlucky(Strategy):
    info = Info("unlucky", "Evaluates, and meets with misfortune", "-", 2024, ("structural", "modular"), "-")

    def setup(self):
        self.found = []
        self.fallback = self.problem.sample()

    def step(self):
        if len(self.found) == STEPS:
            raise SearchFinished
        if os.environ.get("RANK") == "1":
            if len(self.found) == 1 and self.first_time("dies"):
                os._exit(3)
            if len(self.found) == 2 and self.first_time("is told to stop"):
                signal.raise_signal(signal.SIGINT)
        architecture = self.problem.sample()
        evaluation = self.problem.evaluate(architecture, 2)
        self.found.append(evaluation)
        self.problem.log(val_loss=evaluation.loss, train_loss=evaluation.curve[-1]["train_loss"])

    def first_time(self, misfortune):
        marker = Path(os.environ["UNLUCKY"], misfortune)
        known = marker.exists()
        marker.touch()
        return not known

    def incumbent(self):
        return self.found[0].architecture if self.found else self.fallback
