"""Something-Something V1 and V2, and Jester: lists of train and validation; clips are videos or folders of images."""

import re
from collections.abc import Iterator
from pathlib import Path

from pvnas_bench.errors import UsageError
from pvnas_bench.video._rows import Row
from pvnas_bench.video.layouts._source import (
    Layout,
    Lists,
    Source,
    annotation_files,
    by_split,
    found_suffix,
    inside,
    json_entries,
    text_lines,
)

_FILES = re.compile(r"(something-something-v\d|jester-v\d)-(train|validation|test-answers)\.(json|csv)", re.IGNORECASE)
_CLIPS = ("20bn-{0}", "{0}", "videos", "frames", "")


def find(root: Path, fold: int) -> Source | None:
    """The files as they are published, and the folder of clips beside them. Test has no labels: validation is test."""
    files = [file for file in annotation_files(root, "*.json", "*.csv") if _FILES.fullmatch(file.name)]
    splits = by_split([file for file in files if "test" not in file.stem])
    if "train" not in splits or "test" not in splits:
        return None
    match = _FILES.fullmatch(splits["train"].files[0].name)
    assert match is not None
    candidates = (name.format(match[1]) for name in _CLIPS)
    folder = next((name for name in candidates if (root / name).is_dir()), "")
    return Source(root, {split: Lists(lists.files, folder) for split, lists in splits.items()})


def read(source: Source) -> Iterator[Row]:
    """One row per entry: objects with id and template (V2), or lines `id;label` (V1, Jester).

    Raises:
        UsageError: an entry of another form.
    """
    for split, lists in source.splits.items():
        for file in lists.files:
            suffix = source.suffix or found_suffix(source, lists.folder, (name for _, name, _ in _entries(file)))
            for where, name, label in _entries(file):
                path = inside(name + suffix, where)
                yield Row(lists.within(path), label, split=split)


def _entries(file: Path) -> Iterator[tuple[str, str, str]]:
    """Where an entry stands, its clip and its class."""
    if file.suffix.lower() == ".json":
        for where, entry in json_entries(file):
            name, template = entry.get("id"), entry.get("template")
            if not isinstance(name, str | int) or not isinstance(template, str):
                raise UsageError(f"{where}: no id or no template: expected the entries of Something-Something V2")
            yield where, str(name), re.sub(r"[\[\]]", "", template)
        return
    for where, line in text_lines(file):
        name, separator, label = line.partition(";")
        if not separator or not name or not label:
            raise UsageError(f"{where}: expected 'id;label', found {line[:80]!r}")
        yield where, name, label


LAYOUT = Layout("something", "Something-Something V1/V2 and Jester as published (train, validation)", find, read)
