"""Inspection of a video file before decoding: completeness, number of frames, suitability for decord."""

import bisect
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from pvnas_bench.video._container import missing_bytes
from pvnas_bench.video._spec import ClipError

_Packet: TypeAlias = "Packet[Any]"

_SHORTFALL = 0.02
"""Share of the stated duration that may be missing, as containers round it."""
_STATES_DURATION = frozenset({"matroska", "webm", "mov", "mp4", "avi"})
"""Formats that store the duration in the header; others estimate it from the bit rate."""
_DECORD_ORIGIN = re.compile(r"\[[\d:]+\] \S+:\d+: ")
"""Prefix of decord's messages and causes: time of day and source line."""

# Formats for which decord 0.6.0 (FFmpeg 4) returned the same bytes as PyAV 18 (FFmpeg 8), over 23 encoders × 14
# suffixes. PyAV reads all others. decord returns other frames for MPEG-TS and none for AV1.
_CONTAINERS = frozenset({"mov", "matroska", "avi", "mpeg", "flv"})
_CODECS = frozenset(
    {
        *("h264", "hevc", "vp8", "vp9", "mpeg1video", "mpeg2video", "mpeg4", "mjpeg"),
        *("msmpeg4", "wmv2", "h263", "flv", "ffv1"),
    }
)
_PIXELS = frozenset(
    {
        *("yuv420p", "yuv422p", "yuv444p", "yuvj420p", "yuvj422p", "yuvj444p", "yuv411p", "nv12", "nv16", "nv21"),
        *("gray", "gbrp", "bgr0", "bgra", "yuva420p", "yuva444p"),
    }
)


@dataclass(frozen=True, eq=False)
class Probe:
    """Properties of a video file.

    Attributes:
        packets: number of displayed packets of the video stream; usually each becomes a frame.
        plain: True if decord decodes such a file to the same frames as PyAV (see `_plain`).
        times: (packets,) display time of each frame, ascending seconds from the first; nan: not stated.
    """

    packets: int
    plain: bool
    times: NDArray[np.float64]


@dataclass
class _Seen:
    """Statistics of a file's packets."""

    first: VideoFrame | None = None
    count: int = 0
    end: float = 0.0
    shown: list[int | None] = field(default_factory=list)
    """Display tick of each packet that is not discarded."""
    steps: list[int] = field(default_factory=list)
    whole: bool = True
    """True if the stream begins with a keyframe and the container hides no packet."""

    @property
    def step(self) -> float:
        """Median number of ticks between successive packets."""
        return float(np.median(np.diff(np.sort(self.steps)))) if len(self.steps) > 1 else 0.0


def probe(path: Path) -> Probe:
    """Read all packets of a file and decode only its first frame.

    Raises:
        ClipError: the file has no video, or is shorter than its header states.
        av.FFmpegError: the file is not a video file.
    """
    if missing := missing_bytes(path):
        raise ClipError(f"truncated: {missing:,} bytes are missing")
    with av.open(path) as container:
        stream = video_stream(container)
        seen = _through(container, stream)
        stated = (container.duration or 0) / av.time_base
        frame_seconds = 1 / float(stream.average_rate) if stream.average_rate else 0.1
        if stream.time_base is not None:
            frame_seconds = max(frame_seconds, seen.step * float(stream.time_base))
        short = stated * (1 - _SHORTFALL) - seen.end - frame_seconds
        formats = frozenset(container.format.name.split(","))
        if seen.count < stream.frames and not _accounted(path, seen, stream.frames, formats):
            raise ClipError(f"truncated: holds {seen.count} of {stream.frames} frames")
        if short > 0 and not _STATES_DURATION.isdisjoint(formats):
            raise ClipError(f"truncated: ends at {seen.end:.2f} of {stated:.2f} seconds")
        if seen.first is None or not seen.shown:
            raise ClipError("no frames")
        ticks = sorted(tick for tick in seen.shown if tick is not None)
        timed = len(ticks) == len(seen.shown) and stream.time_base is not None
        late = bisect.bisect_left(ticks, seen.first.pts) if timed and seen.first.pts is not None else 0
        late = late if late < len(ticks) else 0
        plain = (
            not late
            and seen.whole
            and len(container.streams.video) == 1
            and not formats.isdisjoint(_CONTAINERS)
            and stream.codec_context.name in _CODECS
            and timed
            and _plain(seen.first)
        )
        times = np.full(len(seen.shown), np.nan)
        if timed and stream.time_base is not None:
            ticked, base = np.array(ticks[late:]), stream.time_base
            times = (ticked - ticked[0]) * base.numerator / base.denominator  # exactly 0.2 for frame 5 of 25 a second
    return Probe(len(times), plain, times)


def video_stream(container: InputContainer) -> VideoStream:
    """The first video stream of a file that is not a cover picture.

    Raises:
        ClipError: there is none, or its format is unknown.
    """
    streams = container.streams.video
    moving = [stream for stream in streams if "attached_pic" not in str(stream.disposition)]
    if not streams:
        raise ClipError("no video stream")
    stream = (moving or list(streams))[0]
    if stream.codec_context is None:
        raise ClipError("video of an unknown format")
    stream.codec_context.thread_count = 1
    return stream


class Decoding:
    """Decodes the packets of a stream in order.

    A clip cut from a longer video without re-encoding may begin between two keyframes: like video players, this skips
    packets before the first keyframe that cannot be decoded.
    """

    def __init__(self) -> None:
        self.keyed = False

    def __call__(self, packet: _Packet) -> Iterator[VideoFrame]:
        self.keyed = self.keyed or packet.is_keyframe
        try:
            frames = packet.decode()
        except av.InvalidDataError:
            if self.keyed:
                raise
            return
        for frame in frames:
            if isinstance(frame, VideoFrame):
                yield frame


def _through(container: InputContainer, stream: VideoStream) -> _Seen:
    """Collect statistics of every packet of a file.

    Raises:
        ClipError: a packet is incomplete.
    """
    seen, decode = _Seen(), Decoding()
    cut = container.format.name == "mpegts"  # broadcasts and recordings begin anywhere
    for packet in container.demux():
        ours = packet.stream is stream
        if packet.is_corrupt and not (cut and (seen.first is None or not ours)):
            raise ClipError("damaged: a packet is incomplete" if cut else "truncated: its last packet is incomplete")
        if ours and seen.first is None:
            seen.first = next(decode(packet), None)
        if not packet.size:
            continue
        if packet.pts is not None and packet.time_base is not None:
            seen.end = max(seen.end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
        if ours:
            seen.whole = seen.whole and not packet.is_discard and (seen.count > 0 or packet.is_keyframe)
            seen.count += 1
            if packet.dts is not None:
                seen.steps.append(packet.dts)
            if not packet.is_discard:
                seen.shown.append(packet.pts)
    return seen


def _accounted(path: Path, seen: _Seen, stated: int, formats: frozenset[str]) -> bool:
    """Return True if a file with fewer frames than its header states is complete nevertheless.

    An edit list hides frames before a cut; the header of an AVI also counts dropped frames.
    """
    if "mov" in formats:
        with av.open(path, options={"ignore_editlist": "1"}) as container:
            return sum(packet.size > 0 for packet in container.demux(video_stream(container))) >= stated
    return "avi" in formats and bool(seen.steps) and stated - 1 - max(seen.steps) < seen.step


def _plain(frame: VideoFrame) -> bool:
    """Return True if decord decodes frames like this one to the right pixels.

    It fails on rotated or interlaced frames, odd heights, more than 8 bits per colour, unusual chroma subsampling, and
    widths whose line padding it takes for further channels (16, 24, 48, 72).
    """
    padded = -(-frame.width // 32) * 32
    return (
        frame.rotation == 0
        and not frame.interlaced_frame
        and frame.height % 2 == 0
        and frame.format.name in _PIXELS
        and (padded == frame.width or 3 * padded % frame.width != 0)
    )


def reason(error: Exception, path: Path) -> str:
    """First line of an error, without the path, which reports already name."""
    text = str(getattr(error, "strerror", None) or error).replace(f"[{path}]", "")
    first = (_DECORD_ORIGIN.sub("", text).strip().splitlines() or [type(error).__name__])[0]
    return first[:200]
