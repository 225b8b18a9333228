"""The ledger: the only meter of search cost."""

from dataclasses import dataclass

BACKWARD = 2
"""A backward pass costs twice its forward pass: once for the gradients of the inputs, once for those of the weights."""


class BudgetExhausted(Exception):
    """The work asked for does not fit into what is left of the budget; nothing of it was done."""


@dataclass
class Ledger:
    """Counts the MACs of every forward and backward pass; refuses the work that would pass the budget.

    Attributes:
        reference: MACs of one reference training, the unit of `budget` and `spent`.
        budget: in reference trainings.
        macs: spent so far.
        samples: clips that went through a forward pass.
        evaluations: architectures whose accuracy was measured.
    """

    reference: int
    budget: float = float("inf")
    macs: int = 0
    samples: int = 0
    evaluations: int = 0

    @property
    def spent(self) -> float:
        """Reference trainings spent."""
        return self.macs / self.reference

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
        return self.macs + macs <= self.budget * self.reference

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
        """
        self.require(macs * (1 + backward))
        self.macs += macs
        self.samples += samples

    def backward(self, macs: int) -> None:
        """Charge a backward pass of this many MACs."""
        self.macs += macs
