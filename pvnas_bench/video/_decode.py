"""Reading one clip: the frames that the cache keeps, or the reason why it cannot be read.

Both decoders return the same frames, rotated as the file asks. Every file is read from its start to its end: after a
seek decord gives wrong frames of formats such as MPEG-4 with B-frames in AVI (dmlc/decord#91, #195, #252; seen with
AVI, MPEG-PS and WMV files). PyAV looks at each file first and counts its packets: one that holds fewer than its
header states is truncated (an AVI then decodes to fewer frames without an error), and a decord reader that counts
more frames than there are packets would hang (dmlc/decord#373). A file that asks for rotation is read with PyAV in
any case: decord mistakes the padding of the rotated lines for pixels where the width is no multiple of 32. Readers
live for one clip and use one thread (dmlc/decord#157, #208, #294).
"""

import re
import sys
from collections.abc import Container, Iterator, Set
from importlib import import_module
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from pvnas_bench.video._resize import to_square
from pvnas_bench.video._sampling import segment_centres
from pvnas_bench.video._spec import DECODERS, CacheSpec

_SHORTFALL = 0.02
"""Share of the duration stated in the header that may be missing; containers round it."""
_STATES_DURATION = frozenset({"matroska", "webm", "mov", "mp4", "avi"})
"""Formats whose duration is written in the header, not estimated from the bit rate."""
_DECORD_ORIGIN = re.compile(r"\[[\d:]+\] \S+:\d+: ")
"""Time of day and source line, which decord puts before each message and each cause."""

_Frames = Iterator[NDArray[np.uint8] | None]
"""Every frame of a clip in order: (H, W, 3) RGB if it is wanted, else None."""


class ClipError(Exception):
    """A clip that cannot be read; the message is the reason."""


def read_clip(path: Path, spec: CacheSpec, decoder: str) -> NDArray[np.uint8]:
    """Decode one clip as `spec` says.

    Returns:
        (T, size, size, 3) RGB, 1 ≤ T ≤ max_frames.

    Raises:
        ClipError: the file is missing, empty, truncated, corrupt or without video.
    """
    if decoder not in DECODERS:
        raise ValueError(f"decoder must be one of {', '.join(DECODERS)}, not {decoder!r}")
    if not path.exists():
        raise ClipError("no such file")
    if not path.is_file():
        raise ClipError("not a file")
    try:
        if not path.stat().st_size:
            raise ClipError("zero bytes")
        packets, rotated = _probe(path)
        if rotated:
            decoder = "pyav"
        # Usually every packet becomes a frame. Where it does not, the second pass knows how many do.
        frames, count = _select(path, spec, decoder, packets, packets)
        if count != packets:
            frames, count = _select(path, spec, decoder, packets, count)
    except av.EOFError as error:
        raise ClipError("truncated: ends inside its header") from error
    except (av.FFmpegError, OSError, ValueError) as error:
        raise ClipError(_reason(error, path)) from error
    return frames


def _select(path: Path, spec: CacheSpec, decoder: str, packets: int, length: int) -> tuple[NDArray[np.uint8], int]:
    """The frames kept of a clip of `length` frames, and how many frames the file decodes to.

    Raises:
        ClipError: it decodes to none.
    """
    if length > spec.max_frames:
        wanted = frozenset(segment_centres(length, spec.max_frames).tolist())
    else:
        wanted = frozenset(range(length))
    count, kept = 0, []
    for frame in _decord(path, wanted, packets) if decoder == "decord" else _pyav(path, wanted):
        count += 1
        if frame is not None:
            kept.append(to_square(frame, spec.size, spec.fit))
    if not kept:
        raise ClipError("no frames")
    return np.stack(kept), count


def _decord(path: Path, wanted: Set[int], packets: int) -> _Frames:
    decord = import_module("decord")
    try:
        reader = decord.VideoReader(str(path), ctx=decord.cpu(0), num_threads=1)
        if len(reader) > packets:
            raise ClipError(f"decord counts {len(reader)} frames in {packets} packets")
        for position in range(len(reader)):
            frame = reader.next()
            yield frame.asnumpy() if position in wanted else None
    except (decord.DECORDError, decord.DECORDLimitReachedError, StopIteration) as error:
        raise ClipError(_reason(error, path)) from error


def read_chunks(path: Path, spec: CacheSpec, frames: int) -> Iterator[NDArray[np.uint8]]:
    """Decode every frame of a clip, in memory that does not grow with the clip; `spec.max_frames` is ignored.

    For files that `read_clip` could read: it runs where it is called, by PyAV, and not in a process that can be killed.

    Yields:
        (T, size, size, 3) RGB; T = frames but for the last chunk.

    Raises:
        ClipError: the file cannot be read any more.
    """
    chunk: list[NDArray[np.uint8]] = []
    try:
        for frame in _pyav(path, range(sys.maxsize)):
            assert frame is not None
            chunk.append(to_square(frame, spec.size, spec.fit))
            if len(chunk) == frames:
                yield np.stack(chunk)
                chunk.clear()
    except (av.FFmpegError, OSError, ValueError) as error:
        raise ClipError(_reason(error, path)) from error
    if chunk:
        yield np.stack(chunk)


def _pyav(path: Path, wanted: Container[int]) -> _Frames:
    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for position, frame in enumerate(container.decode(stream)):
            if position in wanted:
                quarters = round(frame.rotation / 90)
                yield np.rot90(frame.to_ndarray(format="rgb24"), quarters).astype(np.uint8, copy=False)
            else:
                yield None


def _probe(path: Path) -> tuple[int, bool]:
    """Video packets in the file, read through to its end, and whether its first frame asks to be rotated.

    Raises:
        ClipError: no video, or the file ends before its header says so.
    """
    with av.open(path) as container:
        if not container.streams.video:
            raise ClipError("no video stream")
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        first: VideoFrame | None = None
        count, end = 0, 0.0
        for packet in container.demux():
            if packet.is_corrupt:
                raise ClipError("truncated: its last packet is incomplete")
            if packet.stream is stream and first is None:
                first = next((frame for frame in packet.decode() if isinstance(frame, VideoFrame)), None)
            if packet.size:
                count += packet.stream is stream
                if packet.pts is not None and packet.time_base is not None:
                    end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
        if count < stream.frames:
            raise ClipError(f"truncated: holds {count} of {stream.frames} frames")
        stated = (container.duration or 0) / av.time_base
        frame_seconds = 1 / float(stream.average_rate) if stream.average_rate else 0.1
        missing = stated * (1 - _SHORTFALL) - end - frame_seconds
        if missing > 0 and not _STATES_DURATION.isdisjoint(container.format.name.split(",")):
            raise ClipError(f"truncated: ends at {end:.2f} of {stated:.2f} seconds")
    if first is None:
        raise ClipError("no frames")
    return count, first.rotation != 0


def _reason(error: Exception, path: Path) -> str:
    """The first line of an error, without the path that the report names anyway."""
    text = str(getattr(error, "strerror", None) or error).replace(f"[{path}]", "")
    first = (_DECORD_ORIGIN.sub("", text).strip().splitlines() or [type(error).__name__])[0]
    return first[:200]
