"""Incumbents of all runs of a task have accuracies on one scale, where a table tells them."""

import math
from dataclasses import replace
from pathlib import Path

import planted
import pytest

from pvnas_bench import registry
from pvnas_bench.api.runs import execute
from pvnas_bench.protocol import get_protocol
from pvnas_bench.records import Record
from pvnas_bench.runs.clips import data_entry, open_clips
from pvnas_bench.runs.observer import Observer
from pvnas_bench.runs.request import Request
from pvnas_bench.runs.surrogates import find_whole
from pvnas_bench.runs.truths import Truths
from pvnas_bench.system.files import write_atomically
from pvnas_bench.table.store import Files, to_parquet


@pytest.fixture(scope="module")
def tables(tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A planted table of st_default whose data are those of the tiny data set."""
    content, folder = planted.content(60), tmp_path_factory.mktemp("tables")
    store = open_clips(str(tiny_dataset), get_protocol(planted.PROTOCOL), None, Observer())
    assert content.about is not None
    content.about = content.about.model_copy(update={"data": data_entry(store)})
    write_atomically(Files(folder, content.about.stem).parquet, to_parquet(content))
    return folder


@pytest.fixture(scope="module")
def trained(tables: Path, tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Record:
    """The record of a search that trained, and knows nothing of the table."""
    results = tmp_path_factory.mktemp("runs")
    asked = Request("synflow", space=planted.SPACE, dataset=str(tiny_dataset), settings={"samples": "4"})
    return execute(replace(asked, results=results, budget=1.0, threads=1, weights=False)).record


def test_every_incumbent_has_the_accuracy_of_the_surrogate(trained: Record, tables: Path, tiny_dataset: Path) -> None:
    surrogate = find_whole(registry.get_space(planted.SPACE), str(tiny_dataset), tables)
    told = Truths(tables)(trained)
    assert told == [surrogate.top1(step.incumbent) for step in trained.trajectory]
    assert told and all(0 < value < 1 for value in told)


def test_other_spaces_data_and_recipes_are_not_told(trained: Record, tables: Path, tmp_path: Path) -> None:
    truths = Truths(tables)
    settings = {**trained.protocol.settings, "epochs": 9}
    for update in (
        {"data": trained.data.model_copy(update={"fingerprint": "f" * 64})},
        {"space": trained.space.model_copy(update={"fingerprint": f"{planted.SPACE}@1:0:L"})},
        {"protocol": trained.protocol.model_copy(update={"settings": settings})},
        {"space": trained.space.model_copy(update={"name": "nowhere"})},
    ):
        assert truths(trained.model_copy(update=update)) == []
    assert Truths(tmp_path)(trained) == []


def test_a_run_on_a_table_is_told_by_that_state_of_it_only(tables: Path, tiny_dataset: Path, tmp_path: Path) -> None:
    asked = Request("random_search", space=planted.SPACE, dataset=str(tiny_dataset), tables=tables, tabular=True)
    record = execute(replace(asked, results=tmp_path, threads=1, weights=False)).record
    told = Truths(tables)(record)
    assert record.outcome is not None and told[-1] == pytest.approx(record.outcome.trained[0].test_top1)
    other = record.protocol.model_copy(update={"fingerprint": record.protocol.fingerprint[:-1] + "x"})
    assert Truths(tables)(record.model_copy(update={"protocol": other})) == []


def test_what_the_table_lacks_is_a_gap(trained: Record, tables: Path) -> None:
    first, *rest = trained.trajectory
    known = Truths(tables)(trained)
    changed = trained.model_copy(update={"trajectory": (replace(first, incumbent="of an old space"), *rest)})
    gap, *others = Truths(tables)(changed)
    assert math.isnan(gap) and others == known[1:]
