"""Caps are parsed once, and say what is under them."""

from dataclasses import dataclass

import pytest
from tiny_space import SPACE

from pvnas_bench import UsageError
from pvnas_bench.space import Caps


@dataclass(frozen=True)
class Cost:
    macs: int
    parameters: int
    latency_ms: float


@pytest.mark.parametrize(
    ("words", "caps", "name"),
    [
        (None, Caps(10**6, named="all"), "all"),
        ("all", Caps(10**6, named="all"), "all"),
        ("2.5e7", Caps(25_000_000), "25000000"),
        ("macs=5M", Caps(5_000_000), "5000000"),
        ("5M", Caps(5_000_000), "5000000"),
        ("latency=3ms", Caps(latency_ms=3.0), "latency=3ms"),
        ("latency=0.003s", Caps(latency_ms=3.0), "latency=3ms"),
        ("latency=250us", Caps(latency_ms=0.25), "latency=0.25ms"),
        ("params=30k", Caps(parameters=30_000), "params=30000"),
        ("latency=3ms,params=30k", Caps(None, 30_000, 3.0), "params=30000,latency=3ms"),
        ("params=1.5M,all", Caps(10**6, 1_500_000, named="all"), "all,params=1500000"),
        ("macs=7e6,params=2e4", Caps(7_000_000, 20_000), "macs=7000000,params=20000"),
        ("macs=all,latency=1s", Caps(10**6, None, 1000.0, "all"), "all,latency=1000ms"),
    ],
)
def test_caps_are_words_and_words_are_caps(words: str | None, caps: Caps, name: str) -> None:
    parsed = Caps.parse(SPACE, words)
    assert parsed == caps
    assert parsed.name == name
    assert Caps.parse(SPACE, name) == caps


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("huge", "unknown cap 'huge': give --cap all of tiny"),
        ("", "unknown cap ''"),
        ("watts=3", "a cap is of macs, params or latency, got 'watts=3'"),
        ("latency=3", "a cap of latency is a number with its unit, such as 3ms, got 'latency=3'"),
        ("latency=3k", "a number with its unit"),
        ("latency=0ms", "a cap of latency is from 1e-6 to 1e\\+09 ms, got 'latency=0ms'"),
        ("latency=-1ms", "a cap of latency is from"),
        ("params=many", "a cap of params is a number such as 30000 or 30k, got 'params=many'"),
        ("params=0", "a cap is a number of parameters from 1 to 1e\\+15, got 'params=0'"),
        ("0.5", "a cap is a number of MACs from 1 to 1e\\+18, got '0.5'"),
        ("nan", "a cap is a number of MACs from 1 to 1e\\+18, got 'nan'"),
        ("1e400", "a cap is a number of MACs from 1 to 1e\\+18, got '1e400'"),
        ("latency=nanms", "a cap of latency is from"),
        ("all,5M", "caps macs twice: keep one"),
        ("params=1k,params=2k", "caps params twice: keep one"),
    ],
)
def test_bad_words_are_refused_in_one_line(words: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason) as caught:
        Caps.parse(SPACE, words)
    assert "\n" not in str(caught.value)


def test_a_cost_is_allowed_if_no_cap_is_exceeded() -> None:
    caps = Caps(100, 10, 2.0)
    assert caps.allow(Cost(100, 10, 2.0))
    for cost in (Cost(101, 10, 2.0), Cost(100, 11, 2.0), Cost(100, 10, 2.1)):
        assert not caps.allow(cost)
        assert caps.exceeded(cost).count("above the cap") == 1
    assert Caps().allow(Cost(10**9, 10**9, 1e9))
    assert caps.excess(Cost(150, 5, 2.0)) == pytest.approx((0.5, -0.5, 0.0))
    assert caps.load(Cost(150, 5, 2.0)) == pytest.approx(1.5)
    assert caps.load(Cost(50, 5, 3.0), share=0.5) == pytest.approx(3.0)
    assert caps.exceeded(Cost(1500, 5, 3.0)) == (
        "1,500 MACs, above the cap of 100 MACs and 3 ms, above the cap of 2 ms"
    )


def test_the_other_caps_are_what_is_left_without_one() -> None:
    caps = Caps(100, 10, 2.0, "S")
    assert caps.without("macs") == Caps(None, 10, 2.0)
    assert caps.without("latency") == Caps(100, 10, None, "S")
    assert [limit.key for limit in caps.limits] == ["macs", "params", "latency"]
    assert (caps.only_macs, Caps(5).only_macs, Caps().only_macs) == (False, True, False)
