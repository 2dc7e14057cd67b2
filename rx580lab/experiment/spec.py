"""An experiment's YAML, checked in full before anything starts: keys, types, names, bounds and every sweep point."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rx580lab.errors import SpecError
from rx580lab.experiment import source
from rx580lab.experiment.model import (
    NAME_PATTERN,
    Declaration,
    ExperimentModel,
    Gate,
    Scalar,
    Value,
    parameter_name_problem,
)
from rx580lab.experiment.parameters import (
    NotebookParameter,
    inspect_parameters,
    nearest,
    number_hint,
    parse_override,
)

__all__ = ["Assigned", "Spec", "load_spec"]

_MAX_POINTS = 1000
_MAX_PROBLEMS = 10


@dataclass(frozen=True)
class Assigned:
    """A value for a notebook parameter and where it was written: a path in the YAML, or ``--set`` / ``--device``."""

    value: Value
    path: source.Path
    option: str | None = None


@dataclass(frozen=True)
class Spec:
    """A checked experiment. ``points(ci)`` are the parameters that each point passes to the notebook."""

    path: Path
    kind: str
    model: ExperimentModel
    notebook: Path
    parameters: dict[str, NotebookParameter]
    overrides: dict[str, str]
    full: list[dict[str, Value]] = field(repr=False)
    small: list[dict[str, Value]] = field(repr=False)

    @property
    def name(self) -> str:
        """The experiment's name: that of its folder of runs."""
        return self.model.name

    def points(self, ci: bool = False) -> list[dict[str, Value]]:
        """What each point passes to the notebook, in order: the full run's points, or the small ``ci`` version's."""
        return self.small if ci else self.full

    def effective(self, params: Mapping[str, Value]) -> dict[str, Value]:
        """``params`` over the notebook's defaults: the value of every parameter at that point."""
        return {name: parameter.default for name, parameter in self.parameters.items()} | dict(params)


def load_spec(path: Path | str, *, overrides: Mapping[str, str] | None = None, device: str | None = None) -> Spec:
    """Read and check an experiment. ``overrides`` are ``--set`` texts by parameter name, which go over every layer.

    ``device`` (``--device``) goes to the parameter ``device`` of every point, if the notebook declares one.
    Raises SpecError: its ``line`` is the YAML's, its message has one line for each further problem found.
    """
    path = Path(path)
    document = source.load_document(_read(path), str(path))
    model = _validated(document)
    notebook = (path.parent / model.notebook).resolve()
    if not notebook.is_file():
        raise document.error(("notebook",), f"expected the path of a notebook, got {model.notebook}: no such file")
    try:
        parameters = inspect_parameters(notebook, model.notebook)
    except SpecError as error:
        raise document.error(("notebook",), f"{error.where}: {error.message}") from error
    resolver = _Resolver(document, model, parameters, dict(overrides or {}), device)
    full, small = resolver.points(ci=False), resolver.points(ci=True)
    resolver.check_gates(full)
    resolver.raise_problems()
    folder = path.resolve().parent.name
    kind = folder if re.fullmatch(NAME_PATTERN, folder) else "local"
    return Spec(path, kind, model, notebook, parameters, dict(overrides or {}), full, small)


def _read(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SpecError(str(path), f"the experiment cannot be read: {error.strerror}") from error
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SpecError(str(path), "expected UTF-8 text, got other bytes", line) from error


class _Problems:
    """Collects what is wrong, so that one run of the check tells everything; raises the first line's first."""

    def __init__(self, document: source.Document) -> None:
        self.document = document
        self.found: dict[tuple[int, str], None] = {}

    def add(self, path: source.Path, message: str, option: str | None = None) -> None:
        self.found[(0 if option else self.document.line(path), f"{option}: {message}" if option else message)] = None

    def raise_problems(self) -> None:
        if not self.found:
            return
        (line, message), *others = sorted(self.found)
        where = self.document.where
        for other_line, other in others[: _MAX_PROBLEMS - 1]:
            message += f"\n[{where}:{other_line}] {other}" if other_line else f"\n[{where}] {other}"
        if len(others) >= _MAX_PROBLEMS:
            message += f"\nand {len(others) - _MAX_PROBLEMS + 1} more"
        raise SpecError(where, message, line)


def _validated(document: source.Document) -> ExperimentModel:
    if not isinstance(document.value, dict):
        raise document.error((), f"expected a mapping of keys, got {type(document.value).__name__}")
    try:
        return ExperimentModel.model_validate(document.value)
    except ValidationError as error:
        problems = _Problems(document)
        for entry in error.errors():
            path = _document_path(document, entry["loc"])
            problems.add(path, _in_words(entry, document))
        problems.raise_problems()
        raise


def _document_path(document: source.Document, loc: tuple[int | str, ...]) -> source.Path:
    """A pydantic location without the names that it inserts for unions and keys."""
    path: source.Path = ()
    for part in loc:
        if (*path, part) in document.lines:
            path = (*path, part)
    return path


def _in_words(entry: Any, document: source.Document) -> str:
    loc = entry["loc"]
    kind, given = entry["type"], entry.get("input")
    path = _document_path(document, loc)
    shown = ".".join(str(part) for part in path)
    if kind == "extra_forbidden":
        return f"unknown key {loc[-1]!r}{nearest(str(loc[-1]), _known_keys(path[:-1]))}"
    if kind == "missing":
        return f"the key {loc[-1]!r} is missing; add it" + (f" to {shown}" if shown else "")
    if kind == "value_error":
        message = str(entry["ctx"]["error"])
        return message if loc and loc[-1] == "[key]" else f"{shown}: {message}"
    hint = number_hint(given) if isinstance(given, str) and kind in ("int_type", "float_type") else ""
    expected = str(entry["msg"]).removeprefix("Input should be ").removeprefix("a valid ")
    return f"{shown}: expected {expected}, got {json.dumps(given, default=str)}{hint}"


def _known_keys(path: source.Path) -> list[str]:
    """The keys that the model knows at ``path``, for a did-you-mean."""
    model: Any = ExperimentModel
    for part in path:
        if isinstance(part, int):
            continue
        if model is ExperimentModel and part == "params":
            model = Declaration
        elif model is ExperimentModel and part == "gates":
            model = Gate
        elif part in getattr(model, "model_fields", {}):
            annotation = model.model_fields[part].annotation
            model = annotation if hasattr(annotation, "model_fields") else model
    return list(model.model_fields)


class _Resolver(_Problems):
    """Turns the layers of a spec (params, protocol, sweep, ci, --set) into the points of a run."""

    def __init__(
        self,
        document: source.Document,
        model: ExperimentModel,
        parameters: dict[str, NotebookParameter],
        overrides: dict[str, str],
        device: str | None,
    ) -> None:
        super().__init__(document)
        self.model = model
        self.parameters = parameters
        self.bounds = {name: entry for name, entry in model.params.items() if isinstance(entry, Declaration)}
        self.overrides = overrides
        self.device = device
        self._check_declarations()

    def _check_declarations(self) -> None:
        for name, bounds in self.bounds.items():
            if not self._known(Assigned(None, ("params", name)), name):
                continue
            parameter = self.parameters[name]
            if bounds.type is not None and bounds.type != parameter.kind:
                self.add(
                    ("params", name, "type"),
                    f"{name}: expected the notebook's annotation, {parameter.kind}, got {bounds.type}",
                )
            if "default" not in bounds.model_fields_set:
                problem = parameter.problem(parameter.default, bounds)
                if problem and not self._swept(name):
                    self.add(("params", name), f"the notebook's default is out of bounds: {problem}")

    def _swept(self, name: str) -> bool:
        sweep = self.model.sweep
        return sweep is not None and (name in sweep if isinstance(sweep, dict) else all(name in p for p in sweep))

    def _known(self, assigned: Assigned, name: str) -> bool:
        if name in self.parameters:
            return True
        problem = parameter_name_problem(name)
        what = problem or f"the notebook has no parameter {name!r}{nearest(name, self.parameters)}"
        self.add(assigned.path, what, assigned.option)
        return False

    def _fixed(self, ci: bool) -> dict[str, Assigned]:
        """Values that are the same at every point, later layers over earlier ones."""
        model = self.model
        layers: list[dict[str, Assigned]] = []
        params = {}
        for name, entry in model.params.items():
            if not isinstance(entry, Declaration):
                params[name] = Assigned(entry, ("params", name))
            elif "default" in entry.model_fields_set:
                params[name] = Assigned(entry.default, ("params", name, "default"))
        layers.append(params)
        given = {key: getattr(model.protocol, key) for key in sorted(model.protocol.model_fields_set)}
        layers.append({key: Assigned(value, ("protocol", key)) for key, value in given.items()})
        layers.append({key: Assigned(value, ("verify", key)) for key, value in model.verify.items()})
        if model.contestants is not None:
            layers.append({"contestants": self._contestants(model.contestants)})
        if model.resources.threads is not None and "threads" in self.parameters:
            layers.append({"threads": Assigned(model.resources.threads, ("resources", "threads"))})
        fixed: dict[str, Assigned] = {}
        for layer in layers:
            for name, assigned in layer.items():
                if name in fixed:
                    first = self.document.line(fixed[name].path)
                    self.add(assigned.path, f"{name!r} is already given on line {first}; keep one of the two")
                fixed[name] = assigned
        if ci:
            fixed |= {name: Assigned(value, ("ci", "params", name)) for name, value in model.ci.params.items()}
            small = model.ci.protocol
            fixed |= {key: Assigned(getattr(small, key), ("ci", "protocol", key)) for key in small.model_fields_set}
        return fixed

    def _contestants(self, names: list[str]) -> Assigned:
        parameter = self.parameters.get("contestants")
        as_text = parameter is None or parameter.kind == "str"
        return Assigned(",".join(names) if as_text else list[Scalar](names), ("contestants",))

    def _swept_points(self, ci: bool) -> list[dict[str, Assigned]]:
        sweep, base = self.model.sweep, ("sweep",)
        if ci and self.model.ci.sweep is not None:
            sweep, base = self.model.ci.sweep, ("ci", "sweep")  # type: ignore[assignment]
        if sweep is None:
            return [{}]
        if isinstance(sweep, list):
            return [
                {name: Assigned(value, (*base, index, name)) for name, value in point.items()}
                for index, point in enumerate(sweep)
            ]
        axes = {
            name: [Assigned(value, (*base, name, index)) for index, value in enumerate(values)]
            for name, values in sweep.items()
        }
        axes |= {name: values for name in axes if (values := self._axis_override(name)) is not None}
        n_points = math.prod(len(values) for values in axes.values())
        if n_points > _MAX_POINTS:
            self.add(base, f"expected at most {_MAX_POINTS} points, got {n_points}")
            return []
        return [dict(zip(axes, chosen, strict=True)) for chosen in itertools.product(*axes.values())]

    def _axis_override(self, name: str) -> list[Assigned] | None:
        """``--set name=[a, b]`` on a swept name replaces its whole axis."""
        text = self.overrides.get(name, "")
        parameter = self.parameters.get(name)
        if not text.startswith("[") or parameter is None or parameter.kind == "list":
            return None
        option = f"--set {name}"
        items = [item.strip() for item in text.strip()[1:].removesuffix("]").split(",")]
        try:
            return [Assigned(parse_override(parameter, item), (), option) for item in items]
        except ValueError as error:
            self.add((), str(error), option)
            return []

    def _overridden(self, axes: set[str]) -> dict[str, Assigned]:
        given: dict[str, Assigned] = {}
        for name, text in self.overrides.items():
            option = f"--set {name}"
            if not self._known(Assigned(None, (), option), name):
                continue
            if name in axes and text.startswith("[") and self.parameters[name].kind != "list":
                continue  # replaced its axis already
            try:
                given[name] = Assigned(parse_override(self.parameters[name], text), (), option)
            except ValueError as error:
                self.add((), str(error), option)
        if self.device is not None and "device" in self.parameters:
            if "device" in axes or "device" in given:
                self.add((), "the device is also swept or set; keep one of the two", "--device")
            given["device"] = Assigned(self.device, (), "--device")
        return given

    def points(self, ci: bool) -> list[dict[str, Value]]:
        """The points of the full or the small run, each value checked and in the notebook's type."""
        fixed = self._fixed(ci)
        swept = self._swept_points(ci)
        axes = {name for point in swept for name in point}
        over = self._overridden(axes)
        result: list[dict[str, Value]] = []
        seen: dict[str, int] = {}
        for index, point in enumerate(swept):
            values = {name: self._checked(name, assigned) for name, assigned in {**fixed, **point, **over}.items()}
            identity = json.dumps(values, sort_keys=True)
            if identity in seen and not self.overrides:
                base = ("ci", "sweep") if ci and self.model.ci.sweep is not None else ("sweep",)
                self.add(base, f"point {index + 1} repeats point {seen[identity] + 1}; keep one")
            if identity not in seen:
                seen[identity] = index
                result.append(values)
        return result

    def _checked(self, name: str, assigned: Assigned) -> Value:
        if not self._known(assigned, name):
            return None
        problem = self.parameters[name].problem(assigned.value, self.bounds.get(name))
        if problem:
            self.add(assigned.path, problem, assigned.option)
            return None
        return self.parameters[name].cast(assigned.value)

    def check_gates(self, points: list[dict[str, Value]]) -> None:
        """Each gate's ``where`` must name parameters, with values of their type, and apply to a point at least."""
        for index, gate in enumerate(self.model.gates):
            known = True
            for name, value in gate.where.items():
                path = ("gates", index, "where", name)
                if not self._known(Assigned(None, path), name):
                    known = False
                    continue
                problem = self.parameters[name].problem(value)
                if problem:
                    known = False
                    self.add(path, problem)
            if known and not self.overrides and not any(self._applies(gate, point) for point in points):
                self.add(("gates", index, "where"), "applies to no point of the experiment; correct or remove the gate")

    def _applies(self, gate: Gate, point: Mapping[str, Value]) -> bool:
        return all(point.get(name, self.parameters[name].default) == value for name, value in gate.where.items())
