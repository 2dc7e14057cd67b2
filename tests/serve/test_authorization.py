"""Who may do what: every rule of the application, with every method, as every role; and keys held to some models."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response
from werkzeug.routing import Rule

from rx580lab.errors import ServeError
from rx580lab.models import export
from rx580lab.serve.roles import Role
from rx580lab.serve.routes import people
from rx580lab.serve.routing import register
from tests.serve.application import Application, application

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND")
CALLERS = ("none", "wrong", "readonly", "user", "admin")
# What the design says, in words of its own: the first pattern that matches a method and a rule names the role.
DESIGN = (
    (r"GET /(health|ready|v2/health/live|v2/health/ready)", "public"),
    (r"GET /(|docs.*|openapi\.json)", "public"),  # on loopback; see below
    (r"POST /v2/repository/index", "readonly"),
    (r"POST .*/(infer|predict)", "user"),
    (r"POST /v2/repository/models/<model:model>/(load|unload)", "admin"),
    (r"GET .*", "readonly"),
)
ALLOWED = {
    "public": {"none", "readonly", "user", "admin"}, "readonly": {"readonly", "user", "admin"},
    "user": {"user", "admin"}, "admin": {"admin"},
}  # fmt: skip


def demanded(method: str, rule: str) -> str:
    asked = f"{'GET' if method == 'HEAD' else method} {rule}"
    return next(role for pattern, role in DESIGN if re.fullmatch(pattern, asked))


def path_of(rule: Rule, model: str = "absent") -> str:
    return rule.rule.replace("<model:model>", model).replace("<version:version>", "1")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    """Two models that are not loaded, and a key that reaches one of them. Tests only read."""
    folder = tmp_path_factory.mktemp("authorization")
    (folder / "models").mkdir()
    for name in ("one", "other"):
        export("fashion-mnist", folder / "models", version=1)
        (folder / "models/fashion-mnist").rename(folder / "models" / name)
    extra: dict[str, dict[str, Any]] = {
        "held": {"role": Role.ADMIN, "models": ("one",)}, "to nothing": {"role": Role.ADMIN, "models": ()},
    }  # fmt: skip
    with application(folder, extra) as made:
        yield made


def ask(made: Application, method: str, path: str, caller: str) -> Any:
    key = {"none": None, "wrong": "rx580_wrong"}.get(caller, made.keys.get(caller))
    return made.client.open(path, method=method, headers={} if key is None else {"X-API-Key": key})


def test_every_rule_with_every_method_as_every_role(made: Application) -> None:
    n = 0
    for rule, method, caller in itertools.product(made.app.url_map.iter_rules(), METHODS, CALLERS):
        answer = ask(made, method, path_of(rule), caller)
        told = (method, rule.rule, caller, answer.status_code, answer.text[:200])
        n += 1
        if method == "OPTIONS":  # what a browser asks ahead of a call brings no key and learns nothing
            assert answer.status_code in {204, 401, 403, 405}, told
        elif caller == "wrong":
            assert answer.status_code == 401, told
        elif method not in (rule.methods or ()):
            assert answer.status_code == 405, told
        elif caller in ALLOWED[demanded(method, rule.rule)]:
            assert answer.status_code not in {401, 403}, told
        else:
            assert answer.status_code == (401 if caller == "none" else 403), told
        if answer.status_code in {204, 401, 403, 405}:
            shape = {"error", "code", "status", "request_id"} if answer.data else set()
            assert set(answer.json if answer.data else ()) == shape, told
            assert not re.search(r"\b(one|other)\b", answer.text), told
    assert n >= 20 * len(METHODS) * len(CALLERS)


def test_the_table_says_what_the_design_says(made: Application) -> None:
    for rule in made.app.url_map.iter_rules():
        for method in rule.methods or ():
            assert made.serving.routes[rule.endpoint].role.label == demanded(method, rule.rule), rule


def test_head_is_get_without_the_body(made: Application) -> None:
    for path in ("/models", "/metrics", "/v2", "/v2/models/one"):
        assert ask(made, "HEAD", path, "none").status_code == 401
        assert ask(made, "HEAD", path, "admin").status_code == ask(made, "GET", path, "admin").status_code
        assert ask(made, "HEAD", path, "admin").data == b""


@pytest.mark.parametrize("options", [{"host": "192.168.1.7"}, {"trusted_proxies": 1}], ids=str)
def test_documents_are_public_where_only_this_machine_comes(tmp_path: Path, options: dict[str, Any]) -> None:
    with application(tmp_path, **options) as made:
        documents = [one for one in made.app.url_map.iter_rules() if re.match(r"/(docs|openapi|$)", one.rule)]
        assert len(documents) >= 4
        for rule in documents:
            assert ask(made, "GET", path_of(rule), "none").status_code == 401, rule
            assert ask(made, "GET", path_of(rule), "readonly").status_code == 200, rule


def test_a_key_held_to_a_model_reaches_no_other_on_any_rule(made: Application) -> None:
    rules = [rule for rule in made.app.url_map.iter_rules() if "<model:model>" in rule.rule]
    assert len(rules) >= 10
    for rule in rules:
        method = "GET" if "GET" in (rule.methods or ()) else "POST"
        for caller, model in (("held", "other"), ("held", "absent"), ("to nothing", "one"), ("to nothing", "other")):
            answer = ask(made, method, path_of(rule, model), caller)
            assert (answer.status_code, answer.json["code"]) == (403, "forbidden"), (rule, caller, model)
        if not rule.rule.endswith("load"):
            assert ask(made, method, path_of(rule, "one"), "held").status_code != 403, rule


def test_lists_show_what_the_key_reaches(made: Application) -> None:
    for method, path in (("GET", "/models"), ("POST", "/v2/repository/index"), ("GET", "/v2/models/stats")):
        assert {"one", "other"} <= set(re.findall(r'"(one|other)"', ask(made, method, path, "admin").text)), path
        held = ask(made, method, path, "held")
        assert held.status_code == 200
        assert '"other"' not in held.text, path
        assert '"one"' not in ask(made, method, path, "to nothing").text, path


def test_metrics_show_what_the_key_reaches(made: Application) -> None:
    for model in ("one", "other"):
        made.serving.metrics.model_ready.labels(model, "1").set(1)
    for accept in ("text/plain", "application/openmetrics-text"):
        headers = {"Accept": accept}
        every = made.client.get("/metrics", headers={**headers, "X-API-Key": made.keys["admin"]}).text
        held = made.client.get("/metrics", headers={**headers, "X-API-Key": made.keys["held"]}).text
        assert 'model="other"' in every
        assert 'model="one"' in held
        assert 'model="other"' not in held
        assert "http_requests_total" in held


def test_a_route_without_a_role_cannot_start() -> None:
    for role in (None, 0, "public"):
        table = [*people.ROUTES, replace(people.ROUTES[2], name="another", rule="/another", role=role)]  # type: ignore[arg-type]
        app = Flask("test", static_folder=None)
        app.url_map.converters["model"] = next(iter(app.url_map.converters.values()))
        with pytest.raises(ServeError, match="role"):
            register(app, table)


def test_a_rule_beside_the_table_cannot_start() -> None:
    app = Flask("test", static_folder=None)
    app.add_url_rule("/backdoor", "backdoor", lambda: "open")
    app.url_map.converters["model"] = next(iter(app.url_map.converters.values()))
    with pytest.raises(ServeError, match="/backdoor"):
        register(app, people.ROUTES)


def test_a_rule_that_is_added_later_is_not_served(tmp_path: Path) -> None:
    with application(tmp_path) as made:
        made.app.add_url_rule("/backdoor", "backdoor", lambda: Response("open"))
        for caller in ("none", "admin"):
            answer = ask(made, "GET", "/backdoor", caller)
            assert answer.status_code == 404
            assert "open" not in answer.text
