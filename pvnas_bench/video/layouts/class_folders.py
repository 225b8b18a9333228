"""Class folders: `ROOT/<class>/<clip>`, or the same below `train/`, `val/` and `test/`.

A clip is a file or a folder of images.
"""

from collections.abc import Iterator
from pathlib import Path

from pvnas_bench.errors import UsageError
from pvnas_bench.video._images import find_template
from pvnas_bench.video._rows import Row
from pvnas_bench.video.layouts._source import SPLIT_NAMES, VIDEO_SUFFIXES, Layout, Lists, Source, with_test


def find(root: Path, fold: int) -> Source | None:
    """Every folder may hold class folders; below folders named after splits where those hold class folders."""
    splits = {
        split: Lists(folder=name)
        for split, names in SPLIT_NAMES.items()
        for name in names
        if (root / name).is_dir() and any(group.is_dir() for group in _visible(root / name))
    }
    if "train" in splits and len(splits) > 1 and not any(_clips(root / lists.folder) for lists in splits.values()):
        return Source(root, with_test(splits))
    return Source(root)


def read(source: Source) -> Iterator[Row]:
    """One row per clip. Files whose suffix is no video's, and names that begin with a dot, are passed over.

    Raises:
        UsageError: the folder cannot be read, or a name is not UTF-8.
    """
    path = ""
    try:
        for split, lists in (source.splits or {"": Lists()}).items():
            for group in _visible(source.root / lists.folder):
                if group.is_dir():
                    for clip in _clips(group):
                        path = clip.relative_to(source.root).as_posix()
                        path.encode()
                        yield Row(path, group.name, split=split)
    except UnicodeEncodeError:
        raise UsageError(f"the file name {path!r} in {str(source.root)!r} is not UTF-8: rename the file") from None
    except OSError as error:
        raise UsageError(f"cannot read the folder {str(source.root)!r} ({error}): permit reading it") from None


def _visible(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))


def _clips(group: Path) -> list[Path]:
    """The clips of a class; where it holds no video, its folders of images."""
    entries = _visible(group)
    videos = [entry for entry in entries if entry.suffix.lower() in VIDEO_SUFFIXES]
    if videos:
        return videos
    folders = [entry for entry in entries if entry.is_dir()]
    return folders if folders and find_template(folders[0]) else []


LAYOUT = Layout(
    "class_folders", "ROOT/[train|val|test/]<class>/<clip>, a clip a file or a folder of images", find, read
)
