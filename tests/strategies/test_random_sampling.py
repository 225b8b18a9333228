"""The random control: draws by seed and task, and at the reference's input."""

from pathlib import Path

import pytest
from driven import Driven

from pvnas_bench import Architecture, Problem, UsageError
from pvnas_bench.spaces.st_default import SPACE


def drawn(dataset: Path, seed: int, **settings: object) -> Architecture:
    return Driven("random_sampling", dataset, 1.0, seed, **settings).strategy.incumbent()


def test_the_draw_depends_on_the_seed_and_on_the_task(tiny_dataset: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for folder in list(tiny_dataset.iterdir())[:2]:  # the same clips without one class
        (other / folder.name).symlink_to(folder)
    first = [drawn(tiny_dataset, seed) for seed in range(3)]
    assert first == [drawn(tiny_dataset, seed) for seed in range(3)]
    assert len({*first, *(drawn(other, seed) for seed in range(3))}) == 6


def test_the_draw_needs_no_clips_so_that_a_table_is_enough(tiny_dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = drawn(tiny_dataset, 1)

    def refused(*_: object) -> None:
        raise AssertionError("the clips are elsewhere")

    monkeypatch.setattr(Problem, "labels_in", refused)
    assert drawn(tiny_dataset, 1) == expected


def test_at_the_reference_input_everything_else_is_random(tiny_dataset: Path) -> None:
    found = [SPACE.options(drawn(tiny_dataset, seed, input="reference")) for seed in range(12)]
    assert {(options["frames"], options["size"]) for options in found} == {("8", "32")}
    for decision in SPACE.decisions:
        if decision.name in ("depth.1", "depth.2", "operator.1.1", "expansion.1.1", "se.1.1"):
            assert len({options[decision.name] for options in found}) > 1


def test_a_space_without_an_input_has_no_control_at_the_reference_input(tiny_dataset: Path) -> None:
    with pytest.raises(UsageError, match="no decisions on the input"):
        Driven("random_sampling", tiny_dataset, 1.0, space="st_temporal_cell", input="reference")
