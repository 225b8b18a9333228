"""Executors: they do pieces of work in processes of this machine or on Ray.

An executor knows nothing of cells and records: it takes functions with arguments, and reports how each ended.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self

Name = Literal["processes", "ray"]


@dataclass(frozen=True)
class Needs:
    """Resources of a piece of work.

    Attributes:
        threads: CPU threads.
        gpu: True if it needs a GPU, where the executor places work by GPU.
        limit: seconds until its process is killed; None: no limit.
        alone: True if it needs a new process to itself.
    """

    threads: int = 1
    gpu: bool = False
    limit: float | None = None
    alone: bool = True


@dataclass(frozen=True)
class Ending:
    """End of a piece of work: one of these is set, or it returned None.

    Attributes:
        value: its return value.
        error: its exception.
        lost: how its process ended prematurely.
        late: True if it was killed at its limit.
    """

    value: Any = None
    error: BaseException | None = None
    lost: str | None = None
    late: bool = False


class Executor(ABC):
    """Does pieces of work in parallel. A context manager: at exit, running work is told to end and awaited."""

    patience: float = 0.0
    """Seconds that work should wait for a claim whose holder's machine may be lost."""

    @abstractmethod
    def room(self, needs: Needs) -> int:
        """Number of pieces of work with these needs that can start now."""

    @abstractmethod
    def start(self, key: Hashable, needs: Needs, work: Callable[..., Any], *args: Any) -> None:
        """Start `work(*args)`, a module's function with picklable arguments. Without room it queues.

        Args:
            key: name of the work in `ended`.

        Raises:
            UsageError: its needs can never be met.
        """

    @abstractmethod
    def ended(self) -> Iterator[tuple[Any, Ending]]:
        """Wait for work to end; yield keys and endings. May yield nothing before any work ends."""

    @property
    @abstractmethod
    def busy(self) -> bool:
        """True while work is unfinished."""

    @abstractmethod
    def open(self) -> None:
        """Prepare the executor.

        Raises:
            UsageError: the executor cannot work here.
        """

    @abstractmethod
    def close(self) -> None:
        """End running work, wait for it, and leave no process behind."""

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
