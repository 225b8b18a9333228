"""Energy is the sum of counters that may wrap, and unknown where there is none."""

from pathlib import Path

import pytest

from pvnas_bench.system.energy import Meter


def zone(folder: Path, name: str, kind: str, microjoules: int, most: int = 1_000_000_000) -> Path:
    """A zone of RAPL, as the kernel shows it."""
    made = folder / name
    made.mkdir()
    (made / "name").write_text(f"{kind}\n")
    (made / "max_energy_range_uj").write_text(f"{most}\n")
    (made / "energy_uj").write_text(f"{microjoules}\n")
    return made / "energy_uj"


def test_packages_and_memory_count_and_their_parts_do_not(tmp_path: Path) -> None:
    counted = [
        zone(tmp_path, "intel-rapl:0", "package-0", 5_000_000),
        zone(tmp_path, "intel-rapl:1", "package-1", 0),
        zone(tmp_path, "intel-rapl:0:1", "dram", 7),
    ]
    others = [
        zone(tmp_path, "intel-rapl:0:0", "core", 0),
        zone(tmp_path, "intel-rapl:2", "psys", 0),
    ]
    (tmp_path / "intel-rapl").mkdir()  # the control type itself
    meter = Meter(tmp_path)
    assert meter.joules == 0.0
    for number, file in enumerate([*counted, *others]):
        file.write_text(f"{int(file.read_text()) + 10**6 * (number + 1)}")
    assert meter.joules == pytest.approx(1 + 2 + 3)
    assert meter.joules == pytest.approx(6)


def test_a_counter_that_wraps_goes_on(tmp_path: Path) -> None:
    file = zone(tmp_path, "intel-rapl:0", "package-0", 90_000_000, most=100_000_000)
    meter = Meter(tmp_path, before=1.5)
    file.write_text("20000000")
    assert meter.joules == pytest.approx(1.5 + 30)
    file.write_text("50000000")
    assert meter.joules == pytest.approx(1.5 + 60)


def test_without_counters_energy_is_unknown(tmp_path: Path) -> None:
    assert Meter(tmp_path / "none").joules is None
    assert Meter(tmp_path).joules is None
    zone(tmp_path, "intel-rapl:0", "package-0", 1).write_text("no number")
    assert Meter(tmp_path).joules is None


def test_a_counter_that_can_no_longer_be_read_keeps_what_it_counted(tmp_path: Path) -> None:
    file = zone(tmp_path, "intel-rapl:0", "package-0", 0)
    meter = Meter(tmp_path)
    file.write_text("2000000")
    assert meter.joules == pytest.approx(2)
    file.unlink()
    assert meter.joules == pytest.approx(2)
