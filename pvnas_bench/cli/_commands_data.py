"""The commands `data …`."""

from pathlib import Path
from typing import Annotated

import typer

from pvnas_bench.cli._options import Dataset, Json, Workers
from pvnas_bench.runs.request import Request

Protocol = Annotated[
    str,
    typer.Option(help="Protocol that sets frames and resolution: quick, standard, micro, something or kinetics."),
]


def list_(
    folder: Annotated[Path, typer.Argument(help="Folder to search for data sets.", metavar="[FOLDER]")] = Path(),
    formats: Annotated[bool, typer.Option("--formats", help="List the supported layouts instead.")] = False,
    json: Json = False,
) -> int:
    """List the built-in data sets and those in a folder, with their layouts."""
    from pvnas_bench.cli import _data_list

    return _data_list.show(folder, formats=formats, as_json=json)


def prepare(
    dataset: Dataset = Request.dataset,
    protocol: Protocol = "quick",
    workers: Workers = None,
    tolerate: Annotated[
        float, typer.Option(help="Largest share of unreadable clips; these are left out.", min=0, max=1)
    ] = 0.1,
    json: Json = False,
) -> int:
    """Decode every clip once into the cache; `run` does the same if necessary.

    Prints the required disk space first. After an interruption the same command resumes.
    """
    from pvnas_bench.cli import _data

    return _data.prepare(dataset, protocol, workers=workers, tolerated=tolerate, as_json=json)


def verify(
    dataset: Dataset = Request.dataset,
    min_frames: Annotated[int, typer.Option(help="Frames below which a clip is too short.", min=1)] = 2,
    workers: Workers = None,
    json: Json = False,
) -> int:
    """Decode every clip and list missing, corrupt, too short, duplicate and leaking ones; exit code 1 if any."""
    from pvnas_bench.cli import _data

    return _data.verify(dataset, min_frames=min_frames, workers=workers, as_json=json)


def show(
    dataset: Dataset = Request.dataset,
    output: Annotated[Path, typer.Option(help="Folder of the images.", metavar="DIR")] = Path("sheets"),
    classes: Annotated[
        list[str] | None, typer.Option("--class", help="Class to show; may be repeated.  [default: all]")
    ] = None,
    clips: Annotated[int, typer.Option(help="Clips per class.", min=1)] = 8,
    frames: Annotated[int, typer.Option(help="Frames per clip.", min=1)] = 8,
) -> int:
    """Write a contact sheet of each class as a PNG, and print the paths."""
    from pvnas_bench.cli import _data

    return _data.show(dataset, output, classes or (), clips=clips, frames=frames)
