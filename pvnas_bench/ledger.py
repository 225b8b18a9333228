"""The ledger: the only meter of search cost; and the share of its budget that is a search's own."""

import math
import operator
from dataclasses import dataclass

BACKWARD = 2
"""A backward pass costs twice its forward pass: once for the gradients of the inputs, once for those of the weights."""


class BudgetExhausted(Exception):
    """The work asked for does not fit into what is left of the budget; nothing of it was done."""


class Ledger:
    """Counts the MACs of every forward and backward pass, and refuses the work that would pass the budget.

    Its counts never fall: charges are whole numbers, and none is negative.

    Attributes:
        reference: MACs of one reference training, the unit of `budget` and `spent`.
        budget: in reference trainings.
    """

    def __init__(self, reference: int, budget: float = math.inf, *, macs: int = 0) -> None:
        self.reference, self.budget = reference, budget
        self._macs, self._samples, self._evaluations = macs, 0, 0

    @property
    def macs(self) -> int:
        """MACs spent."""
        return self._macs

    @property
    def samples(self) -> int:
        """Clips that went through a forward pass."""
        return self._samples

    @property
    def evaluations(self) -> int:
        """Architectures whose accuracy was measured."""
        return self._evaluations

    @property
    def spent(self) -> float:
        """Reference trainings spent."""
        return self._macs / self.reference

    @property
    def left(self) -> float:
        """Reference trainings left, never negative."""
        return max(self.budget - self.spent, 0.0)

    @property
    def overshoot(self) -> float:
        """Reference trainings spent beyond the budget."""
        return max(self.spent - self.budget, 0.0)

    def fits(self, macs: int) -> bool:
        """Whether work of this size fits."""
        return self._macs + macs <= self.budget * self.reference

    def require(self, macs: int) -> None:
        """Make sure that work of this size fits.

        Raises:
            BudgetExhausted: it does not.
        """
        if not self.fits(macs):
            raise BudgetExhausted(
                f"{macs / self.reference:.3g} reference trainings asked for, {self.left:.3g} of {self.budget:g} left"
            )

    def forward(self, macs: int, samples: int, backward: int) -> None:
        """Charge a forward pass over a batch that is about to run.

        Args:
            macs: of the whole batch.
            backward: the cost, in forward passes, of the backward pass that will follow: `BACKWARD`, 1 where the
                weights need no gradient, 0 for none. It is required to fit as well, and charged when it runs.

        Raises:
            BudgetExhausted: the work does not fit; nothing is charged.
            ValueError: a number is negative.
            TypeError: a number is no whole number.
        """
        macs = _count("macs", macs)
        self.require(macs * (1 + _count("backward", backward)))
        self.charge(macs, samples=samples)

    def backward(self, macs: int) -> None:
        """Charge a backward pass of this many MACs."""
        self.charge(macs)

    def charge(self, macs: int, *, samples: int = 0, evaluations: int = 0) -> None:
        """Charge work that was done, whether it fits or not.

        Raises:
            ValueError: a number is negative.
            TypeError: a number is no whole number.
        """
        macs, samples = _count("macs", macs), _count("samples", samples)
        self._evaluations += _count("evaluations", evaluations)
        self._macs += macs
        self._samples += samples

    def resume(self, macs: int, samples: int, evaluations: int) -> None:
        """Go on from the counts of a checkpoint.

        Raises:
            ValueError: the ledger would fall.
            TypeError: a count is no whole number.
        """
        macs, samples = _count("macs", macs), _count("samples", samples)
        evaluations = _count("evaluations", evaluations)
        if macs < self._macs or samples < self._samples or evaluations < self._evaluations:
            raise ValueError("a ledger never falls: resume a new one")
        self._macs, self._samples, self._evaluations = macs, samples, evaluations


def _count(name: str, value: int) -> int:
    if (value := operator.index(value)) < 0:
        raise ValueError(f"a ledger is charged, never refunded: {name} is {value}")
    return value


@dataclass
class SearchShare:
    """The part of a budget that is the search's own: all but what it has set aside to compare architectures.

    Attributes:
        set_aside: reference trainings for comparisons to come.
        comparisons: how many of them there will be.
        measurements: reference trainings set aside for the end of the search.
        compared: reference trainings that comparisons have cost.
        dearest: reference trainings of the dearest iteration so far.
        over: whether another iteration did not fit.
        latest: the largest progress so far; a cheap comparison gives back what it was set aside for, and progress
            never falls.
    """

    ledger: Ledger
    set_aside: float = 0.0
    comparisons: int = 0
    measurements: float = 0.0
    compared: float = 0.0
    dearest: float = 0.0
    over: bool = False
    latest: float = 0.0

    @property
    def spent(self) -> float:
        """Reference trainings that the search has spent, comparisons aside."""
        return self.ledger.spent - self.compared

    @property
    def budget(self) -> float:
        """Reference trainings that the search may spend, comparisons aside."""
        return self.ledger.budget - self.compared - (self.set_aside + self.measurements)

    def progress(self, share: float = 1.0) -> float:
        """The part of the first `share` of the search that is done, in [0, 1]."""
        budget = share * self.budget
        now = min(self.spent / budget, 1.0) if budget > 0 and not self.over else 1.0
        if share < 1.0:
            return now
        self.latest = max(self.latest, now)
        return self.latest

    def reserve(self, comparisons: int, each: float, measurements: float, most: float) -> None:
        """Set reference trainings aside; all together no more than a part of the budget.

        Args:
            comparisons: how many, of which `each` may cost so much.
            measurements: for the end of the search.
            most: the part of the budget.
        """
        self.comparisons += comparisons
        self.set_aside += comparisons * each
        self.measurements += measurements
        total, limit = self.set_aside + self.measurements, most * self.ledger.budget
        if total > limit:
            self.set_aside *= limit / total
            self.measurements *= limit / total

    def release(self, cost: float) -> None:
        """A comparison has cost so much: what was set aside for it is the search's again."""
        if self.comparisons:
            self.set_aside -= self.set_aside / self.comparisons
            self.comparisons -= 1
        self.compared += cost

    def room(self) -> bool:
        """Whether the share holds another iteration as dear as the dearest; always where nothing is set aside."""
        aside = self.set_aside + self.measurements
        if aside > 0 and self.spent + self.dearest > self.budget:
            self.over = True
        return not self.over
