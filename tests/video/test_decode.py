"""Decoding: both decoders against each other and against PyAV used directly; and every way a file can be bad."""

import os
import struct
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from pvnas_bench.video._decode import read_clip
from pvnas_bench.video._resize import to_square
from pvnas_bench.video._spec import CacheSpec, ClipError

ALL = CacheSpec(48, 1000)
FEW = CacheSpec(48, 7)

# Format, encoder, options. B-frames in AVI, MPEG-PS and WMV are where decord is wrong after a seek.
FORMATS = [
    ("clip.mp4", "libx264", {}),
    ("clip.mov", "libx264", {"g": "100"}),
    ("clip.mkv", "libx264", {"bf": "3"}),
    ("clip.avi", "mpeg4", {"bf": "2"}),
    ("clip.avi", "mjpeg", {}),
    ("clip.webm", "libvpx", {}),
    ("clip.mpg", "mpeg2video", {"bf": "2"}),
    ("clip.wmv", "wmv2", {}),
]


def picture(frames: int) -> np.ndarray:
    """(T, 48, 80, 3) frames that all differ, and differ from one to the next."""
    rng = np.random.default_rng(1)
    coarse = np.kron(rng.integers(0, 255, (3, 5, 3), dtype=np.uint8), np.ones((16, 16, 1), dtype=np.uint8))
    return np.stack([np.roll(coarse, 3 * t, axis=1) for t in range(frames)])


def decoded(path: Path) -> np.ndarray:
    """Every frame, straight from PyAV."""
    with av.open(path) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def reason(path: Path, decoder: str, spec: CacheSpec = ALL) -> str:
    with pytest.raises(ClipError) as error:
        read_clip(path, spec, decoder)
    message = str(error.value)
    assert "\n" not in message and str(path.parent) not in message
    return message


@pytest.mark.parametrize("decoder", ["decord", "pyav"])
@pytest.mark.parametrize(("name", "codec", "options"), FORMATS)
def test_frames_are_those_of_the_file(
    tmp_path: Path, write: Callable[..., Path], decoder: str, name: str, codec: str, options: dict[str, str]
) -> None:
    path = write(tmp_path / name, picture(30), codec, **options)
    expected = np.stack([to_square(frame, 48, "squash") for frame in decoded(path)])
    assert len(expected) == 30
    np.testing.assert_allclose(read_clip(path, ALL, decoder), expected, atol=2)
    centres = [2, 6, 10, 15, 19, 23, 27]
    np.testing.assert_allclose(read_clip(path, FEW, decoder), expected[centres], atol=2)


@pytest.mark.parametrize("decoder", ["decord", "pyav"])
@pytest.mark.parametrize(("matrix", "quarters"), [((0, 1, -1, 0), -1), ((-1, 0, 0, -1), 2), ((0, -1, 1, 0), 1)])
def test_rotated_as_the_file_asks(
    tmp_path: Path, clip_file: Path, decoder: str, matrix: tuple[int, ...], quarters: int
) -> None:
    content = bytearray(clip_file.read_bytes())
    a, b, c, d = (65536 * value for value in matrix)
    at = content.find(b"tkhd") + 44  # ISO 14496-12: the display matrix follows 40 bytes of a version 0 track header
    content[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path = tmp_path / "rotated.mp4"
    path.write_bytes(content)
    upright = np.stack([to_square(np.rot90(frame, quarters), 48, "crop") for frame in decoded(clip_file)])
    np.testing.assert_allclose(read_clip(path, CacheSpec(48, 99, "crop"), decoder), upright, atol=2)


@pytest.mark.parametrize("decoder", ["decord", "pyav"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize(
    ("name", "codec", "muxer"),
    [
        ("clip.mp4", "libx264", {}),
        ("clip.mp4", "libx264", {"movflags": "faststart"}),
        ("clip.avi", "mpeg4", {}),
        ("clip.mkv", "libx264", {}),
        ("clip.webm", "libvpx", {}),
    ],
)
def test_truncated(
    tmp_path: Path,
    write: Callable[..., Path],
    decoder: str,
    share: float,
    name: str,
    codec: str,
    muxer: dict[str, str],
) -> None:
    content = write(tmp_path / "whole" / name, picture(40), codec, muxer).read_bytes()
    path = tmp_path / name
    path.write_bytes(content[: int(share * len(content))])
    message = reason(path, decoder)
    assert message.startswith("truncated") or "Invalid data" in message


@pytest.mark.parametrize("decoder", ["decord", "pyav"])
def test_truncated_between_two_frames(tmp_path: Path, write: Callable[..., Path], decoder: str) -> None:
    """Every packet that is there is whole, so only the count in the header tells."""
    content = write(tmp_path / "whole.avi", picture(40), "mjpeg").read_bytes()
    frames = content[: content.rfind(b"idx1")]
    path = tmp_path / "cut.avi"
    path.write_bytes(frames[: frames.rfind(b"00dc")])
    assert reason(path, decoder) == "truncated: holds 39 of 40 frames"


@pytest.mark.parametrize("decoder", ["decord", "pyav"])
def test_not_a_clip(tmp_path: Path, decoder: str) -> None:
    (tmp_path / "text.mp4").write_text("not a video\n" * 100)
    (tmp_path / "zero.mp4").touch()
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "dangling.mp4").symlink_to(tmp_path / "gone")
    os.mkfifo(tmp_path / "pipe.mp4")
    assert reason(tmp_path / "zero.mp4", decoder) == "zero bytes"
    assert reason(tmp_path / "missing.mp4", decoder) == "no such file"
    assert reason(tmp_path / "dangling.mp4", decoder) == "no such file"
    assert reason(tmp_path / "folder.mp4", decoder) == "not a file"
    assert reason(tmp_path / "pipe.mp4", decoder) == "not a file"
    assert "Invalid data" in reason(tmp_path / "text.mp4", decoder)


@pytest.mark.parametrize("decoder", ["decord", "pyav"])
def test_sound_without_picture(tmp_path: Path, decoder: str) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(path, "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), dtype=np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert reason(path, decoder) == "no video stream"


def test_real_clips_both_ways(real_data: Path) -> None:
    clips = (
        sorted((real_data / "surv_fight").glob("*/*.mp4"))[::60] + sorted(real_data.glob("miracl_vc1/w_*/*.mp4"))[::400]
    )
    for clip in clips:
        by_decord, by_pyav = (read_clip(clip, CacheSpec(64, 12, "crop"), decoder) for decoder in ("decord", "pyav"))
        assert by_decord.shape == by_pyav.shape
        assert np.abs(by_decord.astype(int) - by_pyav).mean() < 1


def test_unknown_decoder(clip_file: Path) -> None:
    with pytest.raises(ValueError, match="decord, pyav"):
        read_clip(clip_file, ALL, "opencv")
