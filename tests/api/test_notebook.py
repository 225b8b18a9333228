"""Progress in a notebook: bars in an output widget, nothing in the cell's own output."""

import json
from pathlib import Path
from typing import Any

import pytest

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")
pytest.importorskip("ipywidgets")

STATE = "application/vnd.jupyter.widget-state+json"


def executed(cwd: Path, *cells: str) -> Any:
    """A notebook of these cells, after they ran in a kernel."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": cwd}}
    ).execute()
    return notebook


@pytest.mark.long
def test_a_run_and_a_comparison_show_bars_in_widgets(tiny_dataset: Path, tmp_path: Path) -> None:
    notebook = executed(
        tmp_path,
        f"import pvnas_bench as pb\npb.run('random_search', dataset={str(tiny_dataset)!r}, budget=0.4, threads=1);",
        "pb.compare('random_search', spaces='st_micro', tabular=True, seeds=1, workers=1).complete",
    )
    printed = [output for cell in notebook.cells for output in cell.outputs if output.output_type == "stream"]
    assert printed == []
    assert notebook.cells[1].outputs[-1].data["text/plain"] == "True"
    widgets = notebook.metadata.widgets[STATE].state.values()
    shown = [json.dumps(widget.state.outputs) for widget in widgets if widget.model_name == "OutputModel"]
    assert any("final training" in text and "100%" in text for text in shown)
    assert any("random_search" in text and "seed 0" in text for text in shown)
