"""Addresses, schemes and host names: from the socket, or from as many proxies as are trusted, and from nobody else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rx580lab.errors import ServeError
from rx580lab.serve.settings import Settings
from tests.serve.running import Running, start
from tests.serve.test_headers import raw

SMALL = {"RX580LAB_SERVE_LOAD": "false", "RX580LAB_SERVE_LIMITS__PUBLIC": "5"}


def statuses(server: Running, *forwarded: str) -> list[int]:
    return [raw(server, "GET", "/models", {"X-Forwarded-For": one})[0] for one in forwarded]


def addresses(path: Path) -> list[Any]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [line["address"] for line in lines if line["event"] == "request"]


def test_by_default_these_headers_do_nothing(models: Path, tmp_path: Path) -> None:
    audit = tmp_path / "audit.jsonl"
    running = start(models, tmp_path, variables={**SMALL, "RX580LAB_SERVE_AUDIT_FILE": str(audit)})
    assert statuses(running, *(f"198.51.100.{n}" for n in range(8))) == [401] * 5 + [429] * 3
    told = {"X-Forwarded-Proto": "https", "Forwarded": "for=198.51.100.9;proto=https", "X-Real-IP": "198.51.100.9"}
    _, headers = raw(running, "GET", "/health", told)
    assert "strict-transport-security" not in headers
    running.stop()
    assert set(addresses(audit)) == {"127.0.0.1"}


def test_one_proxy_tells_the_last_address_and_no_more(models: Path, tmp_path: Path) -> None:
    audit = tmp_path / "audit.jsonl"
    variables = {**SMALL, "RX580LAB_SERVE_AUDIT_FILE": str(audit), "RX580LAB_SERVE_TRUSTED_PROXIES": "1"}
    running = start(models, tmp_path, variables=variables)
    spoofed = [f"198.51.100.{n}, 203.0.113.1" for n in range(8)]
    assert statuses(running, *spoofed) == [401] * 5 + [429] * 3, "what a client wrote before is nobody's word"
    assert statuses(running, "203.0.113.2") == [401], "another client behind the same proxy"
    assert statuses(running, *(f"2001:db8:1:2::{n}" for n in range(8))) == [401] * 5 + [429] * 3
    assert statuses(running, "2001:db8:1:3::1") == [401]
    _, headers = raw(running, "GET", "/health", {"X-Forwarded-Proto": "https"})
    assert headers["strict-transport-security"] == ["max-age=31536000"]
    status, headers = raw(running, "GET", "/health", {"X-Forwarded-Proto": "http"})
    assert (status, "strict-transport-security" in headers) == (200, False), "no redirect to https, and no word of it"
    running.stop()
    assert {"203.0.113.1", "203.0.113.2"} <= set(addresses(audit))


def test_two_proxies_tell_the_last_but_one(models: Path, tmp_path: Path) -> None:
    running = start(models, tmp_path, variables={**SMALL, "RX580LAB_SERVE_TRUSTED_PROXIES": "2"})
    chain = [f"198.51.100.{n}, 203.0.113.1, 192.0.2.{n}" for n in range(8)]
    assert statuses(running, *chain) == [401] * 5 + [429] * 3
    assert statuses(running, *(f"203.0.113.{n}" for n in range(20, 28))) == [401] * 5 + [429] * 3, (
        "fewer than trusted: the socket's address"
    )
    running.stop()


def test_only_known_hosts(models: Path, tmp_path: Path) -> None:
    hosts = '["lab.example", ".inside.example", "127.0.0.1"]'
    running = start(models, tmp_path, variables={"RX580LAB_SERVE_LOAD": "false", "RX580LAB_SERVE_TRUSTED_HOSTS": hosts})
    for host in ("lab.example", "lab.example:8000", "a.inside.example", "127.0.0.1"):
        assert raw(running, "GET", "/health", {"Host": host})[0] == 200, host
    for host in ("evil.test", "lab.example.evil.test", "xinside.example", "localhost"):
        status, body, _ = running.send("GET", "/health", headers={"Host": host})
        assert (status, body["code"]) == (400, "bad_request"), host
        assert host not in body["error"]
    status, headers = raw(running, "GET", "/health", {"Host": "evil.test"})
    assert headers["x-frame-options"] == ["DENY"]
    key = {"X-API-Key": running.keys["admin"], "Host": "evil.test"}
    assert raw(running, "GET", "/models", key)[0] == 400
    key["X-Forwarded-Host"] = "lab.example"
    assert raw(running, "GET", "/models", key)[0] == 400, "X-Forwarded-Host never counts"
    running.stop()


@pytest.mark.parametrize("name", ["*", "lab.example:8000", "http://lab.example", "lab example", ""])
def test_the_schema_refuses_what_is_no_host(tmp_path: Path, name: str) -> None:
    with pytest.raises(ServeError, match="trusted_hosts"):
        Settings(models=tmp_path, trusted_hosts=(name,))
