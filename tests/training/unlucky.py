"""A strategy that evaluates random architectures; in the second process misfortunes befall it, each once.

The folder in UNLUCKY holds a file for each that has happened.
"""

import os
import signal
from pathlib import Path

from pvnas_bench import Info, SearchFinished, Strategy

STEPS = 3


class Unlucky(Strategy):
    info = Info("unlucky", "Evaluates, and meets with misfortune", "-", 2024, ("structural", "modular"), "-")

    def setup(self, problem):
        self.problem, self.found = problem, []
        self.fallback = problem.sample(problem.rng("sample"))

    def step(self):
        if len(self.found) == STEPS:
            raise SearchFinished
        if os.environ.get("RANK") == "1":
            if len(self.found) == 1 and self.first_time("dies"):
                os._exit(3)
            if len(self.found) == 2 and self.first_time("is told to stop"):
                signal.raise_signal(signal.SIGINT)
        architecture = self.problem.sample(self.problem.rng("sample"))
        evaluation = self.problem.evaluate(architecture, 2)
        self.found.append([str(architecture), evaluation.top1])
        self.problem.log(val_loss=evaluation.loss, train_loss=evaluation.curve[-1]["train_loss"])

    def first_time(self, misfortune):
        marker = Path(os.environ["UNLUCKY"], misfortune)
        known = marker.exists()
        marker.touch()
        return not known

    def incumbent(self):
        return self.problem.space.parse(self.found[0][0]) if self.found else self.fallback

    def state_dict(self):
        return {"found": [list(pair) for pair in self.found]}

    def load_state_dict(self, state):
        self.found = [list(pair) for pair in state["found"]]
