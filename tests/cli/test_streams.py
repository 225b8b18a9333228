"""Standard streams that are closed, full, in another encoding or unread never lose a result."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from record_factory import content

from pvnas_bench import records
from pvnas_bench.cli import OK, USAGE
from pvnas_bench.system.streams import Lasting

NAMES = ("Zürich", "動画", "a\u0301", "naïve – “x”", "\u202eevil", "😀")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    for number, name in enumerate(NAMES):
        (folder / str(number)).mkdir()
        (folder / str(number) / "record.json").write_text(json.dumps(content(name)), encoding="utf-8")
    return folder


def shell(command: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run a shell command in which $P is the program."""
    program = f'"{sys.executable}" -P -m pvnas_bench'
    return subprocess.run(
        ["bash", "-c", command.replace("$P", program)],
        capture_output=True,
        env={**os.environ, **environment},
        check=False,
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is full")
@pytest.mark.parametrize(
    ("redirected", "code"),
    [
        (">/dev/full", USAGE),
        ("2>/dev/full", OK),
        *(pytest.param(words, OK, marks=pytest.mark.long) for words in ("2>&-", ">&-", ">&- 2>&-", "<&- >&- 2>&-")),
    ],
)
def test_a_run_whose_streams_fail_leaves_its_record(
    tiny_dataset: Path, tmp_path: Path, redirected: str, code: int
) -> None:
    words = f"run --strategy random_sampling --budget 0.2 --threads 1 --no-reference --dataset '{tiny_dataset}'"
    ended = shell(f"$P {words} --results '{tmp_path}' {redirected}")
    assert ended.returncode == code, ended.stderr.decode()
    (found,), unreadable = records.load_folder(tmp_path)
    assert found.status == "ok" and not unreadable
    assert b"Traceback" not in ended.stderr and b"Exception ignored" not in ended.stderr
    if code == USAGE:
        assert b"error: standard output cannot be written (No space left on device)" in ended.stderr


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp1252", "utf-16", "ascii:strict"])
@pytest.mark.parametrize("command", ["leaderboard", "leaderboard --format markdown", "leaderboard --format json"])
def test_characters_missing_from_an_encoding_are_replaced(results: Path, encoding: str, command: str) -> None:
    ended = shell(f"$P {command} --no-reference --results '{results}'", PYTHONIOENCODING=encoding)
    assert (ended.returncode, ended.stderr) == (OK, b"")
    assert "rich" in ended.stdout.decode(encoding.partition(":")[0])


def test_a_name_that_is_not_unicode_is_replaced_in_errors(tmp_path: Path) -> None:
    ended = shell(f"$P leaderboard --results '{tmp_path}'/$'no\\xffwhere'")
    assert ended.returncode == USAGE
    assert ended.stderr.startswith(b"error: no results folder ") and b"Traceback" not in ended.stderr
    ended.stderr.decode("utf-8")


def test_a_reader_that_closes_the_pipe_is_no_error(results: Path) -> None:
    for _ in range(3):
        ended = shell(f"set -o pipefail; $P leaderboard --no-reference --format json --results '{results}' | head -1")
        assert (ended.returncode, ended.stderr) == (OK, b"")
        assert ended.stdout == b"[\n"


class Failing(io.StringIO):
    """A stream that fails from its second write on."""

    def write(self, text: str) -> int:
        if self.getvalue():
            raise OSError(28, "No space left on device")
        return super().write(text)


@given(st.lists(st.text(min_size=1), min_size=1))
def test_a_stream_that_failed_is_silent(texts: list[str]) -> None:
    stream = Failing()
    lasting = Lasting(stream)
    for text in texts:
        assert lasting.write(text) == len(text)
        lasting.flush()
    assert stream.getvalue() == texts[0]
    assert (lasting.failed is None) == (len(texts) == 1)


@given(st.text(st.characters()), st.sampled_from(["ascii", "latin-1", "utf-8", "utf-16", "shift-jis"]))
def test_any_text_can_be_written_in_any_encoding(text: str, encoding: str) -> None:
    content = io.BytesIO()
    lasting = Lasting(io.TextIOWrapper(content, encoding=encoding, newline=""))
    lasting.write(text)
    lasting.flush()
    assert lasting.failed is None
    shown = content.getvalue().decode(encoding)
    assert len(shown) == len(text)


def test_a_closed_stream_is_silent() -> None:
    stream = io.StringIO()
    stream.close()
    lasting = Lasting(stream)
    lasting.write("x")
    lasting.flush()
    assert lasting.failed is not None and not lasting.isatty()
