"""Executors: where pieces of work are done, in processes of this machine or on Ray.

An executor knows nothing of cells and records: it is given functions with their arguments, and says how each ended.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self

Name = Literal["processes", "ray"]


@dataclass(frozen=True)
class Needs:
    """What a piece of work needs.

    Attributes:
        threads: CPU threads.
        gpu: a GPU of its own, where the executor places work by it.
        limit: seconds after which its process is killed; None: never.
        alone: in a new process, that does nothing else before or after.
    """

    threads: int = 1
    gpu: bool = False
    limit: float | None = None
    alone: bool = True


@dataclass(frozen=True)
class Ending:
    """How a piece of work ended: one of these is set, or it returned None.

    Attributes:
        value: what it returned.
        error: what it raised.
        lost: how its process ended before the work did.
        late: it was killed at its limit.
    """

    value: Any = None
    error: BaseException | None = None
    lost: str | None = None
    late: bool = False


class Executor(ABC):
    """Does pieces of work side by side. A context: work that still runs at its end is told to end, and waited for."""

    patience: float = 0.0
    """Seconds for which work should wait for a claim whose holder may have been lost with its machine."""

    @abstractmethod
    def room(self, needs: Needs) -> int:
        """How many pieces of work with these needs can begin now."""

    @abstractmethod
    def start(self, key: Hashable, needs: Needs, work: Callable[..., Any], *args: Any) -> None:
        """Have `work(*args)` done: a function of a module, and what can be pickled. Without room it waits its turn.

        Args:
            key: what `ended` calls it.

        Raises:
            UsageError: its needs can never be met.
        """

    @abstractmethod
    def ended(self) -> Iterator[tuple[Any, Ending]]:
        """Wait until something ends; the keys and endings of what did. May yield nothing before it does."""

    @property
    @abstractmethod
    def busy(self) -> bool:
        """Whether there is work that has not ended."""

    @abstractmethod
    def open(self) -> None:
        """Make ready.

        Raises:
            UsageError: it cannot work here.
        """

    @abstractmethod
    def close(self) -> None:
        """Tell what still runs to end, wait for it, and leave no process behind."""

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
