"""The document says what the server does, and is one that clients can read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import schemathesis

from rx580lab.serve.openapi import document, statuses
from rx580lab.serve.roles import Role
from rx580lab.serve.routes import routes
from rx580lab.serve.settings import Settings

KEYED = Settings(models=Path("models"), keys=Path("keys.jsonl"))


def operations(settings: Settings) -> dict[str, Any]:
    made = document(settings, routes(settings))
    return {one["operationId"]: one for path in made["paths"].values() for one in path.values()}


@pytest.mark.parametrize("changed", [{}, {"insecure_no_auth": True}, {"bare": True}, {"query_keys": True}])
def test_the_document_is_valid(changed: dict[str, bool]) -> None:
    settings = KEYED.model_copy(update=changed)
    made = document(settings, routes(settings))
    assert made["openapi"].startswith("3.1.")
    schemathesis.openapi.from_dict(made).validate()


def test_each_route_is_an_operation_with_its_role() -> None:
    found = operations(KEYED)
    assert {name: one["x-required-role"] for name, one in found.items()} == {
        route.name: route.role.label for route in routes(KEYED)
    }
    for route in routes(KEYED):
        one = found[route.name]
        assert one["summary"]
        assert one["description"]
        assert bool(one["security"]) == (route.role > Role.PUBLIC)
        assert {int(status) for status in one["responses"]} == {*route.replies, *statuses(route, KEYED)}


def test_an_open_server_says_that_it_asks_for_no_key() -> None:
    for name, one in operations(KEYED.model_copy(update={"insecure_no_auth": True})).items():
        assert one["security"] == [], name
        assert not {"401", "403"} & set(one["responses"]), name


def test_documents_are_public_on_loopback_only() -> None:
    found = {
        host: {route.role for route in routes(KEYED.model_copy(update={"host": host})) if route.tag == "documents"}
        for host in ("127.0.0.1", "0.0.0.0")  # noqa: S104 - nothing is bound
    }
    assert found == {"127.0.0.1": {Role.PUBLIC}, "0.0.0.0": {Role.READONLY}}  # noqa: S104


def test_a_query_key_is_offered_where_one_is_taken() -> None:
    found = operations(KEYED.model_copy(update={"query_keys": True}))
    assert {"query": []} in found["models"]["security"]
    assert {"query": []} not in found["predict"]["security"]
    assert not any({"query": []} in one["security"] for one in operations(KEYED).values())
