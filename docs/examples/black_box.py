from pvnas_bench import Architecture, Info
from pvnas_bench.methods import AskTell


class HillClimb(AskTell):
    """Mutate the best architecture so far, train the mutant, keep the better of the two."""

    info = Info("hill_climb", "Hill climbing", "folklore", 1960, ("structural", "modular"), "mutate and compare")

    def ask(self) -> Architecture:
        return self.problem.mutate(self.best.architecture) if self.best else self.problem.sample()
