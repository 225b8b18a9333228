"""The examples of the documentation work, and the documents quote them word for word."""

import ast
import json
import re
from pathlib import Path

import pytest
import torch

from pvnas_bench import conformance, records, registry
from pvnas_bench.cli import main
from pvnas_bench.errors import UsageError
from pvnas_bench.network.cost import CostModel
from pvnas_bench.network.supernet import Supernet, path_plan
from pvnas_bench.registry import _import_file
from pvnas_bench.video import LAYOUTS, open_dataset

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "docs" / "examples"
STRATEGIES = ("black_box", "gradient")
PUBLIC = {"pvnas_bench", "pvnas_bench.methods"}
LONGEST = 60


def source(name: str) -> str:
    return (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")


def imported(code: str) -> set[str]:
    """Modules of this package that a module imports."""
    nodes = list(ast.walk(ast.parse(code)))
    names = {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    names |= {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return {name for name in names if name.split(".")[0] == "pvnas_bench"}


@pytest.mark.long
@pytest.mark.parametrize("name", STRATEGIES)
def test_an_example_of_a_strategy_keeps_to_the_contract(name: str) -> None:
    failed = [result for result in conformance.check(str(EXAMPLES / f"{name}.py")) if not result.passed]
    assert not failed


@pytest.mark.parametrize("name", STRATEGIES)
def test_an_example_of_a_strategy_is_short_and_imports_the_public_contract_only(name: str) -> None:
    assert source(name).count("\n") <= LONGEST
    assert imported(source(name)) <= PUBLIC


def test_the_example_of_a_space_is_searched(
    tiny_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = EXAMPLES / "space.py"
    space = registry.get_space(str(path))
    words = ["--space", str(path), "--dataset", str(tiny_dataset), "--budget", "1", "--threads", "1"]
    assert main(["run", "--strategy", "random_search", *words, "--results", str(tmp_path)]) == 0
    record = records.load(Path(capsys.readouterr().out.splitlines()[-1]))
    assert (record.space.name, record.status) == ("st_thermal", "ok")
    assert record.outcome is not None
    assert space.parse(record.outcome.architecture)


def test_the_example_of_a_space_has_a_cap_that_restricts_and_a_supernet() -> None:
    space = registry.get_space(str(EXAMPLES / "space.py"))
    costs, cap = CostModel(space, 3), space.caps["L"]
    assert max(costs(one).macs for one in (space.reference, *space.experts.values())) <= cap
    dearest = {d.name: "st3" if d.name.startswith("operator") else d.options[-1] for d in space.decisions}
    assert costs(space.from_options(dearest)).macs > cap
    clip = torch.zeros(2, 8, 16, 16, 3).permute(0, 1, 4, 2, 3)
    with torch.no_grad():
        assert Supernet(space, 3)(clip, path_plan(space, space.reference)).shape == (2, 3)


def activity_net(root: Path, clips: dict[str, dict[str, object]]) -> None:
    (root / "videos").mkdir(exist_ok=True)
    (root / "activity_net.v1-3.min.json").write_text(json.dumps({"database": clips}))


def test_the_example_of_a_layout_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = _import_file(EXAMPLES / "layout.py").LAYOUT
    monkeypatch.setitem(LAYOUTS, layout.name, layout)
    runs = {"label": "run", "segment": [0.5, 2.0]}
    walks = {"label": "walk", "segment": [2.0, 9.5]}
    activity_net(
        tmp_path,
        {
            "a": {"subset": "training", "annotations": [runs, walks]},
            "b": {"subset": "validation", "annotations": [runs, walks]},
            "c": {"subset": "testing", "annotations": []},
        },
    )
    assert layout.find(tmp_path, 1).root == tmp_path
    assert layout.find(tmp_path / "videos", 1) is None
    (tmp_path / "mine.toml").write_text('root = "."\nformat = "activitynet"\n')
    dataset = open_dataset(str(tmp_path / "mine.toml"))
    assert dataset.classes == ("run", "walk")
    assert [dataset.path(i).name for i in range(len(dataset.labels))] == ["v_a.mp4", "v_a.mp4", "v_b.mp4", "v_b.mp4"]
    assert dataset.splits.tolist() == ["train", "train", "test", "test"]
    assert dataset.spans is not None
    assert dataset.spans.tolist() == [[0.5, 2.0], [2.0, 9.5]] * 2

    activity_net(tmp_path, {"a": {"subset": "training", "annotations": [{"label": "run"}]}})
    with pytest.raises(UsageError, match="expected ActivityNet's annotations"):
        open_dataset(str(tmp_path / "mine.toml"))


QUOTED = re.compile(r"^( *)```python\n(.*?)^\1```", re.MULTILINE | re.DOTALL)


def quotes(document: str) -> list[str]:
    """The Python blocks of a document, without the indentation of a list."""
    text = (ROOT / document).read_text(encoding="utf-8")
    return [re.sub(rf"^{indent}", "", code, flags=re.MULTILINE) for indent, code in QUOTED.findall(text)]


def test_documents_quote_the_examples_word_for_word() -> None:
    assert quotes("README.md") == [source("black_box")]
    assert quotes("CONTRIBUTING.md") == [source("gradient"), source("space"), source("layout")]
    assert source("black_box") in quotes("docs/tutorials/3-own-strategy.md")
    for document in ("docs/models.md", "docs/tutorials/5-model-in-use.md"):
        assert source("onnx_predict") in quotes(document)
