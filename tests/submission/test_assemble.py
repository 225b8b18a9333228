"""Making a submission: which records it takes, and what it refuses."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pvnas_bench import records
from pvnas_bench.errors import UsageError
from pvnas_bench.submission.assemble import strategy_source, submit
from pvnas_bench.submission.manifest import Manifest, content_hash

from .conftest import loaded


def test_records_of_other_sources_are_left_out(
    looked_up: Path, of_package: Path, hill_climb: Path, tmp_path: Path
) -> None:
    made = submit([looked_up / "records", of_package / "records"], str(hill_climb), tmp_path / "made")
    assert (len(made.records), made.left_out) == (3, 2)
    assert loaded(made.folder) == loaded(looked_up)


def test_a_strategy_of_the_package_may_be_named_by_its_file() -> None:
    named = strategy_source("local_search")
    assert named.builtin
    assert strategy_source(str(named.path)) == named


def test_single_files_and_files_of_many_are_taken(looked_up: Path, hill_climb: Path, tmp_path: Path) -> None:
    one, *others = sorted((looked_up / "records").iterdir())
    lines = [records.load(path).model_dump_json() + "\n" for path in others]
    (tmp_path / records.LINES_NAME).write_text("".join(lines), encoding="utf-8")
    made = submit([one, tmp_path / records.LINES_NAME], str(hill_climb), tmp_path / "made")
    assert len(made.records) == 3


def test_the_same_records_give_the_same_content(looked_up: Path, hill_climb: Path, tmp_path: Path) -> None:
    made = submit([looked_up / "records"], str(hill_climb), tmp_path / "made")
    hashes = {
        content_hash(Manifest.model_validate_json((folder / "manifest.json").read_bytes()))
        for folder in (made.folder, looked_up)
    }
    assert len(hashes) == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda file: file.write_text(file.read_text() + "# later\n"),
            r"none of 3 records was made with .*climb\.py as it is",
        ),
        (lambda file: file.unlink(), r"no such file: .*climb\.py: give --strategy"),
    ],
)
def test_another_version_of_the_file_is_refused(
    looked_up: Path, hill_climb: Path, tmp_path: Path, change: Callable[[Path], object], reason: str
) -> None:
    file = Path(shutil.copy(hill_climb, tmp_path / "climb.py"))
    change(file)
    with pytest.raises(UsageError, match=reason):
        submit([looked_up / "records"], str(file), tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_what_verify_would_reject_is_refused_and_nothing_is_left(
    looked_up: Path, hill_climb: Path, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(looked_up / "records", runs)
    path = sorted(runs.iterdir())[0]
    record = records.load(path)
    records.save(record.model_copy(update={"status": "interrupted"}), path)
    with pytest.raises(UsageError, match=r"`verify` would reject this submission: .*interrupted"):
        submit([runs], str(hill_climb), tmp_path / "made")
    assert list(tmp_path.iterdir()) == [runs]


def test_a_folder_that_exists_is_kept(looked_up: Path, hill_climb: Path, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    with pytest.raises(UsageError, match=r"made exists: remove it, or choose another --output"):
        submit([looked_up / "records"], str(hill_climb), tmp_path / "made")


@pytest.mark.parametrize("strategy", ["nonesuch", "_optuna", "os"])
def test_an_unknown_strategy_is_refused(looked_up: Path, tmp_path: Path, strategy: str) -> None:
    with pytest.raises(UsageError, match=f"the package has no strategy '{strategy}'"):
        submit([looked_up / "records"], strategy, tmp_path / "made")


def test_a_path_that_is_no_record_is_refused(hill_climb: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no such file or folder: .*nowhere"):
        submit([tmp_path / "nowhere"], str(hill_climb), tmp_path / "made")
    with pytest.raises(UsageError, match=r"climb\.py is no record: not JSON"):
        submit([hill_climb], str(hill_climb), tmp_path / "made")
