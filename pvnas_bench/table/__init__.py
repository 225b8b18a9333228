"""Tables: what every architecture of a small space reaches when it is trained, so that a search need not train.

`_schema` says what a table holds, `_journal` appends finished trainings so that no crash loses one, `_store` keeps
tables in a folder as Parquet, `_table` looks up. `build` and `verify` train and need torch; nothing else here does.
"""

from pvnas_bench.table._schema import About, Session, Training
from pvnas_bench.table._store import default_folder, find, load
from pvnas_bench.table._table import Table

__all__ = ["About", "Session", "Table", "Training", "default_folder", "find", "load"]
