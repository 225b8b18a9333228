"""Forges submissions: edits their records, and makes everything else agree with the edit as a forger would."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pvnas_bench import records
from pvnas_bench.submission import checklist, page
from pvnas_bench.submission.layout import CHECKLIST, MANIFEST, README, record_name
from pvnas_bench.submission.manifest import Manifest, file_entry, results
from pvnas_bench.submission.source import where_source
from pvnas_bench.system import sources

Json = Any


class Forger:
    """A submission under the hands of a forger."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paths = sorted((folder / "records").iterdir(), key=lambda path: self.read(path)["seed"])

    def read(self, path: Path) -> Json:
        """The JSON of a file."""
        return json.loads(path.read_text(encoding="utf-8"))

    def edit(self, change: Callable[[Json], object], number: int = 0) -> None:
        """Change the JSON of the record of this number, in the order of seeds."""
        content = self.read(self.paths[number])
        change(content)
        self.paths[number].write_text(json.dumps(content), encoding="utf-8")

    def put(self, where: str, value: Json, number: int = 0) -> None:
        """Replace a value in a record; a function makes it from the old one."""
        *parents, last = where.split(".")

        def change(content: Json) -> None:
            for name in parents:
                content = content[int(name) if isinstance(content, list) else name]
            key = int(last) if isinstance(content, list) else last
            content[key] = value(content[key]) if callable(value) else value

        self.edit(change, number)

    def manifest(self, change: Callable[[Json], object]) -> None:
        """Change the JSON of the manifest."""
        content = self.read(self.folder / MANIFEST)
        change(content)
        (self.folder / MANIFEST).write_text(json.dumps(content), encoding="utf-8")

    def rename(self) -> None:
        """Give each record the id that its fingerprints, entry, seed and source have, and its file that name."""
        contents = [self.read(path) for path in self.paths]
        for path in self.paths:
            path.unlink()
        for number, content in enumerate(contents):
            source = content["strategy"]["source"]
            content["id"] = records.identifier(
                content["space"]["fingerprint"],
                content["data"]["fingerprint"],
                content["protocol"]["fingerprint"],
                content["strategy"]["entry"],
                content["seed"],
                source and records.Source.model_validate(source),
            )
            self.paths[number] = self.folder / record_name(content["id"])
            self.paths[number].write_text(json.dumps(content), encoding="utf-8")

    def source(self, change: Callable[[str], str]) -> None:
        """Change the strategy's file, and give manifest and records its new hash."""
        (file,) = (self.folder / "strategy").glob("*.py")
        file.write_text(change(file.read_text(encoding="utf-8")), encoding="utf-8")
        self.claim(sources.digest(file))

    def claim(self, sha256: str) -> None:
        """Give manifest and records another hash of the source."""
        self.manifest(lambda m: m["strategy"]["source"].update(sha256=sha256))
        for number in range(len(self.paths)):
            self.put("strategy.source.sha256", sha256, number)

    def seal(self, *, pages: bool = True) -> None:
        """Make manifest, README and checklist anew, so that they agree with the records."""
        told = Manifest.model_validate_json((self.folder / MANIFEST).read_bytes())
        found = [records.load(path) for path in self.paths if path.exists()]
        found.sort(key=lambda r: (*r.board, r.strategy.entry, r.seed))
        told = told.model_copy(update={"results": results(found)})
        if pages:
            (self.folder / README).write_text(page.to_markdown(told, found), encoding="utf-8")
            items = checklist.items(found, source=where_source(told))
            (self.folder / CHECKLIST).write_text(checklist.to_markdown(items), encoding="utf-8")
        self.hashes(told)

    def hashes(self, told: Manifest | None = None) -> None:
        """Give the manifest the hashes of the files as they are."""
        if told is None:
            told = Manifest.model_validate_json((self.folder / MANIFEST).read_bytes())
        names = [path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file()]
        files = tuple(file_entry(self.folder, name) for name in sorted(names) if name not in (MANIFEST, CHECKLIST))
        (self.folder / MANIFEST).write_text(told.model_copy(update={"files": files}).json_text(), encoding="utf-8")
