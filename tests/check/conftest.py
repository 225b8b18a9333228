"""Lets these tests import the record factory."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "records"))
