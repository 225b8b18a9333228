"""Decoding one clip to the frames that the cache stores.

Four backends share one interface: each yields every frame of a clip in order, as pixels if the frame is selected.
Frames are counted as coded, regardless of their times: a variable frame rate repeats and drops nothing. Both decoders
return the same frames, rotated as the file states; a folder of these frames as images gives the same clip.

Every file is read from its start: after a seek decord returns wrong frames for formats such as MPEG-4 with B-frames in
AVI (dmlc/decord#91, #195, #252; seen with AVI, MPEG-PS and WMV files). PyAV first counts the packets of each file. A
file with fewer packets than its header states is truncated (an AVI then decodes to fewer frames without an error), and
a decord reader that counts more frames than packets would hang (dmlc/decord#373). Readers serve one clip and use one
thread (dmlc/decord#157, #208, #294).

A clip has the same frames whichever decoder is installed. PyAV reads all files whose frames differ between decord and
PyAV; `_probe` decides this from the file alone. If decord fails, or does not return a frame for every packet, PyAV
reads the file again.
"""

import hashlib
import sys
from collections.abc import Container, Iterator, Set
from importlib import import_module
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from pvnas_bench.video._images import numbers, read_images
from pvnas_bench.video._probe import Decoding, Probe, probe, reason, video_stream
from pvnas_bench.video._recording import read_recording, rows
from pvnas_bench.video._resize import to_square
from pvnas_bench.video._sampling import segment_centres
from pvnas_bench.video._spec import DECODERS, IMAGES, NO_FILE, RECORDING, WHOLE, CacheSpec, ClipError, Part

_Frames = Iterator[NDArray[np.uint8] | None]
"""Every frame of a clip in order: (H, W, 3) RGB if it is selected, else None."""


def read_clip(path: Path, spec: CacheSpec, decoder: str, part: Part = WHOLE) -> NDArray[np.uint8]:
    """Decode one clip to the frames and size of `spec`.

    Args:
        decoder: decoder of video files; folders of images and recordings ignore it.

    Returns:
        (T, size, size, 3) RGB, 1 ≤ T ≤ max_frames.

    Raises:
        ClipError: the file is missing, empty, truncated or corrupt, has another checksum, or contains no video.
    """
    if decoder not in (*DECODERS, IMAGES, RECORDING):
        raise ValueError(f"decoder must be one of {', '.join(DECODERS)}, not {decoder!r}")
    check_path(path, part)
    try:
        if part.template:
            chosen = numbers(path, part.template, part.frames)
            return _kept(read_images(path, part.template, chosen, _centres(len(chosen), spec)), spec)[0]
        if part.recording:
            return _kept(read_recording(path, part, _centres(len(rows(path, part)), spec)), spec)[0]
        return _read_file(path, spec, decoder, part)
    except av.EOFError as error:
        raise ClipError("truncated: ends inside its header") from error
    except (av.FFmpegError, OSError, ValueError) as error:
        raise ClipError(reason(error, path)) from error


def check_path(path: Path, part: Part = WHOLE) -> None:
    """Check a path before decoding; raise ClipError if it is unusable."""
    try:
        if not path.exists():
            raise ClipError(NO_FILE)
        if part.template:
            if not path.is_dir():
                raise ClipError("not a folder of images")
            return
        if not path.is_file():
            raise ClipError("not a file")
        if not path.stat().st_size:
            raise ClipError("zero bytes")
        if part.sha256:
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != part.sha256:
                    raise ClipError("SHA-256 differs from the one in the data set's list")
    except OSError as error:
        raise ClipError(reason(error, path)) from error


def _read_file(path: Path, spec: CacheSpec, decoder: str, part: Part) -> NDArray[np.uint8]:
    seen = probe(path)
    inside = range(seen.packets) if part.whole else _between(seen, part)
    wanted = frozenset(inside.start + at for at in _centres(len(inside), spec))
    last = sys.maxsize if part.whole else max(wanted)
    if decoder == "decord" and seen.plain:
        frames, count = _by_decord(path, wanted, seen.packets, last, spec)
        if count == min(seen.packets, last + 1):
            return frames
    frames, count = _kept(_until(_pyav(path, wanted), last), spec)
    # Usually every packet becomes a frame. Otherwise the second pass uses the number of frames from the first.
    if part.whole and count != seen.packets:
        frames, count = _kept(_pyav(path, _centres(count, spec)), spec)
    return frames


def _by_decord(path: Path, wanted: Set[int], packets: int, last: int, spec: CacheSpec) -> tuple[NDArray[np.uint8], int]:
    """Selected frames and the number of frames up to the last of them; no frames if decord fails."""
    decord = import_module("decord")
    try:
        return _kept(_until(_decord(path, wanted, packets), last), spec)
    except (ClipError, ValueError, decord.DECORDError, decord.DECORDLimitReachedError):
        return np.empty((0, spec.size, spec.size, 3), dtype=np.uint8), 0


def _between(seen: Probe, part: Part) -> range:
    """Positions of a part's frames in its file.

    Raises:
        ClipError: the file has no frame times, or ends before the part begins.
    """
    if np.isnan(seen.times).any():
        raise ClipError("the file has no frame times, so a part of it cannot be located")
    first, last = np.searchsorted(seen.times, [part.start, part.end]).tolist()
    if first >= last:
        raise ClipError(f"no frame from {part.start:g} to {part.end:g} s: it ends at {seen.times[-1]:.2f} s")
    return range(first, last)


def _until(frames: _Frames, last: int) -> _Frames:
    for position, frame in enumerate(frames):
        yield frame
        if position == last:
            return


def _centres(length: int, spec: CacheSpec) -> frozenset[int]:
    """Positions of the frames to store from a clip of `length` frames."""
    if length > spec.max_frames:
        return frozenset(segment_centres(length, spec.max_frames).tolist())
    return frozenset(range(length))


def _kept(frames: _Frames, spec: CacheSpec) -> tuple[NDArray[np.uint8], int]:
    """Selected frames at their stored size, and the total number of frames.

    Raises:
        ClipError: the clip has no frames.
    """
    count, selected = 0, []
    for frame in frames:
        count += 1
        if frame is not None:
            selected.append(to_square(frame, spec.size, spec.fit))
    if not selected:
        raise ClipError("no frames")
    return np.stack(selected), count


def read_chunks(path: Path, spec: CacheSpec, frames: int, part: Part = WHOLE) -> Iterator[NDArray[np.uint8]]:
    """Decode every frame of a clip in chunks, so that memory does not grow with its length.

    It ignores `spec.max_frames`. It decodes with PyAV in the calling process, which a faulty file may crash: use it
    only for clips that `read_clip` has read.

    Yields:
        (T, size, size, 3) RGB, T = frames except in the last chunk.

    Raises:
        ClipError: the file can no longer be read.
    """
    chunk: list[NDArray[np.uint8]] = []
    try:
        for frame in _every_frame(path, part):
            chunk.append(to_square(frame, spec.size, spec.fit))
            if len(chunk) == frames:
                yield np.stack(chunk)
                chunk.clear()
    except (av.FFmpegError, OSError, ValueError) as error:
        raise ClipError(reason(error, path)) from error
    if chunk:
        yield np.stack(chunk)


def read_frames(path: Path, wanted: range) -> Iterator[NDArray[np.uint8]]:
    """The frames of a file at consecutive positions, by PyAV, as large as they are: (H, W, 3) RGB each.

    Raises:
        av.FFmpegError, OSError, ValueError: the file cannot be read.
    """
    for frame in _until(_pyav(path, wanted), wanted.stop - 1):
        if frame is not None:
            yield frame


def _every_frame(path: Path, part: Part) -> Iterator[NDArray[np.uint8]]:
    inside = range(sys.maxsize)
    if part.template:
        frames = read_images(path, part.template, numbers(path, part.template, part.frames), inside)
    elif part.recording:
        frames = read_recording(path, part, inside)
    elif part.whole:
        frames = _pyav(path, inside)
    else:
        inside = _between(probe(path), part)
        frames = _until(_pyav(path, inside), inside[-1])
    for frame in frames:
        if frame is not None:
            yield frame


def _decord(path: Path, wanted: Set[int], packets: int) -> _Frames:
    decord = import_module("decord")
    reader = decord.VideoReader(str(path), ctx=decord.cpu(0), num_threads=1)
    if len(reader) > packets:
        raise ClipError(f"decord counts {len(reader)} frames in {packets} packets")
    for position in range(len(reader)):
        try:
            frame = reader.next()
        except StopIteration:
            raise ClipError(f"decord decodes {position} of {len(reader)} frames") from None
        yield frame.asnumpy() if position in wanted else None


def _pyav(path: Path, wanted: Container[int]) -> _Frames:
    decode, position = Decoding(), 0
    with av.open(path) as container:
        for packet in container.demux(video_stream(container)):
            for frame in decode(packet):
                yield _upright(frame) if position in wanted else None
                position += 1


def _upright(frame: VideoFrame) -> NDArray[np.uint8]:
    """Convert a frame to (H, W, 3) RGB, rotated as the file states.

    In one thread: files are decoded side by side, and to start threads for a small frame takes longer than its work.
    """
    try:
        pixels = frame.to_ndarray(format="rgb24", threads=1)
    except av.FFmpegError:  # FFmpeg cannot convert this colour matrix: use that of standard definition, as decord does
        pixels = frame.reformat(format="rgb24", src_colorspace="ITU601", threads=1).to_ndarray()
    return np.rot90(pixels, round(frame.rotation / 90)).astype(np.uint8, copy=False)
