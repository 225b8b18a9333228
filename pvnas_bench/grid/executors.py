"""Executors: they run tasks in processes of this machine or on Ray.

An executor knows nothing about cells and records: it calls functions with arguments and reports how each call ended.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self

Name = Literal["processes", "ray"]


@dataclass(frozen=True)
class Needs:
    """Resources of a task.

    Attributes:
        threads: CPU threads.
        gpu: True if it needs a GPU; only executors that place tasks by GPU use this.
        limit: seconds until its process is killed; None: no limit.
        alone: True if it needs a new process of its own.
    """

    threads: int = 1
    gpu: bool = False
    limit: float | None = None
    alone: bool = True


@dataclass(frozen=True)
class Ending:
    """End of a task; one of value, error and lost is set, unless it returned None.

    Attributes:
        value: its return value.
        error: its exception.
        lost: description of its process's premature end.
        late: True if it was killed at its time limit.
    """

    value: Any = None
    error: BaseException | None = None
    lost: str | None = None
    late: bool = False


class Executor(ABC):
    """Runs tasks in parallel. A context manager: at exit it interrupts running tasks and waits for them."""

    patience: float = 0.0
    """Seconds that a task should wait for a lease whose holder's machine may be lost."""

    @abstractmethod
    def room(self, needs: Needs) -> int:
        """Number of tasks with these needs that can start now."""

    @abstractmethod
    def start(self, key: Hashable, needs: Needs, work: Callable[..., Any], *args: Any) -> None:
        """Start `work(*args)`, a module-level function with picklable arguments. Without room the task waits.

        Args:
            key: identifies the task in `ended`.

        Raises:
            UsageError: the needs can never be met.
        """

    @abstractmethod
    def ended(self) -> Iterator[tuple[Any, Ending]]:
        """Wait for tasks to end; yield their keys and endings. A call may yield nothing."""

    @property
    @abstractmethod
    def busy(self) -> bool:
        """True while a task is unfinished."""

    @abstractmethod
    def open(self) -> None:
        """Prepare the executor.

        Raises:
            UsageError: the executor cannot work here.
        """

    @abstractmethod
    def close(self) -> None:
        """Interrupt running tasks, wait for them, and leave no process behind."""

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
