"""Looking at a video file before it is decoded: is it whole, how many frames does it hold, may decord read it."""

import re
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from pvnas_bench.video._container import missing_bytes
from pvnas_bench.video._spec import ClipError

_SHORTFALL = 0.02
"""Share of the duration stated in the header that may be missing; containers round it."""
_STATES_DURATION = frozenset({"matroska", "webm", "mov", "mp4", "avi"})
"""Formats whose duration is written in the header, not estimated from the bit rate."""
_DECORD_ORIGIN = re.compile(r"\[[\d:]+\] \S+:\d+: ")
"""Time of day and source line, which decord puts before each message and each cause."""


@dataclass(frozen=True, eq=False)
class Probe:
    """What a file holds.

    Attributes:
        packets: of the video stream; usually each becomes a frame.
        plain: decord decodes such pictures right (see `_plain`).
        times: (packets,) when each frame is shown, ascending seconds from the first; nan where the file does not say.
    """

    packets: int
    plain: bool
    times: NDArray[np.float64]


def probe(path: Path) -> Probe:
    """Read a file through to its end without decoding more than its first frame.

    Raises:
        ClipError: no video, or the file ends before its header says so.
        av.FFmpegError: it is no video file.
    """
    if missing := missing_bytes(path):
        raise ClipError(f"truncated: {missing:,} bytes are missing")
    with av.open(path) as container:
        if not container.streams.video:
            raise ClipError("no video stream")
        stream = container.streams.video[0]
        if stream.codec_context is None:
            raise ClipError("video of an unknown format")
        stream.codec_context.thread_count = 1
        first: VideoFrame | None = None
        count, end = 0, 0.0
        times: list[float] = []
        for packet in container.demux():
            if packet.is_corrupt:
                raise ClipError("truncated: its last packet is incomplete")
            if packet.stream is stream and first is None:
                first = next((frame for frame in packet.decode() if isinstance(frame, VideoFrame)), None)
            if packet.size:
                if packet.stream is stream:
                    count += 1
                    times.append(np.nan)
                if packet.pts is not None and packet.time_base is not None:
                    end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
                    if packet.stream is stream:
                        times[-1] = float(packet.pts * packet.time_base)
        if count < stream.frames:
            raise ClipError(f"truncated: holds {count} of {stream.frames} frames")
        stated = (container.duration or 0) / av.time_base
        frame_seconds = 1 / float(stream.average_rate) if stream.average_rate else 0.1
        short = stated * (1 - _SHORTFALL) - end - frame_seconds
        if short > 0 and not _STATES_DURATION.isdisjoint(container.format.name.split(",")):
            raise ClipError(f"truncated: ends at {end:.2f} of {stated:.2f} seconds")
    if first is None:
        raise ClipError("no frames")
    shown = np.sort(np.array(times))
    return Probe(count, _plain(first), shown - shown[0])


def _plain(frame: VideoFrame) -> bool:
    """Whether decord decodes pictures such as this one to the right pixels.

    It does not where they are to be rotated and the width is no multiple of 32, where the height is odd, where a colour
    has more than 8 bits, and where it takes the padding of the lines for further channels (widths 16, 24, 48, 72).
    """
    padded = -(-frame.width // 32) * 32
    return (
        frame.rotation == 0
        and frame.height % 2 == 0
        and all(component.bits == 8 for component in frame.format.components)
        and (padded == frame.width or 3 * padded % frame.width != 0)
    )


def reason(error: Exception, path: Path) -> str:
    """The first line of an error, without the path that a report names anyway."""
    text = str(getattr(error, "strerror", None) or error).replace(f"[{path}]", "")
    first = (_DECORD_ORIGIN.sub("", text).strip().splitlines() or [type(error).__name__])[0]
    return first[:200]
