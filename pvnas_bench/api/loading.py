"""Reading records and tables."""

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from pvnas_bench import records
from pvnas_bench.api import results
from pvnas_bench.errors import UsageError
from pvnas_bench.runs.request import Request

if TYPE_CHECKING:
    from pvnas_bench.table import Table

StrPath = str | os.PathLike[str]


def load_record(path: StrPath) -> records.Record:
    """Read the record of a run.

    Args:
        path: the file, or the folder of the run.

    Raises:
        UsageError: there is no record, or it cannot be read.
    """
    file = Path(path)
    file = file / records.FILE_NAME if file.is_dir() else file
    try:
        return records.load(file)
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}: name a {records.FILE_NAME}, or the folder of a run") from None
    except ValueError as error:
        raise UsageError(f"{file}: {error}") from None


def load_records(folder: StrPath, *, null: bool | None = None) -> list[records.Record]:
    """Read the records under a folder.

    Args:
        null: True for records of null searches only, False for real ones only. Default: both.

    Raises:
        UsageError: there is no such folder, or no record in it. A file that claims to be one is named in a warning.
    """
    loaded = results.load(Path(folder), reference=False, null=null)
    for line in loaded.remarks:
        warnings.warn(line, stacklevel=2)
    return loaded.records


def load_table(
    space: StrPath = "st_micro", dataset: StrPath = Request.dataset, tables: StrPath | None = None
) -> "Table":
    """Read the table of a space and a data set: every architecture with its trainings.

    Args:
        space: a name of `list_spaces`, or the path of a file with a space.
        dataset: a name of `list_datasets`, or the path of a data set; only its name is used.
        tables: folder of tables. Default: ``results/tables``, then the published ones.

    Raises:
        UsageError: there is no such space or table; the message names existing tables.
    """
    from pvnas_bench import registry
    from pvnas_bench.table import find

    return find(registry.get_space(os.fspath(space)), os.fspath(dataset), None if tables is None else Path(tables))
