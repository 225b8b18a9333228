"""The definition of a grid: its TOML file and the resulting requests."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self, get_type_hints

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model

from pvnas_bench.errors import UsageError
from pvnas_bench.runs.request import Option, Request, options, parse_entry
from pvnas_bench.system.files import read_whole

LARGEST_GRID = 2**20
"""Largest size of a TOML file in bytes."""


class Axes(BaseModel):
    """Keys of a grid whose values form its cells, as a Cartesian product.

    Attributes:
        strategies: names or paths, with hyper-parameters in brackets: ``expert[network=tsm]``.
        seeds: number of seeds: 0, 1, … seeds - 1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    strategies: tuple[str, ...] = Field(min_length=1)
    spaces: tuple[str, ...] = Field((Request.space,), min_length=1)
    datasets: tuple[str, ...] = Field((Request.dataset,), min_length=1)
    seeds: int = Field(3, ge=1, le=10_000)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a TOML file; paths in it are relative to the working directory.

        Raises:
            UsageError: the file cannot be read, or has an invalid key or value.
        """
        try:
            values = tomllib.loads(read_whole(path, LARGEST_GRID).decode())
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}: name a TOML file") from None
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{path} is not TOML: {error}") from None
        return cls.parse(values)

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Self:
        """Validate the keys and values of a grid.

        Raises:
            UsageError: a key or value is invalid; the message names the first.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            known = ", ".join(cls.model_fields)
            where = ".".join(map(str, first["loc"]))
            raise UsageError(f"key {where} of the grid: {first['msg']} (the keys are {known})") from None

    def requests(self, results: Path, *, first_seed: int = 0, **shared: Any) -> list[Request]:
        """One request for each cell, ordered by seed, data set, space and strategy.

        Args:
            first_seed: the seeds begin there.
            shared: further fields of every `Request` that a grid's file cannot set, such as ``threads``.
        """
        alone = {asked.name: option.side_by_side for asked, option in options() if option.side_by_side is not None}
        given = self.model_dump(exclude_unset=True, exclude={*Axes.model_fields})
        common = {"results": results} | alone | given | shared
        return [
            Request(name, space=space, dataset=dataset, seed=seed, settings=settings, **common)
            for seed in range(first_seed, first_seed + self.seeds)
            for dataset in self.datasets
            for space in self.spaces
            for name, settings in map(parse_entry, self.strategies)
        ]


def _joined(value: Any) -> Any:
    """A list of words joined by commas."""
    listed = isinstance(value, list) and value and all(isinstance(word, str) for word in value)
    return ",".join(value) if listed else value


def _type(name: str, option: Option) -> Any:
    kind = get_type_hints(Request)[name]
    return Annotated[kind, BeforeValidator(_joined)] if option.joined else kind


_SHARED: dict[str, Any] = {
    asked.name: (_type(asked.name, option), asked.default) for asked, option in options() if option.in_grid
}
Grid = create_model(
    "Grid",
    __base__=Axes,
    __doc__="A grid's TOML file: `Axes`, and the options of a `Request` that all runs share.",
    **_SHARED,
)
