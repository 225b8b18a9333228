"""Tests of the machine's description."""

from pvnas_bench.system.machine import processor_of

FIRST = """processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: 17
model name\t: AMD EPYC
"""


def test_two_generations_of_one_name_differ() -> None:
    second = FIRST.replace("25", "26").replace("17", "2")
    assert processor_of(FIRST + "\n" + second) == "AMD EPYC (family 25, model 17)"
    assert processor_of(second) == "AMD EPYC (family 26, model 2)"


def test_a_processor_without_numbers_or_without_name() -> None:
    assert processor_of("model name\t: Made Up: 3\n") == "Made Up: 3"
    assert processor_of("Features\t: fp asimd\n") is None
