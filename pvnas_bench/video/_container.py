"""Whether a file is as long as its own container says: what a demuxer does not notice when only the end is missing."""

from pathlib import Path
from typing import IO

_EBML, _SEGMENT = 0x1A45DFA3, 0x18538067
"""Matroska's and WebM's two elements of the highest level (RFC 8794, RFC 9559)."""


def missing_bytes(path: Path) -> int:
    """Bytes by which a RIFF (AVI), ISO (MP4, MOV) or EBML (Matroska, WebM) file falls short of its stated size.

    0 where nothing is missing, where the file states no size, and for other containers.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        size = path.stat().st_size
        head = file.read(12)
        if head[:4] == b"RIFF":
            end = _riff_end(file, size)
        elif head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
            end = _iso_end(file, size)
        elif head[:4] == _EBML.to_bytes(4):
            end = _ebml_end(file, size)
        else:
            end = size
    return max(end - size, 0)


def _riff_end(file: IO[bytes], size: int) -> int:
    """Where the last RIFF chunk ends; long AVI files have several (OpenDML)."""
    end = 0
    while end < size:
        file.seek(end)
        head = file.read(8)
        if head[:4] != b"RIFF" or len(head) < 8:
            break
        length = int.from_bytes(head[4:], "little")
        if length == 0:  # a muxer that could not go back to write it
            break
        end += 8 + length
    return end


def _iso_end(file: IO[bytes], size: int) -> int:
    """Where the last box ends (ISO 14496-12)."""
    end = 0
    while end < size:
        file.seek(end)
        head = file.read(16)
        if len(head) < 8:
            return end + 8
        if not head[4:8].isalnum():
            break  # what follows is no box
        length = int.from_bytes(head[:4])
        if length == 1:
            length = int.from_bytes(head[8:16])
        if length < 8:  # 0 is a box that goes on to the end of the file, others are none
            break
        end += length
    return end


def _ebml_end(file: IO[bytes], size: int) -> int:
    """Where the segment ends, if it says."""
    file.seek(4)
    header = _variable(file)
    if header is None:
        return size
    file.seek(header, 1)
    if file.read(4) != _SEGMENT.to_bytes(4):
        return size
    length = _variable(file)
    return size if length is None else file.tell() + length


def _variable(file: IO[bytes]) -> int | None:
    """A size of variable width; None if it is unknown or cut off."""
    first = file.read(1)
    if not first or first[0] == 0:
        return None
    width = 9 - first[0].bit_length()
    rest = file.read(width - 1)
    value = int.from_bytes(bytes([first[0] ^ 1 << (8 - width)]) + rest)
    return None if len(rest) < width - 1 or value == (1 << 7 * width) - 1 else value
