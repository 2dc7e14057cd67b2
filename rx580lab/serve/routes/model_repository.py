"""The repository extension of the V2 protocol: what is there, load, unload."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import orjson
from flask import Response

from rx580lab.serve import protocol
from rx580lab.serve.asked import shown
from rx580lab.serve.bodies import read_object
from rx580lab.serve.pipeline import json_response
from rx580lab.serve.refusal import Refusal
from rx580lab.serve.roles import Role
from rx580lab.serve.routes.open_inference import may_use
from rx580lab.serve.routing import Content, Route
from rx580lab.serve.service import service

__all__ = ["ROUTES"]

_WHERE = "repository"
_FILE = "file:"


def index() -> Response:
    """All versions of the models that the key reaches, or those that are ready."""
    asked = read_object(service().settings.caps)
    ready = _flag(_only(asked, "ready"), "ready")
    found = [one for one in service().repository.index() if may_use(one) and (not ready or one.state == "READY")]
    return json_response(
        [{"name": one.name, "version": one.version, "state": one.state, "reason": one.reason} for one in found]
    )


def load(model: str) -> Response:
    """Loads, or loads again; the answer waits until that is done. 400 with the cause where it fails."""
    config, files = _load_parameters(_parameters(large=service().settings.uploads))
    repository = service().repository
    repository.load(model, config, files)
    served = repository.find(model)
    if served.state != "READY":
        raise Refusal(400, model, f"the model did not load: {served.reason}")
    return json_response({})


def unload(model: str) -> Response:
    """Finishes what waits, then gives the memory back."""
    dependents = _flag(_only(_parameters(), "unload_dependents"), "unload_dependents")
    service().repository.unload(model, dependents)
    return json_response({})


def _parameters(*, large: bool = False) -> dict[str, Any]:
    found = _only(read_object(service().settings.caps, large=large), "parameters").get("parameters")
    if found is None:
        return {}
    if type(found) is not dict:
        raise Refusal(400, _WHERE, f"expected parameters as a JSON object, got {shown(found)}")
    return found


def _only(found: dict[str, Any], name: str) -> dict[str, Any]:
    unknown = sorted(found.keys() - {name})
    if unknown:
        raise Refusal(400, _WHERE, f"expected {name} at most, got {shown(unknown[0])}")
    return found


def _flag(found: dict[str, Any], name: str) -> bool:
    value = found.get(name)
    if value is not None and type(value) is not bool:
        raise Refusal(400, _WHERE, f"expected {name} as true or false, got {shown(value)}")
    return bool(value)


def _load_parameters(found: dict[str, Any]) -> tuple[dict[str, Any] | None, dict[str, bytes] | None]:
    """The configuration, and the files by their paths; None for what did not come."""
    files: dict[str, bytes] = {}
    config = None
    for name, value in found.items():
        if type(value) is not str:
            raise Refusal(400, _WHERE, f"expected parameter {shown(name)} as text, got {shown(value)}")
        if name == "config":
            config = _config(value)
        elif not name.startswith(_FILE):
            raise Refusal(400, _WHERE, f"expected parameters config and file:PATH, got {shown(name)}")
        elif not service().settings.uploads:
            raise Refusal(403, _WHERE, "expected no files: this server takes none (its setting uploads is off)")
        else:
            files[name.removeprefix(_FILE)] = _decoded(name, value)
    if files and config is None:
        raise Refusal(400, _WHERE, "expected parameter config with files, got none")
    return config, files or None


def _config(text: str) -> dict[str, Any]:
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Refusal(400, _WHERE, f"expected config as JSON text, got {error.msg} at {error.pos}") from None
    if type(found) is not dict:
        raise Refusal(400, _WHERE, f"expected config as a JSON object, got {shown(found)}")
    return found


def _decoded(name: str, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise Refusal(400, _WHERE, f"expected {shown(name)} as base64, got something else") from None


_R = "/v2/repository/models/<model:model>"
ROUTES: tuple[Route, ...] = (
    Route("POST", "/v2/repository/index", "repository_index", Role.READONLY, "models", index, "What is there",
          "repository", body=Content({"application/json": protocol.IndexRequest}, required=False),
          replies={200: Content({"application/json": protocol.Index})}),
    Route("POST", f"{_R}/load", "load", Role.ADMIN, "load", load, "Load", "repository",
          body=Content({"application/json": protocol.LoadRequest}, required=False),
          replies={200: protocol.Empty}),
    Route("POST", f"{_R}/unload", "unload", Role.ADMIN, "unload", unload, "Unload", "repository",
          body=Content({"application/json": protocol.UnloadRequest}, required=False),
          replies={200: protocol.Empty}),
)  # fmt: skip
