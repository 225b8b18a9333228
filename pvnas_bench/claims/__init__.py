"""Published claims about searches, tested on the ground of this benchmark.

A claim is a TOML file that is written before it is run (`definition`). `metrics` measures the runs of its entries,
`rule` turns paired differences into a verdict, `results` stores what was measured with the hash of the claim, and
`page` shows all claims. Runs are ordinary records, made by `api.claims`. Nothing here imports torch.
"""

from pvnas_bench.claims.definition import Claim, load, load_all, packaged
from pvnas_bench.claims.judgement import Judged, judged
from pvnas_bench.claims.measuring import Runs, measure
from pvnas_bench.claims.results import Result, read, write

__all__ = ["Claim", "Judged", "Result", "Runs", "judged", "load", "load_all", "measure", "packaged", "read", "write"]
