"""A clip store that opens on first use."""

from collections.abc import Callable
from typing import Any

from pvnas_bench.video._store import ClipStore


class LazyStore:
    """A `ClipStore` that opens on first access: a search on a table needs no clips."""

    def __init__(self, open_store: Callable[[], ClipStore]) -> None:
        self._open_store = open_store
        self._store: ClipStore | None = None

    def _opened(self) -> ClipStore:
        if self._store is None:
            self._store = self._open_store()
        return self._store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._opened(), name)

    def __len__(self) -> int:
        return len(self._opened())
