"""The commands of trained models: `train`, `predict`, `evaluate`, `export`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pvnas_bench.cli._options import Json, Tables, Workers, declared
from pvnas_bench.runs.request import Request

Model = Annotated[
    Path,
    typer.Argument(
        help="A model.safetensors written by `run` or `train`, the record beside it, or a folder that holds one.",
        metavar="MODEL",
    ),
]
Device = Annotated[str, declared("device")]
ModelThreads = Annotated[int | None, typer.Option(help="CPU threads.  [default: those of the model's training]", min=1)]


class Format(StrEnum):
    """What `export` writes."""

    onnx = "onnx"
    torch = "torch"


class Split(StrEnum):
    """What `evaluate` tests on."""

    train = "train"
    val = "val"
    test = "test"
    all = "all"


def train(
    architecture: Annotated[
        str,
        typer.Argument(
            help="An architecture's string; a record.json, a model, or a folder that holds one; or table:N, the N-th "
            "best of a table.",
            metavar="ARCH",
        ),
    ],
    space: Annotated[
        str | None,
        typer.Option(help=f"Its space.  [default: the record's or model's; {Request.space}; st_micro of a table]"),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            help="A name of `list datasets`, a folder, a manifest .csv, or a description .toml.  [default: the "
            f"record's or model's, where it is a name; {Request.dataset}]"
        ),
    ] = None,
    protocol: Annotated[
        str | None, typer.Option(help="The recipe.  [default: the record's, model's or table's; quick]")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs.  [default: the protocol's]", min=1)] = None,
    seed: Annotated[int, declared("seed")] = 0,
    init: Annotated[
        Path | None,
        typer.Option(
            help="A model to begin with instead of random weights; its classifier begins anew where classes differ.",
            metavar="MODEL",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Folder of model.safetensors and training.json.  [default: one in results/models]", metavar="DIR"
        ),
    ] = None,
    tables: Tables = None,
    precision: Annotated[str, declared("precision")] = "float32",
    deterministic: Annotated[bool, declared("deterministic")] = True,
    cached: Annotated[bool, declared("cached")] = True,
    device: Device = "auto",
    threads: Annotated[int | None, declared("threads")] = None,
    resume: Annotated[bool, declared("resume")] = True,
    checkpoint_seconds: Annotated[float, declared("checkpoint_seconds")] = 60.0,
    json: Json = False,
) -> int:
    """Train one architecture on a data set, and keep its weights. The last line is the path of the model.

    The same command goes on where it was stopped or killed.
    """
    from pvnas_bench.system.quiet import quiet

    with quiet():
        from pvnas_bench.cli import _deploy
        from pvnas_bench.deploy.fit import FitRequest

        request = FitRequest(
            architecture,
            space=space,
            dataset=dataset,
            protocol=protocol,
            epochs=epochs,
            seed=seed,
            init=init,
            output=output,
            tables=tables,
            precision=precision,
            deterministic=deterministic,
            device=device,
            threads=threads,
            resume=resume,
            checkpoint_seconds=checkpoint_seconds,
            cached=cached,
        )
        return _deploy.train(request, as_json=json)


def predict(
    model: Model,
    clips: Annotated[
        list[Path], typer.Argument(help="Video files, and folders whose video files are taken.", metavar="CLIP...")
    ],
    top: Annotated[int, typer.Option(help="Classes of each clip.", min=1)] = 5,
    window: Annotated[
        str | None,
        typer.Option(
            help="Slide along each file a window of so many seconds, or of as many frames as the training's clips "
            "have: clip.",
            metavar="SECONDS|clip",
        ),
    ] = None,
    stride: Annotated[
        float | None, typer.Option(help="Seconds from one window to the next.  [default: half a window]")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Write the table to a file, .csv or .json.", metavar="FILE")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the classes of each clip, or along it, as a PNG.", metavar="FILE")
    ] = None,
    workers: Workers = None,
    device: Device = "auto",
    threads: ModelThreads = None,
    json: Json = False,
) -> int:
    """Predict the classes of video files. Exit code 1 if some cannot be read; these are named, the others predicted."""
    from pvnas_bench.system.quiet import quiet

    with quiet():
        from pvnas_bench.cli import _deploy

        return _deploy.predict(
            model,
            clips,
            top=top,
            window=window,
            stride=stride,
            output=output,
            plot=plot,
            workers=workers,
            device=device,
            threads=threads,
            as_json=json,
        )


def evaluate(
    model: Model,
    dataset: Annotated[
        str,
        typer.Argument(
            help="A name of `list datasets`, a folder, a manifest .csv, or a description .toml.", metavar="DATASET"
        ),
    ],
    split: Annotated[Split, typer.Option(help="Its clips.")] = Split.test,
    output: Annotated[
        Path | None,
        typer.Option(help="Folder for confusion.csv, confusion.png, classes.csv and clips.csv.", metavar="DIR"),
    ] = None,
    device: Device = "auto",
    threads: ModelThreads = None,
    json: Json = False,
) -> int:
    """Test a model on labelled clips: accuracy, scores of each class, confusion matrix, latency."""
    from pvnas_bench.system.quiet import quiet

    with quiet():
        from pvnas_bench.cli import _deploy

        return _deploy.evaluate(
            model, dataset, split=split.value, output=output, device=device, threads=threads, as_json=json
        )


def export(
    model: Model,
    format: Annotated[
        Format, typer.Option(help="ONNX, or a program of torch.export. From pixels to logits, with a dynamic batch.")
    ] = Format.onnx,
    output: Annotated[
        Path | None, typer.Option(help="The file.  [default: beside the model, .onnx or .pt2]", metavar="FILE")
    ] = None,
) -> int:
    """Write a model for other programs, checked against the network, and print the path."""
    from pvnas_bench.system.quiet import quiet

    with quiet():
        from pvnas_bench.cli import _deploy

        return _deploy.export(model, format.value, output)
