import dataclasses
import gzip
import json
import math
import os
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from record_factory import content, record

from pvnas_bench import records
from pvnas_bench.errors import UsageError
from pvnas_bench.records import Record
from pvnas_bench.system import files

SAMPLES = Path(__file__).parent / "samples"


def put(folder: Path, made: dict[str, Any] | str, name: str = "record.json") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(made if isinstance(made, str) else json.dumps(made))
    return path


@pytest.mark.parametrize("path", sorted(SAMPLES.iterdir()), ids=lambda path: path.name)
def test_a_record_of_every_schema_version_loads(path: Path) -> None:
    loaded = records.load(path)
    assert loaded.schema_version == records.SCHEMA_VERSION
    assert loaded.strategy.entry == "alpha[cycles=6]"
    assert loaded.outcome is not None and [t.test_top1 for t in loaded.outcome.trained] == [0.625, 0.625]
    assert loaded.speed is not None and loaded.speed.seconds == {"full3": 0.02}


def test_every_schema_version_has_a_sample() -> None:
    kept = {json.loads(path.read_text())["schema_version"] for path in SAMPLES.iterdir()}
    assert kept == set(range(1, records.SCHEMA_VERSION + 1))


def test_a_saved_record_loads_as_itself(tmp_path: Path) -> None:
    original = record("beta<script>", 2, 0.75, retrainings=2)
    records.save(original, tmp_path / "run" / "record.json")
    assert records.load(tmp_path / "run" / "record.json") == original
    assert os.listdir(tmp_path / "run") == ["record.json"]


def test_a_step_and_a_layer_have_a_line_each(tmp_path: Path) -> None:
    saved = record("beta", steps=5)
    records.save(saved, tmp_path / "record.json")
    lines = (tmp_path / "record.json").read_text().splitlines()
    assert sum('"incumbent"' in line for line in lines) == 5
    assert saved.outcome is not None
    assert sum('"shape_in"' in line for line in lines) == len(saved.outcome.network)
    assert "     [8, 2, 2, 2]," in lines


def test_a_slim_record_lacks_only_the_large_fields(tmp_path: Path) -> None:
    whole = records.load(put(tmp_path, content("beta", 2, 0.75, retrainings=2)))
    (slim,), _ = records.load_folder(tmp_path, detail="scores")
    assert slim.trajectory == () and slim.diagnostics == {}
    assert slim.outcome is not None and whole.outcome is not None
    assert slim.outcome.network == () and {(t.confusion, t.curve) for t in slim.outcome.trained} == {((), ())}
    trained = [
        one.model_copy(update={"confusion": other.confusion, "curve": other.curve})
        for one, other in zip(slim.outcome.trained, whole.outcome.trained, strict=True)
    ]
    outcome = slim.outcome.model_copy(update={"network": whole.outcome.network, "trained": tuple(trained)})
    bulk = {"trajectory": whole.trajectory, "diagnostics": whole.diagnostics, "outcome": outcome}
    assert slim.model_copy(update=bulk) == whole


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([None, 0.5, 0.6, math.nan])), max_size=12))
def test_a_thin_record_has_the_same_curves(reports: list[tuple[str, float | None]]) -> None:
    steps = [
        records.Step(n + 1, float(n), 2.0 * n, incumbent, 7, {} if value is None else {"val_top1": value})
        for n, (incumbent, value) in enumerate(reports)
    ]
    whole = record().model_copy(update={"trajectory": tuple(steps)})
    thin = records.thin(whole).trajectory
    assert set(map(id, thin)) <= set(map(id, steps)) and thin[-1:] == tuple(steps[-1:])
    for n, (incumbent, value) in enumerate(reports):
        stands = [step for step in thin if step.cost <= n][-1]
        assert (stands.incumbent, repr(stands.metrics.get("val_top1"))) == (incumbent, repr(value))
    inner = thin[:-1]
    assert all((a.incumbent, a.metrics) != (b.incumbent, b.metrics) for a, b in pairwise(inner))


def test_files_of_many_records_share_equal_parts_and_lose_nothing(tmp_path: Path) -> None:
    made = [record("alpha", seed, steps=3) for seed in range(3)] + [record("beta", 0, steps=3)]
    (tmp_path / "records.jsonl").write_text("".join(one.model_dump_json() + "\n" for one in made))
    loaded, unreadable = records.load_folder(tmp_path)
    assert (loaded, unreadable) == (made, [])
    assert loaded[0].protocol is loaded[3].protocol and loaded[0].strategy is loaded[2].strategy
    assert loaded[2].strategy is not loaded[3].strategy


def test_packed_records_are_thin_sorted_and_equal_bytes_from_equal_records(tmp_path: Path) -> None:
    made = [record("alpha", seed, steps=9) for seed in (2, 0, 1)]
    idle = made[0].trajectory[0]
    slow = tuple(dataclasses.replace(idle, step=n + 1, cost=float(n), wall=float(n)) for n in range(9))
    made[0] = made[0].model_copy(update={"trajectory": slow})
    first, second = tmp_path / "one" / records.PACKED_NAME, tmp_path / "two" / records.PACKED_NAME
    records.pack(made, first)
    records.pack(reversed(made), second)
    assert first.read_bytes() == second.read_bytes()
    assert list(records.find(tmp_path)) == [first, second]
    loaded, unreadable = records.load_folder(first.parent)
    assert (loaded, unreadable) == ([made[1], made[2], records.thin(made[0])], [])
    assert [step.step for step in loaded[2].trajectory] == [1, 9]
    assert [one.trajectory for one in records.load_folder(first.parent, detail="scores")[0]] == [()] * 3


@pytest.mark.parametrize("name", [records.LINES_NAME, records.PACKED_NAME])
def test_a_line_too_large_to_be_a_record_ends_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A few compressed bytes can be gigabytes of one line."""
    line = record().model_dump_json().encode() + b"\n"
    monkeypatch.setattr(records, "MAX_BYTES", len(line))
    text = line + b"0" * 10 * len(line) + b"\n" + line
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    loaded, unreadable = records.load_folder(tmp_path)
    assert loaded == [record()]
    assert [re.sub(r"[\d.e-]+ MiB", "", one.reason) for one in unreadable] == ["line 2: larger than "]


@pytest.mark.parametrize("damage", ["cut", "text", "flipped", "empty"])
def test_a_damaged_packed_file_is_named(tmp_path: Path, damage: str) -> None:
    path = tmp_path / records.PACKED_NAME
    records.pack([record("alpha", seed) for seed in range(3)], path)
    whole = path.read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes(255 - byte for byte in whole[middle : middle + 8]) + whole[middle + 8 :]
    path.write_bytes({"cut": whole[:-20], "text": b"{}\n", "flipped": flipped, "empty": b""}[damage])
    unreadable = records.load_folder(tmp_path)[1]
    assert [one.path for one in unreadable] == ([] if damage == "empty" else [path])


def test_a_record_with_a_measurement_out_of_range_is_refused(tmp_path: Path) -> None:
    reasons = {}
    for value in (50.0, 1e308, -5):
        path = put(tmp_path, content(top1=value))
        (found, unreadable), slim = records.load_folder(tmp_path), records.load_folder(tmp_path, detail="scores")
        assert found == slim[0] == [] and unreadable == slim[1]
        reasons[value] = unreadable[0].reason
        assert unreadable[0].path == path
    assert "outcome.trained.0.test_top1 = 50.0: " in reasons[50.0] and "less than or equal to 1" in reasons[50.0]
    assert "outcome.trained.0.test_top1 = -5: " in reasons[-5]


def numbers(made: Any, *at: str | int) -> Iterator[tuple[str | int, ...]]:
    """Locations of a record's numbers that have a range: all except settings and free-form values."""
    if at and at[-1] in ("config", "settings", "hardware", "diagnostics", "metrics", "network", "schema_version"):
        return
    if isinstance(made, dict | list):
        for key, inner in made.items() if isinstance(made, dict) else enumerate(made):
            yield from numbers(inner, *at, key)
    elif isinstance(made, int | float) and not isinstance(made, bool) and at[-1] not in ("version",):
        yield at


SPEED = {"reference_seconds": 1.0, "seconds": {"full3": 0.02}}
PLACES = list(numbers(content(speed=SPEED)))


@pytest.mark.parametrize("place", PLACES, ids=lambda place: ".".join(map(str, place)))
@pytest.mark.parametrize("value", [-1, -0.25, 1e308, 10**300])
def test_every_number_has_a_range(place: tuple[Any, ...], value: float) -> None:
    made: Any = content(speed=SPEED)
    inner = made
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    with pytest.raises(ValidationError):
        Record.model_validate_json(json.dumps(made))


@given(st.floats(), st.sampled_from(["val_top1", "train_loss", "anything"]))
def test_logged_values_are_numbers_that_can_be_plotted(value: float, name: str) -> None:
    made = content()
    made["trajectory"][0]["metrics"] = {name: value}
    if name == "val_top1" and (-3.4e38 <= value < 0 or 1 < value <= 3.4e38):
        with pytest.raises(ValidationError, match=r"val_top1 = .* of step 0 is not a fraction"):
            Record.model_validate(made)
        return
    logged = Record.model_validate(made).trajectory[0].metrics[name]
    assert logged == value if abs(value) <= 3.4e38 else math.isnan(logged)


def test_non_finite_values_are_null_in_the_file_and_nan_in_memory(tmp_path: Path) -> None:
    diverged = record(top1=math.nan, diagnostics={"losses": [1.0, math.inf, {"last": -math.inf}]})
    records.save(diverged, tmp_path / "record.json")
    text = (tmp_path / "record.json").read_text()
    json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is not standard JSON"))
    loaded = records.load(tmp_path / "record.json")
    assert loaded.outcome is not None and math.isnan(loaded.outcome.trained[0].test_top1)
    assert loaded.diagnostics["losses"] == [1.0, None, {"last": None}]


def test_a_cost_that_is_not_finite_is_refused() -> None:
    made = content()
    made["search"]["wall_seconds"] = math.nan
    with pytest.raises(ValidationError):
        Record.model_validate(made)


def test_bad_files_are_named_and_left_out(tmp_path: Path) -> None:
    good = json.dumps(content())
    put(tmp_path / "good", good)
    put(tmp_path / "bad" / "cut", good[: len(good) // 2])
    put(tmp_path / "bad" / "empty", "")
    put(tmp_path / "bad" / "foreign", '{"name": "someone else\'s record.json", "version": 3}')
    put(tmp_path / "bad" / "list", "[1, 2]")
    put(tmp_path / "bad" / "newer", json.dumps(content() | {"schema_version": 99}))
    put(tmp_path / "bad" / "text", "seed: 3")
    put(tmp_path / "ignored", "not a record, and does not say so", name="notes.json")
    (tmp_path / "bad" / "bytes").mkdir()
    (tmp_path / "bad" / "bytes" / "record.json").write_bytes(b"\xff\xfe\x00")
    for detail in get_args(records.Detail):
        loaded, unreadable = records.load_folder(tmp_path, detail=detail)
        assert [r.strategy.entry for r in loaded] == ["alpha"]
        reasons = {entry.path.parent.name: entry.reason for entry in unreadable}
        assert sorted(reasons) == ["bytes", "cut", "empty", "foreign", "list", "newer", "text"]
        assert "truncated" in reasons["cut"]
        assert "not a record of schema 1" in reasons["foreign"]
        assert "schema 99, newer" in reasons["newer"]
        assert all("\n" not in reason for reason in reasons.values())


def test_a_file_too_large_to_be_a_record_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path, content())
    monkeypatch.setattr(records, "MAX_BYTES", 100)
    with pytest.raises(ValueError, match="larger than"):
        records.load(path)


def test_older_schemas_are_migrated_step_by_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = content()
    old["schema_version"] = -1
    old["run_seed"] = old.pop("seed")

    def rename(made: dict[str, Any]) -> dict[str, Any]:
        return {**{k: v for k, v in made.items() if k != "run_seed"}, "seed": made["run_seed"], "schema_version": 0}

    monkeypatch.setitem(records._MIGRATIONS, -1, rename)
    with pytest.raises(ValueError, match="cannot read"):
        records.load(put(tmp_path, old))
    monkeypatch.setitem(records._MIGRATIONS, 0, lambda made: made | {"schema_version": 1})
    assert records.load(put(tmp_path, old)) == Record.model_validate(content())


def test_folders_without_records_are_usage_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no results folder .*missing.*: run a search first"):
        records.require_records(tmp_path / "missing")
    with pytest.raises(UsageError, match=r"no records in .*: run a search first"):
        records.require_records(tmp_path)
    put(tmp_path, "{")
    with pytest.raises(UsageError, match=r"1 unreadable, the first .*record.json: not JSON, or truncated"):
        records.require_records(tmp_path)


def test_files_come_in_a_fixed_order(tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        put(tmp_path / name, "{}")
        put(tmp_path / name, "{}", name="x.record.json")
    assert [str(p.relative_to(tmp_path)) for p in records.find(tmp_path)] == [
        f"{folder}/{name}" for folder in "abc" for name in ("record.json", "x.record.json")
    ]


def test_a_failed_write_leaves_the_old_content_and_no_litter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "record.json"
    files.write_atomically(path, b"old")

    def refuse(handle: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="disk full"):
        files.write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["record.json"]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats()
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
    ),
    max_leaves=8,
)


@given(json_values, st.text(st.characters(exclude_categories=["Cs"])))
def test_any_diagnostics_and_names_survive(value: Any, name: str) -> None:
    original = record(name, diagnostics={"x": value})
    again = Record.model_validate_json(records._lines(json.loads(original.model_dump_json())))
    assert again.strategy == original.strategy

    def without_infinities(v: Any) -> Any:
        if isinstance(v, float) and not math.isfinite(v):
            return None
        if isinstance(v, dict):
            return {k: without_infinities(inner) for k, inner in v.items()}
        return [without_infinities(inner) for inner in v] if isinstance(v, list) else v

    assert again.diagnostics == {"x": without_infinities(value)}


@given(st.text())
def test_any_text_is_read_or_refused_with_a_reason(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.record.json"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(ValueError, match=r"not JSON|not a record"):
        records.load(path)


def test_a_record_older_than_null_searches_is_real() -> None:
    old = content()
    assert "null" not in old
    assert Record.model_validate(old).null is False
    for published in sorted(Path(__file__).parents[1].glob("results/reference/*-s0-*/record.json"))[:3]:
        assert "null" not in json.loads(published.read_text(encoding="utf-8")) and not records.load(published).null


@pytest.mark.parametrize("part", ["null", "entry", "protocol"])
def test_a_record_that_is_half_a_null_search_is_refused(part: str) -> None:
    half = content(null=True)
    assert Record.model_validate(half).null
    if part == "null":
        half["null"] = False
    elif part == "entry":
        half["strategy"]["entry"] = half["strategy"]["entry"].removesuffix(records.NULL)
    else:
        half["protocol"]["fingerprint"] = half["protocol"]["fingerprint"].removesuffix(records.NULL_PROTOCOL)
    with pytest.raises(ValueError, match="disagree about a null search"):
        Record.model_validate(half)
