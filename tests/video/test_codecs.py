"""The same frames whichever decoder is installed: codecs × containers, cuts, and failing decoders."""

import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pvnas_bench import video
from pvnas_bench.video import _jobs
from pvnas_bench.video._decode import read_clip
from pvnas_bench.video._probe import probe
from pvnas_bench.video._resize import to_square
from pvnas_bench.video._spec import CacheSpec, ClipError, Part, default_decoder

from .conftest import moving_picture
from .test_pool import UNRULY

ALL = CacheSpec(32, 1000)
X265 = {"x265-params": "log-level=none:pools=1"}
# Name, encoder, pixels, options, containers that take it.
MP4 = ("mp4", "mov", "mkv")
CODECS: dict[str, tuple[str, str, dict[str, str], tuple[str, ...]]] = {
    "h264": ("libx264", "yuv420p", {"bf": "3", "g": "12"}, (*MP4, "avi", "ts", "mts", "m2ts", "flv")),
    "h264-interlaced": ("libx264", "yuv420p", {"x264-params": "tff=1:keyint=8"}, (*MP4, "avi", "ts", "mts")),
    "h264-open": ("libx264", "yuv420p", {"x264-params": "open-gop=1:keyint=8:bframes=3"}, (*MP4, "ts")),
    "h264-709-full": ("libx264", "yuvj420p", {"x264-params": "colormatrix=bt709:range=pc"}, MP4),
    "h264-ycgco": ("libx264", "yuv420p", {"x264-params": "colormatrix=YCgCo"}, MP4),
    "hevc": ("libx265", "yuv420p", X265, (*MP4, "ts", "mts", "flv")),
    "hevc-10": ("libx265", "yuv420p10le", X265, (*MP4, "ts")),
    "vp8": ("libvpx", "yuv420p", {"auto-alt-ref": "1", "lag-in-frames": "16"}, ("mkv", "webm", "avi")),
    "vp9": ("libvpx-vp9", "yuv420p", {"auto-alt-ref": "1", "lag-in-frames": "16"}, ("mp4", "mkv", "webm", "avi")),
    "av1": ("libsvtav1", "yuv420p", {"preset": "12"}, ("mp4", "mkv", "webm")),
    "av1-aom": ("libaom-av1", "yuv420p", {"cpu-used": "8"}, ("mp4", "webm")),
    "mpeg1": ("mpeg1video", "yuv420p", {"bf": "2"}, ("mpg", "mkv", "ts")),
    "mpeg2": ("mpeg2video", "yuv420p", {"bf": "2"}, (*MP4, "avi", "ts", "mts", "mpg")),
    "mpeg4": ("mpeg4", "yuv420p", {"bf": "2"}, (*MP4, "avi", "ts")),
    "mjpeg": ("mjpeg", "yuvj420p", {}, (*MP4, "avi")),
    "prores": ("prores_ks", "yuv422p10le", {}, ("mov", "mkv")),
    "wmv2": ("wmv2", "yuv420p", {}, ("avi", "wmv")),
    "ffv1-410": ("ffv1", "yuv410p", {}, ("mkv", "avi")),
    "ffv1-440": ("ffv1", "yuv440p", {}, ("mkv",)),
    "png": ("png", "rgb24", {}, ("mov", "avi")),
    "gif": ("gif", "rgb8", {}, ("gif",)),
}
MUXERS = {"mts": "mpegts", "m2ts": "mpegts"}
# FFmpeg 4 in decord and FFmpeg 8 in PyAV agree to the bit on these, so decord reads them if it is installed.
TRUSTED = [("h264", "mp4"), ("h264", "mkv"), ("hevc", "mp4"), ("vp8", "webm"), ("vp9", "webm"), ("mpeg4", "avi")]


def encode(path: Path, name: str, frames: np.ndarray) -> Path:
    """Encode frames with one of the codecs, into the container that the suffix names."""
    codec, pixels, options, _ = CODECS[name]
    try:
        av.Codec(codec, "w")
    except av.codec.codec.UnknownCodecError:
        pytest.skip(f"this PyAV has no encoder {codec}")
    with av.open(path, "w", format=MUXERS.get(path.suffix[1:])) as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pixels
        stream.bit_rate = 800_000
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


def cut(source: Path, target: Path, first: int, hidden: int = 0) -> Path:
    """Copy the packets from the `first` on without re-encoding, `hidden` of them at times before zero."""
    with av.open(source) as origin, av.open(target, "w", format=MUXERS.get(target.suffix[1:])) as copy:
        stream = origin.streams.video[0]
        packets = [packet for packet in origin.demux(stream) if packet.size][first:]
        into = copy.add_stream_from_template(stream)
        ticks = round(1 / (25 * stream.time_base))
        start = min(packet.pts for packet in packets) + hidden * ticks
        for packet in packets:
            packet.pts, packet.dts, packet.stream = packet.pts - start, packet.dts - start, into
            copy.mux(packet)
    return target


def answer(path: Path, decoder: str, spec: CacheSpec = ALL, part: Part | None = None) -> Any:
    """The frames, or the reason for their absence."""
    try:
        return read_clip(path, spec, decoder, part or Part())
    except ClipError as error:
        return str(error)


def shown(path: Path) -> np.ndarray:
    """Every frame as it is stored, straight from PyAV."""
    with av.open(path) as container:
        frames = [
            frame.reformat(format="rgb24", src_colorspace="ITU601") if frame.colorspace == 8 else frame
            for frame in container.decode(video=0)
        ]
    return np.stack([to_square(frame.to_ndarray(format="rgb24"), 32, "squash") for frame in frames])


@pytest.mark.parametrize(("name", "suffix"), [(name, suffix) for name in CODECS for suffix in CODECS[name][3]])
def test_every_codec_in_every_container_is_the_same_clip(tmp_path: Path, name: str, suffix: str) -> None:
    path = encode(tmp_path / f"clip.{suffix}", name, moving_picture(30, 64, 96))
    expected = shown(path)
    assert len(expected) == 30
    for decoder in ("decord", "pyav"):
        np.testing.assert_array_equal(answer(path, decoder), expected, err_msg=decoder)
        few = answer(path, decoder, CacheSpec(32, 7))
        np.testing.assert_array_equal(few, expected[[2, 6, 10, 15, 19, 23, 27]], err_msg=decoder)
    with_decord, without = (answer(path, decoder, part=Part(start=0.2, end=0.6)) for decoder in ("decord", "pyav"))
    np.testing.assert_array_equal(with_decord, without)
    if not isinstance(without, str) and probe(path).times[15:].min() >= 0.6:
        np.testing.assert_array_equal(without, expected[5:15])


@pytest.mark.parametrize(("name", "suffix"), TRUSTED)
def test_decord_reads_what_it_can(tmp_path: Path, name: str, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = encode(tmp_path / f"clip.{suffix}", name, moving_picture(12, 64, 96))
    monkeypatch.setattr("pvnas_bench.video._decode._pyav", lambda *_: pytest.fail("PyAV decoded it"))
    assert len(answer(path, "decord")) == 12


def test_a_recording_may_start_between_keyframes(tmp_path: Path) -> None:
    """AVCHD: interlaced H.264 in a transport stream whose first packets lack the keyframe that they need."""
    whole = encode(tmp_path / "whole.mts", "h264-interlaced", moving_picture(30, 64, 96))
    for first in range(12):
        path = cut(whole, tmp_path / f"{first}.mts", first)
        frames, again = answer(path, "pyav"), answer(path, "decord")
        assert not isinstance(frames, str), (first, frames)
        np.testing.assert_array_equal(frames, again)
        np.testing.assert_array_equal(frames, shown(whole)[-len(frames) :])  # from a keyframe to the end
        assert len(frames) >= 14


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "avi", "ts", "flv"])
@pytest.mark.parametrize("name", ["h264", "h264-open", "hevc", "mpeg4", "mpeg2", "vp8", "vp9"])
def test_clips_cut_without_re_encoding(tmp_path: Path, name: str, suffix: str) -> None:
    """Cuts between keyframes, and edit lists, from which decord repeats frames that do not exist."""
    whole = encode(tmp_path / f"whole.{'mkv' if name == 'vp8' else 'mp4'}", name, moving_picture(30, 64, 96))
    for first, hidden in ((0, 4), (3, 0), (12, 0), (12, 2), (13, 4)):
        try:
            path = cut(whole, tmp_path / f"{first}-{hidden}.{suffix}", first, hidden)
        except (av.FFmpegError, ValueError):
            continue  # a container that does not take it
        for part in (Part(), Part(start=0.1, end=0.4)):
            with_decord, without = (answer(path, decoder, part=part) for decoder in ("decord", "pyav"))
            np.testing.assert_array_equal(with_decord, without, err_msg=f"{path.name} {part}")
        if (first, hidden) == (13, 4) and suffix == "mp4":
            assert not str(answer(path, "pyav")).startswith("truncated")  # the header counts what the edit list hides


def test_a_cover_picture_is_not_the_clip(tmp_path: Path) -> None:
    """A cover is a video stream with one picture; decord uses the largest stream, PyAV the first."""
    clip = encode(tmp_path / "clip.mp4", "h264", moving_picture(12, 64, 96))
    cover = encode(tmp_path / "cover.mkv", "mjpeg", moving_picture(1, 480, 640))
    path = tmp_path / "covered.mp4"
    with av.open(clip) as origin, av.open(cover) as picture, av.open(path, "w") as copy:
        first = copy.add_stream_from_template(picture.streams.video[0])
        first.disposition = av.stream.Disposition.attached_pic
        second = copy.add_stream_from_template(origin.streams.video[0])
        for source, stream in ((picture, first), (origin, second)):
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    copy.mux(packet)
    for decoder in ("decord", "pyav"):
        np.testing.assert_array_equal(answer(path, decoder), shown(clip))


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(["h264", "hevc", "mpeg4", "mjpeg", "vp8", "ffv1-440"]),
    suffix=st.sampled_from(["mp4", "mkv", "avi", "ts", "mov"]),
    frames=st.integers(1, 20),
    height=st.integers(16, 50),
    width=st.integers(16, 100),
    kept=st.integers(1, 24),
)
def test_any_size_and_length(
    tmp_path: Path, name: str, suffix: str, frames: int, height: int, width: int, kept: int
) -> None:
    path = tmp_path / f"any.{suffix}"
    even = 2 * (height // 2), 2 * (width // 2)
    try:
        encode(path, name, moving_picture(frames, *even))
    except (av.FFmpegError, ValueError):
        return  # a container that does not take the codec
    with_decord, without = (answer(path, decoder, CacheSpec(24, kept)) for decoder in ("decord", "pyav"))
    np.testing.assert_array_equal(with_decord, without)


@pytest.mark.parametrize("cached", [True, False])
def test_clips_on_which_decord_crashes_or_hangs_are_read_by_pyav(
    tmp_path: Path, clip_file: Path, monkeypatch: pytest.MonkeyPatch, cached: bool
) -> None:
    """With a decord that crashes, hangs, refuses or counts wrong, the clips are those of PyAV."""
    (tmp_path / "decord.py").write_text(UNRULY)
    for number, name in enumerate(("crash", "hang", "many", "broken")):
        for label in "ab":
            (tmp_path / "data" / label).mkdir(parents=True, exist_ok=True)
            shutil.copy(clip_file, tmp_path / "data" / label / f"{name}{number}.mp4")
    dataset = video.open_dataset(str(tmp_path / "data"))
    expected = read_clip(clip_file, CacheSpec(16, 6), "pyav")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(_jobs, "CLIP_SECONDS", 3.0)
    store = video.prepare(
        dataset, CacheSpec(16, 6), cache_dir=tmp_path / "cache", workers=2, decoder="decord", cached=cached
    )
    assert len(store) == 8 and not store.skipped
    for index in range(8):
        np.testing.assert_array_equal(store.frames(index), expected)
    if not cached:
        assert isinstance(store, video.DirectStore)
        assert {store.decoder_of(clip) for clip in range(8)} == {"decord", "pyav"}


def test_without_decord_the_same_clips_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of AV1 and AVCHD clips, which was reported as corrupt."""
    for label, seed in (("a", 0), ("b", 50)):
        (tmp_path / "data" / label).mkdir(parents=True)
        for number in range(3):
            frames = moving_picture(16, 64, 96, seed=seed + number)
            encode(tmp_path / "data" / label / f"{number}.mp4", "av1", frames)
            whole = encode(tmp_path / f"{label}{number}.mts", "h264-interlaced", frames)
            cut(whole, tmp_path / "data" / label / f"{number}.mts", 1)
    dataset = video.open_dataset(str(tmp_path / "data"))
    stores = [video.prepare(dataset, CacheSpec(24, 8), cache_dir=tmp_path / "with", workers=2)]
    find_spec = importlib.util.find_spec
    monkeypatch.setattr("pvnas_bench.video._spec.find_spec", lambda name: None if name == "decord" else find_spec(name))
    assert default_decoder() == "pyav"
    stores.append(video.prepare(dataset, CacheSpec(24, 8), cache_dir=tmp_path / "without", workers=2))
    assert not stores[0].skipped and not stores[1].skipped
    for index in range(12):
        np.testing.assert_array_equal(stores[0].frames(index), stores[1].frames(index))


def test_an_avi_with_dropped_frames_is_complete(tmp_path: Path) -> None:
    """A capture states its length in frames but has no bytes for frames that the camera dropped."""
    whole = encode(tmp_path / "whole.mkv", "mpeg2", moving_picture(30, 64, 96))
    path = cut(whole, tmp_path / "dropped.avi", 0)
    with av.open(path) as container:
        assert container.streams.video[0].frames > 30
    assert probe(path).packets == 30
    np.testing.assert_array_equal(answer(path, "decord"), shown(path))


def test_packets_before_the_first_keyframe_may_be_undecodable_and_no_others(
    tmp_path: Path, write: Callable[..., Path]
) -> None:
    whole = write(tmp_path / "whole.webm", moving_picture(30, 64, 96), "libvpx-vp9", g="10")
    path = cut(whole, tmp_path / "cut.webm", 3)
    np.testing.assert_array_equal(answer(path, "pyav"), shown(whole)[10:])
    with av.open(whole) as origin, av.open(path, "w") as copy:
        stream = copy.add_stream_from_template(origin.streams.video[0])
        for number, packet in enumerate(origin.demux(video=0)):
            if packet.size:
                damaged = av.Packet(b"\xff" * packet.size) if number == 15 else packet
                damaged.pts, damaged.dts, damaged.time_base = packet.pts, packet.dts, packet.time_base
                damaged.stream = stream
                copy.mux(damaged)
    assert "Invalid data" in answer(path, "pyav") and answer(path, "decord") == answer(path, "pyav")
