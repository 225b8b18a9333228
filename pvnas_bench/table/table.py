"""A table in memory: look-ups of trainings, true accuracies and regrets."""

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
    """The trainings of a space's architectures with one recipe; architectures are given by their strings.

    Attributes:
        seeds: all seeds, ascending.
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
        """Number of architectures."""
        return len(self._rows)

    @property
    def architectures(self) -> tuple[str, ...]:
        """Trained architectures, sorted by string."""
        return tuple(self._rows)

    def trainings(self, architecture: str) -> tuple[KnownTraining, ...]:
        """Trainings of an architecture, one per seed, in the order of seeds; empty if untrained."""
        return self._rows.get(architecture, ())

    def top1(self, architecture: str) -> float:
        """True accuracy of an architecture: mean test top-1 over its seeds.

        Raises:
            KeyError: the architecture was not trained.
        """
        return self._truth[architecture]

    @cached_property
    def _truth(self) -> dict[str, float]:
        return {architecture: fmean(t.test_top1 for t in rows) for architecture, rows in self._rows.items()}

    def regret(self, architecture: str, macs: float = float("inf")) -> float:
        """Regret in test top-1, relative to the best architecture under a MACs cap.

        Raises:
            KeyError: the architecture was not trained.
        """
        if macs not in self._best:
            under = (self._truth[name] for name, rows in self._rows.items() if rows[0].macs <= macs)
            self._best[macs] = max(under)
        return self._best[macs] - self._truth[architecture]

    def val_regret(self, architecture: str) -> float:
        """Regret in mean search-val top-1 over seeds, relative to the best architecture.

        A search, which sees only search-val, could avoid this part; the rest of its regret is noise.

        Raises:
            KeyError: the architecture was not trained.
        """
        return max(self._validated.values()) - self._validated[architecture]

    @cached_property
    def _validated(self) -> dict[str, float]:
        return {architecture: fmean(t.val_top1[-1] for t in rows) for architecture, rows in self._rows.items()}

    @cached_property
    def _best(self) -> dict[float, float]:
        return {}

    def missing(self, space: SearchSpace) -> list[str]:
        """Architectures of a space not trained with any seed."""
        return [str(architecture) for architecture in space.enumerate() if str(architecture) not in self._rows]

    def matrix(self, column: str) -> npt.NDArray[np.float64]:
        """A column as an array of shape (architectures, seeds), nan where not trained; of a curve, the last value."""
        values = np.full((len(self._rows), len(self.seeds)), np.nan)
        for row, trainings in enumerate(self._rows.values()):
            for training in trainings:
                value = getattr(training, column)
                values[row, self.seeds.index(training.seed)] = value[-1] if isinstance(value, tuple) else value
        return values

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the description and of all trainings; it changes with every added training."""
        about = self.about.model_dump_json(exclude={"data": {"skipped"}})
        digest = hashlib.sha256(about.encode(errors="surrogatepass"))
        for rows in self._rows.values():
            for t in rows:
                digest.update(f"{t.architecture} {t.seed}".encode(errors="surrogatepass"))
                values = (*t.val_top1, *t.val_loss, t.test_top1)
                digest.update(struct.pack(f"<{len(values)}f", *values))
        return digest.hexdigest()[:12]
