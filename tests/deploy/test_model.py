"""Models in use: read again they score what they scored, and every way of asking them agrees."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from pvnas_bench import registry
from pvnas_bench.deploy.model import Model, load_model
from pvnas_bench.errors import UsageError
from pvnas_bench.protocol import get_protocol
from pvnas_bench.runs.request import Request
from pvnas_bench.runs.runner import run
from pvnas_bench.training.model_file import METADATA

from .conftest import OPERATORS, SPACES, Trained

LARGEST = "st_kinetics"
KINDS = [pytest.param(k, marks=pytest.mark.long) if k == LARGEST else k for k in (*OPERATORS, *SPACES)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_read_again_scores_what_its_training_tested(kind: str, trained: Trained, tiny_dataset: Path) -> None:
    fitted = trained(kind)
    model = load_model(fitted.path)
    result = model.evaluate(tiny_dataset)
    stated = json.loads(fitted.path.with_name("training.json").read_text())
    assert result.scores.top1 == stated["scores"]["test_top1"] == fitted.info.scores.test_top1
    assert result.scores.loss == fitted.info.scores.test_loss
    assert result.scores.mean_class == fitted.info.scores.test_mean_class
    assert result.scores.confusion.tolist() == stated["confusion"]
    predictions = model.predict([tiny_dataset / clip for clip in result.clips], workers=1)
    assert np.array_equal(np.stack([row.probabilities for row in predictions]), result.probabilities)


@pytest.mark.parametrize("space", ["st_default", "st_temporal_cell"])
def test_the_weights_beside_a_record_score_what_the_record_says(space: str, tiny_dataset: Path, tmp_path: Path) -> None:
    strategy = "random_search" if space == "st_default" else "expert"
    record, path = run(
        Request(strategy, space=space, dataset=str(tiny_dataset), budget=1.5, threads=1, results=tmp_path)
    )
    assert record.outcome is not None
    (trained,) = record.outcome.trained
    model = load_model(path.parent)
    result = model.evaluate(str(tiny_dataset))
    assert (result.scores.top1, result.scores.top5, result.scores.loss) == (
        trained.test_top1,
        trained.test_top5,
        trained.test_loss,
    )
    assert result.scores.confusion.tolist() == [list(row) for row in trained.confusion]
    info = model.info
    assert (info.architecture, info.macs, info.parameters) == (
        record.outcome.architecture,
        record.outcome.macs,
        record.outcome.parameters,
    )
    assert (info.training.record, info.training.entry, info.training.seed) == (record.id, record.strategy.entry, 0)
    assert (info.classes, info.protocol.fingerprint) == (record.data.classes, record.protocol.fingerprint)
    assert str(tmp_path) not in info.model_dump_json()


def test_windows_slide_to_the_end_of_a_file(trained: Trained, tiny_dataset: Path) -> None:
    """Clips of 8 frames, 15 a second."""
    clip = tiny_dataset / "left" / "00.mp4"
    for kind in ("f3", "st_temporal_cell"):
        model = load_model(trained(kind).path)
        rows = list(model.predict([clip], window=0.2, stride=0.2, workers=1))
        assert [(row.start, row.end) for row in rows] == [
            (0.0, pytest.approx(0.2, abs=1e-4)),
            (pytest.approx(0.2, abs=1e-4), pytest.approx(0.4, abs=1e-4)),
            (pytest.approx(1 / 3, abs=1e-4), pytest.approx(8 / 15, abs=1e-4)),
        ]
        (whole,) = model.predict([clip], workers=1)
        (long,) = model.predict([clip], window=60.0, workers=1)
        assert (whole.start, long.start) == (None, 0.0)
        assert np.array_equal(long.probabilities, whole.probabilities)
        (median,) = model.predict([clip], window="clip", workers=1)
        assert np.array_equal(median.probabilities, whole.probabilities)


def test_a_window_is_predicted_as_the_same_part_of_the_file_in_a_data_set(trained: Trained, tiny_dataset: Path) -> None:
    from pvnas_bench.video._decode import read_clip
    from pvnas_bench.video._spec import Part

    model = load_model(trained("st3").path)
    clip = tiny_dataset / "down" / "03.mp4"
    rows = list(model.predict([clip], window=0.2, stride=0.1, workers=1))
    for row, start in zip(rows, (0.0, 0.1, 0.2), strict=False):
        part = read_clip(clip, model.spec, "pyav", Part(start=start, end=start + 0.2))
        alone = model._predicted(iter([(row, part)]), [])
        assert np.allclose(next(alone).probabilities, row.probabilities, atol=1e-6)


def test_clips_that_cannot_be_read_are_named_and_the_others_predicted(
    trained: Trained, tiny_dataset: Path, tmp_path: Path
) -> None:
    good = (tiny_dataset / "left" / "00.mp4").read_bytes()
    (tmp_path / "a.mp4").write_bytes(good)
    (tmp_path / "b.mp4").write_bytes(good[: len(good) // 2])
    (tmp_path / "c.mp4").write_bytes(b"")
    (tmp_path / "d.mp4").write_bytes(good)
    (tmp_path / "notes.txt").write_text("no clip")
    for kind in ("s5", "st_temporal_cell"):
        predictions = load_model(trained(kind).path).predict([tmp_path], workers=2)
        assert [Path(row.clip).name for row in predictions] == ["a.mp4", "d.mp4"]
        assert [Path(one.clip).name for one in predictions.failed] == ["b.mp4", "c.mp4"]
        assert predictions.failed[1].reason == "zero bytes"


def test_a_single_path_is_predicted_like_a_list_of_it(trained: Trained, tiny_dataset: Path) -> None:
    model = load_model(trained("s3").path)
    clip = min(tiny_dataset.rglob("*.mp4"))
    expected = model.predict([clip], workers=1).as_csv(3)
    assert len(expected.splitlines()) == 1 + 3
    for path in (clip, str(clip)):
        assert model.predict(path, workers=1).as_csv(3) == expected


def test_more_clips_than_a_batch_keep_their_order(trained: Trained, tiny_dataset: Path) -> None:
    model = load_model(trained("tsm").path)
    clips = sorted(tiny_dataset.rglob("*.mp4"))
    many = model.predict([*clips, *clips, *clips], workers=2)
    assert [row.clip for row in many] == [str(clip) for clip in clips] * 3
    first, *others = np.stack([row.probabilities for row in many]).reshape(3, len(clips), -1)
    assert all(np.allclose(first, other, atol=1e-6) for other in others)


def changed(path: Path, target: Path, **metadata: Any) -> Path:
    """A model's file with other metadata."""
    with safe_open(path, "pt") as file:
        info = json.loads(file.metadata()[METADATA])
    save_file(load_file(path), target, {METADATA: json.dumps(info | metadata)})
    return target


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("absent", "no such model"),
        ("text", "no intact safetensors file"),
        ("cut", "no intact safetensors file"),
        ("bit", "not those that its metadata name"),
        ("foreign", "describe no model of pvnas-bench"),
        ("newer", "it is of format 2, this program reads format 1"),
        ("family", "describes no network of this version"),
        ("operator", "cannot be built"),
        ("wider", "do not fit the network of this version"),
        ("more classes", "do not fit the network of this version"),
        ("no classes", "metadata are not those of a model"),
        ("empty folder", "holds no model.safetensors"),
    ],
)
def test_what_is_no_model_is_refused_in_a_line(damage: str, words: str, trained: Trained, tmp_path: Path) -> None:
    path, bent = trained("f3").path, tmp_path / "bent.safetensors"
    content, network = bytearray(path.read_bytes()), trained("f3").info.network
    if damage == "text":
        bent.write_text("a model, honestly")
    elif damage == "cut":
        bent.write_bytes(content[: len(content) // 2])
    elif damage == "bit":
        content[-100] ^= 1
        bent.write_bytes(content)
    elif damage == "foreign":
        save_file({"weight": torch.zeros(3)}, bent)
    elif damage == "newer":
        changed(path, bent, format=2)
    elif damage == "family":
        changed(path, bent, family="transformer")
    elif damage == "operator":
        blocks = [block | {"operator": "attention"} for block in network["blocks"]]
        changed(path, bent, network=network | {"blocks": blocks})
    elif damage == "wider":
        changed(path, bent, network=network | {"head": 10**12})
    elif damage == "more classes":
        changed(path, bent, classes=["a", "b", "c", "d"])
    elif damage == "no classes":
        changed(path, bent, classes=[])
    elif damage == "empty folder":
        bent = tmp_path
    with pytest.raises(UsageError, match=words) as refused:
        load_model(bent)
    assert "\n" not in str(refused.value)


def test_classes_that_the_model_does_not_know_are_refused(trained: Trained, tiny_dataset: Path, tmp_path: Path) -> None:
    for old, new in (("left", "left"), ("right", "up")):
        (tmp_path / new).symlink_to(tiny_dataset / old)
    model = load_model(trained("s3").path)
    with pytest.raises(UsageError, match=r"class 'up' of data set .* is not one of the model's: it knows down, left"):
        model.evaluate(str(tmp_path))


def test_a_data_set_with_some_of_the_classes_is_scored_by_their_names(
    trained: Trained, tiny_dataset: Path, tmp_path: Path
) -> None:
    for name in ("left", "right"):
        (tmp_path / name).symlink_to(tiny_dataset / name)
    model = load_model(trained("s3").path)
    some, every = model.evaluate(str(tmp_path), split="all"), model.evaluate(str(tiny_dataset), split="all")
    assert some.classes == every.classes == ("down", "left", "right")
    assert some.scores.confusion[1:].tolist() == every.scores.confusion[1:].tolist()
    assert some.scores.confusion[0].tolist() == [0, 0, 0]
    table = {row["class"]: row for row in some.per_class()}
    assert table["down"]["recall"] is None
    assert table["left"]["clips"] == 12


def test_bad_windows_are_refused(trained: Trained, tiny_dataset: Path) -> None:
    model: Model = load_model(trained("s3").path)
    for words, options in (
        ("positive seconds", {"window": 0.0}),
        ("positive seconds", {"window": 1.0, "stride": -1.0}),
        ("positive seconds", {"window": float("nan")}),
        ("add --window", {"stride": 1.0}),
        ("give --window in seconds", {"window": "clip", "stride": 1.0}),
    ):
        with pytest.raises(UsageError, match=words):
            model.predict([tiny_dataset], **options)  # type: ignore[arg-type]


def test_preprocessing_says_what_the_protocol_does(trained: Trained) -> None:
    asked = trained("st_micro").info.preprocessing
    protocol = get_protocol("micro")
    assert (asked.stored_size, asked.stored_frames, asked.views) == (protocol.cache_size, protocol.cache_frames, (1, 3))
    assert asked.crop == protocol.test_views.side
    assert registry.get_space("st_micro").fingerprint == trained("st_micro").info.space.fingerprint
