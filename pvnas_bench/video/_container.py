"""Length check of container files: finds truncated files that a demuxer reads without an error."""

from pathlib import Path
from typing import IO

_EBML, _SEGMENT = 0x1A45DFA3, 0x18538067
"""Identifiers of the two top-level elements of Matroska and WebM (RFC 8794, RFC 9559)."""


def missing_bytes(path: Path) -> int:
    """Number of bytes missing from a RIFF (AVI), ISO (MP4, MOV) or EBML (Matroska, WebM) file.

    0 if the file is complete, states no size, or has another container.

    Raises:
        OSError: the file cannot be read.
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
    """Offset of the end of the last RIFF chunk; long AVI files have several (OpenDML)."""
    end = 0
    while end < size:
        file.seek(end)
        head = file.read(8)
        if head[:4] != b"RIFF" or len(head) < 8:
            break
        length = int.from_bytes(head[4:], "little")
        if length == 0:  # the muxer could not seek back to write the size
            break
        end += 8 + length
    return end


def _iso_end(file: IO[bytes], size: int) -> int:
    """Offset of the end of the last box (ISO 14496-12)."""
    end = 0
    while end < size:
        file.seek(end)
        head = file.read(16)
        if len(head) < 8:
            return end + 8
        if not head[4:8].isalnum():
            break  # not a box
        length = int.from_bytes(head[:4])
        if length == 1:
            length = int.from_bytes(head[8:16])
        if length < 8:  # 0: the box extends to the end of the file; other small sizes are invalid
            break
        end += length
    return end


def _ebml_end(file: IO[bytes], size: int) -> int:
    """Offset of the end of the segment, if the file states it."""
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
    """Read a variable-width size; None if it is unknown or truncated."""
    first = file.read(1)
    if not first or first[0] == 0:
        return None
    width = 9 - first[0].bit_length()
    rest = file.read(width - 1)
    value = int.from_bytes(bytes([first[0] ^ 1 << (8 - width)]) + rest)
    return None if len(rest) < width - 1 or value == (1 << 7 * width) - 1 else value
