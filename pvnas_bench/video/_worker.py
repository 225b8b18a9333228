"""Child process of `_pool`: reads jobs as JSON lines and answers each with a JSON line followed by raw bytes.

Run as `python -m pvnas_bench.video._worker`. It ends when its input ends, so it never outlives its parent.
"""

import hashlib
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pvnas_bench.video._decode import read_clip
from pvnas_bench.video._spec import CacheSpec, ClipError, Part

_Reply = tuple[dict[str, Any], bytes | memoryview]


def _decode(arguments: Mapping[str, Any]) -> _Reply:
    """Decode a clip; return its frames as raw bytes, their number, and the seconds taken."""
    start = time.perf_counter()
    spec = CacheSpec(arguments["size"], arguments["max_frames"], arguments["fit"])
    part = Part(**arguments.get("part", {}))
    try:
        frames = read_clip(Path(arguments["path"]), spec, arguments["decoder"], part)
    except ClipError as error:
        return {"error": str(error)}, b""
    return {"frames": len(frames), "seconds": time.perf_counter() - start}, frames.data.cast("B")


def _measure(arguments: Mapping[str, Any]) -> _Reply:
    """Decode a clip; return its number of frames and a hash of their pixels."""
    meta, payload = _decode(arguments)
    return {**meta, "digest": hashlib.blake2b(payload, digest_size=16).hexdigest()}, b""


def _unroll(arguments: Mapping[str, Any]) -> _Reply:
    """Every frame of a part of a file's windows, written to a file, and where the windows lie in it."""
    from pvnas_bench.video._windows import unroll

    spec = CacheSpec(arguments["size"], arguments["max_frames"], arguments["fit"])
    try:
        reply = unroll(
            Path(arguments["path"]),
            spec,
            Path(arguments["output"]),
            window=arguments["window"],
            stride=arguments["stride"],
            first=arguments["first"],
            limit=arguments["limit"],
        )
    except ClipError as error:
        return {"error": str(error)}, b""
    return reply, b""


def _synthesise(arguments: Mapping[str, Any]) -> _Reply:
    """Write both clips of a scene of an embedded data set."""
    from pvnas_bench.video import _synthetic

    _synthetic.write_pair(Path(arguments["folder"]), **arguments["clip"])
    return {}, b""


TASKS: Mapping[str, Callable[[Mapping[str, Any]], _Reply]] = {
    "decode": _decode,
    "measure": _measure,
    "synthesise": _synthesise,
    "unroll": _unroll,
}


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends this process
    # Replies use a private copy of standard output, so that output of libraries cannot mix with them.
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    replies.write(b"ready\n")
    replies.flush()
    for line in sys.stdin.buffer:
        arguments = json.loads(line)
        payload: bytes | memoryview = b""
        try:
            meta, payload = TASKS[arguments["task"]](arguments)
        except Exception:
            meta = {"bug": traceback.format_exc()}
        replies.write(json.dumps({**meta, "bytes": len(payload)}).encode() + b"\n")
        replies.write(payload)
        replies.flush()


if __name__ == "__main__":
    main()
