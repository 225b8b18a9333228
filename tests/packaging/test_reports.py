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


def test_every_report_is_a_row_with_a_reference_an_input_and_a_test() -> None:
    rows, table = 0, 0
    for line in (TESTS / "reports.md").read_text(encoding="utf-8").splitlines():
        if not line.startswith("|"):
            table = 0
            continue
        table += 1
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        assert len(cells) == 3 and all(cells), line
        if table == 1:
            assert cells == ["report", "input", "test"], f"outside a table: {line}"
        elif table > 2:
            assert re.search(r"#\d+", cells[0]) and "`" in cells[2] and "test_" in cells[2], line
            rows += 1
    assert rows >= 42
