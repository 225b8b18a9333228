import json
import re
import signal
from pathlib import Path

import pytest

from pvnas_bench import records
from pvnas_bench.cli import FAILED, INTERRUPTED, OK

from .conftest import BUDGET, Cli, Finished, process

PATIENT = """
import signal

from pvnas_bench import Info, Strategy


class Patient(Strategy):
    info = Info("patient", "Goes on until its user has had enough", "-", 2024, ("modular",), "-")
    steps = 0

    def setup(self):
        self.found = self.problem.sample()

    def step(self):
        self.steps += 1
        if self.steps == 3:
            signal.raise_signal(signal.SIGINT)

    def incumbent(self):
        return self.found
"""
BROKEN = PATIENT.replace("signal.raise_signal(signal.SIGINT)", 'raise RuntimeError("lost its way")')


def run_words(dataset: Path, results: Path, strategy: object = "random_search") -> tuple[object, ...]:
    """The options of a short run on one thread."""
    return (
        *("run", "--strategy", strategy, "--dataset", dataset),
        *("--budget", BUDGET, "--threads", 1, "--results", results),
    )


def test_the_last_line_is_the_record(finished: Finished) -> None:
    path = Path(finished.ended.last_line)
    assert path.name == "record.json"
    assert path.parent.parent == finished.results
    assert records.load(path).status == "ok"


def test_the_board_and_the_outcome_come_before_it(finished: Finished) -> None:
    out, outcome = finished.ended.out, finished.record["outcome"]
    top1 = outcome["trained"][0]["test_top1"]
    assert outcome["architecture"] in out
    assert f"top-1 {top1:.1%}" in out
    assert re.search(rf"^ *1 +1 +random_search +{100 * top1:.1f}", out, re.MULTILINE)


def test_progress_is_plain_lines_on_standard_error_when_there_is_no_terminal(finished: Finished) -> None:
    err = finished.ended.err
    assert "\x1b" not in err
    assert re.search(r"^clips: 100%, 36 of 36 prepared$", err, re.MULTILINE)
    assert re.search(
        r"^search: \d+%, step \d+, 0\.\d\d of 0.4 rt, incumbent with [\d.]+ MMACs and [\d.]+% on", err, re.M
    )
    assert re.search(r"^final training: 100%, epoch 8 of 8$", err, re.MULTILINE)


def test_output_of_other_libraries_is_hidden(finished: Finished) -> None:
    known = ("clips: ", "search: ", "final training: ")
    assert [line for line in finished.ended.err.splitlines() if not line.startswith(known)] == []


def test_a_record_names_its_command_without_folders(finished: Finished) -> None:
    assert finished.record["provenance"]["command"][:3] == ["pvnas-bench", "run", "--strategy"]


def test_json_is_one_object_that_agrees_with_the_record(
    cli: Cli, tiny_dataset: Path, tmp_path: Path, finished: Finished
) -> None:
    ended = cli(*run_words(tiny_dataset, tmp_path), "--json")
    assert ended.code == OK
    printed = json.loads(ended.out)
    record = records.load(Path(printed["record"]))
    assert record.outcome is not None
    assert printed["status"] == "ok"
    assert printed["architecture"] == record.outcome.architecture
    assert printed["macs"] == record.outcome.macs
    assert printed["test_top1"] == record.outcome.trained[0].test_top1
    assert printed["search_reference_trainings"] == record.search.reference_trainings
    # The same request in another process: the same search, and the same network in the end.
    assert printed["architecture"] == finished.record["outcome"]["architecture"]
    assert printed["test_top1"] == finished.record["outcome"]["trained"][0]["test_top1"]


def test_settings_and_cap_reach_the_strategy(cli: Cli, tiny_dataset: Path, tmp_path: Path) -> None:
    words = run_words(tiny_dataset, tmp_path, "expert")
    ended = cli(*words, "--set", "network=c2d", "--cap", "6e7", "--seed", 3)
    assert ended.code == OK
    record = records.load(Path(ended.last_line))
    assert record.strategy.config["network"] == "c2d"
    assert record.strategy.entry == "expert[network=c2d]"
    assert (record.space.cap_macs, record.seed) == (60_000_000, 3)


def test_a_strategy_that_raises_leaves_a_failed_record(cli: Cli, tiny_dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(BROKEN)
    ended = cli(*run_words(tiny_dataset, tmp_path / "results", tmp_path / "broken.py"))
    assert ended.code == FAILED
    assert "failed: RuntimeError: lost its way (broken.py:" in ended.err
    record = records.load(Path(ended.last_line))
    assert (record.status, record.outcome) == ("failed", None)
    assert len(record.trajectory) == 2
    assert "Traceback" not in ended.err


def test_ctrl_c_in_a_search_keeps_the_incumbent(tiny_dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "patient.py").write_text(PATIENT)
    with process(*run_words(tiny_dataset, tmp_path / "results", tmp_path / "patient.py")) as child:
        out, err = child.communicate(timeout=120)
    assert child.returncode == INTERRUPTED, err
    record = records.load(Path(out.splitlines()[-1]))
    assert record.status == "interrupted"
    assert record.outcome is not None
    assert record.outcome.architecture == record.trajectory[-1].incumbent
    assert record.outcome.trained == ()
    assert len(record.trajectory) == 3, "the step ends first"
    assert "Traceback" not in err
    assert "repeat the command to resume from the checkpoint" in err


def test_ctrl_c_while_clips_are_made_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PVNAS_BENCH_CACHE", str(tmp_path / "cache"))
    with process("run", "--strategy", "random_search", "--results", tmp_path / "results") as child:
        assert child.stderr is not None
        assert child.stderr.readline().startswith("making clips: ")
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=120)
    assert child.returncode == INTERRUPTED, err
    assert out == ""
    assert err.splitlines()[-1] == "interrupted before the search began: no record was written"
    assert not (tmp_path / "results").exists()
    assert list((tmp_path / "cache").iterdir()) == []


SECRETIVE = """
from pydantic import Field

from pvnas_bench import Info, Strategy, StrategyConfig


class Secretive(Strategy):
    info = Info("secretive", "Tells what it is not to tell", "-", 2024, ("modular",), "-")

    class Config(StrategyConfig):
        storage: str = ""
        password: str = ""

    def setup(self):
        self.found = self.problem.sample()

    def step(self):
        raise RuntimeError(f"cannot connect to {self.config.storage} with password={self.config.password}")

    def incumbent(self):
        return self.found

    def diagnostics(self):
        return {"storage": self.config.storage, "token": self.config.password}
"""


@pytest.mark.parametrize("step", ["raise RuntimeError", "raise UsageError", "raise SearchFinished"])
def test_a_secret_is_written_nowhere(tiny_dataset: Path, tmp_path: Path, cli: Cli, step: str) -> None:
    mine, results = tmp_path / "mine.py", tmp_path / "results"
    mine.write_text(
        SECRETIVE.replace("raise RuntimeError", step).replace("import Info", "import SearchFinished, UsageError, Info")
    )
    secrets = ("--set", "storage=mysql://me:s3cret@host/db?token=s3cret", "--set", "password=two s3cret words")
    ended = cli(*run_words(tiny_dataset, results, mine), *secrets)
    page = cli("report", "--results", results, "--no-reference") if results.exists() else ended
    texts = [ended.out, ended.err, page.out, page.err]
    for path in results.rglob("*"):
        texts += [str(path.relative_to(results)), path.read_text("utf-8", "replace") if path.is_file() else ""]
    assert not any("s3cret" in text for text in texts)
    assert any("mysql://me:***@host/db" in text for text in texts)
