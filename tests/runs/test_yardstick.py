from collections.abc import Callable

import pytest

from pvnas_bench.runs import yardstick


class Clock:
    """A clock that the workloads advance."""

    def __init__(self) -> None:
        self.now = 0.0
        self.log: list[str] = []

    def __call__(self) -> float:
        return self.now

    def work(self, name: str, *seconds: float) -> Callable[[], None]:
        left = list(seconds)

        def run() -> None:
            self.log.append(name)
            self.now += left.pop(0) if len(left) > 1 else left[0]

        return run


def test_the_fastest_pass_counts_without_the_first_of_each_turn() -> None:
    clock = Clock()
    found = yardstick.measure(
        {"a": clock.work("a", 0.1, 5.0, 3.0, 0.2, 4.0), "b": clock.work("b", 2.0)},
        reference=clock.work("r", 0.5, 1.5, 1.0, 0.5, 2.0),
        turns=2,
        passes=2,
        clock=clock,
    )
    assert "".join(clock.log) == "rrraaabbb" * 2
    assert found.reference_seconds == pytest.approx(1.0)
    assert found.seconds == pytest.approx({"a": 3.0, "b": 2.0})


def test_pieces_need_names() -> None:
    with pytest.raises(ValueError, match="needs a name"):
        yardstick.measure({"": lambda: None}, reference=lambda: None)
