"""Worker processes: complete answers, and no job affects another."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pvnas_bench.video import _pool

# A decord whose faults depend on the file's name. The libc call holds Python's lock, so no signal handler runs.
UNRULY = """
import ctypes, os, pathlib
class DECORDError(Exception): pass
class DECORDLimitReachedError(Exception): pass
def cpu(number): return number
class VideoReader:
    def __init__(self, path, ctx, num_threads):
        if "crash" in pathlib.Path(path).name: os.kill(os.getpid(), 11)
        if "hang" in pathlib.Path(path).name: ctypes.PyDLL(None).sleep(1000)
        if "many" in pathlib.Path(path).name: self.count = 10**9
        else: raise DECORDError("[12:00:00] /build/reader.cc:7: broken")
    def __len__(self): return self.count
"""


def job(path: Path) -> dict[str, object]:
    return {"path": str(path), "size": 16, "max_frames": 4, "fit": "squash", "decoder": "pyav"}


def test_every_job_is_answered_once(clip_file: Path) -> None:
    jobs = [job(clip_file if n % 3 else clip_file.with_name("gone")) for n in range(10)]
    answers = sorted(_pool.run("decode", jobs, workers=2, timeout=30), key=lambda answer: answer.job)
    assert [answer.job for answer in answers] == list(range(10))
    assert [answer.error for answer in answers] == [None if n % 3 else "no such file" for n in range(10)]
    assert {len(answer.payload) for answer in answers if answer.error is None} == {4 * 16 * 16 * 3}
    assert all(answer.meta["frames"] == 4 for answer in answers if answer.error is None)


def test_an_unforeseen_failure_is_raised_with_its_traceback(clip_file: Path) -> None:
    with pytest.raises(RuntimeError, match=r"(?s)failed on .*KeyError: 'size'"):
        list(_pool.run("decode", [{"path": str(clip_file)}], workers=1, timeout=30))


def test_a_worker_that_cannot_start_is_an_error(monkeypatch: pytest.MonkeyPatch, clip_file: Path) -> None:
    monkeypatch.setattr(sys, "path", ["/nonexistent"])
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(RuntimeError, match="did not start"):
        list(_pool.run("decode", [job(clip_file)], workers=1, timeout=30))


def test_the_time_limit_costs_one_job(tmp_path: Path, clip_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "decord.py").write_text(UNRULY)
    monkeypatch.syspath_prepend(tmp_path)
    shutil.copy(clip_file, hanging := tmp_path / "hang.mp4")
    jobs = [{**job(hanging), "decoder": "decord"}, job(clip_file), {**job(hanging), "decoder": "decord"}]
    answers = sorted(_pool.run("decode", jobs, workers=1, timeout=2), key=lambda answer: answer.job)
    assert [answer.error for answer in answers] == ["not done after 2 seconds", None, "not done after 2 seconds"]


def test_decoders_that_crash_or_hang(tmp_path: Path, clip_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "decord.py").write_text(UNRULY)
    monkeypatch.syspath_prepend(tmp_path)
    names = ["hang.mp4", "broken.mp4", "crash.mp4", "many.mp4", "missing.mp4", "broken2.mp4"]
    for name in names:
        if name != "missing.mp4":
            shutil.copy(clip_file, tmp_path / name)
    jobs = [{**job(tmp_path / name), "decoder": "decord"} for name in names]
    errors = {names[answer.job]: answer.error for answer in _pool.run("decode", jobs, workers=2, timeout=2)}
    assert errors == {
        "hang.mp4": "not done after 2 seconds",
        "broken.mp4": None,  # what decord refuses is read by PyAV
        "crash.mp4": "the decoder crashed (signal 11)",
        "many.mp4": None,
        "missing.mp4": "no such file",
        "broken2.mp4": None,
    }


def test_no_jobs() -> None:
    assert list(_pool.run("decode", [], workers=2, timeout=1)) == []


def test_the_callers_main_module_is_not_run_again(tmp_path: Path, clip_file: Path) -> None:
    script = tmp_path / "script.py"  # without the guard that multiprocessing would need
    script.write_text(
        "from pvnas_bench.video import _pool\n"
        f"print([a.error for a in _pool.run('decode', [{job(clip_file)!r}] * 2, workers=2, timeout=30)])\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[None, None]\n"


def test_listing_loads_neither_torch_nor_a_decoder(write: Callable[..., Path]) -> None:
    code = (
        "import sys; from pvnas_bench import video; video.list_datasets(); "
        "print(sorted({'torch', 'av', 'decord', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"
