"""The commands `data …`."""

from pathlib import Path
from typing import Annotated

import typer

from pvnas_bench.cli._options import Dataset, Json, Workers

Protocol = Annotated[str, typer.Option(help="Its frames and resolution: quick, standard, something or kinetics.")]


def list_(
    folder: Annotated[Path, typer.Argument(help="Where to look for data sets.", metavar="[FOLDER]")] = Path(),
    formats: Annotated[bool, typer.Option("--formats", help="List the layouts that are understood instead.")] = False,
    json: Json = False,
) -> int:
    """List the data sets that have a name and those in a folder, with the layout that each is kept in."""
    from pvnas_bench.cli import _data_list

    return _data_list.show(folder, formats=formats, as_json=json)


def prepare(
    dataset: Dataset = "synthetic_motion",
    protocol: Protocol = "quick",
    workers: Workers = None,
    tolerate: Annotated[
        float, typer.Option(help="Share of clips that may be unreadable, and are left out.", min=0, max=1)
    ] = 0.1,
    json: Json = False,
) -> int:
    """Decode every clip once into the cache, which `run` does as well where it has not been done.

    Says first what that needs on the disk. The same command goes on where it was stopped or killed.
    """
    from pvnas_bench.cli import _data

    return _data.prepare(dataset, protocol, workers=workers, tolerated=tolerate, as_json=json)


def verify(
    dataset: Dataset = "synthetic_motion",
    min_frames: Annotated[int, typer.Option(help="A clip with fewer frames is too short.", min=1)] = 2,
    workers: Workers = None,
    json: Json = False,
) -> int:
    """Decode every clip and name the missing, corrupt, too short, duplicate and leaking ones: exit code 1 if any."""
    from pvnas_bench.cli import _data

    return _data.verify(dataset, min_frames=min_frames, workers=workers, as_json=json)


def show(
    dataset: Dataset = "synthetic_motion",
    output: Annotated[Path, typer.Option(help="Folder of the pictures.", metavar="DIR")] = Path("sheets"),
    classes: Annotated[list[str] | None, typer.Option("--class", help="Of all; may be repeated.")] = None,
    clips: Annotated[int, typer.Option(help="Clips of a class.", min=1)] = 8,
    frames: Annotated[int, typer.Option(help="Frames of a clip.", min=1)] = 8,
) -> int:
    """Write a contact sheet of each class as a PNG, and print the path of each file."""
    from pvnas_bench.cli import _data

    return _data.show(dataset, output, classes or (), clips=clips, frames=frames)
