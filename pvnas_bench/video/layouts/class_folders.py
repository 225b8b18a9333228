"""Class folders: `ROOT/<class>/<clip>`, optionally below `train/`, `val/` and `test/`.

A clip is a file or a folder of images.
"""

from collections.abc import Iterator
from pathlib import Path

from pvnas_bench.errors import UsageError
from pvnas_bench.video._images import find_template
from pvnas_bench.video._rows import Row
from pvnas_bench.video.layouts._source import SPLIT_NAMES, VIDEO_SUFFIXES, Layout, Lists, Source, with_test


def find(root: Path, fold: int) -> Source | None:
    """The source of a folder with class folders, which every folder may be; with splits if their folders have them."""
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
    """Iterate over the clips; files without a video suffix and names that begin with a dot are ignored.

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
    """Video files of a class; folders of images if it has no videos."""
    entries = _visible(group)
    videos = [entry for entry in entries if entry.suffix.lower() in VIDEO_SUFFIXES]
    if videos:
        return videos
    folders = [entry for entry in entries if entry.is_dir()]
    return folders if folders and find_template(folders[0]) else []


LAYOUT = Layout(
    "class_folders", "ROOT/[train|val|test/]<class>/<clip>, a clip a file or a folder of images", find, read
)
