"""A process that starts runs as processes of their own, and kills them when told to; a script.

It has imported everything, so that a run starts at once: a child is forked from it before torch has computed anything.
Each line of its input is a JSON object, ``{"request": {…}, "kill_after": seconds or null, "fault": {…} or null}``; each
line of its output says how the child ended: its exit code, negative for a signal, and the seconds that it lived.
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
from pvnas_bench.runner import Observer, Request, run

OK, FAILED, REFUSED = 0, 1, 2


class Strict(Observer):
    """Every strategy here can go on."""

    def warned(self, message: str) -> None:
        print(message, file=sys.stderr)
        if "cannot go on" in message:
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


def main() -> None:
    for name in sys.argv[1:]:
        registry.get_strategy(name)
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        task = json.loads(line)
        begun, pid = time.monotonic(), os.fork()
        if pid == 0:
            os._exit(child(task["request"], task["fault"]))
        if task["kill_after"] is not None:
            time.sleep(task["kill_after"])
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        print(json.dumps([os.waitstatus_to_exitcode(status), time.monotonic() - begun]), flush=True)


if __name__ == "__main__":
    main()
