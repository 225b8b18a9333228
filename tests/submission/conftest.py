"""Submissions of real runs: on the published table of `st_micro`, and trained on the tiny data set. Only read them."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pvnas_bench import records
from pvnas_bench.runs.request import Request
from pvnas_bench.runs.runner import run
from pvnas_bench.submission.assemble import submit

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
LOOKED_UP: dict[str, Any] = {"space": "st_micro", "dataset": "words", "tabular": True, "budget": 8.0, "threads": 1}
TRAINED: dict[str, Any] = {"space": "st_micro", "budget": 1.5, "threads": 1}

Make = Callable[..., Path]


@pytest.fixture(scope="session")
def hill_climb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The README's strategy, a plug-in with a hyper-parameter added."""
    file = tmp_path_factory.mktemp("plugin") / "climb.py"
    text = (EXAMPLES / "black_box.py").read_text(encoding="utf-8")
    text = text.replace(
        "from pvnas_bench import Architecture, Info",
        "from pydantic import Field\n\nfrom pvnas_bench import Architecture, Info, StrategyConfig",
    )
    text = text.replace(
        "class HillClimb(AskTell):",
        'class Config(StrategyConfig):\n    """Hyper-parameters."""\n\n'
        '    rate: float = Field(0.0, ge=0, le=1, description="probability that a decision changes; 0: one does (R)")\n'
        "\n\nclass HillClimb(AskTell[Config]):",
    )
    text = text.replace(
        "self.problem.mutate(self.best.architecture)",
        "self.problem.mutate(self.best.architecture, rate=self.config.rate or None)",
    )
    file.write_text(text, encoding="utf-8")
    return file


@pytest.fixture(scope="session")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Run a strategy with some seeds, and make a submission of the records."""

    def made(strategy: str | Path, *, seeds: int = 1, source: str | Path | None = None, **options: Any) -> Path:
        folder = tmp_path_factory.mktemp("submission")
        for seed in range(seeds):
            record, _ = run(Request(str(strategy), seed=seed, results=folder / "runs", **options))
            assert record.status == "ok", record.error
        return submit([folder / "runs"], str(source or strategy), folder / "made").folder

    return made


@pytest.fixture(scope="session")
def looked_up(make: Make, hill_climb: Path) -> Path:
    """Three seeds of a plug-in on a published table."""
    return make(hill_climb, seeds=3, **LOOKED_UP)


@pytest.fixture(scope="session")
def trained(make: Make, hill_climb: Path, tiny_dataset: Path) -> Path:
    """Two seeds of a plug-in, trained on the tiny data set."""
    return make(hill_climb, seeds=2, dataset=str(tiny_dataset), **TRAINED)


@pytest.fixture(scope="session")
def of_package(make: Make) -> Path:
    """Two seeds of a strategy of the package, on a published table."""
    return make("local_search", seeds=2, **LOOKED_UP)


@pytest.fixture
def copied(tmp_path: Path) -> Callable[[Path], Path]:
    """A copy of a submission that a test may damage."""

    def copy(folder: Path) -> Path:
        return Path(shutil.copytree(folder, tmp_path / "copy", symlinks=True))

    return copy


def loaded(folder: Path) -> list[records.Record]:
    """The records of a submission, by seed."""
    return sorted(records.load_folder(folder / "records")[0], key=lambda record: record.seed)
