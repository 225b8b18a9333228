"""The command line: `pvnas-bench`, or `python -m pvnas_bench`.

`_app` declares the commands and their options. Each command is implemented in a separate module, imported when the
command runs, so that `--help` and the commands that only read records start without torch. Progress and errors go to
standard error, results to standard output.

Exit codes: 0 success; 1 the run failed (see its record), `check` found a regression, `test` found a breach of the
contract, `verify` found a disagreement, or `predict` cannot read some clips; 2 a request that cannot be met, or
standard output cannot be written; 130 interrupted. A closed or full standard error, or a closed pipe, loses output but
does not change the exit code.
"""

import sys
from collections.abc import Sequence
from typing import cast

from pvnas_bench.errors import UsageError
from pvnas_bench.system.masking import masked
from pvnas_bench.system.streams import lasting

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
LONGEST = 2000
"""Largest length of an error message in characters; the middle of a longer one is cut out."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        argv: the arguments; None: `sys.argv`.
    """
    with lasting() as (out, _):
        code = _main(argv)
        out.flush()
        if out.failed is not None and not isinstance(out.failed, BrokenPipeError):
            reason = out.failed.strerror or out.failed
            return max(code, _refuse(f"standard output cannot be written ({reason}): the command itself has finished"))
    return code


def _main(argv: Sequence[str] | None) -> int:
    import typer

    from pvnas_bench.cli._app import app

    # The base class of typer's errors about options and arguments; not every version has a public name for it.
    wrong_usage = cast(type[typer.BadParameter], typer.BadParameter.__mro__[1])
    command = typer.main.get_command(app)
    try:
        code = command.main(args=None if argv is None else list(argv), prog_name="pvnas-bench", standalone_mode=False)
    except UsageError as error:
        return _refuse(str(error))
    except wrong_usage as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # a group without a command: its message is the help
            print(error.format_message(), file=sys.stderr)
            return USAGE
        return _refuse(error.format_message())
    except OSError as error:
        what = f"{error.filename}: " if error.filename else ""
        return _refuse(f"{what}{error.strerror or error}: fix this, then run the command again")
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    return int(code or OK)


def _refuse(reason: str) -> int:
    line = "".join(c if c.isprintable() else "�" for c in " ".join(masked(reason).split()))
    if len(line) > LONGEST:
        line = f"{line[: LONGEST // 2]} … {line[-LONGEST // 2 :]}"
    print(f"error: {line}", file=sys.stderr)
    return USAGE
