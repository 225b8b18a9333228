"""A real build of the tiny space: its contents, and no lost or repeated trainings after kills."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from tables import SPACE, Built

from pvnas_bench import registry
from pvnas_bench.errors import UsageError
from pvnas_bench.grid.table_build import TableRecipe, Trainer, build, random_order
from pvnas_bench.network.cost import CostModel
from pvnas_bench.table import find, journal
from pvnas_bench.table.store import Files
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


def test_the_random_order_is_a_permutation_and_not_the_enumeration() -> None:
    space = registry.get_space("st_micro")
    order, every = random_order(space), [str(a) for a in space.enumerate()]
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


def started(dataset: Path, folder: Path) -> "subprocess.Popen[bytes]":
    words = ("--space", SPACE, "--dataset", dataset, "--tables", folder, "--workers", 2)
    command = [sys.executable, "-m", "pvnas_bench", "table", "build", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)


def children(process: int) -> set[int]:
    listed = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return set(map(int, listed))


def test_a_killed_build_resumes_without_lost_or_repeated_trainings(
    tiny_dataset: Path, tmp_path: Path, built: Built
) -> None:
    files = Files(tmp_path, built.table.about.stem)
    begun = started(tiny_dataset, tmp_path)
    deadline = time.monotonic() + 120
    while len(journal.read(files.journal).trainings) < 2:
        assert begun.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    workers = children(begun.pid)
    os.kill(begun.pid, signal.SIGKILL)
    begun.wait()
    finished = journal.read(files.journal).trainings
    assert 2 <= len(finished) < 6
    with files.journal.open("ab") as file:
        file.write(b'{"training":{"architecture":"8-')  # as if killed during a write
    while any(Path(f"/proc/{worker}/stat").exists() for worker in workers):  # children end with their parent
        assert time.monotonic() < deadline
        time.sleep(0.05)
    out, _ = started(tiny_dataset, tmp_path).communicate(timeout=120)
    assert Path(out.decode().splitlines()[-1]) == files.parquet
    table = find("tiny", str(tiny_dataset), tmp_path)
    kept = [training for a in table.architectures for training in table.trainings(a)]
    assert Counter(training.key for training in kept) == {(a, 0): 1 for a in built.table.architectures}
    assert {t.key: t.test_top1 for t in kept} == {
        t.key: t.test_top1 for a in built.table.architectures for t in built.table.trainings(a) if t.seed == 0
    }
    assert [t.key for t in kept if t.session == 0] == sorted(t.key for t in finished)
    assert len(table.sessions) == 2
