"""Requests: the options of a run, as on the command line.

Each option of a run is declared once, as a field of `Request`, with its help text. It defines the flags of ``run``,
``compare`` and ``profile``, the keys of a grid's file, the command in a record, and the table in ``docs/options.md``.
This module imports only the standard library, to keep ``--help`` fast.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from pvnas_bench.errors import UsageError

Command = Literal["run", "compare", "profile"]
EVERYWHERE: tuple[Command, ...] = ("run", "compare", "profile")
RUNS: tuple[Command, ...] = ("run", "compare")
ENTRY = re.compile(r"(?P<name>[^\[\]]+|.*\.py)(\[(?P<settings>[^\[\]]*)\])?")


@dataclass(frozen=True)
class Option:
    """Form of a `Request` field on the command line and in a grid's file.

    Attributes:
        help: description in one or two sentences.
        flag: command-line flag, if it differs from the field's name; a switch has both forms, ``--cache/--no-cache``.
        metavar: placeholder of the value in the help text.
        default: meaning of the default ``None``.
        least: smallest allowed value.
        commands: commands that have the flag.
        axis: key of a grid's file that lists several values.
        axis_help: description of that key, if it is not a list of values.
        in_grid: True if a grid's file may set one value for all its runs.
        side_by_side: default for runs that share a machine.
        repeated: when the command in a record contains the flag: always, if changed from the default, or never.
        joined: True if the flag may be repeated and a grid's key may be a list; commas join the values.
    """

    help: str
    flag: str | None = None
    metavar: str | None = None
    default: str | None = None
    least: float | None = None
    commands: tuple[Command, ...] = RUNS
    axis: str | None = None
    axis_help: str | None = None
    in_grid: bool = False
    side_by_side: Any = None
    repeated: Literal["always", "changed", "never"] = "never"
    joined: bool = False


def _said(help: str, **more: Any) -> dict[str, Option]:
    """Metadata of a field: its `Option`."""
    return {"option": Option(help, **more)}


@dataclass(frozen=True)
class Request:
    """A requested run, as on the command line; `options` documents each field.

    Attributes:
        strategy: a name or a path, without hyper-parameters; `parse_entry` separates them.
        settings: hyper-parameters that differ from their defaults.
        cache: folder of decoded clips; None: the user's cache.
    """

    strategy: str = field(
        metadata=_said(
            "A name from `list strategies`, or the path of a .py file; hyper-parameters in brackets, as in "
            "expert[network=tsm].",
            commands=EVERYWHERE,
            axis="strategies",
            repeated="always",
        )
    )
    space: str = field(
        default="st_default",
        metadata=_said(
            "A name from `list spaces`, or the path of a .py file.",
            commands=EVERYWHERE,
            axis="spaces",
            repeated="always",
        ),
    )
    dataset: str = field(
        default="synthetic_motion",
        metadata=_said(
            "A name from `list datasets`, or the path of a folder, a manifest .csv or a description .toml.",
            commands=EVERYWHERE,
            axis="datasets",
            repeated="always",
        ),
    )
    protocol: str | None = field(
        default=None,
        metadata=_said(
            "Settings shared by all compared runs: quick (minutes), standard (for publication), micro (small spaces), "
            "something or kinetics; or a .toml file with a base and changes.",
            default="quick, or the table's",
            commands=EVERYWHERE,
            in_grid=True,
            repeated="always",
        ),
    )
    cap: str | None = field(
        default=None,
        metadata=_said(
            "Largest cost of a network: MACs as a cap of the space or a number such as 2.5e7, parameters as "
            "params=30k, latency on this machine as latency=3ms; may be repeated.",
            metavar="CAP",
            default="the space's first",
            joined=True,
            in_grid=True,
            repeated="always",
        ),
    )
    budget: float | None = field(
        default=None,
        metadata=_said(
            "Search budget in reference trainings.",
            default="the protocol's",
            commands=EVERYWHERE,
            in_grid=True,
            repeated="always",
        ),
    )
    seed: int = field(
        default=0,
        metadata=_said(
            "Random seed.",
            least=0,
            commands=EVERYWHERE,
            axis="seeds",
            axis_help="Number of seeds of each run: 0, 1, ….",
            repeated="always",
        ),
    )
    settings: Mapping[str, str] = field(
        default_factory=dict,
        metadata=_said(
            "Set a hyper-parameter of the strategy; may be repeated.",
            flag="--set",
            metavar="KEY=VALUE",
            commands=("run", "profile"),
            repeated="changed",
        ),
    )
    precision: str = field(
        default="float32",
        metadata=_said(
            "Precision of the networks' passes: float32, or bfloat16, which is faster on recent GPUs. Each precision "
            "has separate boards.",
            in_grid=True,
            repeated="changed",
        ),
    )
    tabular: bool = field(
        default=False,
        metadata=_said(
            "Look evaluations up in the table of the space and the data set instead of training; in a large space, in "
            "the surrogate of a table.",
            flag="--tabular",
            in_grid=True,
            repeated="changed",
        ),
    )
    null: bool = field(
        default=False,
        metadata=_said(
            "Search without information about architectures: permute the labels of search-val, or the accuracies in a "
            "table. The final training is real. Null runs have separate boards; `learnt` compares them with real ones.",
            flag="--null",
            in_grid=True,
            repeated="changed",
        ),
    )
    partial: bool = field(
        default=False,
        metadata=_said(
            "Allow an incomplete table, and search only among its architectures.",
            flag="--partial",
            in_grid=True,
            repeated="changed",
        ),
    )
    tables: Path | None = field(
        default=None,
        metadata=_said("Folder of tables.", metavar="DIR", default="results/tables, then the published ones"),
    )
    deterministic: bool = field(
        default=True,
        metadata=_said(
            "Use deterministic algorithms only; on a GPU, an operation without one fails.",
            flag="--deterministic/--no-deterministic",
            repeated="changed",
        ),
    )
    cached: bool = field(
        default=True,
        metadata=_said(
            "Keep decoded clips on disk, or decode them again in every epoch; the pixels are the same.",
            flag="--cache/--no-cache",
            commands=("run",),
            repeated="changed",
        ),
    )
    device: str = field(
        default="auto", metadata=_said("Device: auto, cpu, cuda or cuda:N.", commands=EVERYWHERE, repeated="always")
    )
    threads: int | None = field(
        default=None,
        metadata=_said(
            "CPU threads of a run.",
            default="one per core",
            least=1,
            commands=EVERYWHERE,
            side_by_side=1,
            repeated="always",
        ),
    )
    results: Path = field(default=Path("results/runs"), metadata=_said("Folder of the records.", metavar="DIR"))
    weights: bool = field(
        default=True,
        metadata=_said(
            "Keep the weights of the best retraining beside the record, for `predict`, `evaluate` and `export`. On a "
            "table there are none.",
            flag="--weights/--no-weights",
            side_by_side=False,
            repeated="changed",
        ),
    )
    tensorboard: Path | None = field(
        default=None,
        metadata=_said(
            "Write series, incumbents and scores for TensorBoard, a folder for each run; needs the extra tensorboard.",
            metavar="DIR",
            default="none",
        ),
    )
    mlflow: str | None = field(
        default=None,
        metadata=_said(
            "Log the same, and the options, to MLflow: a server's URL or sqlite:///FILE.db; needs the extra mlflow.",
            metavar="URI",
            default="none",
        ),
    )
    resume: bool = field(
        default=True,
        metadata=_said(
            "Resume from the checkpoint of the same command, or start over, ignoring it.",
            flag="--resume/--no-resume",
            commands=("run",),
        ),
    )
    checkpoint_seconds: float = field(
        default=60.0,
        metadata=_said(
            "Minimum seconds between two checkpoints; 0 writes one after every step.",
            flag="--checkpoint-every",
            least=0.0,
            commands=("run",),
        ),
    )
    timeout: float | None = field(
        default=None,
        metadata=_said(
            "Stop a run after this many seconds; its record has the status timeout.",
            metavar="SECONDS",
            default="never",
            least=1.0,
        ),
    )
    cache: Path | None = None

    def words(self) -> Iterator[str]:
        """Yield the arguments of ``pvnas-bench run`` that repeat this run."""
        for asked, option in options("run"):
            value = getattr(self, asked.name)
            if option.repeated == "never" or value is None:
                continue
            if option.repeated == "always" or value != default_of(asked):
                yield from _words(flag_of(asked), value)


def _words(flag: str, value: Any) -> Iterator[str]:
    """Yield a flag with its value, or the form of a switch for its value."""
    if isinstance(value, Mapping):
        for key, one in value.items():
            yield from (flag, f"{key}={one}")
    elif isinstance(value, bool):
        forms = flag.split("/")
        yield forms[0] if value else forms[-1]
    else:
        yield from (flag, f"{value:g}" if isinstance(value, float) else str(value))


def options(command: Command | None = None) -> Iterator[tuple[Field[Any], Option]]:
    """Yield the fields of a `Request` that have a flag, in the order of the help text.

    Args:
        command: only flags of this command; None: of any.
    """
    for asked in fields(Request):
        option: Option | None = asked.metadata.get("option")
        if option is not None and (command is None or command in option.commands):
            yield asked, option


def option_of(name: str) -> Option:
    """The declared `Option` of a field of a `Request`."""
    (declared,) = (option for asked, option in options() if asked.name == name)
    return declared


def flag_of(asked: Field[Any]) -> str:
    """Command-line flag of a field, ``--seed`` or ``--cache/--no-cache``."""
    flag: str | None = asked.metadata["option"].flag
    return flag or "--" + asked.name.replace("_", "-")


def default_of(asked: Field[Any]) -> Any:
    """A field's default; `MISSING` where it has none."""
    return asked.default if asked.default_factory is MISSING else asked.default_factory()


def parse_entry(entry: str) -> tuple[str, dict[str, str]]:
    """Parse ``name[key=value, …]`` into a strategy's name or path and its hyper-parameters.

    Raises:
        UsageError: the entry has another form, or a key occurs twice.
    """
    match = ENTRY.fullmatch(entry.strip())
    if match is None:
        raise UsageError(f"{entry!r} is not a strategy: write name or name[key=value, ...]")
    settings: dict[str, str] = {}
    for setting in filter(None, (part.strip() for part in (match["settings"] or "").split(","))):
        key, equals, value = setting.partition("=")
        if not key or not equals:
            raise UsageError(f"{entry!r}: a hyper-parameter is key=value, got {setting!r}")
        if key.strip() in settings:
            raise UsageError(f"{entry!r} names {key.strip()!r} twice: keep one")
        settings[key.strip()] = value.strip()
    return match["name"], settings


def parse_settings(words: Iterable[str], known: Mapping[str, str] | None = None) -> dict[str, str]:
    """Parse ``key=value`` words into hyper-parameters.

    Args:
        known: hyper-parameters given with the strategy's name.

    Raises:
        UsageError: a word has no key or no value, or a key occurs twice.
    """
    parsed = dict(known or {})
    for word in words:
        key, equals, value = word.partition("=")
        if not key or not equals:
            raise UsageError(f"--set takes key=value, got {word!r}")
        if key in parsed:
            where = "--strategy and --set both name" if known and key in known else "--set names"
            raise UsageError(f"{where} {key!r}{'' if known and key in known else ' twice'}: keep one")
        parsed[key] = value
    return parsed
