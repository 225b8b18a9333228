"""Seconds and peak memory for reading and ranking 10,000 records of realistic size.

In a process of its own, so that the memory is the leaderboard's. Every record is validated whole, with its
trajectory, so that all commands show the same ones: 3 to 4 s on two busy cores, and below 500 MiB.
"""

import subprocess
import sys
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from pvnas_bench import records

RECORDS, BOARDS, ENTRIES = 10_000, 20, 25

PROGRAM = """
import sys, time
start = time.perf_counter()
from pathlib import Path
from pvnas_bench.boards import leaderboard, render
from pvnas_bench import records
found, unreadable = records.load_folder(Path(sys.argv[1]), detail="scores")
boards = leaderboard.build(found)
text = render.render_terminal(boards)
seconds = time.perf_counter() - start
import resource
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
assert len(found) == 10_000 and len(boards) == 20 and not unreadable
print(f"{seconds:.2f} s ({time.process_time():.2f} s of CPU) with imports, peak {peak:.0f} MiB")
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records of 30 to 40 KB: 60 steps, a 10 × 10 confusion matrix, 20 layers."""
    sys.path.append(str(Path(__file__).parents[1] / "support"))
    from record_factory import content

    folder = tmp_path_factory.mktemp("results")
    classes = [f"class {i}" for i in range(10)]
    for number in range(RECORDS):
        board, entry, seed = number % BOARDS, number // BOARDS % ENTRIES, number // (BOARDS * ENTRIES)
        made = content(
            f"entry{entry}",
            seed,
            (number * 7919 % 1000) / 1000,
            data=f"{board:064x}",
            role="search" if entry else "random_control",
            steps=60,
        )
        made["data"]["classes"] = classes
        made["outcome"]["trained"][0]["confusion"] = [[(i * j) % 30 for j in range(10)] for i in range(10)]
        made["outcome"]["network"] = made["outcome"]["network"][:1] * 20
        for step in made["trajectory"]:
            step["incumbent"] = "4-40-2-3-3/" + "/".join(["st3-e4-se"] * 12)
        (folder / f"run{number:05}").mkdir()
        (folder / f"run{number:05}" / records.FILE_NAME).write_text(
            records._lines(made)
        )  # as `save`, without its fsync
    return folder


def test_ten_thousand_records(benchmark: BenchmarkFixture, results: Path) -> None:
    def run() -> None:
        done = subprocess.run([sys.executable, "-c", PROGRAM, str(results)], check=True, capture_output=True, text=True)
        print(done.stdout.strip())

    benchmark.pedantic(run, rounds=3, warmup_rounds=1)
