"""The command `test`: a line for each check, and an exit code for CI."""

from pathlib import Path

from pvnas_bench.cli import FAILED, OK, USAGE
from pvnas_bench.conformance import CHECKS

from .conftest import Cli

BROKEN = """
from pvnas_bench import Info, SearchFinished, Strategy


class Careless(Strategy):
    info = Info("careless", "Forgets the cap", "-", 2024, (), "-")

    def setup(self):
        space, rng = self.problem.space, self.problem.rng("sample")
        self.found = next(a for a in iter(lambda: space.sample(rng), None) if not self.problem.feasible(a))

    def step(self):
        raise SearchFinished

    def incumbent(self):
        return self.found
"""


def test_each_failure_is_a_line_with_its_reason(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "careless.py"
    path.write_text(BROKEN)
    ended = cli("test", path)
    assert ended.code == FAILED
    lines = ended.out.splitlines()
    assert [line[:4] for line in lines].count("FAIL") == 1
    (failed,) = (line for line in lines if line.startswith("FAIL"))
    assert failed.startswith("FAIL  stays under the cap: incumbent after setup has ")
    assert len(lines) == len(CHECKS) - 2  # it claims no level
    assert ended.err == ""


def test_a_strategy_that_conforms_passes(cli: Cli) -> None:
    ended = cli("test", "expert")
    assert ended.code == OK
    assert all(line.startswith("ok    ") for line in ended.out.splitlines())


def test_an_unknown_strategy_is_refused(cli: Cli) -> None:
    ended = cli("test", "exprt")
    assert ended.code == USAGE
    assert ended.errors == ["error: unknown strategy 'exprt': did you mean expert?"]
