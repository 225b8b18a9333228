"""At the end of a run its network is placed among random ones, where a table of the same recipe exists."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import planted
import pytest

from pvnas_bench import records
from pvnas_bench.api.runs import execute
from pvnas_bench.boards import table_ranks
from pvnas_bench.cli import main
from pvnas_bench.protocol import get_protocol
from pvnas_bench.runs.clips import data_entry, open_clips
from pvnas_bench.runs.observer import Observer
from pvnas_bench.runs.placing import Placed, placed
from pvnas_bench.runs.request import Request
from pvnas_bench.runs.setup import Setup
from pvnas_bench.system.files import write_atomically
from pvnas_bench.table import Surrogate
from pvnas_bench.table.journal import Content
from pvnas_bench.table.store import Files, to_parquet

NETWORKS = 300


def written(content: Content, folder: Path) -> Path:
    assert content.about is not None
    write_atomically(Files(folder, content.about.stem).parquet, to_parquet(content))
    return folder


def of(content: Content, dataset: Path) -> Content:
    """The table with the description of a data set."""
    store = open_clips(str(dataset), get_protocol(planted.PROTOCOL), None, Observer())
    assert content.about is not None
    content.about = content.about.model_copy(update={"data": data_entry(store)})
    return content


@pytest.fixture(scope="module")
def tables(tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A planted table whose data are those of the tiny data set."""
    return written(of(planted.content(NETWORKS), tiny_dataset), tmp_path_factory.mktemp("tables"))


def request(tables: Path, dataset: Path, results: Path, **options: Any) -> Request:
    values = {"tables": tables, "threads": 1, "weights": False, **options}
    return Request("random_sampling", space=planted.SPACE, dataset=str(dataset), results=results, **values)


def test_a_run_that_trains_ends_with_the_place_of_its_network(
    tables: Path, tiny_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--space", planted.SPACE, "--dataset", str(tiny_dataset), "--tables", str(tables), "--threads", "1"]
    assert main(["run", "--strategy", "random_sampling", *words, "--results", str(tmp_path)]) == 0
    *_, sentence, path = capsys.readouterr().out.splitlines()
    record = records.load(Path(path))
    assert record.protocol.fingerprint == get_protocol("quick").fingerprint  # it trained
    told = placed(record, Setup(request(tables, tiny_dataset, tmp_path), Observer()))
    assert told is not None
    assert sentence == str(told)
    assert sentence.startswith(
        f"The network found is better than {told.better_than:.0%} of random networks under the cap"
    )
    assert f"by a model of the {NETWORKS} trained networks in the table st_default-{tiny_dataset.name}." in sentence


def test_the_place_is_that_of_the_planted_truth(tables: Path, tiny_dataset: Path, tmp_path: Path) -> None:
    setup = Setup(request(tables, tiny_dataset, tmp_path, tabular=True), Observer())
    space, truth = setup.space, planted.truth(setup.space)
    rng = np.random.default_rng(4)
    others = [one for _ in range(4000) if setup.costs(one := space.sample(rng)).macs <= space.caps["L"]]
    true = np.array([truth(one) for one in others])
    for seed in range(8):
        result = execute(replace(setup.request, seed=seed))
        assert result.placed is not None and result.record.outcome is not None
        share = float((true < truth(space.parse(result.record.outcome.architecture))).mean())
        assert result.placed.better_than == pytest.approx(share, abs=0.25)
        assert result.placed.low - 0.1 <= share <= result.placed.high + 0.1
        assert result.summary["placed"] == asdict(result.placed)
        assert str(result).endswith(f"{result.placed}\n")


def test_nothing_is_said_where_no_table_fits(tables: Path, tiny_dataset: Path, tmp_path: Path) -> None:
    asked = request(tables, tiny_dataset, tmp_path)
    result = execute(asked)
    record, setup = result.record, Setup(asked, Observer())
    assert isinstance(placed(record, setup), Placed)
    data = record.data.model_copy(update={"fingerprint": "f" * 64})
    assert placed(record.model_copy(update={"data": data}), setup) is None
    settings = {**record.protocol.settings, "epochs": 9}
    protocol = record.protocol.model_copy(update={"settings": settings})
    assert placed(record.model_copy(update={"protocol": protocol}), setup) is None
    assert placed(record.model_copy(update={"outcome": None}), setup) is None
    small = written(of(planted.content(10), tiny_dataset), tmp_path / "small")
    for elsewhere in (small, tmp_path / "nowhere"):
        assert placed(record, Setup(replace(asked, tables=elsewhere), Observer())) is None
        again = execute(replace(asked, tables=elsewhere, results=tmp_path / elsewhere.name / "runs"))
        assert again.placed is None and again.summary["placed"] is None
        assert "random networks" not in str(again)


@pytest.mark.long
def test_scores_of_a_search_are_compared_with_the_model(tables: Path, tiny_dataset: Path, tmp_path: Path) -> None:
    asked = request(tables, tiny_dataset, tmp_path, tabular=True, cap="1e9", settings={"samples": "4"})
    asked = replace(asked, strategy="synflow")
    record, surrogate = execute(asked).record, Setup(asked, Observer()).table
    assert isinstance(surrogate, Surrogate)
    truths = [truth for _, truth in record.diagnostics["rank_pairs"]]
    assert truths == [surrogate.top1(name) for name in surrogate.ranked(record.seed)]
    rows = {row.name: row for row in table_ranks.rank([record], surrogate)}
    assert rows[record.strategy.entry].kind == "search"
    assert rows["MACs only"].kind == "known"
