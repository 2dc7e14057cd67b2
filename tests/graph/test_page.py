"""The page of operators says what the handlers say."""

from __future__ import annotations

import re

import onnx

from rx580lab.graph.handlers.registry import handlers
from rx580lab.graph.importer import NEWEST_OPSET
from rx580lab.graph.page import page


def test_every_operator_of_onnx_is_listed_once_as_done_or_not() -> None:
    done, rest = page().split("## Not supported")
    ours = re.findall(r"^\| `(\w+)` \| (\d+) \|", done.split("\n## ")[0], re.MULTILINE)
    others = re.findall(r"`([A-Z]\w+)`", rest.split("Branches")[0])
    schemas = onnx.defs.get_all_schemas_with_history()
    standard = {one.name for one in schemas if one.domain == "" and one.since_version <= NEWEST_OPSET}
    names = [name for name, _ in ours]
    assert sorted([*names, *others]) == sorted(standard)
    first: dict[str, int] = {}
    for one in handlers():
        if one.domain == "":
            first[one.op] = min(one.since, first.get(one.op, one.since))
    assert dict(ours) == {name: str(since) for name, since in first.items()}


def test_operators_are_known_to_onnx_from_the_version_on_that_is_said() -> None:
    schemas = onnx.defs.get_all_schemas_with_history()
    versions = {(one.domain, one.name, one.since_version) for one in schemas}
    wrong = [(one.op, one.since) for one in handlers() if one.domain == "" and ("", one.op, one.since) not in versions]
    assert wrong == []
