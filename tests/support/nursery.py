"""A script that starts runs in child processes and kills them on request.

It has imported everything, so that a run starts at once: a child is forked from it before torch has computed anything.
Each line of its input is a JSON object, ``{"request": {…}, "kill_after": seconds or null, "fault": {…} or null}``; each
line of its output says how the child ended: its exit code, negative for a signal, and the seconds that it had. Seconds
are of CPU time, so that a busy machine does not move the instant.
"""

import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import faults

from pvnas_bench import registry
from pvnas_bench.errors import UsageError
from pvnas_bench.runs.observer import Observer
from pvnas_bench.runs.request import Request
from pvnas_bench.runs.runner import run

OK, FAILED, REFUSED = 0, 1, 2


class Strict(Observer):
    """An observer that fails on warnings, as every strategy here can resume."""

    def warned(self, message: str) -> None:
        print(message, file=sys.stderr)
        if "cannot resume" in message:
            os._exit(FAILED)


def child(request: dict[str, Any], fault: dict[str, Any] | None) -> int:
    try:
        with faults.layer(**(fault or {})):
            record, _ = run(Request(**{**request, "results": Path(request["results"])}), Strict())
    except UsageError as error:
        print(error, file=sys.stderr)
        return REFUSED
    except BaseException:
        traceback.print_exc()
        return FAILED
    return OK if record.status == "ok" else FAILED


def watched(pid: int, kill_after: float | None) -> tuple[int, float]:
    """Exit code and CPU seconds of a child."""
    ended, status, usage = os.wait4(pid, 0 if kill_after is None else os.WNOHANG)
    while not ended:
        if kill_after is not None and cpu_seconds(pid) >= kill_after:
            os.kill(pid, signal.SIGKILL)
            kill_after = None
        time.sleep(0.002)
        ended, status, usage = os.wait4(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    for name in sys.argv[1:]:
        registry.get_strategy(name)
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        task = json.loads(line)
        pid = os.fork()
        if pid == 0:
            os._exit(child(task["request"], task["fault"]))
        print(json.dumps(watched(pid, task["kill_after"])), flush=True)


if __name__ == "__main__":
    main()
