"""Tables: the trained accuracy of every architecture of a small space, so that a search need not train.

`schema` defines the content of a table, `journal` appends finished trainings crash-safely, `store` keeps tables in a
folder as Parquet files, `table` looks trainings up, and `surrogate` predicts those of a large space from a sample. None
of them needs torch. `grid.table_build` trains,
`boards.table_lessons` and `boards.table_regret` evaluate.
"""

from pvnas_bench.table.schema import About, KnownTraining, Session
from pvnas_bench.table.store import default_folder, find, load
from pvnas_bench.table.surrogate import Surrogate
from pvnas_bench.table.table import Table

__all__ = ["About", "KnownTraining", "Session", "Surrogate", "Table", "default_folder", "find", "load"]
