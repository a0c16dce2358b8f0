"""The notebooks of the guide run from their first cell to their last, and show what they are there to show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests import ROOT
from tests.extras import wants

wants("extras-test", "nbclient", "ipykernel")

import nbclient  # noqa: E402
import nbformat  # noqa: E402

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


def run(path: Path, folder: Path) -> Any:
    notebook = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    return notebook


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_draws(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "sample" in path.read_text(encoding="utf-8"):
        pytest.importorskip("arch", reason="the sample data are in the package arch")
    # The kernel keeps its own files out of the user's home.
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    ran = run(path, tmp_path)
    shown = [kind for cell in ran.cells for output in cell.get("outputs", []) for kind in output.get("data", {})]
    assert "text/html" in shown
    assert "application/vnd.plotly.v1+json" in shown


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_what_it_printed(path: Path) -> None:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    assert not [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")]


def test_there_are_three() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["first_strategy", "models_by_hand", "your_own_data"]
