"""Tables: the trained accuracy of every architecture of a small space, so that a search need not train.

`schema` says what a table holds, `journal` appends finished trainings so that no crash loses one, `store` keeps tables
in a folder as Parquet, `_table` looks up, `lessons` and `regret` say what tables and searches on them teach. None of it
needs torch; what trains is the `builder`.
"""

from pvnas_bench.table.schema import About, KnownTraining, Session
from pvnas_bench.table.store import default_folder, find, load
from pvnas_bench.table.table import Table

__all__ = ["About", "KnownTraining", "Session", "Table", "default_folder", "find", "load"]
