"""Lets these tests import their corpus, the record factory and the tables of made-up numbers."""

import sys
from pathlib import Path

sys.path += [str(Path(__file__).parent), *(str(Path(__file__).parents[1] / room) for room in ("records", "table"))]
