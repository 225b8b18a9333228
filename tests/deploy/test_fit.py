"""Trainings of one architecture: resumed to the same bytes, begun with other weights, named in many ways."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from operator_space import SPACE

from pvnas_bench.deploy.architectures import named
from pvnas_bench.deploy.fit import Fit, FitRequest
from pvnas_bench.deploy.model import load_model
from pvnas_bench.errors import UsageError
from pvnas_bench.runs.observer import Observer
from pvnas_bench.runs.request import Request
from pvnas_bench.runs.runner import run
from pvnas_bench.training.model_file import load

from .conftest import OPERATOR_FILE, Trained

ARCHITECTURE = str(SPACE.experts["f3"])


def request(dataset: Path, output: Path, **more: object) -> FitRequest:
    given = FitRequest(
        ARCHITECTURE,
        space=OPERATOR_FILE,
        dataset=str(dataset),
        epochs=3,
        output=output,
        threads=1,
        checkpoint_seconds=0.0,
    )
    return replace(given, **more)  # type: ignore[arg-type]


class Stopping(Observer):
    """Ends the process's work after an epoch: by Ctrl-C, or by an error as sudden as a crash."""

    def __init__(self, how: str) -> None:
        self.how, self.resumed = how, 0

    def training(self, architecture: str, retraining: int, retrainings: int, epoch: int, epochs: int) -> None:
        if epoch == 2 and self.how == "Ctrl-C":
            os.kill(os.getpid(), signal.SIGINT)
        if epoch == 3 and self.how == "crash":
            raise RuntimeError("gone")

    def resuming(self, step: int) -> None:
        self.resumed = step


@pytest.mark.parametrize(("how", "recipe"), [("Ctrl-C", ""), ("crash", "average = 0.9")])
def test_a_training_goes_on_where_it_was_stopped_to_the_same_bytes(
    how: str, recipe: str, tiny_dataset: Path, tmp_path: Path
) -> None:
    protocol = tmp_path / "mine.toml"
    protocol.write_text(f'base = "quick"\n{recipe}\n')
    whole = Fit(request(tiny_dataset, tmp_path / "whole", protocol=str(protocol)))()
    asked = request(tiny_dataset, tmp_path / "stopped", protocol=str(protocol))
    with pytest.raises(KeyboardInterrupt if how == "Ctrl-C" else RuntimeError):
        Fit(asked, Stopping(how))()
    left = sorted(path.name[:10] for path in asked.output.iterdir())  # type: ignore[union-attr]
    assert left == ["checkpoint", "checkpoint"], "no half model"
    again = Stopping("never")
    resumed = Fit(asked, again)()
    assert again.resumed == 2
    assert resumed.path.read_bytes() == whole.path.read_bytes()
    assert sorted(path.name for path in resumed.path.parent.iterdir()) == ["model.safetensors", "training.json"]


def test_fine_tuning_begins_with_the_weights_and_says_where_the_classifier_begins_anew(
    tiny_dataset: Path, tmp_path: Path
) -> None:
    first = Fit(request(tiny_dataset, tmp_path / "first"))()
    same = Fit(request(tiny_dataset, tmp_path / "same", init=first.path, epochs=1))
    assert same.notes == []
    after = same()
    assert after.info.training.initial == first.info.weights_sha256
    assert after.curve[0]["train_loss"] < first.curve[0]["train_loss"]
    for name in ("left", "right"):
        (tmp_path / "two" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "two" / name).symlink_to(tiny_dataset / name)
    fit = Fit(request(tmp_path / "two", tmp_path / "other", init=tmp_path / "first", epochs=1))
    (note,) = fit.notes
    assert note == "the classifier begins anew: the model of --init knows 3 other classes, two has 2"
    assert load_model(fit().path).classes == ("left", "right")


def test_initial_weights_are_all_taken_but_those_of_another_classifier(tiny_dataset: Path, trained: Trained) -> None:
    from pvnas_bench.deploy.fit import _begin_with
    from pvnas_bench.network.families import build

    given = load(trained("f3").path).network
    for same in (True, False):
        torch.manual_seed(1)
        network = build(SPACE, SPACE.parse(ARCHITECTURE), 3)
        _begin_with(network, given, same=same)
        other = [name for name, tensor in network.state_dict().items() if not tensor.equal(given.state_dict()[name])]
        assert other == ([] if same else ["head.classifier.weight", "head.classifier.bias"])


def test_a_frozen_backbone_comes_from_the_initial_weights(trained: Trained, tiny_dataset: Path, tmp_path: Path) -> None:
    first = trained("st_temporal_cell")
    for name in ("left", "right"):
        (tmp_path / "two" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "two" / name).symlink_to(tiny_dataset / name)
    asked = FitRequest(
        str(first.path), dataset=str(tmp_path / "two"), epochs=1, init=first.path, output=tmp_path / "mine", threads=1
    )
    after, before = load(Fit(asked)().path), load(first.path)
    assert after.backbone is not None and before.backbone is not None
    assert all(t.equal(before.backbone.state_dict()[n]) for n, t in after.backbone.state_dict().items())


@pytest.mark.parametrize("precision", ["float32", pytest.param("bfloat16", marks=pytest.mark.long)])
def test_a_record_is_trained_by_the_recipe_in_it_whose_file_is_gone(
    precision: str, tiny_dataset: Path, tmp_path: Path
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('base = "quick"\nepochs = 1\nbatch_size = 4\n')
    asked = Request(
        "expert",
        dataset=str(tiny_dataset),
        protocol=str(file),
        precision=precision,
        budget=0.4,
        threads=1,
        results=tmp_path / "runs",
    )
    record, path = run(asked)
    assert record.provenance.command[record.provenance.command.index("--protocol") + 1] == "mine.toml"
    file.unlink()
    fit = Fit(FitRequest(str(path), dataset=str(tiny_dataset), precision=precision, output=tmp_path / "m", threads=1))
    assert (fit.protocol.epochs, fit.protocol.batch_size, fit.protocol.precision) == (1, 4, precision)
    assert fit.protocol.name == record.protocol.name


def test_an_architecture_is_named_by_a_record_a_model_or_its_rank_in_a_table(
    trained: Trained, tiny_dataset: Path, tmp_path: Path
) -> None:
    record, path = run(
        Request("expert", dataset=str(tiny_dataset), budget=0.4, threads=1, results=tmp_path, weights=False)
    )
    assert record.outcome is not None
    for word in (path, path.parent, tmp_path):
        found = named(str(word), space=None, dataset="here", protocol=None)
        assert (str(found.architecture), found.space.name) == (record.outcome.architecture, "st_default")
        assert (found.dataset, found.protocol.name) == ("here", "quick")
    with pytest.raises(UsageError, match=r"is of the data set 'tiny.*give its path with --dataset"):
        named(str(path), space=None, dataset=None, protocol=None)
    micro = named(str(trained("st_micro").path), space=None, dataset="here", protocol=None)
    assert (micro.space.name, micro.protocol.name) == ("st_micro", "micro")
    with pytest.raises(UsageError, match=r"is of the space every_operator@1:.*give that space with --space"):
        named(str(trained("f3").path), space="st_micro", dataset="here", protocol=None)

    best, second = (named(f"table:{n}", space=None, dataset=None, protocol=None) for n in (1, 2))
    assert (best.space.name, best.dataset, best.protocol.name) == ("st_micro", "synthetic_motion", "micro")
    assert best.architecture != second.architecture
    with pytest.raises(UsageError, match="has ranks 1 to "):
        named("table:0", space=None, dataset=None, protocol=None)


def test_what_cannot_be_trained_is_refused_before_anything_is_written(
    trained: Trained, tiny_dataset: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "no.json").write_text("{}")
    for words, more in (
        ("--epochs is a number from 1", {"epochs": 0}),
        ("a seed is", {"seed": -1}),
        ("has weights of .* train that architecture", {"init": trained("s3").path}),
        ("no such model", {"init": tmp_path / "none"}),
        ("cannot be written: choose another with --output", {"output": tmp_path / "file" / "below"}),
        ("no such record or model", {"architecture": str(tmp_path / "none.json")}),
        ("is not a record", {"architecture": str(tmp_path / "no.json")}),
        ("has 2 groups", {"architecture": "a/b"}),
        ("unknown protocol", {"protocol": "slow"}),
    ):
        with pytest.raises(UsageError, match=words):
            Fit(replace(request(tiny_dataset, tmp_path / "out"), **more))  # type: ignore[arg-type]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "no.json"]


def test_the_result_beside_a_model_is_standard_json(trained: Trained) -> None:
    fitted = trained("t5")
    text = fitted.path.with_name("training.json").read_text()
    result = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert result["weights_sha256"] == fitted.info.weights_sha256
    assert [row["epoch"] for row in result["curve"]] == [1.0]
