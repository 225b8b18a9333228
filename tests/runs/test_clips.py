"""Data on which no run is possible is refused before anything starts; other data has every class in every split."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from pvnas_bench import video
from pvnas_bench.cli import OK, USAGE, main
from pvnas_bench.errors import UsageError
from pvnas_bench.runs.clips import search_splits
from pvnas_bench.runs.observer import Observer
from pvnas_bench.runs.request import Request
from pvnas_bench.runs.setup import Setup


def folder(root: Path, source: Path, counts: tuple[int, ...]) -> Path:
    """A class folder with a number of clips of each class."""
    clips = sorted(source.rglob("*.mp4"))
    for label, count in enumerate(counts):
        (root / f"class{label}").mkdir(parents=True)
        for number in range(count):
            shutil.copy(clips[12 * label + number], root / f"class{label}" / f"{number:02d}.mp4")
    return root


@pytest.mark.parametrize(
    "counts", [(2, 2), (3, 3), (3, 4), (4, 4), (5, 5), (2, 12), (12, 3), (1, 12), (4, 5, 6), (9, 9, 3), (12, 12, 1)]
)
def test_small_classes_are_refused_or_are_in_every_split(
    tiny_dataset: Path, tmp_path: Path, counts: tuple[int, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    root = folder(tmp_path / "small", tiny_dataset, counts)
    request = Request("random_search", dataset=str(root), budget=1.0, results=tmp_path / "results", threads=1)
    prepare = ["data", "prepare", "--dataset", str(root)]
    fewest = min(counts)
    if fewest > 1:
        dataset = video.open_dataset(str(root))
        fewest = int(np.bincount(dataset.labels[dataset.splits == "train"]).min())
    if fewest < 2:
        with pytest.raises(UsageError, match=r"^class 'class\d' of .*; add clips|only one clip") as error:
            Setup(request, Observer())
        assert main(prepare) == USAGE
        assert f"error: {error.value}\n" in capsys.readouterr().err
        assert not (tmp_path / "results").exists()
        return
    setup = Setup(request, Observer())
    assert main(prepare) == OK
    parts = [setup.store.indices("train"), setup.store.indices("test")]
    parts += search_splits(setup.store, setup.protocol).values()
    for part in parts:
        assert set(setup.store.labels[part].tolist()) == set(range(len(counts)))
