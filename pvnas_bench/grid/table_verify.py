"""Verification of a table: repeats some of its trainings and compares the results."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pvnas_bench import seeding
from pvnas_bench.boards.table_lessons import noise
from pvnas_bench.errors import UsageError
from pvnas_bench.grid.table_build import TableRecipe, Trainer
from pvnas_bench.protocol import recorded_protocol
from pvnas_bench.runs.observer import Observer
from pvnas_bench.table.schema import KnownTraining
from pvnas_bench.table.table import Table

ERROR = 0.001
"""Probability that a correct table fails."""


@dataclass(frozen=True)
class Pair:
    """A training in the table and its repetition."""

    told: KnownTraining
    again: KnownTraining

    @property
    def difference(self) -> float:
        """Difference in test top-1."""
        return self.again.test_top1 - self.told.test_top1

    @property
    def equal(self) -> bool:
        """True if all accuracies and losses are equal to the last bit."""
        measured = ("train_loss", "val_top1", "val_loss", "test_top1", "test_loss")
        return all(
            np.array_equal(np.float32(getattr(self.told, name)), np.float32(getattr(self.again, name)))
            for name in measured
        )


def pairs(
    table: Table, space: str, dataset: str, sample: int, seed: int, observer: Observer | None = None
) -> Iterator[Pair]:
    """Repeat the training of random architectures of a table, each with one of its seeds in the table.

    Args:
        space, dataset: names or paths from which the table was built.
        sample: number of architectures.
        seed: seed of the random choice of architectures.

    Raises:
        UsageError: space, data set or protocol differ from the table's recipe.
    """
    trainer = Trainer(TableRecipe(space, dataset, recorded_protocol(table.about.protocol)), observer)
    if trainer.about.recipe != table.about.recipe:
        raise UsageError(
            f"the table {table.about.stem} has another recipe than {space} and {dataset} have now: build it again"
        )
    rng = seeding.generator(seed, "verify")
    for i in rng.permutation(len(table))[:sample]:
        trainings = table.trainings(table.architectures[i])
        told = trainings[int(rng.integers(len(trainings)))]
        yield Pair(told, trainer(told.architecture, told.seed))


@dataclass(frozen=True)
class Verdict:
    """Verdict on the agreement of repeated trainings with a table, and its explanation."""

    agrees: bool
    words: str


def judge(table: Table, repeated: Sequence[Pair]) -> Verdict:
    """Test the mean square difference against 2σ², that of two different seeds (chi-square, one-sided).

    On the machine that built the table, the same seed gives the same result; on another machine rounding differs, and
    trainings diverge as much as with different seeds.

    Raises:
        UsageError: σ cannot be estimated, since fewer than three architectures have two seeds.
    """
    from scipy.stats import chi2

    known = noise(table.matrix("test_top1"))
    if known is None:
        raise UsageError(
            f"the table {table.about.stem} has too few architectures with two seeds to estimate the spread between "
            "seeds: train some with `table build --sample 20 --seed 1`"
        )
    sigma = known.seed_deviation
    differences = np.array([pair.difference for pair in repeated])
    limit = math.sqrt(2 * sigma**2 * chi2.ppf(1 - ERROR, len(repeated)) / len(repeated))
    root = float(np.sqrt((differences**2).mean()))
    equal = sum(pair.equal for pair in repeated)
    return Verdict(
        root <= limit,
        f"{'agrees' if root <= limit else 'DISAGREES'}: root mean square difference {root:.2%} over {len(repeated)} "
        f"trainings, {limit:.2%} allowed for seeds that differ by {sigma:.2%}; {equal} equal to the last bit",
    )
