"""Where data that can be made again is kept."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pvnas_bench.errors import UsageError

VARIABLE = "PVNAS_BENCH_CACHE"

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def cache_root(given: Path | None = None) -> Path:
    """The folder given, or that of the environment variable PVNAS_BENCH_CACHE, or the user's cache folder."""
    if given is not None:
        return given
    if value := os.environ.get(VARIABLE):
        return Path(value).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pvnas_bench"


@contextmanager
def made_whole(target: Path, *, resumable: bool = False) -> Iterator[Path]:
    """Fill a temporary folder that becomes `target` in one rename when the block ends without an error.

    A process that is killed leaves a `.partial` folder, never a `target`; the next one that makes the same target
    removes it once its process is gone. Where another process finished the same target meanwhile, that one stays.

    Args:
        resumable: the next one takes such a folder over with what is in it, and Ctrl-C or a full disk leaves one too.

    Raises:
        UsageError: the folder cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}-{os.getpid()}-", suffix=".partial", dir=target.parent))
        for left in _abandoned(target):
            if resumable and not any(scratch.iterdir()):
                scratch.rmdir()
                left.rename(scratch)
            else:
                shutil.rmtree(left, ignore_errors=True)
    except OSError as error:
        raise _unwritable(target.parent, error) from error
    try:
        yield scratch
        if not target.is_dir():
            scratch.rename(target)
    except KeyboardInterrupt:
        _leave(scratch, target, resumable)
        raise
    except OSError as error:
        if error.errno in _FULL:
            _leave(scratch, target, resumable)
            raise _unwritable(target.parent, error) from error
        if not target.is_dir():
            raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def partial_bytes(target: Path) -> int:
    """Bytes that an interrupted making of `target` has left for the next one."""
    left = next(_abandoned(target), None)
    return sum(file.stat().st_size for file in left.iterdir()) if left is not None else 0


def _leave(scratch: Path, target: Path, resumable: bool) -> None:
    """Leave a folder to whoever makes the target next, as this process may live on."""
    if resumable:
        scratch.rename(scratch.with_name(f".{target.name}-left-{scratch.name.split('-')[-1]}"))


def _unwritable(folder: Path, error: OSError) -> UsageError:
    return UsageError(
        f"cannot write the cache folder {str(folder)!r} ({error.strerror or error}): "
        f"make room or permit writing there, or set {VARIABLE} to another folder"
    )


def _abandoned(target: Path) -> Iterator[Path]:
    """Folders that processes left which are gone."""
    for left in sorted(target.parent.glob(f".{target.name}-*.partial")):
        owner = left.name.removeprefix(f".{target.name}-").split("-")[0]
        if not (owner.isdigit() and _alive(int(owner))):
            yield left


def _alive(process: int) -> bool:
    if os.name == "nt":
        return True  # os.kill would end it there: leave the folder to its user
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # it runs, as somebody else's
    return True
