"""Contents of the wheel, against the source tree."""

import email
import re
import shutil
import subprocess
import sys
import zipfile
from email.message import Message
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
HOMES = {"pvnas_bench": "pvnas_bench", "strategies": "pvnas_bench/strategies", "spaces": "pvnas_bench/spaces"}
"""Source folders, and their places in the wheel."""
BUILD = "import sys, setuptools.build_meta as b; print(b.build_wheel(sys.argv[1]))"


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built from a copy so that the tree stays as it is."""
    copy, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    for name in (*HOMES, "results/reference"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "results/reference/a-run").mkdir()
    (copy / "results/reference/a-run/record.json").write_text("{}")
    (copy / "results/reference/table.md").write_text("")
    (copy / "results/reference/tables").mkdir(exist_ok=True)
    (copy / "results/reference/tables/a-table.parquet").write_bytes(b"")
    (copy / "results/reference/tables/a-table.jsonl").write_text("")
    ended = subprocess.run(
        [sys.executable, "-c", BUILD, str(out)], cwd=copy, capture_output=True, text=True, check=True
    )
    return zipfile.ZipFile(out / ended.stdout.splitlines()[-1])


@pytest.fixture(scope="session")
def metadata(wheel: zipfile.ZipFile) -> Message:
    name = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return email.message_from_string(wheel.read(name).decode())


def test_the_wheel_has_every_source_file(wheel: zipfile.ZipFile) -> None:
    expected = {
        f"{home}/{file.relative_to(ROOT / folder).as_posix()}"
        for folder, home in HOMES.items()
        for file in (ROOT / folder).rglob("*")
        if file.is_file() and not re.search(r"__pycache__|/\.", file.relative_to(ROOT).as_posix())
    }
    assert expected - set(wheel.namelist()) == set()
    assert "pvnas_bench/py.typed" in expected


def test_of_the_results_the_wheel_has_published_records_tables_and_reports_only(wheel: zipfile.ZipFile) -> None:
    published = {name for name in wheel.namelist() if name.startswith("pvnas_bench/reference/")}
    records = {
        f"pvnas_bench/reference/{file.relative_to(ROOT / 'results/reference').as_posix()}"
        for pattern in ("**/*record.json", "tables/*.parquet", "reliability/*.json")
        for file in (ROOT / "results/reference").glob(pattern)
    }
    ours = {
        "pvnas_bench/reference/__init__.py",
        "pvnas_bench/reference/a-run/record.json",
        "pvnas_bench/reference/tables/a-table.parquet",
    }
    assert published == records | ours


def test_no_file_is_outside_the_package(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"pvnas_bench"}


def test_metadata(wheel: zipfile.ZipFile, metadata: Message) -> None:
    assert metadata["Name"] == "pvnas-bench"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    assert any(name.endswith("/licenses/LICENSE") for name in wheel.namelist())
    points = next(name for name in wheel.namelist() if name.endswith("/entry_points.txt"))
    assert "pvnas-bench = pvnas_bench.cli:main" in wheel.read(points).decode()


def test_the_torch_range(metadata: Message) -> None:
    requirements = [Requirement(line) for line in metadata.get_all("Requires-Dist", [])]
    torch = next(requirement for requirement in requirements if requirement.name == "torch")
    assert torch.specifier.contains("2.13.0")
    assert torch.specifier.contains("2.13.1+cpu")
    assert not torch.specifier.contains("2.14.0")


def test_one_decoder_wherever_it_is_installed(metadata: Message) -> None:
    requirements = [Requirement(line) for line in metadata.get_all("Requires-Dist", [])]
    for system, machine in [("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"), ("win32", "AMD64")]:
        here = {"sys_platform": system, "platform_machine": machine}
        chosen = [
            r.name
            for r in requirements
            if r.name.startswith("decord") and (r.marker is None or r.marker.evaluate(here))
        ]
        assert chosen == ["decord" if (system, machine) in [("linux", "x86_64"), ("win32", "AMD64")] else "decord2"]
