"""Hostile inputs: values to put into data, and whole files."""

import io
import json
import pickle
import zipfile
from typing import Any

DEEP = 50_000


class Bomb:
    """An object whose unpickling would run code."""

    def __reduce__(self) -> tuple[Any, tuple[str, str]]:
        return (open, ("pickle_was_executed", "w"))


VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    2**63,
    10**300,
    -(10**30),
    1e308,
    float("nan"),
    float("-inf"),
    "",
    " ",
    "../../../../tmp/escaped",
    "/etc/passwd",
    "..",
    "a/../../b",
    "C:\\Windows\\x",
    "\0",
    "\x1b]0;owned\x07\x1b[2J",
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(1)>",
    "{{7*7}} ${7*7} %s %n {0.__class__}",
    "=cmd|' /C calc'!A0",
    "\u202eevil\u2066",
    "\ud800",
    "a" * 100_000,
    "[bold red]markup[/]",
    "| pipe | `code` | \n\n# heading",
    [],
    {},
    [[[[[[]]]]]],
    [1, "two", None],
    {"__class__": "Record", "py/object": "os.system"},
    {"$ref": "file:///etc/passwd"},
)
"""Replacements for any value of a record, a table or a grid."""


def zip_slip() -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("../../escaped", "out")
    return held.getvalue()


FILES: dict[str, bytes] = {
    "empty": b"",
    "nothing": b"null",
    "pickle": pickle.dumps(Bomb()),
    "zip slip": zip_slip(),
    "deep list": b"[" * DEEP + b"]" * DEEP,
    "deep object": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "long number": b"1" * 10_000,
    "long number in an object": b'{"schema_version": ' + b"9" * 10_000 + b"}",
    "a newer schema": b'{"schema_version": 99}',
    "no version": b'{"schema_version": "1"}',
    "UTF-16": '{"schema_version": 1}'.encode("utf-16"),
    "Latin": b'{"schema_version": 1, "id": "\xe9"}',
    "surrogate": b'{"schema_version": 1, "id": "\\ud800"}',
    "BOM": b"\xef\xbb\xbf{}",
    "zeros": bytes(4096),
    "YAML bomb": b"a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\n!!python/object/apply:os.system ['true']\n",
    "TOML of a grid of everything": b'strategies = ["a"]\nseeds = 99999999999999999999\n',
    "keys twice": b'{"id": "a", "id": "b", "schema_version": 1}',
    "HTML": b"<html><script>alert(1)</script>",
    "ELF": b"\x7fELF" + bytes(60),
    "safetensors that lies about its header": (2**62).to_bytes(8, "little") + b"{}",
    "safetensors past its end": (lambda head: len(head).to_bytes(8, "little") + head)(
        json.dumps({"t": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}).encode()
    ),
    "Parquet without an end": b"PAR1" + bytes(100),
    "Parquet with a long footer": b"PAR1" + bytes(100) + (2**31 - 1).to_bytes(4, "little") + b"PAR1",
}
