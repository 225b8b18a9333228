"""The rooms of the package: `lint-imports` passes on the tree and fails for each deliberate fault."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("importlinter")

ROOT = Path(__file__).resolve().parents[2]
LINT = "from importlinter.cli import lint_imports_command; lint_imports_command()"

# Contract, module, and a line in it that breaks the contract.
FAULTS = [
    ("layers", "records.py", "from pvnas_bench.boards import leaderboard"),
    ("layers", "problem.py", "from pvnas_bench import strategy"),
    ("layers", "video/_lazy.py", "def later():\n    from pvnas_bench.training import train"),
    ("layers", "space/__init__.py", "from pvnas_bench import seeding"),
    ("layers", "grid/cells.py", "from pvnas_bench.claims import load"),
    ("layers", "claims/page.py", "from pvnas_bench.api import grids"),
    ("siblings", "runs/meters.py", "from pvnas_bench.runs import final"),
    ("siblings", "space/_decisions.py", "def later():\n    from pvnas_bench.space import _blocks"),
    ("no-torch", "boards/render.py", "import torch"),
    ("no-torch", "claims/page.py", "from pvnas_bench.grid import cells"),
    ("no-torch", "records.py", "def later():\n    import torch"),
    ("no-torch", "system/files.py", "def later():\n    from pvnas_bench import seeding"),
    ("no-torch", "runs/request.py", "from pvnas_bench import protocol"),
    ("start", "cli/_app.py", "import torch"),
    ("start", "cli/_options.py", "from pydantic import BaseModel"),
    ("harness", "registry.py", "from pvnas_bench.strategies import spos"),
    ("harness", "conformance/_world.py", "def later():\n    from pvnas_bench.spaces import st_default"),
    ("spaces", "spaces/st_micro.py", "from pvnas_bench.problem import Problem"),
    ("strategies", "strategies/spos.py", "from pvnas_bench.space import SearchSpace"),
    ("strategies", "strategies/optuna_tpe.py", "def later():\n    from pvnas_bench.training import train"),
]


def tree(folder: Path) -> Path:
    """The package as installed, with strategies and spaces inside it."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "pvnas_bench", folder / "pvnas_bench", ignore=ignored)
    for part in ("strategies", "spaces"):
        shutil.copytree(ROOT / part, folder / "pvnas_bench" / part, ignore=ignored)
    return folder


def lint(folder: Path, *contracts: str) -> subprocess.CompletedProcess[str]:
    """Run the given contracts, or all, on the tree in a folder."""
    words = [word for contract in contracts for word in ("--contract", contract)]
    command = [sys.executable, "-c", LINT, str(ROOT / "pyproject.toml"), "--no-cache", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)


def names_of_the_face(file: Path) -> list[str]:
    """What a module takes from `pvnas_bench` itself, other than its modules."""
    found = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name == "pvnas_bench"]
        elif isinstance(node, ast.ImportFrom) and node.module == "pvnas_bench":
            modules = [ROOT / "pvnas_bench" / alias.name for alias in node.names]
            found += [m.name for m in modules if not m.is_dir() and not m.with_suffix(".py").is_file()]
    return found


def test_no_room_imports_the_face_of_the_package(tmp_path: Path) -> None:
    """It stands above them: users and strategies import it."""
    rooms = [file for file in (ROOT / "pvnas_bench").rglob("*.py") if file.parent.name not in ("strategies", "spaces")]
    assert {str(file): names for file in rooms if (names := names_of_the_face(file))} == {}
    (fault := tmp_path / "fault.py").write_text("import pvnas_bench\nfrom pvnas_bench import Problem, registry\n")
    assert names_of_the_face(fault) == ["pvnas_bench", "Problem"]


def test_the_rooms_of_the_package_are_in_order(tmp_path: Path) -> None:
    ended = lint(tree(tmp_path))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "0 broken" in ended.stdout


@pytest.mark.parametrize(("contract", "module", "line"), FAULTS)
def test_a_fault_breaks_its_contract(tmp_path: Path, contract: str, module: str, line: str) -> None:
    path = tree(tmp_path) / "pvnas_bench" / module
    path.write_text(f"{path.read_text(encoding='utf-8')}\n\n{line}\n", encoding="utf-8")
    ended = lint(tmp_path, contract)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "1 broken" in ended.stdout


def test_the_parts_of_strategies_are_imported_without_optuna_and_nni() -> None:
    code = (
        "import pvnas_bench.methods, sys; print(*{'optuna', 'nni', 'pytorch_lightning', 'sklearn'} & set(sys.modules))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (ended.stdout.strip(), ended.stderr) == ("", "")
