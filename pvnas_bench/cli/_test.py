"""The command `test`."""

from pvnas_bench import conformance
from pvnas_bench.cli import FAILED, OK


def test(strategy: str) -> int:
    """Run the conformance suite and print a line for each check when it is done.

    Raises:
        UsageError: the strategy does not exist.
    """
    code = OK
    for result in conformance.check(strategy):
        reason = f": {result.reason}" if result.reason else ""
        print(f"{'ok' if result.passed else 'FAIL':<4}  {conformance.CHECKS[result.check]}{reason}", flush=True)
        code = code if result.passed else FAILED
    return code
