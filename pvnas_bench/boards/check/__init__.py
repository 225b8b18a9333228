"""The gate for continuous integration: compares fresh records with the records of a baseline.

It compares runs that share a board and an entry:

- *Accuracy*: test top-1 over seeds, by a one-sided test of "worse than the baseline by more than the margin" (see
  `worse_p`), Holm-adjusted over all entries.
- *Deterministic quantities*, exactly: MACs and parameters if both runs have the same final architecture; the whole
  trajectory, the architecture and the spent budget if both runs have the same seed and were deterministic on the same
  device, hardware and library versions. If these differ, the comparison is skipped and reported as skipped.
- *Speed*: seconds of each workload relative to the reference workload of the same process, fresh over baseline, for
  runs on the same device, hardware, threads and library versions.
- *Failures*: a failed run of an entry with a completed run in the baseline.
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
