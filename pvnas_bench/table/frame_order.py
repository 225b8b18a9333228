"""What a network owes to the order of frames: its test accuracy with shuffled frames against that with ordered ones."""

from dataclasses import dataclass
from statistics import fmean

from pvnas_bench.table.headroom import Fraction, training_noise
from pvnas_bench.table.surrogate import Surrogate
from pvnas_bench.table.table import Table


@dataclass(frozen=True)
class FrameOrder:
    """Test top-1 of a network's trainings with ordered and with shuffled frames, and the noise of one training."""

    ordered: Fraction
    shuffled: Fraction
    noise: Fraction

    @property
    def blind(self) -> bool:
        """True if the network is blind to time: shuffling costs it no more than the noise of one training."""
        return self.ordered - self.shuffled <= self.noise


def frame_order(table: Table, architecture: str, noise: float | None) -> FrameOrder | None:
    """What a network owes to the order of frames.

    Args:
        noise: standard deviation of one training (`training_noise`); None: it is not known.

    Returns:
        The means over the trainings that were tested with shuffled frames; None without any, without the noise, or on
        a surrogate, which does not predict that test.
    """
    tested = [one for one in table.trainings(architecture) if one.test_top1_shuffled is not None]
    if noise is None or not tested or isinstance(table, Surrogate):
        return None
    shuffled = fmean(one.test_top1_shuffled for one in tested if one.test_top1_shuffled is not None)
    return FrameOrder(fmean(one.test_top1 for one in tested), shuffled, min(noise, 1.0))


def blind_share(table: Table) -> float | None:
    """Share of a table's networks that are blind to time, of those whose frames were shuffled; None: it is unknown."""
    noise = training_noise(table)
    found = [order for name in table.architectures if (order := frame_order(table, name, noise)) is not None]
    return fmean(order.blind for order in found) if found else None
