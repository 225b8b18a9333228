"""The description of a data set: a TOML file that says where it lies, how it is kept and what may be done with it."""

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
"""A description that a folder is read by."""
LARGEST = 2**20
"""Bytes of a description."""
_LISTS = ("*.txt", "*.csv", "*.tsv", "*.list", "*.json")
_HEAD = 2**16
"""Bytes of a file that are looked at to find out whether it lists clips."""
_FOLDED = ("ucf101", "hmdb51", "list")
CLASS_FOLDERS = "class_folders"
ALL = "all"
"""In a description, the split of a list whose clips are of several."""


class _Split(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    list: str | tuple[str, ...] = ()
    folder: str = ""


class Description(BaseModel):
    """What a description may say; only `root` has to differ from its default, and not even that in the folder itself.

    Attributes:
        root: the folder of the data, relative to the description.
        format: a name of `layouts.LAYOUTS`; found out unless given.
        splits: of 'train', 'val', 'test' the list or lists, relative to the root, and the folder of their clips; of
            'all' one that names the splits of its clips itself, or leaves it to this program to divide them.
        classes: the names in the order of their numbers, or a file of them.
        flip_safe: mirroring a clip left to right keeps its label.
        template: name of an image by its number, where clips are folders of images.
        path: pattern of a clip's path in the words of Kinetics' columns.
        suffix: of the clips' files, where lists name them without.
        folder: of the clips that lists name, below the root; looked for unless given.
        fold: which of several official splits.
        missing_ok: leave out clips of the lists whose files are not there, as of deleted videos.
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
        UsageError: it is no TOML, or says something that none may.
    """
    try:
        found = Description.model_validate(tomllib.loads(read_whole(path, LARGEST).decode()))
    except ValidationError as error:
        raise _wrong(path, error) from None
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"cannot read the description {str(path)!r} ({error}): expected TOML in UTF-8") from None
    if found.format and found.format not in LAYOUTS:
        raise UsageError(f"the description {str(path)!r}: unknown format {found.format!r}: choose {', '.join(LAYOUTS)}")
    if wrong := [split for split in found.splits if split not in (*SPLITS, ALL)]:
        raise UsageError(f"the description {str(path)!r}: unknown split {wrong[0]!r}: choose train, val, test or all")
    if found.template and not is_template(found.template):
        raise UsageError(
            f"the description {str(path)!r}: template {found.template!r} is no file name with one number: "
            "write it like 'img_{:05d}.jpg'"
        )
    return found


def _wrong(path: Path, error: ValidationError) -> UsageError:
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"] if not isinstance(part, int))
    known = ", ".join(Description.model_fields)
    return UsageError(f"the description {str(path)!r}: {where}: {first['msg']}: it may say {known}")


def open_description(path: Path) -> Dataset:
    """Open the data set that a TOML file describes.

    Raises:
        UsageError: the description is wrong, or the data is not as it says or unfit.
    """
    found = load(path)
    root = (path.parent / Path(found.root).expanduser()).resolve()
    if not root.is_dir():
        raise UsageError(f"the description {str(path)!r}: no such folder {str(root)!r}: correct root")
    layout, source = _source(path, found, root)
    return read(
        layout, source, found, found.name or layout.about.name or (root.name if path.name == FILE_NAME else path.stem)
    )


def open_folder(root: Path) -> Dataset:
    """Open a folder by its description `dataset.toml`, or else in the layout that it is kept in.

    Raises:
        UsageError: no clip found, or the table is unfit.
    """
    if (root / FILE_NAME).is_file():
        return open_description(root / FILE_NAME)
    layout, source = layouts.detect(root)
    dataset = read(layout, source, Description(), layout.about.name or root.resolve().name)
    if layout.name == CLASS_FOLDERS and not source.splits:
        _refuse_if_listed(dataset)
    return dataset


def _refuse_if_listed(dataset: Dataset) -> None:
    """Refuse to divide clips that a list which is not understood divides already.

    Raises:
        UsageError: there is such a list.
    """
    files = [file for file in layouts.annotation_files(dataset.root, *_LISTS) if layouts.split_of(file)]
    if not files:
        return
    clips = {word for path in dataset.paths for word in (PurePosixPath(path).name, PurePosixPath(path).stem)}
    for file in files:
        if clips.intersection(_first_words(file)):
            raise UsageError(
                f"{str(file)!r} lists clips by split, but not in a way that `data list --formats` names: the clips "
                f"would be divided otherwise. Write it as one of those, as path,label with those names in the first "
                f"line, or say in {str(dataset.root / FILE_NAME)!r} that it does not count, with a line "
                f'format = "{CLASS_FOLDERS}"'
            )


def _first_words(file: Path) -> set[str]:
    """File names, whatever stands around them, at the beginning of a file in any encoding."""
    with file.open("rb") as content:
        head = content.read(_HEAD)
    texts = [head.decode(encoding, "replace") for encoding in ("utf-8", "latin-1", "utf-16-le", "utf-16-be")]
    words = (re.split(r"[,;:|\t\r\n\"'\[\]{}]|\s+\d+\s", text) for text in texts)
    tokens = {token for text in words for part in text for token in (part.strip(), *part.split())}
    names = {re.split(r"[/\\]", token)[-1] for token in tokens}
    return names | {PurePosixPath(name).stem for name in names if name}


def _source(path: Path, found: Description, root: Path) -> tuple[Layout, Source]:
    if found.format:
        layout = LAYOUTS[found.format]
        source = None if found.splits else layout.find(root, found.fold)
        if source is None and not found.splits:
            raise UsageError(
                f"the description {str(path)!r}: no files of format {layout.name} in {str(root)!r}: name splits"
            )
        source = source or Source(root)
    else:
        layout, source = layouts.detect(root, found.fold)
    if found.fold != 1 and layout.name not in _FOLDED and not found.splits:
        raise UsageError(
            f"the description {str(path)!r}: fold = {found.fold}, but {layout.name} has no folds: remove fold, or name "
            "the lists under splits"
        )
    splits = {"" if split == ALL else split: _lists(path, root, value) for split, value in found.splits.items()}
    classes = found.classes
    if isinstance(classes, str):
        classes = class_names(root / classes)
    if found.folder and not (root / found.folder).is_dir():
        raise UsageError(f"the description {str(path)!r}: no such folder {str(root / found.folder)!r}: correct folder")
    splits = splits or dict(source.splits)
    if found.folder:
        splits = {
            split: lists if split in found.splits and lists.folder else replace(lists, folder=found.folder)
            for split, lists in splits.items()
        }
    return layout, replace(
        source,
        splits=splits,
        unplaced="" if found.splits or found.folder else source.unplaced,
        classes=classes or source.classes,
        path=found.path,
        suffix=found.suffix,
        fold=found.fold,
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


def read(layout: Layout, source: Source, found: Description, name: str) -> Dataset:
    """Read the rows of a layout into a data set.

    Raises:
        UsageError: there is none, or the table is unfit.
    """
    if source.unplaced:
        raise UsageError(source.unplaced)
    table = Table()
    for row in _present(layout, source) if found.missing_ok else layout.read(source):
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
        template=found.template,
        flip_safe=found.flip_safe if "flip_safe" in found.model_fields_set else about.flip_safe,
        licence=found.licence or about.licence,
        recordings=about.recordings,
    )


def _present(layout: Layout, source: Source) -> Iterator[Row]:
    return (row for row in layout.read(source) if os.path.exists(source.root / row.path))
