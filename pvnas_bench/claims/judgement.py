"""From what was measured to verdicts."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pvnas_bench.boards.statistics import holm
from pvnas_bench.claims.definition import Claim, ClaimTest
from pvnas_bench.claims.results import Measured, Pair, Result
from pvnas_bench.claims.rule import Estimate, Verdict, estimate, together

State = Verdict | Literal["not run", "incomplete"]


@dataclass(frozen=True)
class JudgedTest:
    """A test with its differences.

    Attributes:
        differences: advantages of the entry, see `rule`, by pair.
        estimate: None where fewer than two pairs were measured.
    """

    test: ClaimTest
    measured: Measured
    differences: tuple[float, ...]
    estimate: Estimate | None


@dataclass(frozen=True)
class Judged:
    """A claim with its verdict.

    Attributes:
        result: what was measured; None: the claim was not run.
        state: the verdict, or why there is none.
        reason: more about the state, or nothing.
        p: largest p value of the tests; nan without a verdict.
        stands: True if the claim holds after Holm's correction for all claims that have a verdict.
    """

    claim: Claim
    result: Result | None
    tests: tuple[JudgedTest, ...]
    state: State
    reason: str = ""
    p: float = math.nan
    stands: bool = False

    @property
    def decided(self) -> bool:
        """True if the rule gave a verdict, be it that it is undecided."""
        return self.state in ("holds", "fails", "undecided")

    @property
    def power(self) -> float:
        """Least power of the tests."""
        return min((one.estimate.power for one in self.tests if one.estimate), default=math.nan)

    @property
    def seeds(self) -> int | None:
        """Seeds that a decision of all undecided tests takes; None: more than 10,000.

        More seeds do not decide a test whose verdict is withheld (`withheld`).
        """
        needed = [one.seeds for one in self._undecided if not one.reason]
        return None if None in needed else max(filter(None, needed), default=None)

    @property
    def withheld(self) -> bool:
        """True if the verdict of an undecided test is withheld for another reason than its interval."""
        return any(one.reason for one in self._undecided)

    @property
    def _undecided(self) -> list[Estimate]:
        return [one.estimate for one in self.tests if one.estimate and one.estimate.verdict == "undecided"]


def judged(claims: Mapping[str, Claim], results: Mapping[str, Result]) -> list[Judged]:
    """Judge all claims of a page together.

    Args:
        results: by name of the claim; those of another definition are not used.
    """
    found = [judge(claim, results.get(name)) for name, claim in claims.items()]
    decided = [one for one in found if one.decided]
    adjusted = dict(zip((one.claim.name for one in decided), holm([one.p for one in decided]), strict=True))
    return [_corrected(one, adjusted) for one in found]


def _corrected(one: Judged, adjusted: Mapping[str, float]) -> Judged:
    stands = one.state == "holds" and adjusted[one.claim.name] <= one.claim.rule.error / 2
    return Judged(one.claim, one.result, one.tests, one.state, one.reason, one.p, stands)


def judge(claim: Claim, result: Result | None) -> Judged:
    """Judge one claim."""
    if result is None or not result.of(claim) or not any(one.pairs for one in result.tests):
        return Judged(claim, None, (), "not run", f"needs {claim.needs}" if claim.needs else "")
    tests = tuple(_judged(claim, test, one) for test, one in zip(claim.tests, result.tests, strict=True))
    if len({board for one in result.entries for board in one.board}) > 1:
        return Judged(claim, result, tests, "incomplete", "its runs are of several boards, which do not compare")
    wanted = claim.setting.seeds
    if short := [one for one in tests if len(one.differences) < wanted]:
        why = "; ".join(short[0].measured.missing)
        return Judged(claim, result, tests, "incomplete", f"{len(short[0].differences)} of {wanted} pairs: {why}")
    estimates = [one.estimate for one in tests if one.estimate is not None]
    reasons = "; ".join(filter(None, (one.reason for one in estimates)))
    state = together([one.verdict for one in estimates])
    return Judged(claim, result, tests, state, reasons, max(one.p for one in estimates))


def _judged(claim: Claim, test: ClaimTest, measured: Measured) -> JudgedTest:
    differences = tuple(advantage(test, pair) for pair in measured.pairs)
    if len(differences) < 2:
        return JudgedTest(test, measured, differences, None)
    share = 1 / len(differences)
    found = estimate(
        differences,
        size(test),
        test.kind,
        error=claim.rule.error,
        power=claim.rule.power,
        tests=len(claim.tests),
        censored=(
            share * sum(pair.censored for pair in measured.pairs),
            share * sum(pair.against_censored for pair in measured.pairs),
        ),
    )
    return JudgedTest(test, measured, differences, found)


def advantage(test: ClaimTest, pair: Pair) -> float:
    """Advantage of the entry in a pair: a difference, or the logarithm of a ratio; more is better."""
    if test.metric.ratio:
        difference = math.log(pair.value) - (0.0 if pair.against is None else math.log(pair.against))
    else:
        difference = pair.value - (0.0 if pair.against is None else pair.against)
    return -difference if test.metric.lower else difference


def size(test: ClaimTest) -> float:
    """The effect size that counts, in the unit of `advantage`."""
    return math.log(test.least) if test.metric.ratio else test.least


def verdicts(found: Sequence[Judged]) -> dict[State, int]:
    """Number of claims in each state, in a fixed order."""
    states: tuple[State, ...] = ("holds", "fails", "undecided", "incomplete", "not run")
    return {state: n for state in states if (n := sum(one.state == state for one in found))}
