"""Fixtures of the video room: generated clips, small data sets and stores."""

import csv
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import av
import numpy as np
import pytest

from pvnas_bench import video

REAL = Path(__file__).resolve().parents[2].parent / "shared" / "data"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real data sets next to the repository."""
    if not REAL.is_dir():
        pytest.skip("no ../shared/data beside the repository")
    return REAL


def moving_picture(frames: int, height: int = 48, width: int = 80, seed: int = 0) -> np.ndarray:
    """(T, H, W, 3) a coarse pattern that shifts by 3 pixels a frame, with the frame's number as brightness below."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (-(-height // 16), -(-width // 16), 3), dtype=np.uint8)
    picture = np.kron(coarse, np.ones((16, 16, 1), dtype=np.uint8))[:height, :width]
    clip = np.stack([np.roll(picture, 3 * t, axis=1) for t in range(frames)])
    for t in range(frames):
        clip[t, -16:] = 5 * t % 250
    return clip


@pytest.fixture(scope="session")
def write() -> Callable[..., Path]:
    """A function that encodes frames: `write(path, frames, codec="libx264", **encoder_options)`."""

    def write_clip(
        path: Path, frames: np.ndarray, codec: str = "libx264", muxer: dict[str, str] | None = None, **options: str
    ) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(path, "w", options=muxer or {}) as container:
            stream = container.add_stream(codec, rate=25, options=options)
            stream.height, stream.width = frames.shape[1:3]
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            stream.bit_rate = 800_000
            for frame in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode())
        return path

    return write_clip


@pytest.fixture(scope="session")
def clip_file(tmp_path_factory: pytest.TempPathFactory, write: Callable[..., Path]) -> Path:
    """One clip of 20 frames, 48 × 80 pixels."""
    return write(tmp_path_factory.mktemp("one") / "clip.mp4", moving_picture(20))


@pytest.fixture
def folder(tmp_path: Path, clip_file: Path) -> Callable[[dict[str, int]], Path]:
    """A function that makes ROOT/<class>/<n>.mp4 with the given number of copies of a clip per class."""

    def make(classes: dict[str, int]) -> Path:
        root = tmp_path / "data"
        for name, count in classes.items():
            (root / name).mkdir(parents=True)
            for n in range(count):
                shutil.copy(clip_file, root / name / f"{n:02d}.mp4")
        return root

    return make


@pytest.fixture
def manifest(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes a manifest from rows; the files it names need not exist."""

    def make(rows: Sequence[Sequence[str]], header: Sequence[str] = ("path", "label", "subject", "split")) -> Path:
        path = tmp_path / "set.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([header, *rows])
        return path

    return make


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory, write: Callable[..., Path]) -> video.ClipStore:
    """12 clips of two classes with 3, 4, … 14 frames, stored at 40 × 40; every clip and frame is different."""
    root = tmp_path_factory.mktemp("varied")
    for n in range(12):
        write(root / "ab"[n % 2] / f"{n:02d}.mp4", moving_picture(3 + n, seed=n))
    return video.prepare(video.open_dataset(str(root)), video.CacheSpec(40, 12))
