"""YAML text -> plain values, with the line of every key and item, so that each problem can name its line.

The semantics are those of ``yaml.safe_load`` (YAML 1.1) without its traps: what a person would misread is refused
with the cure, instead of becoming another value (``no`` -> False, ``010`` -> 8, ``12:30`` -> 750, a date).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, NoReturn

import yaml

from rx580lab.errors import SpecError

__all__ = ["Document", "Path", "load_document"]

Path = tuple[str | int, ...]

_MAX_NODES = 100_000
_MAX_DEPTH = 40
_TAG = "tag:yaml.org,2002:"
_SCALAR_TAGS = {_TAG + name for name in ("null", "bool", "int", "float", "str")}


@dataclass(frozen=True)
class Document:
    """A parsed YAML file. ``lines`` maps a path such as ``("params", "size", "min")`` to its line, from 1."""

    where: str
    value: Any
    lines: dict[Path, int]

    def line(self, path: Path) -> int:
        """The line of ``path``, or of the nearest enclosing node that is in the file; 1 when there is none."""
        for end in range(len(path), -1, -1):
            if path[:end] in self.lines:
                return self.lines[path[:end]]
        return 1

    def error(self, path: Path, message: str) -> SpecError:
        """A SpecError that names this file and the line of ``path``."""
        return SpecError(self.where, message, self.line(path))


def load_document(text: str, where: str) -> Document:
    """Parse one YAML document; ``where`` names the file in messages.

    Raises SpecError, with the line, for bad syntax, duplicate keys, keys that are not strings, tags outside the
    plain types, several documents, and scalars that YAML 1.1 reads as something else than what is written.
    """
    try:
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                raise SpecError(where, "expected a mapping of keys, got an empty file", 1)
            builder = _Builder(loader, where)
            return Document(where, builder.build(node, ()), builder.lines)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        words = ", ".join(part for part in (error.context, error.problem) if part)
        raise SpecError(where, f"not valid YAML: {words}", mark.line + 1 if mark else 0) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise SpecError(where, f"not valid YAML: {error.reason}", line) from error
    except RecursionError as error:
        raise SpecError(where, "expected lists and mappings nested a few deep, got a file nested too deep") from error


class _Builder:
    """Walks composed nodes once, building values and recording lines."""

    def __init__(self, loader: yaml.SafeLoader, where: str) -> None:
        self.loader = loader
        self.where = where
        self.lines: dict[Path, int] = {}
        self.n_nodes = 0

    def refuse(self, node: yaml.Node, message: str) -> NoReturn:
        raise SpecError(self.where, message, node.start_mark.line + 1)

    def build(self, node: yaml.Node, path: Path) -> Any:
        self.n_nodes += 1
        # Aliases are expanded here: the two limits stop an alias bomb and a node that contains itself.
        if self.n_nodes > _MAX_NODES or len(path) > _MAX_DEPTH:
            self.refuse(node, f"expected at most {_MAX_NODES} nodes nested {_MAX_DEPTH} deep, got more (aliases?)")
        self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.ScalarNode):
            return self.scalar(node)
        if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]
        if not isinstance(node, yaml.MappingNode) or node.tag != _TAG + "map":
            self.refuse(node, f"expected plain YAML, got the tag {node.tag}; remove it")
        return self.mapping(node, path)

    def mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        seen: dict[str, int] = {}
        for key_node, _ in node.value:
            if key_node.tag == _TAG + "merge":
                continue
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag != _TAG + "str":
                shown = f"`{key_node.value}`" if isinstance(key_node, yaml.ScalarNode) else "a list or mapping"
                kind = key_node.tag.removeprefix(_TAG)
                self.refuse(key_node, f"expected a name as key, got {shown}, which YAML reads as {kind}; quote it")
            if key_node.value in seen:
                self.refuse(key_node, f"the key `{key_node.value}` is already on line {seen[key_node.value]}; keep one")
            seen[key_node.value] = key_node.start_mark.line + 1
        self.loader.flatten_mapping(node)
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            # The key's line, not the value's: a block value begins one line below its name.
            self.lines[(*path, key)] = key_node.start_mark.line + 1
            result[key] = self.build(value_node, (*path, key))
        return result

    def scalar(self, node: yaml.ScalarNode) -> Any:
        if node.tag not in _SCALAR_TAGS:
            kind = node.tag.removeprefix(_TAG)
            self.refuse(node, f"`{node.value}` is read by YAML as a {kind}; write it in quotes to keep the text")
        if node.style is None:
            self.refuse_trap(node)
        try:
            value = self.loader.construct_object(node)
        except (ValueError, KeyError):  # a type forced by a tag: `!!int many`
            self.refuse(node, f"`{node.value}` cannot be read as {node.tag.removeprefix(_TAG)}")
        if isinstance(value, float) and not math.isfinite(value):
            self.refuse(node, f"expected a finite number, got {node.value}")
        return value

    def refuse_trap(self, node: yaml.ScalarNode) -> None:
        """Refuse plain scalars whose YAML 1.1 value is not what they look like."""
        text = str(node.value)
        kind = node.tag.removeprefix(_TAG)
        if kind == "bool" and text.lower() not in ("true", "false"):
            self.refuse(node, f"`{text}` is read by YAML as a boolean; write true or false, or quote it: '{text}'")
        if kind in ("int", "float") and ":" in text:
            self.refuse(node, f"`{text}` is read by YAML as a base-60 number; quote it: '{text}'")
        if kind == "int" and re.fullmatch(r"[-+]?0[0-9_]+", text):
            self.refuse(node, f"`{text}` is read by YAML as octal {int(text, 8)}; drop the leading zero or quote it")
