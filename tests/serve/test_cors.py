"""Pages of other origins: listed ones may call, by exact match, and no others learn that."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rx580lab.errors import ServeError
from rx580lab.serve.settings import Settings
from tests.serve.running import Running, start
from tests.serve.test_headers import raw

LISTED = "https://panel.example"
PORTED = "http://127.0.0.1:8888"
STRANGERS = [
    "https://panel.example.evil.test", "https://evil.test", "http://panel.example", "https://panel.example:444",
    "https://PANEL.example", "https://panelXexample", "null", "*", "https://panel.example/", "http://127.0.0.1:8889",
    "",
]  # fmt: skip


@pytest.fixture(scope="module")
def shared(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("cors")
    variables = {"RX580LAB_SERVE_CORS_ORIGINS": f'["{LISTED}", "{PORTED}"]', "RX580LAB_SERVE_LOAD": "false",
                 "RX580LAB_SERVE_LIMITS__PUBLIC": "1000", "RX580LAB_SERVE_LIMITS__READONLY": "1000"}  # fmt: skip
    running = start(models, folder, variables=variables)
    yield running
    running.stop()


def preflight(
    server: Running, origin: str, path: str = "/models", method: str = "GET"
) -> tuple[int, dict[str, list[str]]]:
    asked = {"Origin": origin, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": "x-api-key"}
    return raw(server, "OPTIONS", path, asked)


@pytest.mark.parametrize("origin", [LISTED, PORTED])
def test_a_listed_page_may_ask_and_read(shared: Running, origin: str) -> None:
    status, headers = preflight(shared, origin)
    assert status == 204
    assert headers["access-control-allow-origin"] == [origin]
    assert headers["access-control-allow-methods"] == ["GET"]
    allowed = {one.strip().lower() for one in headers["access-control-allow-headers"][0].split(",")}
    assert allowed == {
        "x-api-key", "authorization", "content-type", "content-encoding", "inference-header-content-length",
    }  # fmt: skip
    assert headers["vary"] == ["Origin"]
    assert "access-control-allow-credentials" not in headers
    status, headers = raw(shared, "GET", "/models", {"Origin": origin, "X-API-Key": shared.keys["readonly"]})
    assert status == 200
    assert headers["access-control-allow-origin"] == [origin]
    exposed = {one.strip().lower() for one in headers["access-control-expose-headers"][0].split(",")}
    assert {"inference-header-content-length", "retry-after", "x-request-id"} <= exposed
    assert "access-control-allow-credentials" not in headers


def test_a_listed_page_may_read_failures(shared: Running) -> None:
    status, headers = raw(shared, "GET", "/models", {"Origin": LISTED})
    assert status == 401
    assert headers["access-control-allow-origin"] == [LISTED]


def test_a_preflight_says_which_methods_a_path_has(shared: Running) -> None:
    _, headers = preflight(shared, LISTED, "/v2/models/fashion-mnist/infer", "POST")
    assert headers["access-control-allow-methods"] == ["POST"]
    status, headers = preflight(shared, LISTED, "/nowhere")
    assert status == 404
    assert "access-control-allow-methods" not in headers


@pytest.mark.parametrize("origin", STRANGERS)
def test_others_get_nothing(shared: Running, origin: str) -> None:
    status, headers = preflight(shared, origin)
    assert status in {401, 405}
    assert not [name for name in headers if name.startswith("access-control-")]
    _, headers = raw(shared, "GET", "/health", {"Origin": origin})
    assert not [name for name in headers if name.startswith("access-control-")]
    assert headers["vary"] == ["Origin"]


def test_without_a_list_nobody_may(server: Running) -> None:
    status, headers = preflight(server, LISTED)
    assert status in {401, 405}
    assert not [name for name in headers if name.startswith("access-control-") or name == "vary"]


@pytest.mark.parametrize(
    "origin", ["*", "null", "https://*.example", "panel.example", "https://panel.example/", "https://a.example:443",
               "http://a.example:80", "https://PANEL.example", "ftp://a.example", "https://a.example\n", ""]
)  # fmt: skip
def test_the_schema_refuses_what_is_no_origin(tmp_path: Path, origin: str) -> None:
    with pytest.raises(ServeError, match="cors_origins"):
        Settings(models=tmp_path, cors_origins=(origin,))


def test_preflights_count_against_the_address(models: Path, tmp_path: Path) -> None:
    variables = {"RX580LAB_SERVE_CORS_ORIGINS": f'["{LISTED}"]', "RX580LAB_SERVE_LOAD": "false",
                 "RX580LAB_SERVE_LIMITS__PUBLIC": "5"}  # fmt: skip
    running = start(models, tmp_path, variables=variables)
    statuses = [preflight(running, LISTED)[0] for _ in range(7)]
    running.stop()
    assert statuses == [204] * 5 + [429] * 2
