"""The leaderboard: a pure function of records.

`build` sorts records into boards, one for each set of fingerprints, and each board's runs into rows, one for
each entry (a strategy with the hyper-parameters that differ from its defaults). The `render_…` and `to_…`
functions write boards down; the same records always give the same bytes.

How a row's score comes about:

- A run's score is the mean over its retrainings; an entry's unit is the *seed*. Several runs of one entry with
  one seed are averaged, never chosen from, so that doing a run again neither helps nor narrows an interval.
- A run that failed, timed out, scored not a number, or found an architecture above the cap is a failure. A seed
  with failures only is imputed with the mean of the random-sampling control on the same board, or with chance
  level (1 / classes) where the board has none; the board says which.
- An interrupted run had less than the budget: it is counted and not scored.
"""

from pvnas_bench.leaderboard._across import Across, across
from pvnas_bench.leaderboard._boards import AnyRecord, Board, Row, Score, board_key, build, score
from pvnas_bench.leaderboard._tables import (
    COLUMNS,
    Column,
    describe,
    render_terminal,
    table,
    to_csv,
    to_json,
    to_markdown,
    to_parquet,
)

__all__ = [
    "COLUMNS",
    "Across",
    "AnyRecord",
    "Board",
    "Column",
    "Row",
    "Score",
    "across",
    "board_key",
    "build",
    "describe",
    "render_terminal",
    "score",
    "table",
    "to_csv",
    "to_json",
    "to_markdown",
    "to_parquet",
]
