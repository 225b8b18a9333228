"""Fixtures for all rooms: a separate cache for the tests, and real clips that decode quickly."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest
from hypothesis import settings

if TYPE_CHECKING:  # imports torch, which tests of records and of the command line do not need
    from pvnas_bench.conformance._world import World

SUPPORT = Path(__file__).parent / "support"
"""Folder of modules shared by tests of several rooms."""
sys.path.append(str(SUPPORT))

from lives import FAMILIES, Nursery, nursery  # noqa: E402 (after the path is known)
from tables import built  # noqa: E402, F401 (a fixture)

# No deadline, as the machine may be busy; the same examples every time.
settings.register_profile("pvnas_bench", deadline=None, derandomize=True)
settings.load_profile("pvnas_bench")

CLASSES = ("down", "left", "right")
CLIPS, FRAMES, SIDE, DOT = 12, 8, 32, 10


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Cache of decoded clips, never the user's; processes started by tests inherit it."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PVNAS_BENCH_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def tiny_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 3 classes × 12 H.264 clips, 8 frames of 32×32: a moving square; read-only."""
    root = tmp_path_factory.mktemp("tiny")
    rng = np.random.default_rng(0)
    for label in CLASSES:
        (root / label).mkdir()
        for number in range(CLIPS):
            write_clip(root / label / f"{number:02d}.mp4", moving_square(label, rng))
    return root


def moving_square(label: str, rng: np.random.Generator) -> np.ndarray:
    """(T, H, W, 3) uint8 frames of a square that moves 3 pixels a frame, in a direction named by the label."""
    frames = rng.integers(0, 60, (FRAMES, SIDE, SIDE, 3), dtype=np.uint8)
    start, across = int(rng.integers(0, 3)), int(rng.integers(0, SIDE - DOT))
    for time, frame in enumerate(frames):
        along = start + 3 * time
        y, x = {"right": (across, along), "left": (across, SIDE - DOT - along), "down": (along, across)}[label]
        frame[max(y, 0) : y + DOT, max(x, 0) : x + DOT] = 220
    return frames


def write_clip(path: Path, frames: np.ndarray) -> None:
    """Encode (T, H, W, 3) uint8 frames as an H.264 file."""
    with av.open(os.fspath(path), "w") as container:
        stream = container.add_stream("libx264", rate=15, options={"preset": "ultrafast", "qp": "20"})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


@pytest.fixture(scope="session")
def small_world() -> "Iterator[World]":
    """The conformance suite's world, whose clips are generated once."""
    from pvnas_bench.conformance._world import world

    with world() as made:
        yield made


@pytest.fixture(scope="module")
def clips(small_world: "World") -> "Iterator[World]":
    """The conformance suite's world, on one thread and deterministic."""
    from pvnas_bench.training import process

    with process.configured(1, True):
        yield small_world


@pytest.fixture(scope="module")
def born() -> Iterator[Nursery]:
    """A nursery that can start and kill runs of strategies of all families."""
    with nursery(*FAMILIES) as made:
        yield made
