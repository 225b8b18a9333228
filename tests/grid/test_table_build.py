"""A real build of the tiny space: its contents, and no lost or repeated trainings after kills."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

import pytest
from tables import SPACE, Built

from pvnas_bench import registry
from pvnas_bench.errors import UsageError
from pvnas_bench.grid.table_build import TableRecipe, Trainer, build, claim_path, merge, random_order
from pvnas_bench.network.cost import CostModel
from pvnas_bench.runs.request import Request
from pvnas_bench.runs.runner import run
from pvnas_bench.space import BlockSpace
from pvnas_bench.system.files import write_atomically
from pvnas_bench.system.leases import claimed
from pvnas_bench.table import find, journal
from pvnas_bench.table.store import Files, to_parquet
from pvnas_bench.training.train import training_macs


def test_every_architecture_is_trained_and_described(built: Built) -> None:
    space, table = registry.get_space(str(SPACE)), built.table
    assert space.size == len(table) == 6
    assert table.missing(space) == []
    trainer = Trainer(built.recipe)
    costs, clips = CostModel(space, 3), table.about.clips
    for string in table.architectures:
        training, cost = table.trainings(string)[0], costs(space.parse(string))
        assert (training.macs, training.parameters) == (cost.macs, cost.parameters)
        epochs = trainer.protocol.epochs
        expected = training_macs(cost.macs, clips["train"], epochs, trainer.protocol)
        expected += cost.macs * clips["val"] * len(trainer.protocol.test_views)
        assert training.training_macs == expected
        assert len(training.val_top1) == len(training.val_loss) == len(training.train_loss) == epochs
        assert training.seconds > 0 and training.latency_ms > 0
        assert training.train_loss[-1] < training.train_loss[0]


def test_a_sample_is_the_start_of_the_random_order_for_every_seed(built: Built) -> None:
    first = set(random_order(registry.get_space(str(SPACE)))[:2])
    assert {a for a in built.table.architectures if len(built.table.trainings(a)) == 2} == first
    assert built.table.seeds == (0, 1)


def test_architectures_that_searches_visited_are_trained_too_if_under_the_cap(built: Built, tmp_path: Path) -> None:
    space = registry.get_space(str(SPACE))
    costs = CostModel(space, 3)
    by_cost = sorted(map(space.parse, built.table.architectures), key=lambda one: costs(one).macs)
    recipe = replace(built.recipe, cap=str(costs(by_cost[-2]).macs))
    (first,) = random_order(space, 1, lambda one: one != by_cost[-1])
    visited = [str(by_cost[0]), str(by_cost[-1]), first, str(by_cost[0]), "8-16-3/of/another-space"]
    for _ in range(2):  # the second build has nothing to do
        *_, last = build(recipe, tmp_path, sample=1, more=visited)
    assert last.asked == 0
    assert set(find(space, recipe.dataset, tmp_path).architectures) == {first, str(by_cost[0])}


def test_the_random_order_names_each_network_once_and_is_not_the_enumeration() -> None:
    space = registry.get_space("st_micro")
    order, every = random_order(space), [str(a) for a in space.enumerate() if space.canonical(a) == a]
    assert sorted(order) == sorted(every) and order != every
    assert order == random_order(space)


def test_a_training_is_the_same_in_another_process(built: Built) -> None:
    told = built.table.trainings(built.table.architectures[0])[0]
    again = Trainer(built.recipe)(told.architecture, told.seed)
    ours = again._replace(seconds=told.seconds, latency_ms=told.latency_ms, session=told.session)
    assert ours == told


def test_a_complete_build_trains_nothing(built: Built) -> None:
    (progress,) = build(built.recipe, built.folder)
    assert (progress.done, progress.asked, progress.known) == (0, 0, 8)


def test_a_table_of_another_recipe_is_not_changed(built: Built) -> None:
    other = TableRecipe(built.recipe.space, built.recipe.dataset, "quick")
    before = (built.folder / f"{built.table.about.stem}.parquet").read_bytes()
    with pytest.raises(UsageError, match="another recipe"):
        list(build(other, built.folder))
    assert (built.folder / f"{built.table.about.stem}.parquet").read_bytes() == before


def test_builds_that_share_a_folder_divide_the_trainings_and_give_the_same_table(built: Built, tmp_path: Path) -> None:
    builds = [build(built.recipe, tmp_path) for _ in range(2)]
    by_build: list[list[tuple[str, int]]] = [[], []]
    for both in zip_longest(*builds):
        for trained, progress in zip(by_build, both, strict=True):
            if progress is not None and progress.last is not None:
                trained.append(progress.last.key)
    assert all(by_build)
    table = find(registry.get_space(str(SPACE)), built.recipe.dataset, tmp_path)
    expected = [t for a in built.table.architectures for t in built.table.trainings(a) if t.seed == 0]
    assert Counter(by_build[0] + by_build[1]) == Counter(training.key for training in expected)
    shared = [training for a in table.architectures for training in table.trainings(a)]
    assert {t.key: t.test_top1 for t in shared} == {t.key: t.test_top1 for t in expected}
    assert [path.name for path in tmp_path.iterdir()] == [f"{table.about.stem}.parquet"]


def test_a_training_that_another_build_works_on_is_left_to_it(built: Built, tmp_path: Path) -> None:
    files = Files(tmp_path, built.table.about.stem)
    first = random_order(registry.get_space(str(SPACE)))[0]
    with claimed(claim_path(files, first, 0)):
        *_, last = build(built.recipe, tmp_path, sample=1)
        assert (last.done, last.asked) == (0, 1)
    *_, last = build(built.recipe, tmp_path, sample=1)
    assert (last.done, last.asked) == (1, 1)


def test_tables_of_two_folders_merge_and_keep_the_first_of_two_equal_trainings(built: Built, tmp_path: Path) -> None:
    stem = built.table.about.stem
    content = Files(built.folder, stem).read()
    other = [training._replace(test_top1=0.125, seed=training.seed + 1) for training in content.trainings]
    (tmp_path / "other").mkdir()
    write_atomically(
        tmp_path / "other" / f"{stem}.parquet", to_parquet(journal.Content(content.about, content.sessions, other))
    )
    merged = merge([built.folder, tmp_path / "other"], stem, tmp_path / "merged").read()
    expected = {training.key: training.test_top1 for training in other}
    expected |= {training.key: training.test_top1 for training in content.trainings}
    assert {training.key: training.test_top1 for training in merged.trainings} == expected
    assert len(merged.sessions) == 2 * len(content.sessions)
    with pytest.raises(UsageError, match=f"no table {stem} in .*nothing: name folders that hold one"):
        merge([tmp_path / "nothing"], stem, tmp_path / "merged")


def test_a_final_training_equals_that_of_a_run_with_the_seed(built: Built, tmp_path: Path) -> None:
    recipe = TableRecipe(str(SPACE), built.recipe.dataset, "quick", final=True)
    request = Request(
        "random_sampling", space=recipe.space, dataset=recipe.dataset, seed=3, threads=1, results=tmp_path / "runs"
    )
    record, _ = run(request)
    assert record.outcome is not None
    (expected,) = record.outcome.trained
    training = Trainer(recipe)(record.outcome.architecture, 3)
    for name in ("test_top1", "test_top5", "test_mean_class", "test_loss"):
        assert getattr(training, name) == pytest.approx(getattr(expected, name), abs=0, rel=1e-12), name
    assert list(training.val_top1) == [row["val_top1"] for row in expected.curve]
    stored, *_ = build(recipe, tmp_path / "tables", sample=0)
    assert stored.path.name == f"{built.table.about.stem}-quick.parquet"


def test_networks_of_a_large_space_are_distinct_canonical_and_under_the_cap() -> None:
    space = registry.get_space("st_default")
    assert isinstance(space, BlockSpace)
    costs, cap = CostModel(space, 5), space.caps["L"]
    order = random_order(space, 40, lambda architecture: costs(architecture).macs <= cap)
    parsed = [space.parse(string) for string in order]
    assert len(set(order)) == 40
    assert all(space.canonical(one) == one and costs(one).macs <= cap for one in parsed)
    assert random_order(space, 10, lambda architecture: costs(architecture).macs <= cap) == order[:10]
    with pytest.raises(UsageError, match=r"st_default has .* architectures: give the number to train with --sample"):
        random_order(space)
    with pytest.raises(UsageError, match="too few architectures of st_default are under the cap"):
        random_order(space, 2, lambda architecture: False)


def started(dataset: Path, folder: Path) -> "subprocess.Popen[bytes]":
    words = ("--space", SPACE, "--dataset", dataset, "--tables", folder, "--workers", 2)
    command = [sys.executable, "-m", "pvnas_bench", "table", "build", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)


def children(process: int) -> set[int]:
    listed = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return set(map(int, listed))


@pytest.mark.long
def test_a_killed_build_resumes_without_lost_or_repeated_trainings(
    tiny_dataset: Path, tmp_path: Path, built: Built
) -> None:
    files = Files(tmp_path, built.table.about.stem)
    begun = started(tiny_dataset, tmp_path)
    deadline = time.monotonic() + 120
    while len(journal.read(files.journal()).trainings) < 2:
        assert begun.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    workers = children(begun.pid)
    os.kill(begun.pid, signal.SIGKILL)
    begun.wait()
    finished = journal.read(files.journal()).trainings
    assert 2 <= len(finished) < 6
    with files.journal().open("ab") as file:
        file.write(b'{"training":{"architecture":"8-')  # as if killed during a write
    while any(Path(f"/proc/{worker}/stat").exists() for worker in workers):  # children end with their parent
        assert time.monotonic() < deadline
        time.sleep(0.05)
    out, _ = started(tiny_dataset, tmp_path).communicate(timeout=120)
    assert Path(out.decode().splitlines()[-1]) == files.parquet
    table = find(registry.get_space(str(SPACE)), str(tiny_dataset), tmp_path)
    kept = [training for a in table.architectures for training in table.trainings(a)]
    assert Counter(training.key for training in kept) == {(a, 0): 1 for a in built.table.architectures}
    assert {t.key: t.test_top1 for t in kept} == {
        t.key: t.test_top1 for a in built.table.architectures for t in built.table.trainings(a) if t.seed == 0
    }
    assert [t.key for t in kept if t.session == 0] == sorted(t.key for t in finished)
    assert len(table.sessions) == 2
