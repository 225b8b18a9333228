import base64
import functools
import html
import html.parser
import http.server
import io
import json
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st
from record_factory import content, record

from pvnas_bench.boards import render, report
from pvnas_bench.boards.report import Thumbnail, _page
from pvnas_bench.boards.report._page import _embedded
from pvnas_bench.records import Record, Unreadable

GIF = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
HOSTILE = "</script><script>document.title='broken'</script><img src=x onerror=alert(1)>"


def some() -> list[Record]:
    made = [
        record(name, seed, top1 + 0.05 * seed) for name, top1 in (("alpha", 0.5), ("beta", 0.7)) for seed in range(3)
    ]
    made += [record("control", seed, 0.3 + 0.01 * seed, role="random_control", trajectory=()) for seed in range(3)]
    made += [
        record(HOSTILE, 0, 0.6, data="e" * 64, data_name="words"),
        record("alpha", 1, status="failed", data="e" * 64, data_name="words"),
    ]
    return made


class Page(html.parser.HTMLParser):
    """Elements of a page, collected by an HTML parser."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[int, str] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text[len(self.tags) - 1] = self.text.get(len(self.tags) - 1, "") + data

    def data(self) -> Any:
        (index,) = [i for i, (tag, attrs) in enumerate(self.tags) if tag == "script" and attrs.get("id") == "data"]
        return json.loads(self.text[index])


def test_the_page_holds_the_boards_and_every_record() -> None:
    records = some()
    data = Page(report.render(records, [Unreadable(Path("x/record.json"), "cut short")])).data()
    assert [board["data"] for board in data["boards"]] == ["synthetic_motion", "words"]
    kept = [run[5] for board in data["boards"] for run in board["runs"]]
    assert sorted(r["id"] for r in kept) == sorted(r.id for r in records)
    by_id = {r.id: r for r in records}
    assert all(Record.model_validate(r) == by_id[r["id"]] for r in kept)
    assert data["unreadable"] == [{"path": "x/record.json", "reason": "cut short"}]


def test_the_page_is_self_contained_and_strict() -> None:
    page = Page(report.render(some(), thumbnails=lambda run: [Thumbnail(GIF, "up")]))
    assert [tag for tag, _ in page.tags].count("script") == 2
    assert not any({"src", "href", "action"} & attrs.keys() for _, attrs in page.tags)
    assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)
    (policy,) = [attrs["content"] for _, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None and policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy and "http" not in policy and "*" not in policy


def test_the_page_asks_for_nothing_from_outside() -> None:
    folder = Path(report.__file__).parent
    script = (folder / "page.js").read_text()
    addresses = set(re.findall(r"https?://[^\"'\s)]+", script + (folder / "page.css").read_text()))
    assert addresses == {"http://www.w3.org/2000/svg"}  # a namespace, never fetched
    for word in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "Function(",
        "fetch(",
        "import(",
    ):
        assert word not in script


@pytest.mark.parametrize("title", [HOSTILE, "<!-- <script>", "a & b"])
def test_hostile_text_stays_data(title: str) -> None:
    page = Page(report.render(some(), title=title))
    assert [tag for tag, _ in page.tags].count("script") == 2
    assert not any(tag == "img" for tag, _ in page.tags)
    data = page.data()
    assert data["title"] == title
    assert HOSTILE in [row["entry"] for board in data["boards"] for row in board["rows"]]


@given(st.text())
def test_embedded_json_has_no_markup_and_is_unchanged(text: str) -> None:
    embedded = _embedded({text: [text]})
    assert not re.search(r"[<>&\u2028\u2029]", embedded) and embedded.isascii()
    assert json.loads(embedded) == {text: [text]}


def test_the_same_records_give_the_same_page() -> None:
    records = some()
    assert report.render(records) == report.render(list(reversed(records)))


@pytest.mark.parametrize(
    "image",
    ["https://example.org/x.gif", "data:text/html;base64,AAAA", "data:image/svg+xml;base64,AAAA", GIF + '" onload="x'],
)
def test_thumbnails_are_pictures_within_the_page(image: str) -> None:
    with pytest.raises(ValueError, match="a thumbnail is a base64 data URI"):
        Thumbnail(image, "up")


def test_a_clip_becomes_an_animation_with_the_same_pixels() -> None:
    clip = np.random.default_rng(0).integers(0, 256, (5, 20, 30, 3), np.uint8)
    made = report.thumbnail(clip, "up", rate=4)
    assert made.caption == "up"
    picture = PIL.Image.open(io.BytesIO(base64.b64decode(made.image.partition(",")[2])))
    assert (picture.format, picture.size, picture.n_frames) == ("PNG", (30, 20), 5)  # type: ignore[attr-defined]
    for index, frame in enumerate(clip):
        picture.seek(index)
        assert picture.info["duration"] == 250
        assert np.array_equal(np.asarray(picture.convert("RGB")), frame)


def test_long_and_large_clips_are_reduced() -> None:
    clip = np.zeros((33, 130, 40, 3), np.uint8)
    clip[:, 0, 0, 0] = np.arange(33)
    picture = PIL.Image.open(io.BytesIO(base64.b64decode(report.thumbnail(clip, "").image.partition(",")[2])))
    assert (picture.size, picture.n_frames) == ((14, 44), 8)  # type: ignore[attr-defined]
    picture.seek(7)
    assert picture.convert("RGB").getpixel((0, 0)) == (32, 0, 0)


@pytest.mark.parametrize(
    "clip", [np.zeros((2, 4, 4), np.uint8), np.zeros((2, 4, 4, 3)), np.zeros((0, 4, 4, 3), np.uint8)]
)
def test_files_that_are_not_clips_are_refused(clip: Any) -> None:
    with pytest.raises(ValueError, match="a clip is uint8 of shape"):
        report.thumbnail(clip, "up")


def test_a_picture_shared_by_boards_is_embedded_once() -> None:
    page = report.render(some(), thumbnails=lambda run: [Thumbnail(GIF, run.id)])
    assert page.count(GIF) == 1
    assert [len(board["clips"]) for board in Page(page).data()["boards"]] == [1, 1]


def test_thumbnails_are_made_once_for_a_board_with_a_completed_run() -> None:
    asked: list[Record] = []

    def clips(run: Record) -> list[Thumbnail]:
        asked.append(run)
        return [Thumbnail(GIF, "up")]

    report.render([*some(), record("none", status="failed", data="f" * 64, data_name="other")], thumbnails=clips)
    assert [(run.status, run.data.name) for run in asked] == [("ok", "synthetic_motion"), ("ok", "words")]


def test_runs_beyond_the_limit_are_shown_without_their_records(monkeypatch: pytest.MonkeyPatch) -> None:
    records = [record(name, seed, 0.5 + 0.001 * seed) for name in ("alpha", "beta") for seed in range(40)]
    size = len(records[0].model_dump_json())
    monkeypatch.setattr(_page, "MOST_BYTES", 10 * size)
    page = report.render(records)
    (board,) = Page(page).data()["boards"]
    assert len(page) < 12 * size + 60_000
    assert len(board["runs"]) == 80
    whole = [(board["entries"][run[0]], run[1]) for run in board["runs"] if len(run) == 6]
    assert {name: sum(entry == name for entry, _ in whole) for name in ("alpha", "beta")} == {"alpha": 5, "beta": 5}
    assert {seed for _, seed in whole} == set(range(5))
    by_place = {(r.strategy.entry, r.seed): r for r in records}
    for entry, seed, status, top1, macs, *_ in board["runs"]:
        shown = by_place[board["entries"][entry], seed]
        assert shown.outcome is not None
        assert (status, top1, macs) == ("ok", pytest.approx(shown.outcome.trained[0].test_top1), shown.outcome.macs)


def test_pages_without_records_and_with_odd_records(tmp_path: Path) -> None:
    report.write(tmp_path / "empty.html", [])
    assert Page((tmp_path / "empty.html").read_text()).data()["boards"] == []
    odd = content("odd") | {"trajectory": [], "diagnostics": {"x": None}}
    odd["outcome"]["network"] = []
    report.write(tmp_path / "odd.html", [Record.model_validate(odd), record("none", outcome=None)])
    assert Page((tmp_path / "odd.html").read_text()).data()["boards"][0]["rows"]


def test_the_report_imports_neither_torch_nor_matplotlib() -> None:
    program = (
        "import sys; from pvnas_bench.boards import report; report.render([]);"
        "print([m for m in ('torch', 'pandas', 'scipy', 'matplotlib') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout == "[]\n"


# In a browser. A driver page on the same origin holds the report in a frame, acts as a user would, and writes what it
# sees into its own document, which Chromium prints.

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)


FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--enable-logging=stderr",
    "--virtual-time-budget=20000",
    "--dump-dom",
)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Any:
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    folder = tmp_path_factory.mktemp("site")
    unreadable = [Unreadable(Path("bad/<b>/record.json"), "not JSON, or cut short")]
    report.write(folder / "report.html", some(), unreadable, thumbnails=lambda run: [Thumbnail(GIF, "up, said down")])
    shutil.copy(Path(__file__).with_name("driver.html"), folder)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        done = subprocess.run(
            [CHROMIUM, *FLAGS, f"--user-data-dir={folder / 'profile'}", f"{address}/driver.html"],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
    finally:
        server.shutdown()
        server.server_close()
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line and "favicon" not in line]
    assert console == []
    found = re.search(r'<pre id="seen">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found is not None and found[1] != "waiting", done.stdout[-2000:]
    return json.loads(html.unescape(found[1]))


def test_the_browser_reports_no_error_and_asks_for_nothing(seen: dict[str, Any]) -> None:
    assert seen["errors"] == []
    assert seen["requests"] == []
    assert seen["title"] == "pvnas_bench results"


def test_columns_sort(seen: dict[str, Any]) -> None:
    assert seen["ranked"] == ["beta", "alpha", "control (control)"]
    assert seen["by_entry"] == ["alpha", "beta", "control (control)"]
    assert seen["by_entry_again"] == ["control (control)", "beta", "alpha"]
    assert seen["by_top1"] == ["beta", "alpha", "control (control)"]
    assert seen["sorted"] == ["top-1 % descending"]


def test_curves_show_values_under_the_pointer(seen: dict[str, Any]) -> None:
    assert seen["curves"] == 2
    visible, lines = seen["tip"]
    assert visible and lines[0].startswith("at ") and len(lines) == 3
    finals = {
        name: sum(max(s.metrics["val_top1"] for s in r.trajectory) for r in some()[:6] if r.strategy.entry == name) / 3
        for name in ("alpha", "beta")
    }
    assert sorted(lines[1:]) == sorted(f"{100 * value:.1f} % {name}" for name, value in finals.items())
    assert seen["tip_gone"]
    assert "search time (wall seconds)" in seen["axis"]


def test_a_run_opens_with_its_record_drawing_confusion_and_clips(seen: dict[str, Any]) -> None:
    assert seen["runs"] == ["seed 0: 70.0 %", "seed 1: 75.0 %", "seed 2: 80.0 %"]
    assert seen["dialog"] == [True, "beta, seed 0"]
    opened = next(r for r in some() if r.id == seen["record"])
    assert (opened.strategy.entry, opened.seed) == ("beta", 0)
    assert opened.outcome is not None
    assert seen["layers"] == len(opened.outcome.network)
    assert seen["confusion"] == [list(row) for row in opened.outcome.trained[0].confusion]
    assert seen["clips"] == [["data:image/gif", "up, said down"]]
    assert seen["closed"] and seen["dot_opens"]


def test_boards_are_filtered(seen: dict[str, Any]) -> None:
    assert len(seen["headings"]) == 2
    assert seen["filtered"] == ["st_default v1 (cap L) · words · quick v1"]
    assert seen["unfiltered"] == 2


def test_the_board_fits_its_place_and_names_hidden_columns(seen: dict[str, Any]) -> None:
    headers = [column.header for column in render.COLUMNS if column.always]
    for width, found in seen["widths"].items():
        assert found["cut"] <= 0, width
        left_out = found["more"].partition(": ")[2].split(", ") if found["more"] else []
        assert set(found["visible"]) | set(left_out) == set(headers)
        assert len(found["visible"]) + len(left_out) == len(headers) == found["all"]
        assert {"rank", "entry", "top-1 %"} <= set(found["visible"])
    assert {"MACs", "search rt", "seeds", "fail"} <= set(seen["widths"]["1280"]["visible"])
    assert len(seen["widths"]["2400"]["visible"]) > len(seen["widths"]["1280"]["visible"])


def test_clips_are_shown_with_their_board(seen: dict[str, Any]) -> None:
    assert seen["board_clips"] == [["up, said down"], ["up, said down"]]


def test_hostile_names_are_shown_as_text(seen: dict[str, Any]) -> None:
    assert HOSTILE in seen["hostile"]
    assert seen["injected"] == [0, 2]
    assert seen["failed"] == ["seed 1: failed"]
    assert seen["unreadable"] == ["bad/<b>/record.json: not JSON, or cut short"]
