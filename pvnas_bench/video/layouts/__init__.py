"""Layouts of video data sets on disk, one module each; all yield rows of the same type.

A layout detects from file names and first lines whether a folder follows it, and reads rows one at a time, so that a
list of a million clips never exists as Python objects.
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

# In order of detection: official files, then general lists, then class folders.
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
    """Detect the layout of a folder; return it with the source for its reader.

    Raises:
        UsageError: a list of the layout cannot be read.
    """
    for layout in LAYOUTS.values():
        source = layout.find(root, fold)
        if source is not None:
            return layout, source
    raise AssertionError("class folders are found in every folder")
