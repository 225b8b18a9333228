"""Rendering of boards: as text and Markdown for people, as CSV, JSON and Parquet for programs."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from pvnas_bench.boards.leaderboard import Board, Row, mark
from pvnas_bench.boards.objectives import CAP_OF, COSTS
from pvnas_bench.records import Role
from pvnas_bench.system.text import counted, left, no_formula, right, shortened, width


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def _percent_interval(value: float | None, low: float | None, high: float | None) -> str:
    if value is None:
        return "–"
    return _percent(value) if low is None or high is None else f"{_percent(value)} [{_percent(low)}, {_percent(high)}]"


def _improvement(row: Row) -> str:
    if row.improvement is None:
        return "–"
    if row.improvement_low is None or row.improvement_high is None:
        return f"{100 * row.improvement:+.1f}"
    return f"{100 * row.improvement:+.1f} [{100 * row.improvement_low:+.1f}, {100 * row.improvement_high:+.1f}]"


def _count(value: float | None) -> str:
    """A count in engineering notation: 12.3 M."""
    if value is None:
        return "–"
    for scale, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= scale:
            return f"{value / scale:.3g} {letter}"
    return f"{value:.3g}"


def _plain(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _seconds(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.1f} s" if value < 120 else f"{value / 60:.1f} min" if value < 7200 else f"{value / 3600:.1f} h"


def _memory(value: float | None) -> str:
    return "–" if value is None else f"{value / 2**20:.0f} MiB"


def _energy(value: float | None) -> str:
    return "–" if value is None else f"{_count(value)}J" if value >= 1e3 else f"{value:.3g} J"


def _rank(row: Row) -> str:
    if row.rank_low is None or row.rank_high is None:
        return f"{row.rank}"
    return f"{row.rank} [{row.rank_low}–{row.rank_high}]"


_ROLES: dict[Role, str] = {"search": "", "random_control": " (control)", "expert_control": " (hand-designed)"}


def _name(row: Row) -> str:
    return f"{row.entry}{_ROLES[row.role]}"


@dataclass(frozen=True)
class Column:
    """A column of the tables for people."""

    key: str
    """Field of `Row` that it shows and sorts by."""
    header: str
    cell: Callable[[Row], str]
    help: str
    keep: int
    """Priority in narrow terminals: columns with the highest numbers are hidden first; 0 is never hidden."""
    always: bool = True
    """False for a column that is absent from boards on which no row has a value."""


COLUMNS: tuple[Column, ...] = (
    Column("rank", "rank", _rank, "rank by mean top-1, with its 95 % bootstrap interval", 0),
    Column("tie_group", "tie", lambda r: f"{r.tie_group}", "group of entries that do not differ from its first", 2),
    Column("entry", "entry", _name, "strategy and its non-default hyper-parameters", 0),
    Column(
        "top1_mean",
        "top-1 %",
        lambda r: _percent_interval(r.top1_mean, r.top1_mean_low, r.top1_mean_high),
        "test accuracy, mean over seeds, with its 95 % bootstrap interval",
        0,
    ),
    Column(
        "top1_iqm",
        "IQM %",
        lambda r: _percent_interval(r.top1_iqm, r.top1_iqm_low, r.top1_iqm_high),
        "test accuracy, interquartile mean over seeds, with its 95 % bootstrap interval",
        6,
    ),
    Column("improvement", "vs random %", _improvement, "relative improvement of mean top-1 over random sampling", 1),
    Column("top5", "top-5 %", lambda r: _percent(r.top5), "test top-5 accuracy, mean over seeds", 8),
    Column("mean_class", "mean-class %", lambda r: _percent(r.mean_class), "test accuracy averaged over classes", 7),
    Column("macs", "MACs", lambda r: _count(r.macs), "MACs of the final architecture, per clip", 1),
    Column("parameters", "params", lambda r: _count(r.parameters), "parameters of the final architecture", 4),
    Column("latency_ms", "latency ms", lambda r: _plain(r.latency_ms, 2), "latency of one clip on the run's device", 5),
    Column(
        "search_reference_trainings",
        "search rt",
        lambda r: _plain(r.search_reference_trainings, 2),
        "search cost in reference trainings",
        1,
    ),
    Column("search_wall_seconds", "wall", lambda r: _seconds(r.search_wall_seconds), "wall time of the search", 3),
    Column("search_cpu_seconds", "CPU", lambda r: _seconds(r.search_cpu_seconds), "CPU time of the search", 9),
    Column(
        "search_peak_memory_bytes",
        "peak",
        lambda r: _memory(r.search_peak_memory_bytes),
        "peak memory of the search, maximum over runs",
        10,
    ),
    Column(
        "architectures_evaluated",
        "archs",
        lambda r: _plain(r.architectures_evaluated, 0),
        "number of architectures evaluated by the search",
        11,
    ),
    Column(
        "hypervolume_macs",
        "HV MACs",
        lambda r: _plain(r.hypervolume_macs, 3),
        "hypervolume of top-1 against MACs, mean over seeds",
        12,
    ),
    Column(
        "hypervolume_parameters",
        "HV params",
        lambda r: _plain(r.hypervolume_parameters, 3),
        "hypervolume of top-1 against parameters, mean over seeds",
        13,
    ),
    Column(
        "hypervolume_latency",
        "HV latency",
        lambda r: _plain(r.hypervolume_latency, 3),
        "hypervolume of top-1 against latency, mean over seeds",
        14,
    ),
    Column("fronts", "on fronts", lambda r: r.fronts or "–", "costs at which no entry's means dominate these", 15),
    Column(
        "search_energy_joules",
        "energy",
        lambda r: _energy(r.search_energy_joules),
        "of the machine during the search, where it says",
        16,
    ),
    Column(
        "blind_to_time",
        "blind to time",
        lambda r: "–" if r.blind_to_time is None else f"{r.blind_to_time:.0%}",
        "share of searches that end at a network whose top-1 falls by no more than the noise of one training when test "
        "frames are shuffled",
        1,
        always=False,
    ),
    Column("seeds", "seeds", lambda r: f"{r.seeds}", "number of search seeds", 0),
    Column("failures", "fail", lambda r: f"{r.failures}", "number of failed runs", 0),
)


def columns_of(boards: Sequence[Board]) -> list[Column]:
    """The columns of boards: those that are always there, and those of which a row has a value."""
    rows = [row for board in boards for row in board.rows]
    return [one for one in COLUMNS if one.always or any(getattr(row, one.key) is not None for row in rows)]


def _one_line(text: str) -> str:
    """Replace characters that could move the cursor, start an escape sequence or reverse the reading direction."""
    return "".join(c if c.isprintable() else "�" for c in text)


def describe(board: Board) -> str:
    """Describe a board in one line: cap, budget, classes and fingerprints."""
    marks = ", ".join(f"{part} {mark(fingerprint)}" for part, fingerprint in board.fingerprints.items())
    limits = f"cap {_caps(board)}, budget {board.budget:g} rt"
    return f"{limits}, {counted(board.classes, 'class')}; fingerprints: {marks}"


def _caps(board: Board) -> str:
    """Every cap in words."""
    return ", ".join(_cost(cost, board.caps[key]) for cost, key in CAP_OF.items() if key in board.caps)


def _cost(cost: str, value: float) -> str:
    return f"{value:.4g} ms" if cost == "latency" else f"{_count(value)} {'MACs' if cost == 'macs' else 'parameters'}"


def reference_point(board: Board) -> str | None:
    """The reference point of a board's hypervolumes in one sentence; None: it has no hypervolumes."""
    costs = [_cost(cost, board.references[cost]) for cost in COSTS if cost in board.references]
    if not costs or not board.rows:
        return None
    return f"hypervolumes (HV): reference point top-1 {_percent(board.references['top1'])} % and {', '.join(costs)}."


def render_terminal(boards: Sequence[Board], columns: int = 120) -> str:
    """Render boards as plain-text tables; columns that do not fit are hidden and listed.

    Args:
        columns: width of the terminal.
    """
    return "\n".join(_terminal_board(board, columns) for board in boards)


def _terminal_board(board: Board, columns: int) -> str:
    possible = columns_of([board])
    shown = list(possible)
    while True:
        cells = [[column.header for column in shown]] + [
            [shortened(_one_line(column.cell(row)), 48) for column in shown] for row in board.rows
        ]
        widths = [max(width(line[index]) for line in cells) for index in range(len(shown))]
        droppable = [column for column in shown if column.keep]
        if sum(widths) + 2 * (len(shown) - 1) <= columns or not droppable:
            break
        shown.remove(max(droppable, key=lambda column: column.keep))
    lines = [_one_line(board.title), _one_line(describe(board)), ""]
    for number, cells_of_row in enumerate(cells):
        aligned = [
            left(cell, size) if column.header == "entry" else right(cell, size)
            for column, cell, size in zip(shown, cells_of_row, widths, strict=True)
        ]
        lines.append("  ".join(aligned).rstrip())
        if number == 0:
            lines.append("  ".join("─" * size for size in widths))
    lines += [f"· {_one_line(note)}" for note in board.notes]
    if any(column.header.startswith("HV") for column in shown) and (point := reference_point(board)):
        lines.append(f"· {point}")
    hidden = [column.header for column in possible if column not in shown]
    if hidden:
        lines.append(f"· hidden (terminal too narrow): {', '.join(hidden)}.")
    return "\n".join(lines) + "\n"


_MARKDOWN = str.maketrans({c: f"\\{c}" for c in "\\`*_[]|~#"} | {"<": "&lt;", ">": "&gt;", "&": "&amp;"})


def markdown_text(text: str) -> str:
    return _one_line(text).translate(_MARKDOWN)


def to_markdown(boards: Sequence[Board]) -> str:
    """Render boards as Markdown: a heading, a table and notes for each, then the meaning of the columns."""
    blocks = []
    for board in boards:
        columns = columns_of([board])
        lines = [f"### {markdown_text(board.title)}", "", markdown_text(describe(board)), ""]
        lines.append("| " + " | ".join(column.header for column in columns) + " |")
        lines.append("|" + "|".join(" :-- " if column.header == "entry" else " --: " for column in columns) + "|")
        for row in board.rows:
            cells = [markdown_text(c.cell(row)) if c.header == "entry" else c.cell(row) for c in columns]
            lines.append("| " + " | ".join(cells) + " |")
        notes = [*board.notes, *filter(None, [reference_point(board)])]
        if notes:
            lines += ["", *(f"- {markdown_text(note)}" for note in notes)]
        blocks.append("\n".join(lines) + "\n")
    legend = ["Columns:", "", *(f"- **{column.header}**: {column.help}" for column in columns_of(boards))]
    return "\n".join([*blocks, "\n".join(legend) + "\n"])


_BOARD_COLUMNS = ("space", "cap", "cap_macs", "data", "protocol", "budget")
_FINGERPRINTS = ("space_fingerprint", "data_fingerprint", "protocol_fingerprint")
_TABLE_COLUMNS = (*_BOARD_COLUMNS, *_FINGERPRINTS, "underpowered", *(f.name for f in fields(Row)))


def _names(boards: Sequence[Board]) -> list[str]:
    """Names of the columns of `table`."""
    absent = {column.key for column in COLUMNS} - {column.key for column in columns_of(boards)}
    return [name for name in _TABLE_COLUMNS if name not in absent]


def table(boards: Sequence[Board]) -> list[dict[str, Any]]:
    """All rows of all boards as flat dictionaries with equal keys: the board's, then the row's, in base units."""
    names = _names(boards)
    rows = (
        {
            **{name: getattr(board, name) for name in _BOARD_COLUMNS},
            **{f"{part}_fingerprint": mark for part, mark in board.fingerprints.items()},
            "underpowered": board.underpowered,
            **{name: _rounded(value) for name, value in asdict(row).items()},
        }
        for board in boards
        for row in board.rows
    )
    return [{name: row[name] for name in names} for row in rows]


def _rounded(value: Any) -> Any:
    """Round to ten significant digits: more than any measurement has, fewer than differ between machines."""
    return float(f"{value:.10g}") if isinstance(value, float) else value


def to_csv(boards: Sequence[Board]) -> str:
    """Render boards as CSV, a line for each row; unknown values are empty, and text cells are never formulas."""
    lines: list[str] = []
    for row in [dict.fromkeys(_names(boards)), *table(boards)]:
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\r\n")  # so that a cell with either is quoted
        cells = row.values() if lines else row.keys()
        writer.writerow([no_formula(cell) if isinstance(cell, str) else cell for cell in cells])
        lines.append(text.getvalue().removesuffix("\r\n") + "\n")
    return "".join(lines)


def to_json(boards: Sequence[Board]) -> str:
    """Render boards as a JSON array, with their rows and notes."""
    listed, names = [], set(_names(boards))
    for board in boards:
        entry = {f.name: getattr(board, f.name) for f in fields(Board)}
        rows = map(asdict, board.rows)
        entry["rows"] = [{name: _rounded(row[name]) for name in row if name in names} for row in rows]
        listed.append(entry)
    return json.dumps(listed, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def to_parquet(boards: Sequence[Board]) -> bytes:
    """Render the table of `to_csv` as a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {"int": pa.int64(), "float": pa.float64(), "str": pa.string(), "bool": pa.bool_()}
    names = {"cap_macs": "int", "budget": "float", "underpowered": "bool"} | {
        f.name: "int" if "int" in str(f.type) else "float" if "float" in str(f.type) else "str" for f in fields(Row)
    }
    schema = pa.schema([(name, types[names.get(name, "str")]) for name in _names(boards)])
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(table(boards), schema), sink)
    return bytes(sink.getvalue().to_pybytes())
