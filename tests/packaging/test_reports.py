"""The log of public bug reports."""

import re
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]


def test_every_test_that_the_log_names_exists() -> None:
    file, found = "", 0
    for name in re.findall(r"`([\w/.:\[\]-]*test_[\w/.:\[\]-]*)`", (TESTS / "reports.md").read_text(encoding="utf-8")):
        file, name = name.split("::") if "::" in name else (file, name)
        definition = rf"^(async )?def {name.partition('[')[0]}\("
        assert re.search(definition, (TESTS / file).read_text(encoding="utf-8"), re.MULTILINE), f"{file}::{name}"
        found += 1
    assert found > 30
