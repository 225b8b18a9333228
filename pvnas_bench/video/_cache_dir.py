"""The cache folder, and cache entries that appear only when complete."""

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
    """The cache folder: the given one, else the environment variable PVNAS_BENCH_CACHE, else the user's."""
    if given is not None:
        return given
    if value := os.environ.get(VARIABLE):
        return Path(value).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pvnas_bench"


@contextmanager
def made_whole(target: Path, *, resumable: bool = False) -> Iterator[Path]:
    """Create a folder atomically: the block fills a temporary folder, which is renamed to `target` if it succeeds.

    A killed process leaves a `.partial` folder, never an incomplete `target`. The next process that creates the same
    target removes the `.partial` folder of a dead process. If another process has created `target` in the meantime,
    its folder stays.

    Args:
        resumable: reuse the contents of a `.partial` folder instead of removing it; keep it after Ctrl-C or a full
            disk as well.

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
    """Bytes that an interrupted process has already written for `target`."""
    left = next(_abandoned(target), None)
    return sum(file.stat().st_size for file in left.iterdir()) if left is not None else 0


def _leave(scratch: Path, target: Path, resumable: bool) -> None:
    """Release a partial folder for the next process, as this process may stay alive."""
    if resumable:
        scratch.rename(scratch.with_name(f".{target.name}-left-{scratch.name.split('-')[-1]}"))


def _unwritable(folder: Path, error: OSError) -> UsageError:
    return UsageError(
        f"cannot write the cache folder {str(folder)!r} ({error.strerror or error}): "
        f"make room or permit writing there, or set {VARIABLE} to another folder"
    )


def _abandoned(target: Path) -> Iterator[Path]:
    """Partial folders of processes that have ended."""
    for left in sorted(target.parent.glob(f".{target.name}-*.partial")):
        owner = left.name.removeprefix(f".{target.name}-").split("-")[0]
        if not (owner.isdigit() and _alive(int(owner))):
            yield left


def _alive(process: int) -> bool:
    if os.name == "nt":
        return True  # os.kill would end the process there: keep its folder
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # the process runs, as another user
    return True
