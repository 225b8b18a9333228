"""A table in memory: look-ups, and the truth that searches are judged by."""

import hashlib
import struct
from collections.abc import Iterable, Sequence
from functools import cached_property
from statistics import fmean

import numpy as np
import numpy.typing as npt

from pvnas_bench.space import SearchSpace
from pvnas_bench.table.schema import About, KnownTraining, Session


class Table:
    """The trainings of a space's architectures under one recipe; look-ups are by an architecture's string.

    Attributes:
        seeds: that some architecture was trained with, ascending.
    """

    def __init__(self, about: About, sessions: Sequence[Session], trainings: Iterable[KnownTraining]) -> None:
        self.about, self.sessions = about, tuple(sessions)
        self._rows: dict[str, tuple[KnownTraining, ...]] = {}
        for training in sorted(trainings, key=lambda training: training.key):
            self._rows[training.architecture] = (*self._rows.get(training.architecture, ()), training)
        self.seeds = tuple(sorted({training.seed for rows in self._rows.values() for training in rows}))

    def __contains__(self, architecture: str) -> bool:
        return architecture in self._rows

    def __len__(self) -> int:
        """The number of architectures."""
        return len(self._rows)

    @property
    def architectures(self) -> tuple[str, ...]:
        """Those that were trained, in the order of their strings."""
        return tuple(self._rows)

    def trainings(self, architecture: str) -> tuple[KnownTraining, ...]:
        """The trainings of an architecture, one a seed, in the order of seeds; none where it was not trained."""
        return self._rows.get(architecture, ())

    def top1(self, architecture: str) -> float:
        """The truth: an architecture's test top-1, the mean over its seeds.

        Raises:
            KeyError: it was not trained.
        """
        return self._truth[architecture]

    @cached_property
    def _truth(self) -> dict[str, float]:
        return {architecture: fmean(t.test_top1 for t in rows) for architecture, rows in self._rows.items()}

    def regret(self, architecture: str, macs: float = float("inf")) -> float:
        """How far an architecture's test top-1 is below that of the best with no more MACs than the cap.

        Raises:
            KeyError: it was not trained.
        """
        if macs not in self._best:
            under = (self._truth[name] for name, rows in self._rows.items() if rows[0].macs <= macs)
            self._best[macs] = max(under)
        return self._best[macs] - self._truth[architecture]

    def val_regret(self, architecture: str) -> float:
        """How far an architecture's search-val top-1, the mean over its seeds, is below the best one's.

        What a search that only sees search-val could have done better; the rest of its regret is noise.

        Raises:
            KeyError: it was not trained.
        """
        return max(self._validated.values()) - self._validated[architecture]

    @cached_property
    def _validated(self) -> dict[str, float]:
        return {architecture: fmean(t.val_top1[-1] for t in rows) for architecture, rows in self._rows.items()}

    @cached_property
    def _best(self) -> dict[float, float]:
        return {}

    def missing(self, space: SearchSpace) -> list[str]:
        """The architectures of a space that were not trained with any seed."""
        return [str(architecture) for architecture in space.enumerate() if str(architecture) not in self._rows]

    def matrix(self, column: str) -> npt.NDArray[np.float64]:
        """A column over (architectures, seeds), in the orders of `architectures` and `seeds`; nan where not trained.

        The last epoch of a curve.
        """
        values = np.full((len(self._rows), len(self.seeds)), np.nan)
        for row, trainings in enumerate(self._rows.values()):
            for training in trainings:
                value = getattr(training, column)
                values[row, self.seeds.index(training.seed)] = value[-1] if isinstance(value, tuple) else value
        return values

    @cached_property
    def fingerprint(self) -> str:
        """A hash of what look-ups answer: it changes with every training that is added."""
        about = self.about.model_dump_json(exclude={"data": {"skipped"}})
        digest = hashlib.sha256(about.encode(errors="surrogatepass"))
        for rows in self._rows.values():
            for t in rows:
                digest.update(f"{t.architecture} {t.seed}".encode(errors="surrogatepass"))
                values = (*t.val_top1, *t.val_loss, t.test_top1)
                digest.update(struct.pack(f"<{len(values)}f", *values))
        return digest.hexdigest()[:12]
