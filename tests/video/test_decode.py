"""Decoding: both decoders against each other and against PyAV used directly; and faulty files."""

import os
import struct
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from pvnas_bench.video._container import missing_bytes
from pvnas_bench.video._decode import read_clip
from pvnas_bench.video._resize import to_square
from pvnas_bench.video._spec import WHOLE, CacheSpec, ClipError, Part

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


def picture(frames: int, height: int = 48, width: int = 80) -> np.ndarray:
    """Frames (T, H, W, 3) that all differ."""
    rng = np.random.default_rng(1)
    blocks = (-(-height // 16), -(-width // 16), 3)
    coarse = np.kron(rng.integers(0, 255, blocks, dtype=np.uint8), np.ones((16, 16, 1), dtype=np.uint8))
    return np.stack([np.roll(coarse[:height, :width], 3 * t, axis=1) for t in range(frames)])


def decoded(path: Path) -> np.ndarray:
    """Every frame, straight from PyAV."""
    with av.open(path) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def reason(path: Path, decoder: str, spec: CacheSpec = ALL, part: Part = WHOLE) -> str:
    with pytest.raises(ClipError) as error:
        read_clip(path, spec, decoder, part)
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
def test_frames_are_rotated_as_the_file_states(
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
@pytest.mark.parametrize(("name", "codec"), [("clip.mp4", "libx264"), ("clip.mkv", "libx264"), ("clip.webm", "libvpx")])
def test_a_variable_frame_rate_repeats_and_drops_nothing(tmp_path: Path, decoder: str, name: str, codec: str) -> None:
    times = [0, 40, 41, 300, 310, 1000, 1001, 1500, 2500, 2501, 2600, 4000]  # milliseconds
    encode(tmp_path / name, picture(12), codec, "yuv420p", times)
    expected = np.stack([to_square(frame, 48, "squash") for frame in decoded(tmp_path / name)])
    assert len(expected) == 12
    np.testing.assert_allclose(read_clip(tmp_path / name, ALL, decoder), expected, atol=2)
    part = read_clip(tmp_path / name, ALL, decoder, Part(start=0.3, end=2.5))
    np.testing.assert_allclose(part, expected[3:8], atol=2)
    few = read_clip(tmp_path / name, CacheSpec(48, 2), decoder, Part(start=0.3, end=2.5))
    np.testing.assert_allclose(few, expected[[4, 6]], atol=2)
    assert reason(tmp_path / name, decoder, part=Part(start=9)) == "no frame from 9 to inf s: it ends at 4.00 s"


@pytest.mark.parametrize("decoder", ["decord", "pyav"])
@pytest.mark.parametrize(
    ("name", "codec", "pixels", "height", "width"),
    [
        ("odd.mkv", "ffv1", "yuv420p", 49, 81),
        ("odd.avi", "mjpeg", "yuvj420p", 49, 81),
        ("odd.webm", "libvpx", "yuv420p", 33, 47),
        ("wide.avi", "mjpeg", "yuvj420p", 48, 81),
        ("high.avi", "mjpeg", "yuvj420p", 49, 80),
        ("odd444.mp4", "libx264", "yuv444p", 49, 81),
        ("grey.mp4", "libx264", "gray", 48, 80),
        ("grey.mkv", "ffv1", "gray", 47, 33),
        ("deep.mp4", "libx264", "yuv420p10le", 48, 80),
        ("rgb.mkv", "ffv1", "bgr0", 31, 17),
        *((f"w{width}.mp4", "libx264", "yuv420p", 34, width) for width in (16, 24, 30, 48, 62, 72)),
        ("one.mp4", "libx264", "yuv420p", 48, 80),
    ],
)
def test_odd_sizes_grey_and_deep_pictures(
    tmp_path: Path, decoder: str, name: str, codec: str, pixels: str, height: int, width: int
) -> None:
    frames = picture(1 if name == "one.mp4" else 9, height, width)
    path = encode(tmp_path / name, frames, codec, pixels)
    expected = np.stack([to_square(frame, 48, "crop") for frame in decoded(path)])
    got = read_clip(path, CacheSpec(48, 99, "crop"), decoder)
    np.testing.assert_allclose(got, expected, atol=2)
    if pixels == "bgr0":
        np.testing.assert_array_equal(got, np.stack([to_square(frame, 48, "crop") for frame in frames]))


def encode(path: Path, frames: np.ndarray, codec: str, pixels: str, times: list[int] | None = None) -> Path:
    """Encode frames, optionally at these times in milliseconds."""
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pixels
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            if times is not None:
                picture.pts, picture.time_base = times[number], Fraction(1, 1000)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize("limit", [1000, 7])
def test_three_backends_give_the_same_frames(tmp_path: Path, write: Callable[..., Path], limit: int) -> None:
    path = write(tmp_path / "clip.mp4", picture(30))
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, frame in enumerate(decoded(path), start=1):
        Image.fromarray(frame).save(folder / f"img_{number:05d}.png")
    Image.new("L", (9, 9)).save(folder / "flow_00001.png")
    spec = CacheSpec(48, limit)
    by_pyav, by_decord = (read_clip(path, spec, decoder) for decoder in ("pyav", "decord"))
    as_images = read_clip(folder, spec, "images", Part(template="img_{:05d}.png", frames=30))
    np.testing.assert_array_equal(as_images, by_pyav)
    np.testing.assert_allclose(by_decord, by_pyav, atol=2)


def test_bad_folders_of_images(tmp_path: Path) -> None:
    part = Part(template="{:03d}.jpg")

    def bad(name: str, numbers: Sequence[int], frames: int = 0) -> str:
        (tmp_path / name).mkdir()
        for number in numbers:
            Image.new("RGB", (64, 48), (9 * number, 40, 90)).save(tmp_path / name / f"{number:03d}.jpg")
        return reason(tmp_path / name, "images", part=replace(part, frames=frames))

    assert bad("empty", []) == "no image {:03d}.jpg in the folder"
    assert bad("gap", [1, 2, 4]) == "003.jpg is missing"
    assert bad("short", [1, 2, 3], 5) == "truncated: holds 3 of 5 frames"
    assert reason(tmp_path / "gone", "images", part=part) == "no such file"
    (tmp_path / "file").touch()
    assert reason(tmp_path / "file", "images", part=part) == "not a folder of images"
    broken = tmp_path / "broken"
    broken.mkdir()
    for number in range(3):
        Image.effect_noise((64, 48), 50).convert("RGB").save(broken / f"{number:03d}.jpg")
    whole = (broken / "001.jpg").read_bytes()
    (broken / "001.jpg").write_bytes(whole[: len(whole) // 2])
    assert reason(broken, "images", part=part).startswith("001.jpg: image file is truncated")
    (broken / "001.jpg").write_text("text")
    assert reason(broken, "images", part=part).startswith("001.jpg: cannot identify image file")
    Image.new("L", (9, 9)).save(broken / "001.jpg")
    assert reason(broken, "images", part=part) == "001.jpg is 9×9, others 64×48"
    Image.effect_noise((64, 48), 50).save(broken / "001.jpg")  # grey
    assert read_clip(broken, ALL, "images", part).shape == (3, 48, 48, 3)


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
    assert message.startswith("truncated: ") and message.endswith(" bytes are missing")


@pytest.mark.parametrize("decoder", ["decord", "pyav"])
def test_truncated_between_two_frames(tmp_path: Path, write: Callable[..., Path], decoder: str) -> None:
    """All present packets are complete, so only the count in the header reveals the truncation."""
    content = write(tmp_path / "whole.avi", picture(40), "mjpeg").read_bytes()
    frames = content[: content.rfind(b"idx1")]
    path = tmp_path / "cut.avi"
    path.write_bytes(frames[: frames.rfind(b"00dc")])
    assert reason(path, decoder).endswith(" bytes are missing")
    content = bytearray(path.read_bytes())
    content[4:8] = bytes(4)  # a header that states no length
    path.write_bytes(content)
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


@pytest.mark.parametrize(("name", "codec", "options"), FORMATS[:6])
def test_the_size_that_a_container_states(
    tmp_path: Path, write: Callable[..., Path], name: str, codec: str, options: dict[str, str]
) -> None:
    path = write(tmp_path / name, picture(12), codec, **options)
    content = path.read_bytes()
    assert missing_bytes(path) == 0
    path.write_bytes(content + b"\0" * 50)
    assert missing_bytes(path) == 0
    for cut in (1, 100, len(content) // 2):
        path.write_bytes(content[:-cut])
        assert missing_bytes(path) >= min(cut, 8)
    path.write_bytes(content[:9])
    assert missing_bytes(path) >= 0


def test_a_recording_without_a_stated_size_is_complete(tmp_path: Path, write: Callable[..., Path]) -> None:
    path = write(tmp_path / "live.mkv", picture(12), "libx264", {"live": "1"})
    assert missing_bytes(path) == 0
    assert len(read_clip(path, ALL, "pyav")) == 12
