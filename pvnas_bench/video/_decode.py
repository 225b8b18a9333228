"""Reading one clip: the frames that the cache keeps, or the reason why it cannot be read.

Both decoders return the same frames. PyAV first counts the packets: a file that holds fewer than its header states
is truncated (an AVI then decodes to fewer frames without an error), and a decord reader that counts more frames than
there are packets would hang in `get_batch` (dmlc/decord#373). Readers live for one clip and use one thread
(dmlc/decord#157, #208, #294).
"""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from pvnas_bench.video._resize import to_square
from pvnas_bench.video._sampling import segment_centres
from pvnas_bench.video._spec import DECODERS, CacheSpec

_CHUNK_BYTES = 64 * 2**20
"""Decoded frames held at full size at a time."""
_SHORTFALL = 0.1
"""Share of the stated duration that may be missing; containers round it."""
_STATES_DURATION = frozenset({"matroska", "webm", "mov", "mp4", "avi"})
"""Formats whose duration is written in the header, not estimated from the bit rate."""


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
        packets, frame_bytes = _probe(path)
        chunks = _decord(path, spec, packets, frame_bytes) if decoder == "decord" else _pyav(path, spec, packets)
        return np.concatenate([to_square(chunk, spec.size, spec.fit) for chunk in chunks])
    except (av.FFmpegError, OSError, ValueError) as error:
        raise ClipError(_reason(error)) from error


def _reason(error: Exception) -> str:
    """The first line of an error, without the path that the report names anyway."""
    text = str(getattr(error, "strerror", None) or error).strip()
    return (text.splitlines() or [type(error).__name__])[0][:200]


def _probe(path: Path) -> tuple[int, int]:
    """Video packets in the file, read through to its end without decoding, and bytes of an RGB frame.

    Raises:
        ClipError: no video, or the file ends before its header says so.
    """
    with av.open(path) as container:
        if not container.streams.video:
            raise ClipError("no video stream")
        stream = container.streams.video[0]
        count, end = 0, 0.0
        for packet in container.demux():
            if packet.is_corrupt:
                raise ClipError("truncated: its last packet is incomplete")
            if packet.size:
                count += packet.stream is stream
                if packet.pts is not None and packet.time_base is not None:
                    end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
        if count < stream.frames:
            raise ClipError(f"truncated: holds {count} of {stream.frames} frames")
        stated = (container.duration or 0) / 1e6
        if _STATES_DURATION & set(container.format.name.split(",")) and end < stated * (1 - _SHORTFALL) - 0.1:
            raise ClipError(f"truncated: ends at {end:.1f} of {stated:.1f} seconds")
    if not count:
        raise ClipError("no frames")
    return count, max(stream.width * stream.height * 3, 1)


def _indices(count: int, spec: CacheSpec) -> NDArray[np.int64]:
    return segment_centres(count, spec.max_frames) if count > spec.max_frames else np.arange(count, dtype=np.int64)


def _decord(path: Path, spec: CacheSpec, packets: int, frame_bytes: int) -> Iterator[NDArray[np.uint8]]:
    decord = import_module("decord")
    try:
        reader = decord.VideoReader(str(path), ctx=decord.cpu(0), num_threads=1)
        count = len(reader)
        if not 0 < count <= packets:
            raise ClipError(f"decord counts {count} frames in {packets} packets")
        wanted = _indices(count, spec)
        step = max(1, _CHUNK_BYTES // frame_bytes)
        for start in range(0, len(wanted), step):
            chunk: NDArray[np.uint8] = reader.get_batch(wanted[start : start + step]).asnumpy()
            yield chunk
    except (decord.DECORDError, decord.DECORDLimitReachedError) as error:
        raise ClipError(_reason(error)) from error


def _pyav(path: Path, spec: CacheSpec, packets: int) -> Iterator[NDArray[np.uint8]]:
    """Decode from start to end and keep the frames wanted; again where fewer come out than there are packets."""
    expected = packets
    while True:
        wanted = set(_indices(expected, spec).tolist())
        kept: list[NDArray[np.uint8]] = []
        count = 0
        for frame in _frames(path):
            if count in wanted:
                kept.append(to_square(_rgb(frame), spec.size, spec.fit))
            count += 1
        if not count:
            raise ClipError("no frames")
        if count == expected:
            yield from kept
            return
        expected = count


def _rgb(frame: VideoFrame) -> NDArray[np.uint8]:
    """(1, H, W, 3)."""
    return frame.to_ndarray(format="rgb24")[None].astype(np.uint8, copy=False)


def _frames(path: Path) -> Iterator[VideoFrame]:
    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        yield from container.decode(stream)
