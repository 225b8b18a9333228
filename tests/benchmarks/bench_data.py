"""Benchmarks of data: the cache's speed-up, the cost of input, the scaling of `prepare`, memory for reading lists.

Goals: an epoch from the cache takes at most a 20th of the CPU time of decoding it with decord or PyAV; input
is at most 5 % of a training step; two workers prepare 1.8 times as fast as one; a reader's memory does not grow with
its list. Ratios are within one run, and but for the scaling in CPU seconds, which other work changes
little.
"""

import importlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from pvnas_bench import ledger, registry, seeding, video
from pvnas_bench.network.families import build, cost_model
from pvnas_bench.protocol import get_protocol
from pvnas_bench.training import process, train
from pvnas_bench.video import _pool
from pvnas_bench.video._resize import to_square
from pvnas_bench.video._sampling import segment_centres

REAL = Path(__file__).resolve().parents[2].parent / "shared" / "data"
SPEC = video.CacheSpec(44, 32)
FRAMES, SIZE, CLIPS = 8, 32, 150

ROWS = """
import sys
from pathlib import Path
from pvnas_bench import video
from pvnas_bench.video import layouts
path, what = Path(sys.argv[1]), sys.argv[2]
def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
Path("/proc/self/clear_refs").write_text("5")  # reset the peak, which includes the parent's until then
before = peak()
if what == "reader":
    source = layouts.Source(path.parent, {"": layouts.Lists((path,))})
    count = sum(1 for _ in layouts.LAYOUTS["manifest"].read(source))
else:
    count = len(video.open_dataset(str(path)))
print(count, round(peak() - before, 1))
"""


def dataset(name: str) -> video.Dataset:
    if name == "synthetic_motion":
        return video.open_dataset(name)
    if not (REAL / name).exists():
        pytest.skip("no ../shared/data beside the repository")
    return video.open_dataset(str(REAL / name))


def from_cache(store: video.ClipStore, indices: np.ndarray) -> None:
    for batch in video.clip_batches(store, indices, batch_size=16, train=False):
        batch.clips(FRAMES, SIZE)


def by_decord(path: Path) -> np.ndarray:
    decord = importlib.import_module("decord")
    reader = decord.VideoReader(str(path), width=SIZE, height=SIZE, num_threads=1)
    return np.asarray(reader.get_batch(segment_centres(len(reader), FRAMES)).asnumpy())


def by_pyav(path: Path) -> np.ndarray:
    with av.open(path) as container:
        container.streams.video[0].codec_context.thread_count = 1
        frames = list(container.decode(video=0))
    return np.stack(
        [
            to_square(frames[at].to_ndarray(format="rgb24"), SIZE, "squash")
            for at in segment_centres(len(frames), FRAMES)
        ]
    )


def decoding(store: video.ClipStore, indices: np.ndarray, decode: Callable[[Path], np.ndarray]) -> None:
    for start in range(0, len(indices), 16):
        chosen = indices[start : start + 16]
        clips = np.stack([decode(store.dataset.path(int(store.clips[index]))) for index in chosen])
        torch.from_numpy(clips).to(torch.float32).sub_(0.45 * 255).mul_(1 / (0.225 * 255))


def children() -> float:
    """CPU seconds of the ended child processes."""
    used = os.times()
    return used.children_user + used.children_system


def cpu(work: Callable[[], None]) -> float:
    """CPU seconds of the second of two repetitions."""
    work()
    start = time.process_time()
    work()
    return time.process_time() - start


@pytest.mark.parametrize("name", ["synthetic_motion", "miracl_vc1/words.csv", "nvhand_skel", "surv_fight"])
def test_epoch(benchmark: BenchmarkFixture, name: str) -> None:
    store = video.prepare(dataset(name), SPEC)
    indices = np.arange(len(store))[:: max(len(store) // CLIPS, 1)][:CLIPS]
    cached = benchmark.pedantic(lambda: cpu(lambda: from_cache(store, indices)), rounds=1)
    anew = {
        "decord": cpu(lambda: decoding(store, indices, by_decord)),
        "PyAV": cpu(lambda: decoding(store, indices, by_pyav)),
    }
    ratios = {f"x {decoder}": round(seconds / cached, 1) for decoder, seconds in anew.items()}
    benchmark.extra_info |= {"clips per CPU second": round(len(indices) / cached), **ratios}
    print(f"\n{name}:", benchmark.extra_info)


@pytest.mark.parametrize("architecture", ["reference", "cheapest"])
def test_input_stall(benchmark: BenchmarkFixture, architecture: str) -> None:
    """Share of CPU seconds for preparing clips in one epoch of stand-alone training on one thread."""
    space, protocol = registry.get_space("st_default"), get_protocol("quick")
    store = video.prepare(dataset("synthetic_motion"), SPEC)
    costs = cost_model(space, len(store.classes))
    chosen = space.reference
    if architecture == "cheapest":
        rng = np.random.default_rng(0)
        chosen = min((space.sample(rng) for _ in range(200)), key=lambda found: costs(found).macs)
    with process.configured(1, True), seeding.torch_seeded(0, "bench"):
        network = build(space, chosen, len(store.classes))
        bench = train.Workbench(store, protocol, torch.device("cpu"), ledger.Ledger(reference=1), train.Clock())
        indices = store.indices("train")

        def clips() -> None:
            for batch in bench.batches(indices, train=True, seed=0):
                bench.inputs(batch, network)

        def epoch() -> float:
            return cpu(lambda: train.train(network, costs(chosen).macs, bench, indices, epochs=1, seed=0) and None)

        share = cpu(clips) / benchmark.pedantic(epoch, rounds=1)
    benchmark.extra_info |= {"input": f"{share:.1%}", "MMACs": round(costs(chosen).macs / 1e6, 2)}
    print(f"\n{architecture}:", benchmark.extra_info)


@pytest.mark.parametrize("decoder", ["decord", "pyav"])
def test_prepare_scaling(benchmark: BenchmarkFixture, tmp_path: Path, decoder: str) -> None:
    """Wall seconds with one worker divided by those with two.

    Beside it what bounds that: the cores that one worker keeps busy (decord decodes in threads of its own whatever it
    is told), and this process's CPU seconds over those of the workers.
    """
    if _pool.usable_cores() < 2:
        pytest.skip("one core")
    data = dataset("surv_fight")

    def prepared(workers: int, go: int) -> tuple[float, float, float]:
        """Wall seconds, CPU seconds of this process, and of the workers."""
        wall, own, others = time.perf_counter(), time.process_time(), children()
        cache = tmp_path / f"{workers}-{go}"
        video.prepare(data, SPEC, cache_dir=cache, workers=workers, decoder=decoder)
        return time.perf_counter() - wall, time.process_time() - own, children() - others

    gos = [(prepared(1, go), prepared(2, go)) for go in range(2)]
    one, two = min(one for one, _ in gos), min(two for _, two in gos)
    benchmark.pedantic(prepared, args=(2, len(gos)), rounds=1)
    benchmark.extra_info |= {
        "speed-up": round(one[0] / two[0], 2),
        "cores busy with one worker": f"{(one[1] + one[2]) / one[0]:.2f}",
        "parent's share": f"{one[1] / one[2]:.1%}",
    }
    print(f"\n{decoder}: {one[0]:.1f} s, then {two[0]:.1f} s:", benchmark.extra_info)


@pytest.mark.parametrize("what", ["reader", "data set"])
def test_a_million_rows(benchmark: BenchmarkFixture, tmp_path: Path, what: str) -> None:
    """MiB beyond the imports, for 100,000 and 1,000,000 rows of a manifest, each in a process of its own."""
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("peak memory is read in Linux' way")

    def mebibytes(rows: int) -> float:
        path = tmp_path / f"{rows}.csv"
        with path.open("w") as file:
            file.write("path,label,subject,split\n")
            for n in range(rows):
                split = ("train", "val", "test")[n % 1000 % 3]
                file.write(f"clips/{n % 400:03d}/{n:011d}_000010_000020.mp4,class {n % 400},s{n % 1000},{split}\n")
        done = subprocess.run([sys.executable, "-c", ROWS, path, what], check=True, capture_output=True, text=True)
        count, found = done.stdout.split()
        assert int(count) == rows
        return float(found)

    few = mebibytes(100_000)
    many = benchmark.pedantic(mebibytes, args=(1_000_000,), rounds=1)
    per_row = (many - few) * 2**20 / 900_000
    benchmark.extra_info |= {"MiB": f"{few:.0f}, then {many:.0f}", "bytes per row": round(per_row, 1)}
    print(f"\n{what}:", benchmark.extra_info)
