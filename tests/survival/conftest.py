"""Lets these tests import their helpers, and starts runs for them that can be killed."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path += [str(Path(__file__).parent), str(Path(__file__).parents[1] / "records")]

from lives import FAMILIES, Nursery, nursery


@pytest.fixture(scope="module")
def born() -> Iterator[Nursery]:
    """A nursery of strategies of all families."""
    with nursery(*FAMILIES) as made:
        yield made
