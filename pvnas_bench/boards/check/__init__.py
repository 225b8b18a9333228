"""The gate for continuous integration: do fresh records hold what reference records promise?

What is compared, of runs that share a board and an entry:

- *Accuracy*: test top-1 over seeds, by a one-sided test of "worse than the baseline by more than the margin" (see
  `worse_p`), Holm-adjusted over all entries.
- *Deterministic quantities*, exactly. MACs and parameters wherever both sides found the same architecture; the
  whole trajectory, the architecture and the budget used where a run with the same seed was deterministic on the same
  device, hardware and library versions. Where these differ the comparison is skipped, and said to be.
- *Speed*: seconds of each piece of work beside the reference workload's of the same process, fresh over baseline, of
  runs on the same device, hardware, threads and library versions.
- *Failures*: a run that failed where the baseline has a completed run of that entry.
"""

from pvnas_bench.boards.check.accuracy import worse_p
from pvnas_bench.boards.check.baseline import load_baseline, save_baseline
from pvnas_bench.boards.check.comparison import compare
from pvnas_bench.boards.check.findings import Check, Finding
from pvnas_bench.boards.check.junit import to_junit
from pvnas_bench.boards.check.render import render_terminal, to_github

__all__ = [
    "Check",
    "Finding",
    "compare",
    "load_baseline",
    "render_terminal",
    "save_baseline",
    "to_github",
    "to_junit",
    "worse_p",
]
