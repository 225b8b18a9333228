"""A table in memory: look-ups of trainings, true accuracies and regrets."""

import hashlib
import struct
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import cached_property
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pvnas_bench.errors import UsageError
from pvnas_bench.space import Architecture, SearchSpace
from pvnas_bench.table.schema import About, KnownTraining, Session

if TYPE_CHECKING:
    import pandas as pd

ENUMERABLE = 20_000
"""Architectures of the largest space whose tables hold all of them; larger spaces have surrogates."""
RANKED = 200
"""Architectures that a search scores at its end; scoring all of a space costs more than a search."""


def is_large(space: SearchSpace) -> bool:
    """Return True for a space whose networks cannot all be trained."""
    return space.size > ENUMERABLE


class Table:
    """The trainings of a space's networks with one recipe; architectures are given by their strings.

    Architectures that build the same network share its trainings: one row, named by the canonical architecture.

    Attributes:
        seeds: all seeds, ascending.
    """

    def __init__(
        self,
        about: About,
        sessions: Sequence[Session],
        trainings: Iterable[KnownTraining],
        space: SearchSpace | None = None,
    ) -> None:
        """Index the trainings.

        Args:
            space: tells which architectures build the same network; None: each builds its own.

        Raises:
            UsageError: the trainings are of another version of the space.
        """
        if space is not None and space.fingerprint != about.space.fingerprint:
            raise UsageError(
                f"the table of {space.name} was built for {about.space.fingerprint}, but the space is now "
                f"{space.fingerprint}: build it again, or name another folder with --tables"
            )
        self.about, self.sessions, self._space = about, tuple(sessions), space
        self._names: dict[str, str] = {}
        rows: dict[str, list[KnownTraining]] = {}
        for training in sorted(trainings, key=lambda training: training.key):
            rows.setdefault(self.network(training.architecture), []).append(training)
        self._rows = {name: tuple(rows[name]) for name in sorted(rows)}
        self.seeds = tuple(sorted({training.seed for row in rows.values() for training in row}))

    def network(self, architecture: str) -> str:
        """The canonical architecture of the network that an architecture builds; an invalid string is unchanged."""
        name = self._names.get(architecture)
        if name is None:
            name = architecture
            if self._space is not None:
                with suppress(UsageError):
                    name = str(self._space.canonical(self._space.parse(architecture)))
            self._names[architecture] = name
        return name

    def __contains__(self, architecture: str) -> bool:
        return self.network(architecture) in self._rows

    def __len__(self) -> int:
        """Number of networks."""
        return len(self._rows)

    @property
    def architectures(self) -> tuple[str, ...]:
        """The canonical architecture of each trained network, sorted by string."""
        return tuple(self._rows)

    def ranked(self, seed: int) -> tuple[str, ...]:
        """The architectures that a search with this seed scores at its end: all, or `RANKED` random ones, sorted."""
        every = self.architectures
        if len(every) <= RANKED:
            return every
        drawn = np.random.default_rng(seed).choice(len(every), RANKED, replace=False)
        return tuple(every[i] for i in np.sort(drawn))

    def trainings(self, architecture: str) -> tuple[KnownTraining, ...]:
        """Trainings of an architecture's network, by architecture and seed; empty if untrained."""
        return self._rows.get(self.network(architecture), ())

    def drawn(self, architecture: str, number: int) -> KnownTraining:
        """The training of an architecture that a run sees.

        Args:
            number: selects one of the trainings of its network.

        Raises:
            KeyError: the network was not trained.
        """
        rows = self._rows[self.network(architecture)]
        return rows[number % len(rows)]

    def scoring(self, architecture: str) -> tuple[KnownTraining, ...]:
        """The trainings by which the architecture that a search found is judged: all of its network."""
        return self.trainings(architecture)

    def top1(self, architecture: str) -> float:
        """True accuracy of an architecture: mean test top-1 over the trainings of its network.

        Raises:
            KeyError: the network was not trained.
        """
        return self._truth[self.network(architecture)]

    @cached_property
    def _truth(self) -> dict[str, float]:
        return {architecture: fmean(t.test_top1 for t in rows) for architecture, rows in self._rows.items()}

    def regret(self, architecture: str, macs: float = float("inf")) -> float:
        """Regret in test top-1, relative to the best architecture under a MACs cap.

        Raises:
            KeyError: the network was not trained.
        """
        if macs not in self._best:
            under = (self._truth[name] for name, rows in self._rows.items() if rows[0].macs <= macs)
            self._best[macs] = max(under)
        return self._best[macs] - self.top1(architecture)

    def best(self, allowed: Callable[[Architecture], bool]) -> float:
        """The highest true accuracy of the allowed architectures.

        Raises:
            ValueError: none is allowed, or the table was loaded without its space.
        """
        if self._space is None:
            raise ValueError("a table without its space cannot tell which architectures are allowed")
        parse = self._space.parse
        return max(truth for name, truth in self._truth.items() if allowed(parse(name)))

    def val_regret(self, architecture: str) -> float:
        """Regret in mean search-val top-1 over trainings, relative to the best architecture.

        A search, which sees only search-val, could avoid this part; the rest of its regret is noise.

        Raises:
            KeyError: the network was not trained.
        """
        return max(self._validated.values()) - self._validated[self.network(architecture)]

    @cached_property
    def _validated(self) -> dict[str, float]:
        return {architecture: fmean(t.val_top1[-1] for t in rows) for architecture, rows in self._rows.items()}

    @cached_property
    def _best(self) -> dict[float, float]:
        return {}

    def missing(self, space: SearchSpace) -> list[str]:
        """Architectures of a space whose networks were not trained with any seed."""
        return [str(architecture) for architecture in space.enumerate() if str(architecture) not in self]

    def matrix(self, column: str) -> npt.NDArray[np.float64]:
        """A column over (networks, trainings of a network), in the order of `architectures`; nan beyond the last one.

        For a curve, the value of the last epoch.
        """
        values = np.full((len(self._rows), max(map(len, self._rows.values()), default=0)), np.nan)
        for row, trainings in enumerate(self._rows.values()):
            for column_index, training in enumerate(trainings):
                value = getattr(training, column)
                values[row, column_index] = value[-1] if isinstance(value, tuple) else value
        return values

    def to_frame(self) -> "pd.DataFrame":
        """A data frame with a row for each training.

        Columns: `network` (the canonical architecture, by which trainings of one network group), then the fields of
        `KnownTraining`; curves are tuples. Values that were not measured are nan.
        """
        import pandas as pd

        frame = pd.DataFrame([t for rows in self._rows.values() for t in rows], columns=KnownTraining._fields)
        for column in ("test_top1_reversed", "test_top1_shuffled"):
            frame[column] = frame[column].astype(float)
        frame.insert(0, "network", [name for name, rows in self._rows.items() for _ in rows])
        return frame

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the description and of all trainings; it changes with every added training."""
        about = self.about.model_dump_json(exclude={"data": {"skipped"}})
        digest = hashlib.sha256(about.encode(errors="surrogatepass"))
        for name, rows in self._rows.items():
            if {t.architecture for t in rows} != {name}:
                digest.update(f"{name}:".encode(errors="surrogatepass"))
            for t in rows:
                digest.update(f"{t.architecture} {t.seed}".encode(errors="surrogatepass"))
                values = (*t.val_top1, *t.val_loss, t.test_top1)
                digest.update(struct.pack(f"<{len(values)}f", *values))
        return digest.hexdigest()[:12]
