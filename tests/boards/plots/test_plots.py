import itertools
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import record_factory
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.text import Text
from record_factory import content, record

from pvnas_bench.boards import plots
from pvnas_bench.boards.across import across
from pvnas_bench.boards.plots import _architecture, _critical, _curves, _gradient, _style, _tradeoff
from pvnas_bench.boards.plots._boards import Runs, boards
from pvnas_bench.errors import UsageError
from pvnas_bench.records import Record

SUPPORT = Path(record_factory.__file__).parent

NAMES = ("alpha", "beta[samples=16]", "gamma[a_long_name=True, another=False, third=3]", "delta", "epsilon", "zeta")


def some(names: tuple[str, ...] = NAMES, seeds: int = 3, **options: Any) -> list[Record]:
    rng = np.random.default_rng(4)
    made = [
        record(name, seed, float(0.6 - 0.03 * i + rng.normal(0, 0.02)), macs=int(rng.integers(8e6, 2e7)), **options)
        for i, name in enumerate(names)
        for seed in range(seeds)
    ]
    for seed in range(seeds):
        made.append(record("control", seed, 0.3 + 0.02 * seed, role="random_control", trajectory=(), diagnostics={}))
        made.append(record("hand", seed, 0.45 + 0.01 * seed, role="expert_control", trajectory=(), diagnostics={}))
    return made


def tasks() -> list[Record]:
    rng = np.random.default_rng(1)
    return [
        record(name, 0, float(mean + rng.normal(0, 0.02)), data=f"{task:064x}", data_name=f"data{task:02}")
        for task in range(12)
        for name, mean in (("alpha", 0.8), ("beta", 0.79), ("gamma", 0.4), ("delta", 0.2))
    ]


def runs_of(records: list[Record]) -> Runs:
    (runs,) = boards(records)
    return runs


def drawn(figure: Figure | str) -> Figure:
    assert isinstance(figure, Figure), figure
    return figure


def overlaps(figure: Figure) -> list[tuple[str, str]]:
    """Pairs of visible texts whose boxes overlap by more than a pixel, and texts outside the figure."""
    _style.freeze(figure)
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    ticks = {
        text
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for tick in axis.get_major_ticks()
        for text in (tick.label1, tick.label2)
    }
    boxes = [
        (text, Text.get_window_extent(text, renderer).padded(-1))
        for text in figure.findobj(Text)
        if text.get_visible() and text.get_text().strip()
    ]
    free = [(text.get_text(), box) for text, box in boxes if text not in ticks]
    found = [(a, b) for (a, box), (b, other) in itertools.combinations(free, 2) if box.overlaps(other)]
    frame = figure.bbox
    found += [
        (text.get_text(), "the edge")
        for text, box in boxes
        if not _hidden_tick(text, figure)
        if box.x0 < frame.x0 or box.y0 < frame.y0 or box.x1 > frame.x1 or box.y1 > frame.y1
    ]
    return found


def _hidden_tick(text: Text, figure: Figure) -> bool:
    """Return True if the text labels a tick beyond the limits of its axis, which is not drawn."""
    for axes in figure.axes:
        for axis, limits in ((axes.xaxis, sorted(axes.get_xlim())), (axes.yaxis, sorted(axes.get_ylim()))):
            for tick in axis.get_major_ticks():
                if text in (tick.label1, tick.label2):
                    return not limits[0] <= tick.get_loc() <= limits[1]
    return False


@pytest.fixture(autouse=True)
def _look() -> Iterator[None]:
    with _style.styled():
        yield


def known(run: Record) -> list[float]:
    """What a table tells of the incumbents."""
    return [0.5] * len(run.trajectory)


DRAWERS = {
    "anytime": lambda: _curves.anytime(runs_of(some())),
    "incumbents": lambda: _curves.incumbents(runs_of(some()), truth=known),
    "tradeoff": lambda: _tradeoff.tradeoff(runs_of(some())),
    "profiles": lambda: _curves.profiles(runs_of(some())),
    "costs": lambda: _tradeoff.costs(runs_of(some())),
    "diversity": lambda: _gradient.diversity(runs_of(some())),
    "ranking": lambda: _gradient.ranking(runs_of(some(NAMES[:4]))),
    "architecture": lambda: _architecture.architecture(some()[0]),
    "critical": lambda: _critical.critical(across([r.board for r in boards(tasks())])[0]),
}


@pytest.mark.parametrize("kind", plots.KINDS)
def test_no_text_covers_another_or_leaves_the_figure(kind: str) -> None:
    assert overlaps(drawn(DRAWERS[kind]())) == []


def test_crowded_labels_find_their_places() -> None:
    crowd = tuple(f"strategy_{i:02}" for i in range(18))
    records = [
        record(name, seed, 0.5 + 0.001 * i, macs=12_000_000 + 9_000 * i)
        for i, name in enumerate(crowd)
        for seed in (0, 1)
    ]
    for draw in (_tradeoff.tradeoff, _curves.anytime):
        assert overlaps(drawn(draw(runs_of(records)))) == []


def test_every_kind_is_written_as_png_and_svg(tmp_path: Path) -> None:
    for kind in plots.KINDS:
        results = plots.plot(tasks() if kind == "critical" else some(NAMES[:1], 2), kind, tmp_path, truth=known)
        assert results and all(result.reason is None for result in results)
        for result in results:
            png, svg = result.files
            assert png.read_bytes().startswith(b"\x89PNG") and png.name.startswith(kind)
            assert svg.read_bytes().startswith(b"<?xml") and b"<dc:date>" not in svg.read_bytes()
            assert b"Software" not in png.read_bytes()[:400]


@pytest.mark.long
def test_plots_are_byte_identical_between_processes(tmp_path: Path) -> None:
    program = (
        "import sys; sys.path.append(sys.argv[1]); from record_factory import record; from pathlib import Path\n"
        "from pvnas_bench.boards import plots\n"
        "records = [record(e, s, 0.4 + s / 20) for e in 'a' for s in range(2)]\n"
        "for kind in ('anytime', 'tradeoff', 'costs', 'diversity'): plots.plot(records, kind, Path(sys.argv[2]))\n"
        "print('torch' in sys.modules, 'matplotlib.pyplot' in sys.modules)"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(SUPPORT), str(tmp_path / name)],
            stdout=subprocess.PIPE,
            text=True,
            env={"PYTHONHASHSEED": seed, "HOME": str(tmp_path)},
        )
        for name, seed in (("one", "1"), ("two", "2"))
    ]
    assert [process.communicate()[0] for process in processes] == ["False False\n"] * 2
    written = [{path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("one", "two")]
    assert len(written[0]) == 2 * 4
    assert written[0] == written[1]


def with_curve(entry: str, seed: int, points: list[tuple[float, float | None]]) -> Record:
    steps = [
        {
            "step": i,
            "cost": c,
            "wall": 10 * c,
            "incumbent": "x",
            "macs": 1,
            "metrics": {} if v is None else {"val_top1": v},
        }
        for i, (c, v) in enumerate(points)
    ]
    return Record.model_validate(content(entry, seed, 0.5) | {"trajectory": steps})


def test_an_anytime_curve_is_the_mean_of_step_functions() -> None:
    first = with_curve("alpha", 0, [(1.0, 0.2), (2.0, 0.4), (3.0, None)])
    second = with_curve("alpha", 1, [(1.5, 0.6), (4.0, 0.8)])
    for axis, scale in (("cost", 1), ("wall", 10)):
        figure = drawn(_curves.anytime(runs_of([first, second]), axis))  # type: ignore[arg-type]
        line = figure.axes[0].lines[0]
        assert line.get_drawstyle() == "steps-post"
        x, y = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
        assert x[:-1] == pytest.approx([scale * c for c in (1.0, 1.5, 2.0, 4.0)])
        assert y == pytest.approx([np.nan, 40, 50, 60, 60], nan_ok=True)  # unknown until both runs reported
        assert x[-1] >= 4.0 * scale  # the incumbent stands until the edge


def test_runs_without_measurements_give_no_curve() -> None:
    reason = _curves.anytime(runs_of([with_curve("alpha", 0, [(1.0, None)])]))
    assert isinstance(reason, str) and "val_top1" in reason


@pytest.mark.parametrize("searches", [8, 9])
def test_bands_of_many_searches_are_left_out_and_the_note_says_so(searches: int) -> None:
    runs = runs_of(some(tuple(f"search{number}" for number in range(searches)), 2))
    for figure in (_curves.anytime(runs), _curves.incumbents(runs, truth=known), _curves.profiles(runs)):
        banded = searches == 8
        assert bool(drawn(figure).axes[0].collections) == banded
        note = drawn(figure).get_supxlabel()
        assert ("bootstrap bands" in note, "no bands: too many searches" in note) == (banded, not banded)


@pytest.mark.parametrize(("searches", "panels"), [(14, [14]), (15, [8, 7]), (17, [8, 8, 1])])
def test_many_curves_are_divided_over_panels_that_show_the_others_in_grey(searches: int, panels: list[int]) -> None:
    names = tuple(f"search{number}" for number in range(searches))
    figure = drawn(_curves.incumbents(runs_of(some(names, 2)), truth=known))
    shown = [axes for axes in figure.axes if axes.get_visible()]
    labels = [[text.get_text() for text in axes.texts] for axes in shown]
    assert [len(own) for own in labels] == panels
    assert sorted(itertools.chain(*labels)) == sorted(names)
    for axes, own in zip(shown, panels, strict=True):
        steps = [line for line in axes.lines if line.get_drawstyle() == "steps-post"]
        grey = [line for line in steps if line.get_color() == _style.FAINT]
        assert (len(steps), len(grey)) == ((searches, searches - own) if len(panels) > 1 else (searches, 0))
        assert len({float(np.asarray(line.get_xdata())[-1]) for line in steps}) == 1  # all reach the edge
    assert len({axes.get_ylim() for axes in shown}) == len({axes.get_xlim() for axes in shown}) == 1
    note = figure.get_supxlabel()
    assert ("grey" in note, "bootstrap bands" in note) == (len(panels) > 1,) * 2
    assert bool(shown[0].collections) == (len(panels) > 1)


def test_incumbents_are_judged_by_the_truth_and_not_by_what_a_search_reports() -> None:
    runs = runs_of([with_curve("alpha", 0, [(1.0, 0.2), (2.0, None), (3.0, 0.9)]), with_curve("beta", 0, [(1.0, 0.1)])])
    told = {"alpha": [0.3, 0.5, float("nan")], "beta": []}
    figure = drawn(_curves.incumbents(runs, truth=lambda run: told[run.strategy.name]))
    (line,) = [line for line in figure.axes[0].lines if line.get_drawstyle() == "steps-post"]
    assert np.asarray(line.get_xdata())[:-1] == pytest.approx([1.0, 2.0])
    assert np.asarray(line.get_ydata()) == pytest.approx([30, 50, 50])
    assert any("unknown to the table: beta" in t.get_text() for t in figure.findobj(Text))
    for truth in (None, lambda run: []):
        reason = _curves.incumbents(runs, truth=truth)
        assert isinstance(reason, str) and "no table" in reason


@pytest.mark.parametrize("broken", [float("nan"), None])
def test_a_column_without_one_number_is_a_reason_and_no_traceback(broken: float | None, tmp_path: Path) -> None:
    contents = [content(entry, seed, retrainings=2) for entry in NAMES[:3] for seed in range(2)]
    for made in contents:
        for tested in made["outcome"]["trained"]:
            tested |= dict.fromkeys(("test_top1", "test_top5", "test_mean_class", "test_loss"), broken)
        for step in made["trajectory"]:
            step["metrics"] = dict.fromkeys(step["metrics"], broken)
    records = [Record.model_validate(made) for made in contents]
    for kind in plots.KINDS:
        for plot in plots.plot(records, kind, tmp_path, formats=("svg",)):
            assert plot.files or plot.reason


def test_failed_runs_are_left_out_of_a_curve_and_the_label_says_so() -> None:
    records = [*some(("alpha",), 3), record("alpha", 7, status="failed")]
    figure = drawn(_curves.anytime(runs_of(records)))
    assert "alpha (3 of 4 seeds)" in [t.get_text() for t in figure.findobj(Text)]


def test_the_front_of_the_tradeoff_is_the_staircase_of_nondominated_means() -> None:
    records = [
        record(n, 0, t, macs=m * 10**6) for n, t, m in (("a", 0.3, 5), ("b", 0.6, 8), ("c", 0.5, 10), ("d", 0.7, 12))
    ]
    figure = drawn(_tradeoff.tradeoff(runs_of(records)))
    (front,) = [line for line in figure.axes[0].lines if str(line.get_label()).startswith("Pareto")]
    assert front.get_xydata().tolist() == [[5, 30], [8, 30], [8, 60], [12, 60], [12, 70], [20, 70], [20, 70]]
    note = figure.get_supxlabel()
    # Dominated shares of the box of 1.1 times 20 M MACs and accuracies from chance, 25 %, to 100 %.
    share = ((8 - 5) * 0.05 + (12 - 8) * 0.35 + (22 - 12) * 0.45) / (22 * 0.75)
    assert f"means {share:.3f}" in note


def test_a_profile_falls_at_every_run() -> None:
    figure = drawn(_curves.profiles(runs_of([record("alpha", s, t) for s, t in enumerate((0.2, 0.4, 0.4, 0.8))])))
    line = figure.axes[0].lines[0]
    at = dict(
        zip(np.round(np.asarray(line.get_xdata()), 6).tolist(), np.asarray(line.get_ydata()).tolist(), strict=True)
    )
    assert (at[20.0], at[40.0], at[80.0]) == (0.75, 0.25, 0.0)


def test_costs_show_the_mean_seconds_of_each_activity() -> None:
    figure = drawn(_tradeoff.costs(runs_of(some(("alpha",), 2))))
    assert [t.get_text() for t in figure.axes[1].get_legend().get_texts()] == [
        "CPU seconds",
        "data",
        "forward",
        "backward",
        "optimiser",
        "harness",
    ]
    widths = [bars[0].get_width() for bars in figure.axes[1].containers]  # type: ignore[index]
    assert widths == [1.0, 10.0, 15.0, 1.5, 0.5]
    (ticks,) = figure.axes[1].collections
    assert np.asarray(ticks.get_offsets())[0].tolist() == [some(("alpha",), 2)[0].search.cpu_seconds, 2.0]


def test_ranking_prints_kendalls_tau() -> None:
    pairs = [[0.1, 0.2], [0.2, 0.4], [0.3, 0.3], [0.4, 0.5]]  # one of six pairs is discordant
    figure = drawn(_gradient.ranking(runs_of([record("alpha", diagnostics={"rank_pairs": pairs})])))
    assert "Kendall τ +0.67" in figure.axes[0].get_title(loc="left")


@pytest.mark.parametrize("broken", [None, "text", [1, "x"], {"a": 1}, [[1]], 3, [True], [[0.1, None]]])
def test_diagnostics_of_any_shape_are_left_out(broken: Any) -> None:
    runs = runs_of([record("alpha", diagnostics={"alpha_entropy": broken, "rank_pairs": broken}, trajectory=())])
    assert isinstance(_gradient.diversity(runs), str)
    assert isinstance(_gradient.ranking(runs), str)


def test_entropy_is_read_from_logged_steps_or_from_records_of_the_first_version() -> None:
    new = record("alpha", 0, steps=4)
    assert "alpha_entropy" not in new.diagnostics
    series = [step.metrics["alpha_entropy"] for step in new.trajectory]
    metrics = [{"val_top1": 0.5}] * 4
    plain = tuple(replace(s, metrics=m) for s, m in zip(new.trajectory, metrics, strict=True))
    old = record("alpha", 0, diagnostics={"alpha_entropy": series}, trajectory=plain)
    for run in (new, old):
        line = drawn(_gradient.diversity(runs_of([run]))).axes[0].lines[0]
        assert np.asarray(line.get_ydata()) == pytest.approx(series)


def test_a_seed_counts_once_in_a_curve_with_the_mean_of_its_runs() -> None:
    points = [(0, 0.2), (0, 0.4), (1, 0.8)]
    runs = [with_curve("alpha", seed, [(1.0, top1)]) for seed, top1 in points]
    figure = drawn(_curves.anytime(runs_of(runs)))
    assert np.asarray(figure.axes[0].lines[0].get_ydata()) == pytest.approx([55, 55])
    assert [t.get_text() for t in figure.findobj(Text) if "alpha" in t.get_text()] == ["alpha"]


def test_a_drawing_has_a_block_for_each_layer_with_operator_and_shape() -> None:
    made = record("alpha", 0, 0.5)
    assert made.outcome is not None
    texts = [t.get_text() for t in drawn(_architecture.architecture(made)).findobj(Text)]
    for layer in made.outcome.network:
        assert layer["name"] in texts and layer["operator"] in texts
        assert "×".join(map(str, layer["shape_out"])) in texts
    colours = _architecture.fills(made.outcome.network)
    inner = {_architecture.operator_of(layer) for layer in made.outcome.network[1:-1]}
    assert len({colours[name] for name in inner}) == len(inner) and _architecture.PLAIN not in {
        colours[n] for n in inner
    }


def test_layers_of_any_shape_are_drawn(tmp_path: Path) -> None:
    made = content("alpha")
    made["outcome"]["network"] = [
        {},
        {"name": 3, "operator": None, "macs": "many", "shape_out": "wide"},
        {"macs": None},
    ]
    (result,) = plots.plot([Record.model_validate(made)], "architecture", tmp_path)
    assert result.reason is None
    made["outcome"]["network"] = []
    assert "no network" in str(plots.plot([Record.model_validate(made)], "architecture", tmp_path)[0].reason)


def test_a_critical_difference_diagram_needs_tasks(tmp_path: Path) -> None:
    (result,) = plots.plot(some(seeds=8), "critical", tmp_path)
    assert result.files == () and result.reason is not None
    assert "not justified: its blocks are tasks (space × data set), not seeds" in result.reason
    assert list(tmp_path.iterdir()) == []


def test_any_name_is_text(tmp_path: Path) -> None:
    names = ["<script>alert(1)</script>", "$\\frac{1}{2}$ $", "a\nb\x1b[0m", "多言語", "../../etc/x", "%s{}"]
    records = [record(name, 0, 0.4 + i / 20) for i, name in enumerate(names)]
    for kind in plots.KINDS:
        some_records = records[:1] if kind == "architecture" else records
        for result in plots.plot(some_records, kind, tmp_path / "out", formats=["svg"]):
            for path in result.files:
                assert path.parent == tmp_path / "out"
                assert b"<script" not in path.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_boards_with_equal_names_get_separate_files(tmp_path: Path) -> None:
    records = [record("alpha", 0, 0.5), record("alpha", 0, 0.6, data="f" * 64), record("alpha", 0, 0.6, budget=8.0)]
    names = [
        path.name for result in plots.plot(records, "tradeoff", tmp_path, formats=["svg"]) for path in result.files
    ]
    assert len(set(names)) == 3
    assert sum(bool(re.search(r"-[0-9a-f]{8}\.svg$", name)) for name in names) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "pie"}, "unknown plot 'pie': choose one of anytime, incumbents"),
        ({"formats": ["pdf"]}, "unknown --format 'pdf': choose one of png, svg"),
        ({"axis": "joules"}, "unknown --axis 'joules': choose one of cost, wall, step"),
    ],
)
def test_unknown_names_are_usage_errors(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        plots.plot(some(), **({"kind": "anytime", "folder": tmp_path} | options))


@given(st.lists(st.floats(0, 100), min_size=1, max_size=20), st.floats(0.1, 8))
def test_spread_keeps_order_gap_and_bounds(positions: list[float], gap: float) -> None:
    placed = _style.spread(positions, gap, 0, 100)
    room = min(gap, 100 / max(len(positions) - 1, 1))
    ordered = [placed[i] for i in np.argsort(positions, kind="stable")]
    assert all(b - a >= room - 1e-9 for a, b in itertools.pairwise(ordered))
    assert min(placed) >= -1e-9 and max(placed) <= 100 + 1e-9


def test_spread_moves_only_overlaps_and_shares_the_shift() -> None:
    assert _style.spread([10, 50, 90], 5, 0, 100) == pytest.approx([10, 50, 90])
    assert _style.spread([50, 50, 50], 10, 0, 100) == pytest.approx([40, 50, 60])


def test_looks_differ_in_more_than_colour() -> None:
    entries = [(f"s{i:02}", "search") for i in range(20)]
    looks = _style.looks(entries)  # type: ignore[arg-type]
    assert len({(look.colour, str(look.dash), look.marker) for look in looks.values()}) == 20
    assert len({(str(look.dash), look.marker) for look in looks.values()}) == 20  # in grey
    assert looks == _style.looks(list(reversed(entries)))  # type: ignore[arg-type]
