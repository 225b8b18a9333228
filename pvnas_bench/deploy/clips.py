"""The clips of a prediction: files, and the video files of folders."""

from collections.abc import Iterable
from pathlib import Path

from pvnas_bench.errors import UsageError
from pvnas_bench.video import VIDEO_SUFFIXES


def listed(paths: Iterable[Path]) -> list[Path]:
    """The files among these paths, and below the folders the files with a video's suffix, by name.

    A file is taken whatever its suffix. Names that begin with a dot are left out.

    Raises:
        UsageError: a path does not exist, a folder has no video, or there is no clip at all.
    """
    clips: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = [
                file
                for file in sorted(path.rglob("*"))
                if file.suffix.lower() in VIDEO_SUFFIXES
                and file.is_file()
                and not any(part.startswith(".") for part in file.relative_to(path).parts)
            ]
            if not inside:
                raise UsageError(f"no video files in the folder {str(path)!r}: name a file or a folder with clips")
            clips += inside
        elif path.exists():
            clips.append(path)
        else:
            raise UsageError(f"no such file or folder: {str(path)!r}")
    if not clips:
        raise UsageError("no clips to predict: name files or folders")
    return clips
