"""Notebooks are committed stripped, short, and with parameters that a spec can check. That they run is nbval's part."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from tests.tree import ROOT, imports, tracked

MOST_CELLS = 12
NOTEBOOKS = tracked("notebooks/*.ipynb")
TEMPLATES = tuple(path for path in NOTEBOOKS if path.parts[1] != "tour")


def load(path: Path) -> dict[str, Any]:
    notebook: dict[str, Any] = json.loads((ROOT / path).read_text(encoding="utf-8"))
    return notebook


def code_cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def parameters_cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    return [cell for cell in notebook["cells"] if "parameters" in cell["metadata"].get("tags", [])]


def plain_python(cell: dict[str, Any]) -> ast.Module:
    """The cell without IPython's own lines; nothing of a cell in another language, such as ``%%opencl``."""
    lines = [] if source(cell).startswith("%%") else source(cell).splitlines()
    return ast.parse("\n".join(line for line in lines if not line.lstrip().startswith(("%", "!"))))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=str)
def test_outputs_and_counts_are_stripped(path: Path) -> None:
    cells = code_cells(load(path))
    assert [source(cell) for cell in cells if cell["outputs"] or cell["execution_count"] is not None] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=str)
def test_metadata_holds_no_trace_of_a_machine_or_a_run(path: Path) -> None:
    notebook = load(path)
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert set(notebook["metadata"]) <= {"kernelspec", "language_info"}
    assert notebook["metadata"].get("language_info", {}).keys() <= {"name"}, "the interpreter's version is a machine's"
    assert [cell["id"] for cell in notebook["cells"] if set(cell["metadata"]) - {"tags"}] == []
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=str)
def test_a_notebook_asks_and_modules_answer(path: Path) -> None:
    notebook = load(path)
    assert len(notebook["cells"]) <= MOST_CELLS
    trees = [plain_python(cell) for cell in code_cells(notebook)]
    classes = [node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    assert classes == []
    assert [name for tree in trees for name in imports(tree) if name.split(".")[0] == "pyopencl"] == []
    assert notebook["cells"][0]["cell_type"] == "markdown", "the question comes first"


@pytest.mark.parametrize("path", TEMPLATES, ids=str)
def test_a_template_has_one_cell_of_annotated_parameters(path: Path) -> None:
    """Papermill reads one ``name: type = default  # help`` a line, and replaces the whole cell."""
    cells = parameters_cells(load(path))
    assert len(cells) == 1
    lines = [line for line in source(cells[0]).splitlines() if line.strip() and not line.startswith("#")]
    assignments = plain_python(cells[0]).body
    assert all(isinstance(node, ast.AnnAssign) and node.value is not None for node in assignments)
    assert len(assignments) == len(lines), "one parameter a line, else Papermill does not see it"
    assert [line for line in lines if "#" not in line] == [], "each parameter has its help"
