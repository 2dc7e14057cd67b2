"""Headers of every answer: of successes, of each kind of failure, of methods that are not there."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

import pytest

from rx580lab.serve.headers import ALWAYS
from tests.serve.running import Running

ANSWERS = [
    ("GET", "/health", None, 200),
    ("GET", "/models", "readonly", 200),
    ("GET", "/metrics", "readonly", 200),
    ("GET", "/models", None, 401),
    ("POST", "/v2/repository/models/fashion-mnist/unload", "user", 403),
    ("GET", "/nowhere", "user", 404),
    ("GET", "/models/%2e%2e", "user", 404),
    ("DELETE", "/health", None, 405),
    ("GET", "/nowhere", None, 404),
]


def raw(server: Running, method: str, path: str, headers: dict[str, str]) -> tuple[int, dict[str, list[str]]]:
    """Status, and header -> all its values, by lower-case name."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=30)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    found: dict[str, list[str]] = {}
    for name, value in answer.getheaders():
        found.setdefault(name.lower(), []).append(value)
    return answer.status, found


@pytest.mark.parametrize(("method", "path", "role", "expected"), ANSWERS)
def test_every_answer_has_them_once(server: Running, method: str, path: str, role: str | None, expected: int) -> None:
    status, headers = raw(server, method, path, {"X-API-Key": server.keys[role]} if role else {})
    assert status == expected
    for name, value in ALWAYS.items():
        assert headers[name.lower()] == [value]
    assert "strict-transport-security" not in headers, "not over http"
    assert "x-request-id" in headers


@pytest.mark.parametrize("method", ["OPTIONS", "HEAD", "PUT", "TRACE", "BREW"])
def test_other_methods_have_them_too(server: Running, method: str) -> None:
    _, headers = raw(server, method, "/models", {})
    for name, value in ALWAYS.items():
        assert headers[name.lower()] == [value]


def test_no_answer_tells_what_serves(server: Running) -> None:
    _, headers = raw(server, "GET", "/health", {})
    text = repr(headers).lower()
    for name in ("waitress", "werkzeug", "flask", "python", "x-powered-by"):
        assert name not in text


def test_the_policy_lets_nothing_run_and_nobody_frame() -> None:
    policy = ALWAYS["Content-Security-Policy"]
    assert {part.strip() for part in policy.split(";")} == {
        "default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'",
    }  # fmt: skip
    assert ALWAYS["Cache-Control"] == "no-store"
