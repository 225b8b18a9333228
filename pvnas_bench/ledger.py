"""The ledger, the only meter of search cost, and the search's share of its budget."""

import math
import operator
from dataclasses import dataclass

BACKWARD = 2
"""Cost of a backward pass in forward passes: one for the inputs' gradients, one for the weights'."""


class BudgetExhausted(Exception):
    """The requested work exceeds the remaining budget; none of it was done."""


class Ledger:
    """Counts the MACs of every forward and backward pass, and refuses work beyond the budget.

    Counts never decrease: charges are non-negative whole numbers.

    Attributes:
        reference: MACs of one reference training, the unit of `budget` and `spent`.
        budget: budget in reference trainings.
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
        """Clips passed forward."""
        return self._samples

    @property
    def evaluations(self) -> int:
        """Number of architectures measured."""
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
        """Return True if work of this size fits."""
        return self._macs + macs <= self.budget * self.reference

    def require(self, macs: int) -> None:
        """Check that work of this size fits.

        Raises:
            BudgetExhausted: it does not fit.
        """
        if not self.fits(macs):
            raise BudgetExhausted(
                f"{macs / self.reference:.3g} reference trainings requested, {self.left:.3g} of {self.budget:g} left"
            )

    def forward(self, macs: int, samples: int, backward: int) -> None:
        """Charge a forward pass over a batch, before it runs.

        Args:
            macs: MACs of the whole batch.
            backward: cost, in forward passes, of the backward pass to follow: `BACKWARD`, 1 where the weights
                need no gradient, 0 for none. It must fit too, and is charged when it runs.

        Raises:
            BudgetExhausted: the work does not fit; nothing is charged.
            ValueError: a number is negative.
            TypeError: a number is not a whole number.
        """
        macs = _count("macs", macs)
        self.require(macs * (1 + _count("backward", backward)))
        self.charge(macs, samples=samples)

    def backward(self, macs: int) -> None:
        """Charge a backward pass of this many MACs."""
        self.charge(macs)

    def charge(self, macs: int, *, samples: int = 0, evaluations: int = 0) -> None:
        """Charge completed work, even beyond the budget.

        Raises:
            ValueError: a number is negative.
            TypeError: a number is not a whole number.
        """
        macs, samples = _count("macs", macs), _count("samples", samples)
        self._evaluations += _count("evaluations", evaluations)
        self._macs += macs
        self._samples += samples

    def resume(self, macs: int, samples: int, evaluations: int) -> None:
        """Resume from the counts of a checkpoint.

        Raises:
            ValueError: a count is negative, or below the ledger's own.
            TypeError: a count is not a whole number.
        """
        macs, samples = _count("macs", macs), _count("samples", samples)
        evaluations = _count("evaluations", evaluations)
        if macs < self._macs or samples < self._samples or evaluations < self._evaluations:
            raise ValueError("a ledger cannot decrease: load the checkpoint's counts into a new one")
        self._macs, self._samples, self._evaluations = macs, samples, evaluations


def _count(name: str, value: int) -> int:
    if (value := operator.index(value)) < 0:
        raise ValueError(f"a ledger cannot be refunded: {name} is {value}, below 0")
    return value


@dataclass
class SearchShare:
    """The search's share of a budget: all but the part reserved to compare architectures.

    Attributes:
        set_aside: reference trainings reserved for future comparisons.
        comparisons: number of future comparisons.
        measurements: reference trainings reserved for the end of the search.
        compared: reference trainings spent on comparisons.
        dearest: reference trainings of the most expensive iteration so far.
        over: True once another iteration did not fit.
        latest: the largest progress so far: a cheap comparison releases budget, yet progress never
            falls.
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
        """Reference trainings spent by the search, without comparisons."""
        return self.ledger.spent - self.compared

    @property
    def budget(self) -> float:
        """Reference trainings available to the search, without comparisons."""
        return self.ledger.budget - self.compared - (self.set_aside + self.measurements)

    def progress(self, share: float = 1.0) -> float:
        """Progress in [0, 1] within the first `share` of the search."""
        budget = share * self.budget
        now = min(self.spent / budget, 1.0) if budget > 0 and not self.over else 1.0
        if share < 1.0:
            return now
        self.latest = max(self.latest, now)
        return self.latest

    def reserve(self, comparisons: int, each: float, measurements: float, most: float) -> None:
        """Reserve reference trainings, at most a part of the budget in total.

        Args:
            comparisons: number of comparisons, each costing at most `each`.
            measurements: reference trainings for the end of the search.
            most: largest part of the budget to reserve.
        """
        self.comparisons += comparisons
        self.set_aside += comparisons * each
        self.measurements += measurements
        total, limit = self.set_aside + self.measurements, most * self.ledger.budget
        if total > limit:
            self.set_aside *= limit / total
            self.measurements *= limit / total

    def release(self, cost: float) -> None:
        """Record the cost of a comparison and return its reserve to the search."""
        if self.comparisons:
            self.set_aside -= self.set_aside / self.comparisons
            self.comparisons -= 1
        self.compared += cost

    def room(self) -> bool:
        """Return True if another iteration at the highest cost so far fits, or nothing is reserved."""
        aside = self.set_aside + self.measurements
        if aside > 0 and self.spent + self.dearest > self.budget:
            self.over = True
        return not self.over
