"""Descriptions of data sets: TOML files that state the folder, the layout, the licence and further properties."""

import os
import re
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pvnas_bench.errors import UsageError
from pvnas_bench.system.files import read_whole
from pvnas_bench.video import layouts
from pvnas_bench.video._dataset import SPLITS, Dataset
from pvnas_bench.video._images import is_template
from pvnas_bench.video._rows import Row, Table
from pvnas_bench.video.layouts import LAYOUTS, Layout, Lists, Source, class_names

FILE_NAME = "dataset.toml"
"""Name of the description inside a data set's folder."""
LARGEST = 2**20
"""Maximum size of a description in bytes."""
_LISTS = ("*.txt", "*.csv", "*.tsv", "*.list", "*.json")
_HEAD = 2**16
"""Bytes of a file to search for names of clips."""
_FOLDED = ("ucf101", "hmdb51", "list")
CLASS_FOLDERS = "class_folders"
ALL = "all"
"""Key in a description for a list with clips of several splits."""


class _Split(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    list: str | tuple[str, ...] = ()
    folder: str = ""


class Description(BaseModel):
    """Contents of a description; all keys are optional.

    Attributes:
        name: name of the data set on boards; default: that of the layout's only data set, else of the file or folder.
        root: folder of the data, relative to the description; default: the description's own folder.
        format: name of a layout in `layouts.LAYOUTS`; default: detected.
        splits: lists of 'train', 'val' and 'test', relative to the root, and the folder of their clips; or 'all': one
            list for all clips, which names their splits, or is split automatically.
        classes: class names in the order of their numbers, or a file with them.
        flip_safe: mirroring a clip left to right keeps its label.
        template: template of the image names, for clips that are folders of images.
        path: pattern of a clip's path, with the columns of Kinetics' CSV as fields.
        suffix: suffix of the clips' files, for lists that omit it.
        folder: folder of the listed clips, below the root; default: detected.
        fold: number of the official split, if there are several.
        missing_ok: leave out listed clips whose files are missing, such as deleted videos.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = ""
    root: str = "."
    format: str = ""
    splits: dict[str, str | tuple[str, ...] | _Split] = Field(default_factory=dict)
    classes: str | tuple[str, ...] = ()
    flip_safe: bool = False
    licence: str = ""
    template: str = ""
    path: str = ""
    suffix: str = ""
    folder: str = ""
    fold: int = Field(default=1, ge=1, le=99)
    missing_ok: bool = False


def load(path: Path) -> Description:
    """Read a description.

    Raises:
        UsageError: the file is not TOML, or a key or value is invalid.
    """
    try:
        description = Description.model_validate(tomllib.loads(read_whole(path, LARGEST).decode()))
    except ValidationError as error:
        raise _wrong(path, error) from None
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"cannot read the description {str(path)!r} ({error}): expected TOML in UTF-8") from None
    if description.format and description.format not in LAYOUTS:
        raise UsageError(
            f"the description {str(path)!r}: unknown format {description.format!r}: choose {', '.join(LAYOUTS)}"
        )
    if wrong := [split for split in description.splits if split not in (*SPLITS, ALL)]:
        raise UsageError(f"the description {str(path)!r}: unknown split {wrong[0]!r}: choose train, val, test or all")
    if description.template and not is_template(description.template):
        raise UsageError(
            f"the description {str(path)!r}: template {description.template!r} is not a file name with one number: "
            "write it like 'img_{:05d}.jpg'"
        )
    return description


def _wrong(path: Path, error: ValidationError) -> UsageError:
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"] if not isinstance(part, int))
    if first["type"] == "extra_forbidden":
        known = ", ".join(Description.model_fields)
        return UsageError(f"the description {str(path)!r}: {where}: {first['msg']}: valid keys are {known}")
    return UsageError(f"the description {str(path)!r}: {where} = {first['input']!r}: {first['msg']}: correct it")


def open_description(path: Path) -> Dataset:
    """Open the data set that a TOML file describes.

    Raises:
        UsageError: the description is invalid, does not match the data, or the data set is unusable (see `check`).
    """
    description = load(path)
    root = (path.parent / Path(description.root).expanduser()).resolve()
    if not root.is_dir():
        raise UsageError(f"the description {str(path)!r}: no such folder {str(root)!r}: correct root")
    layout, source = _source(path, description, root)
    return read(
        layout,
        source,
        description,
        description.name or layout.about.name or (root.name if path.name == FILE_NAME else path.stem),
    )


def open_folder(root: Path) -> Dataset:
    """Open a folder by its description `dataset.toml`, else by its detected layout.

    Raises:
        UsageError: no clip found, or the data set is unusable (see `check`).
    """
    if (root / FILE_NAME).is_file():
        return open_description(root / FILE_NAME)
    layout, source = layouts.detect(root)
    dataset = read(layout, source, Description(), layout.about.name or root.resolve().name)
    if layout.name == CLASS_FOLDERS and not source.splits:
        _refuse_if_listed(dataset)
    return dataset


def _refuse_if_listed(dataset: Dataset) -> None:
    """Refuse to split clips automatically if the folder has a list of splits in an unknown format.

    Raises:
        UsageError: the folder has such a list.
    """
    files = [file for file in layouts.annotation_files(dataset.root, *_LISTS) if layouts.split_of(file)]
    if not files:
        return
    clips = {word for path in dataset.paths for word in (PurePosixPath(path).name, PurePosixPath(path).stem)}
    for file in files:
        if clips.intersection(_first_words(file)):
            raise UsageError(
                f"{str(file)!r} lists clips by split, in an unknown format: convert it to one from `data list "
                f"--formats`, such as a CSV with the columns path,label, or ignore its splits with the line "
                f'format = "{CLASS_FOLDERS}" in {str(dataset.root / FILE_NAME)!r}'
            )


def _first_words(file: Path) -> set[str]:
    """File names in the first bytes of a file, regardless of its encoding and other text."""
    with file.open("rb") as content:
        head = content.read(_HEAD)
    texts = [head.decode(encoding, "replace") for encoding in ("utf-8", "latin-1", "utf-16-le", "utf-16-be")]
    words = (re.split(r"[,;:|\t\r\n\"'\[\]{}]|\s+\d+\s", text) for text in texts)
    tokens = {token for text in words for part in text for token in (part.strip(), *part.split())}
    names = {re.split(r"[/\\]", token)[-1] for token in tokens}
    return names | {PurePosixPath(name).stem for name in names if name}


def _source(path: Path, description: Description, root: Path) -> tuple[Layout, Source]:
    if description.format:
        layout = LAYOUTS[description.format]
        source = None if description.splits else layout.find(root, description.fold)
        if source is None and not description.splits:
            raise UsageError(
                f"the description {str(path)!r}: no files of format {layout.name} in {str(root)!r}: add splits"
            )
        source = source or Source(root)
    else:
        layout, source = layouts.detect(root, description.fold)
    if description.fold != 1 and layout.name not in _FOLDED and not description.splits:
        raise UsageError(
            f"the description {str(path)!r}: fold = {description.fold}, but {layout.name} has no folds: remove "
            "fold, or name the lists under splits"
        )
    splits = {"" if split == ALL else split: _lists(path, root, value) for split, value in description.splits.items()}
    classes = description.classes
    if isinstance(classes, str):
        classes = class_names(root / classes)
    if description.folder and not (root / description.folder).is_dir():
        raise UsageError(
            f"the description {str(path)!r}: no such folder {str(root / description.folder)!r}: correct folder"
        )
    splits = splits or dict(source.splits)
    if description.folder:
        splits = {
            split: lists if split in description.splits and lists.folder else replace(lists, folder=description.folder)
            for split, lists in splits.items()
        }
    return layout, replace(
        source,
        splits=splits,
        unplaced="" if description.splits or description.folder else source.unplaced,
        classes=classes or source.classes,
        path=description.path,
        suffix=description.suffix,
        fold=description.fold,
    )


def _lists(path: Path, root: Path, value: str | tuple[str, ...] | _Split) -> Lists:
    split = value if isinstance(value, _Split) else _Split(list=value)
    names = (split.list,) if isinstance(split.list, str) else split.list
    files = tuple(root / name for name in names)
    for file in files:
        if not file.is_file():
            raise UsageError(f"the description {str(path)!r}: no such list {str(file)!r}: correct splits")
    if split.folder and not (root / split.folder).is_dir():
        raise UsageError(f"the description {str(path)!r}: no such folder {str(root / split.folder)!r}: correct splits")
    return Lists(files, split.folder)


def read(layout: Layout, source: Source, description: Description, name: str) -> Dataset:
    """Read the rows of a layout into a data set.

    Raises:
        UsageError: there are no rows, or the data set is unusable (see `check`).
    """
    if source.unplaced:
        raise UsageError(source.unplaced)
    table = Table()
    for row in _present(layout, source) if description.missing_ok else layout.read(source):
        table.add(row)
    if not len(table) and (files := [file.name for lists in source.splits.values() for file in lists.files]):
        raise UsageError(f"{' and '.join(map(repr, files[:3]))} lists no clip: add one line per clip")
    if not len(table):
        raise UsageError(
            f"no clips in {str(source.root)!r}: expected FOLDER/<class>/<clip> with a suffix like .mp4 or .avi, "
            f"a {layouts.manifest.MANIFEST} with the columns path,label, or another layout of `data list --formats`"
        )
    about = layout.about
    return table.dataset(
        name,
        source.root,
        template=description.template,
        flip_safe=description.flip_safe if "flip_safe" in description.model_fields_set else about.flip_safe,
        licence=description.licence or about.licence,
        recordings=about.recordings,
    )


def _present(layout: Layout, source: Source) -> Iterator[Row]:
    return (row for row in layout.read(source) if os.path.exists(source.root / row.path))
