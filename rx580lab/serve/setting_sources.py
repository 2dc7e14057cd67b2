"""Settings as they are written outside of Python: names with dots, variables of the environment, YAML.

A name is unknown or it is a setting; an unknown one is told with the closest that there is. Values are texts, except
lists and mappings, which are YAML (JSON is YAML too); of a list of names, commas will do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from rx580lab.errors import ServeError

__all__ = ["Given", "from_assignments", "from_environment", "from_file", "is_secret", "leaves", "merged", "variable_of"]


class Given:
    """What one source gives. ``values`` is nested; ``places``: dotted name -> where it was written."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.places: dict[str, str] = {}
        self.problems: list[str] = []

    def put(self, name: str, value: Any, place: str) -> None:
        """Sets a dotted name."""
        *groups, last = name.split(".")
        inner = self.values
        for group in groups:
            inner = inner.setdefault(group, {})
        inner[last] = value
        self.places[name] = place


def leaves(model: type[BaseModel], before: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """All settings that are no groups, by dotted name, in their order."""
    for name, field in model.model_fields.items():
        if _is_group(field):
            yield from leaves(field.annotation, f"{before}{name}.")  # type: ignore[arg-type]
        else:
            yield before + name, field


def _is_group(field: FieldInfo) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)


def is_secret(field: FieldInfo) -> bool:
    """Whether its value is never shown."""
    return SecretStr in (field.annotation, *get_args(field.annotation))


def variable_of(prefix: str, name: str) -> str:
    """The variable of the environment that sets a dotted name."""
    return prefix + name.upper().replace(".", "__")


def from_environment(model: type[BaseModel], prefix: str, environment: Mapping[str, str]) -> Given:
    """From all variables that begin with ``prefix``; an empty one is as good as none."""
    given = Given()
    for variable in sorted(environment):
        if variable.startswith(prefix) and environment[variable]:
            name = variable.removeprefix(prefix).lower().replace("__", ".")
            _take_text(model, given, name, environment[variable], variable, variable_of(prefix, ""))
    return given


def from_assignments(model: type[BaseModel], assignments: Mapping[str, str], place: str) -> Given:
    """From ``name=value`` pairs of the command line."""
    given = Given()
    for name, text in assignments.items():
        _take_text(model, given, name, text, f"{place} {name}", "")
    return given


def from_file(model: type[BaseModel], path: Path) -> Given:
    """From a YAML file. ServeError where it cannot be read or is no mapping."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeError) as error:
        raise ServeError("settings", f"expected a file of settings, got {path}: {error}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise ServeError("settings", f"expected YAML in {path}{where}: {getattr(error, 'problem', error)}") from error
    given = Given()
    if content is None:
        return given
    if not isinstance(content, dict):
        raise ServeError("settings", f"expected names and values in {path}, got a {type(content).__name__}")
    _take_mapping(model, given, content, "", str(path))
    return given


def merged(*given: Given) -> Given:
    """All of them; what comes later holds."""
    whole = Given()
    for one in given:
        _merge(whole.values, one.values)
        whole.places.update(one.places)
        whole.problems += one.problems
    return whole


def _merge(into: dict[str, Any], other: Mapping[str, Any]) -> None:
    for name, value in other.items():
        if isinstance(value, Mapping) and isinstance(into.get(name), dict):
            _merge(into[name], value)
        else:
            into[name] = dict(value) if isinstance(value, Mapping) else value


def _take_mapping(model: type[BaseModel], given: Given, content: Mapping[Any, Any], before: str, place: str) -> None:
    for key, value in content.items():
        name = f"{before}{key}"
        field = _field(model, name)
        if field is None:
            given.problems.append(_unknown(model, name, name, place))
        elif not _is_group(field):
            given.put(name, value, place)
        elif isinstance(value, dict):
            _take_mapping(model, given, value, f"{name}.", place)
        elif value is not None:
            given.problems.append(f"expected names and values in {name}, got a {type(value).__name__} ({place})")


def _take_text(model: type[BaseModel], given: Given, name: str, text: str, place: str, prefix: str) -> None:
    field = _field(model, name)
    owner, _, entry = name.rpartition(".")
    of_mapping = _field(model, owner) if entry else None
    if field is None and of_mapping is not None and get_origin(of_mapping.annotation) is dict:
        given.put(name, text, place)
    elif field is None:
        given.problems.append(_unknown(model, name, place if prefix else name, "" if prefix else place, prefix))
    else:
        try:
            value = _value(field, text)
        except yaml.YAMLError:
            given.problems.append(f"expected {name} as YAML or JSON ({place})")
            return
        if _is_group(field):
            _take_mapping(model, given, value if isinstance(value, dict) else {"": value}, f"{name}.", place)
        else:
            given.put(name, value, place)


def _value(field: FieldInfo, text: str) -> Any:
    many = get_origin(field.annotation) in (tuple, dict) or _is_group(field)
    if not many:
        optional = type(None) in get_args(field.annotation)
        return None if optional and text.lower() in ("none", "null", "~") else text
    if get_origin(field.annotation) is tuple and not text.lstrip().startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    return yaml.safe_load(text)


def _field(model: type[BaseModel], name: str) -> FieldInfo | None:
    first, _, rest = name.partition(".")
    field = model.model_fields.get(first)
    if field is None or not rest:
        return field
    return _field(field.annotation, rest) if _is_group(field) else None  # type: ignore[arg-type]


def _unknown(model: type[BaseModel], name: str, shown: str, place: str, prefix: str = "") -> str:
    known = [one for one, _ in leaves(model)]
    close = difflib.get_close_matches(name, known, 1, 0.5)
    if not close:
        last = name.rpartition(".")[2]
        close = [one for one in known if difflib.get_close_matches(last, [one.rpartition(".")[2]], 1, 0.7)][:1]
    meant = f"; did you mean {variable_of(prefix, close[0]) if prefix else close[0]}?" if close else ""
    shown = "".join(letter if letter.isprintable() else "?" for letter in shown[:100])
    return f"expected a setting that is known, got {shown}{f' ({place})' if place else ''}{meant}"
