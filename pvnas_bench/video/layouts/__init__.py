"""The layouts in which people keep video data sets: one module each, all yielding rows of the same type.

A layout finds out from names and first lines whether a folder is kept in it, and reads its rows one at a time, so that
a list of a million clips never exists as Python objects.
"""

from pathlib import Path

from pvnas_bench.video.layouts import (
    class_folders,
    diving48,
    epic,
    hmdb51,
    kinetics,
    lists,
    manifest,
    nagoya_fir,
    something,
    ucf101,
)
from pvnas_bench.video.layouts._source import (
    VIDEO_SUFFIXES,
    Layout,
    Lists,
    Source,
    annotation_files,
    class_names,
    split_of,
)
from pvnas_bench.video.layouts.manifest import is_manifest

# The order of detection: official files before lists in general, and class folders when nothing else is there.
LAYOUTS = {
    module.LAYOUT.name: module.LAYOUT
    for module in (manifest, something, diving48, kinetics, epic, ucf101, hmdb51, nagoya_fir, lists, class_folders)
}

__all__ = [
    "LAYOUTS",
    "VIDEO_SUFFIXES",
    "Layout",
    "Lists",
    "Source",
    "annotation_files",
    "class_names",
    "detect",
    "is_manifest",
    "split_of",
]


def detect(root: Path, fold: int = 1) -> tuple[Layout, Source]:
    """The layout that a folder is kept in, and what a reader of it needs to know.

    Raises:
        UsageError: a list of a layout found cannot be read.
    """
    for layout in LAYOUTS.values():
        source = layout.find(root, fold)
        if source is not None:
            return layout, source
    raise AssertionError("class folders are found in every folder")
