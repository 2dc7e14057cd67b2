"""The parameters that a notebook declares, and whether a value may be given to one of them.

A notebook declares its parameters in one cell tagged ``parameters``, one per line: ``n_samples: int = 30  # help``.
Papermill pastes values as source text after that cell without checking names or types, so both are checked here.
"""

from __future__ import annotations

import ast
import difflib
import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rx580lab.errors import SpecError
from rx580lab.experiment.model import Declaration, Scalar, Value, parameter_name_problem

__all__ = ["NotebookParameter", "inspect_parameters", "nearest", "parse_override"]

_TYPES: dict[str, type] = {"bool": bool, "int": int, "float": float, "str": str}
_KINDS = ("bool", "int", "float", "str", "list")


@dataclass(frozen=True)
class NotebookParameter:
    """One line of the ``parameters`` cell. ``kind`` is bool, int, float, str or list; ``item`` a list's item type."""

    name: str
    kind: str
    item: str | None
    default: Value
    help: str

    @property
    def annotation(self) -> str:
        """The annotation as it is written: ``int``, ``list[str]``."""
        return f"list[{self.item}]" if self.item else self.kind

    def problem(self, value: Any, bounds: Declaration | None = None) -> str | None:
        """Why ``value`` may not be given to this parameter; None when it may."""
        found = _type_problem(value, self.kind, self.item)
        if found:
            return f"{self.name}: {found}"
        if bounds is None:
            return None
        for item in value if isinstance(value, list) else [value]:
            found = _bounds_problem(item, bounds)
            if found:
                return f"{self.name}: {found}"
        return None

    def cast(self, value: Any) -> Value:
        """``value`` in the declared type: an int given to a float parameter becomes a float."""
        if self.kind == "float":
            return float(value)
        if self.item == "float":
            return [float(item) for item in value]
        checked: Value = value
        return checked


def _type_problem(value: Any, kind: str, item: str | None) -> str | None:
    if kind == "list":
        if not isinstance(value, list):
            return f"expected a list, got {_shown(value)}"
        for index, entry in enumerate(value):
            found = _type_problem(entry, item, None) if item else None
            if found:
                return f"item {index}: {found}"
        return None
    wanted = _TYPES[kind]
    # bool is a subclass of int in Python; True is no count here.
    fits = type(value) is wanted or (kind == "float" and type(value) is int)
    if fits:
        return None
    return f"expected {_article(kind)}, got {_shown(value)}{_hint(value, kind)}"


def _article(kind: str) -> str:
    return {"int": "an int", "str": "a str (text)", "bool": "a bool (true or false)"}.get(kind, f"a {kind}")


def _shown(value: Any) -> str:
    word = {"NoneType": "null"}.get(type(value).__name__, type(value).__name__)
    return word if value is None else f"{word} {value!r}"


def _hint(value: Any, kind: str) -> str:
    if isinstance(value, str) and kind in ("int", "float"):
        return number_hint(value)
    if kind == "str" and isinstance(value, bool | int | float):
        return "; quote it to make it text"
    if kind == "int" and isinstance(value, float) and value.is_integer():
        return f"; write {int(value)}"
    return ""


def number_hint(text: str) -> str:
    """What to write instead of a number that YAML 1.1 reads as text, such as ``1e3``; empty if it is no number."""
    try:
        number = float(text)
    except ValueError:
        return ""
    if "e" in text.lower():
        return f"; YAML reads {text} as text: write {number!r}, or 1.0e+3 style with a dot and a sign"
    return "; remove the quotes"


def _bounds_problem(value: Scalar, bounds: Declaration) -> str | None:
    if bounds.enum is not None and not any(_same(value, allowed) for allowed in bounds.enum):
        return f"expected one of {', '.join(map(str, bounds.enum))}, got {value}"
    if bounds.min is None and bounds.max is None:
        return None
    if isinstance(value, bool | str) or value is None:
        return f"expected a number, since min or max is set, got {_shown(value)}"
    unit = f" {bounds.unit}" if bounds.unit else ""
    if bounds.min is not None and value < bounds.min:
        return f"expected at least {bounds.min}{unit}, got {value}"
    if bounds.max is not None and value > bounds.max:
        return f"expected at most {bounds.max}{unit}, got {value}"
    return None


def _same(value: Scalar, allowed: Scalar) -> bool:
    return value == allowed and isinstance(value, bool) == isinstance(allowed, bool)


def nearest(name: str, known: Iterable[str]) -> str:
    """A did-you-mean for a message: the closest known name, or all of them; starts with a separator."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(names)}" if names else "; none is known"


def inspect_parameters(notebook: Path, where: str) -> dict[str, NotebookParameter]:
    """The parameters of ``notebook`` by name, in order. ``where`` names the notebook in messages.

    Raises SpecError for a file that is no notebook, more or fewer than one tagged cell, and any line in it that is
    not ``name: type = literal  # help``, which is also what ``papermill.inspect_notebook`` must be able to read.
    """
    cells = _code_cells(notebook, where)
    tagged = [cell for cell in cells if "parameters" in cell.get("metadata", {}).get("tags", [])]
    if len(tagged) != 1:
        raise SpecError(where, f"expected one cell tagged `parameters`, got {len(tagged)}")
    source = "".join(tagged[0]["source"])
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise SpecError(where, f"the parameters cell is not Python (line {error.lineno}): {error.msg}") from error
    found: dict[str, NotebookParameter] = {}
    helps = _papermill_helps(notebook)
    for statement in tree.body:
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            continue  # a docstring above the parameters
        parameter = _parameter(statement, where, helps)
        if parameter.name in found:
            raise SpecError(where, f"the parameters cell assigns {parameter.name!r} twice; keep one")
        found[parameter.name] = parameter
    return found


def _code_cells(notebook: Path, where: str) -> list[dict[str, Any]]:
    try:
        content = json.loads(notebook.read_bytes())
    except OSError as error:
        raise SpecError(where, f"the notebook cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise SpecError(where, f"expected a notebook (JSON), got something else: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("cells"), list):
        raise SpecError(where, "expected a notebook of format 4 (a list of cells), got another layout")
    return [cell for cell in content["cells"] if isinstance(cell, dict) and cell.get("cell_type") == "code"]


def _papermill_helps(notebook: Path) -> dict[str, str]:
    from papermill import inspect_notebook

    logger = logging.getLogger("papermill")
    before = logger.level
    # It logs each line that it cannot read; those become a SpecError below, with the cure.
    logger.setLevel(logging.ERROR)
    try:
        # Papermill formats the path with str.format, so that braces in a folder's name must be doubled.
        found = inspect_notebook(str(notebook).replace("{", "{{").replace("}", "}}"))
    finally:
        logger.setLevel(before)
    return {name: str(entry["help"]) for name, entry in found.items()}


def _parameter(statement: ast.stmt, where: str, helps: Mapping[str, str]) -> NotebookParameter:
    shown = ast.unparse(statement).splitlines()[0]
    if not (isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value):
        raise SpecError(where, f"expected `name: type = value` in the parameters cell, got `{shown}`")
    name = statement.target.id
    problem = parameter_name_problem(name)
    if problem:
        raise SpecError(where, problem)
    kind, item = _annotated_kind(statement.annotation, where, name)
    try:
        default = ast.literal_eval(statement.value)
    except ValueError:
        raise SpecError(where, f"expected a literal as default of {name!r}, got `{shown}`") from None
    if name not in helps:
        cure = "one parameter on a line of its own, no `=` in its comment"
        raise SpecError(where, f"Papermill cannot read `{shown}`; write {cure}")
    parameter = NotebookParameter(name, kind, item, None, helps[name])
    problem = parameter.problem(default)
    if problem:
        raise SpecError(where, f"the default does not fit its annotation: {problem}")
    return NotebookParameter(name, kind, item, parameter.cast(default), helps[name])


def _annotated_kind(annotation: ast.expr, where: str, name: str) -> tuple[str, str | None]:
    text = ast.unparse(annotation)
    if text in _KINDS:
        return text, None
    if text.startswith("list[") and text[5:-1] in _TYPES:
        return "list", text[5:-1]
    allowed = "bool, int, float, str, list or list[...] of one of these"
    raise SpecError(where, f"expected {allowed} as annotation of {name!r}, got `{text}`")


def parse_override(parameter: NotebookParameter, text: str) -> Value:
    """The value of ``--set name=text`` in the parameter's type. Raises ValueError with ``expected ..., got ...``."""
    if parameter.kind == "str":
        return text
    if parameter.kind == "bool":
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        raise ValueError(f"expected true or false, got {text!r}")
    if parameter.kind == "list":
        return _parse_list(parameter, text)
    try:
        return int(text) if parameter.kind == "int" else float(text)
    except ValueError:
        raise ValueError(f"expected {_article(parameter.kind)}, got {text!r}") from None


def _parse_list(parameter: NotebookParameter, text: str) -> Value:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        value = None
    if not isinstance(value, list):
        raise ValueError(f"expected a list such as [a, b], got {text!r}")
    if parameter.item == "str":
        return [item if isinstance(item, str) else str(item) for item in value]
    return value
