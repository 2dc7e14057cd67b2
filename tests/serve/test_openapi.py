"""The document says what the server does, and is one that clients can read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from schemathesis.specs.openapi import checks

from rx580lab.serve.openapi import document, statuses
from rx580lab.serve.roles import Role
from rx580lab.serve.routes import routes
from rx580lab.serve.routing import Route
from rx580lab.serve.settings import Settings
from tests.serve.running import Running

KEYED = Settings(models=Path("models"), keys=Path("keys.jsonl"))
ANSWERS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]


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


def sent_to(route: Route) -> list[dict[str, Any]]:
    """What to send to a route of the demo server: each documented example, or nothing but the address."""
    places = {name: {"model": "demo", "version": "1"}[name] for name in re.findall(r":(\w+)>", route.rule)}
    bodies = [{"body": body, "media_type": "application/json"} for body in route.examples.values()]
    return [{"path_parameters": places, **body} for body in bodies or [{}]]


@pytest.mark.parametrize(
    "name",
    [
        route.name
        for route in routes(KEYED)
        if route.role < Role.ADMIN and route.replies and (route.examples or not route.body)
    ],
)
def test_what_is_answered_is_what_is_documented(demo_server: Running, name: str) -> None:
    """Served, or refused for want of a key: status, type, headers and schema; each example can be sent."""
    schema = schemathesis.openapi.from_url(f"{demo_server.url}/openapi.json")
    route = next(one for one in routes(KEYED) if one.name == name)
    operation = schema[re.sub(r"<\w+:(\w+)>", r"{\1}", route.rule)][route.method]
    assert route.replies
    assert route.examples or route.body is None, "a body has an example"
    for sent in sent_to(route):
        case = operation.Case(**sent)
        served = case.call(headers={"X-API-Key": demo_server.keys["user"]})
        assert served.status_code == 200, served.text
        case.validate_response(served, checks=ANSWERS)
        unknown = case.call()
        assert (unknown.status_code == 200) == (route.role is Role.PUBLIC)
        case.validate_response(unknown, checks=ANSWERS)
