"""Worker processes that can be killed.

Decoders are C code that reads untrusted files: they can crash, or hang while holding Python's global lock. So each
worker is a plain child process (`_worker`) that runs one job at a time; a job that takes too long costs only this
process. Unlike `multiprocessing`, this does not run the caller's main module again in each child.
"""

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, Any, Protocol

_START_SECONDS = 60.0
_POLL_SECONDS = 0.2


class Jobs(Protocol):
    """Jobs by index: a list of their arguments, or an object that creates them on access."""

    def __len__(self) -> int: ...
    def __getitem__(self, job: int, /) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class Answer:
    """Result of a job.

    Attributes:
        error: reason why the job failed (the result is then empty); None: it succeeded.
        lost: True if the job crashed its process or timed out.
    """

    job: int
    error: str | None = None
    lost: bool = False
    meta: Mapping[str, Any] = field(default_factory=dict)
    payload: bytearray = field(default_factory=bytearray)


def usable_cores() -> int:
    """Number of cores available to this process."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run(task: str, jobs: Jobs, *, workers: int, timeout: float) -> Generator[Answer, None, None]:
    """Run a task of `_worker.TASKS` on every job in parallel; yield the answers as they arrive.

    A job that fails, kills its process or exceeds the timeout gives an answer with an error. Leaving the iteration
    early, by an exception or Ctrl-C, kills the workers.

    Args:
        jobs: arguments of the task as JSON values; accessed one at a time.
        workers: number of processes, at least 1.
        timeout: time limit of a job in seconds.

    Raises:
        RuntimeError: a worker does not start, or a task raises an unexpected exception.
    """
    todo = iter(range(len(jobs)))
    answers: queue.Queue[Answer | BaseException] = queue.Queue(maxsize=2 * workers)
    stop = threading.Event()
    lock = threading.Lock()
    crew = [Worker() for _ in range(max(1, min(workers, len(jobs))))]

    def put(item: Answer | BaseException) -> None:
        while not stop.is_set():
            with suppress(queue.Full):
                answers.put(item, timeout=_POLL_SECONDS)
                return

    def serve(worker: Worker) -> None:
        try:
            while not stop.is_set():
                with lock:
                    job = next(todo, None)
                if job is None:
                    return
                put(worker.ask(task, job, jobs[job], timeout))
        except Exception as error:
            put(error)
        finally:
            worker.close()

    threads = [threading.Thread(target=serve, args=(worker,), daemon=True) for worker in crew]
    try:
        for thread in threads:
            thread.start()
        for _ in range(len(jobs)):
            answer = answers.get()
            if isinstance(answer, BaseException):
                raise answer
            yield answer
    finally:
        stop.set()
        for worker in crew:
            worker.kill()
        for thread in threads:
            thread.join()


class Worker:
    """One child process; it starts at the first job and again after it was lost."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._stderr: IO[bytes] | None = None
        self._closed = False

    def ask(self, task: str, job: int, arguments: Mapping[str, Any], timeout: float) -> Answer:
        process = self._process or self._start()
        expired = threading.Event()

        def expire() -> None:
            expired.set()
            process.kill()

        timer = threading.Timer(timeout, expire)
        timer.start()
        try:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(json.dumps({"task": task, **arguments}).encode() + b"\n")
            process.stdin.flush()
            line = process.stdout.readline()
            if line.endswith(b"\n"):  # otherwise the process ended before its answer was complete
                reply = json.loads(line)
                payload = bytearray(reply.pop("bytes", 0))
                if process.stdout.readinto(payload) == len(payload):  # type: ignore[attr-defined]
                    if "bug" in reply:
                        raise RuntimeError(f"task {task!r} failed on {dict(arguments)}:\n{reply['bug']}")
                    return Answer(job, reply.pop("error", None), meta=reply, payload=payload)
        except OSError:
            pass  # the pipe is broken: the process has ended, see below
        finally:
            timer.cancel()
        code = process.wait()
        self.close()
        if expired.is_set():
            return Answer(job, f"not done after {timeout:g} seconds", lost=True)
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return Answer(job, f"the decoder crashed ({how})", lost=True)

    def _start(self) -> subprocess.Popen[bytes]:
        # One thread per process, as the processes run in parallel.
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        process = self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "pvnas_bench.video._worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env={**os.environ, **threads, "PYTHONPATH": path},
        )
        if self._closed:
            process.kill()
        timer = threading.Timer(_START_SECONDS, process.kill)
        timer.start()
        try:
            assert process.stdout is not None
            if not process.stdout.readline() and not self._closed:
                self._stderr.seek(0)
                raise RuntimeError(f"a worker process did not start:\n{self._stderr.read().decode(errors='replace')}")
        finally:
            timer.cancel()
        return process

    def kill(self) -> None:
        """Kill the process; a running job is lost. Thread-safe."""
        self._closed = True
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        """End the process and close its pipes."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                with suppress(OSError):
                    if pipe is not None:
                        pipe.close()
        if self._stderr is not None:
            self._stderr.close()
        self._process = self._stderr = None
