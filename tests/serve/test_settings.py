"""Settings: where they come from, which one holds, and what is said about one that is wrong."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from rx580lab.errors import ServeError
from rx580lab.serve.configuration import as_yaml, configure, problems_of
from rx580lab.serve.setting_sources import is_secret, leaves, variable_of
from rx580lab.serve.settings import PREFIX, Settings

ANYWHERE = "0.0.0.0"  # noqa: S104 - what is refused
OPEN: dict[str, tuple[str, Any]] = {"models": ("--models", Path("models")), "insecure_no_auth": ("--insecure", True)}


def fields(model: type[BaseModel], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, field in model.model_fields.items():
        yield before + name, field
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from fields(field.annotation, f"{before}{name}.")


def problems(*args: Any, **kwargs: Any) -> list[str]:
    with pytest.raises(ServeError) as caught:
        configure(*args, **kwargs)
    return str(caught.value).splitlines()


def test_every_setting_says_what_it_is() -> None:
    assert [name for name, field in fields(Settings) if not field.description] == []


def test_flags_hold_over_environment_and_that_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "server.yml"
    file.write_text("port: 1\nhost: '127.0.0.2'\nconnections: 100\nlimits: {user: 1, admin: 2}\n")
    monkeypatch.setenv("RX580LAB_SERVE_PORT", "2")
    monkeypatch.setenv("RX580LAB_SERVE_HOST", "127.0.0.3")
    monkeypatch.setenv("RX580LAB_SERVE_LIMITS__ADMIN", "3")
    found = configure({**OPEN, "port": ("--port", 4)}, {"batching.max_rows": "7"}, file)
    told = found.settings
    assert (told.port, told.host, told.connections) == (4, "127.0.0.3", 100)
    assert (told.limits.user, told.limits.admin, told.limits.public) == (1, 3, 100)
    assert told.batching.max_rows == 7
    assert found.places["port"] == "--port"
    assert found.places["host"] == "RX580LAB_SERVE_HOST"
    assert found.places["connections"] == str(file)
    assert found.places["batching.max_rows"] == "--set batching.max_rows"
    assert "limits.public" not in found.places


def test_naming_one_class_of_routes_leaves_the_limits_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RX580LAB_SERVE_LIMITS__ROUTES", '{"health": 7}')
    routes = configure(OPEN, {"limits.routes.load": "8"}).settings.limits.routes
    assert (routes["health"], routes["load"], routes["unload"]) == (7, 8, 20)


@pytest.mark.parametrize(
    ("written", "meant"), [("prot", "port"), ("batching.maxrows", "batching.max_rows"), ("rank", "caps.rank")]
)
def test_an_unknown_name_is_an_error_that_names_the_closest(
    written: str, meant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "server.yml"
    group, _, last = written.rpartition(".")
    file.write_text(json.dumps({group: {last: 1}} if group else {last: 1}))
    assert problems(OPEN, file=file) == [
        f"[settings] expected a setting that is known, got {written} ({file}); did you mean {meant}?"
    ]
    assert f"did you mean {meant}?" in problems(OPEN, {written: "1"})[0]
    variable = variable_of(PREFIX, written)
    monkeypatch.setenv(variable, "1")
    expected = f"got {variable}; did you mean {variable_of(PREFIX, meant)}?"
    assert expected in problems(OPEN)[0]
    with pytest.raises(ServeError, match="did you mean"):
        Settings(models=Path("models"))


def test_all_that_is_wrong_is_told_at_once_with_its_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "server.yml"
    file.write_text("connections: 3\nunknown_thing: 1\nwaiting: 5\n")
    monkeypatch.setenv("RX580LAB_SERVE_CAPS__RANK", "many")
    found = problems({"port": ("--port", 70_000)}, {"limits.user": "0"}, file)
    assert len(found) == 7
    assert all(line.startswith("[settings] expected ") for line in found)
    text = "\n".join(found)
    for part in (
        f"expected connections to be greater than or equal to 16, got 3 ({file})",
        "unknown_thing",
        "expected names and values in waiting, got a int",
        "expected caps.rank to be a valid integer",
        "got 'many' (RX580LAB_SERVE_CAPS__RANK)",
        "expected port to be less than or equal to 65535, got 70000 (--port)",
        "expected limits.user to be greater than or equal to 1, got '0' (--set limits.user)",
        "expected models, got none; --models or RX580LAB_SERVE_MODELS sets it",
    ):
        assert part in text


@pytest.mark.parametrize("text", ["a: [", "- 1\n", "just words", "a: b: c"])
def test_a_file_that_is_no_mapping(text: str, tmp_path: Path) -> None:
    file = tmp_path / "server.yml"
    file.write_text(text)
    assert str(file) in problems(OPEN, file=file)[0]
    file.unlink()
    assert "No such file" in problems(OPEN, file=file)[0]


CONTRADICTIONS: dict[str, tuple[dict[str, str], str]] = {
    "open to the network": ({"host": ANYWHERE}, "expected a loopback host with insecure_no_auth, got 0.0.0.0"),
    "open by name": ({"host": "localhost.example"}, "expected a loopback host with insecure_no_auth"),
    "bare to the network": ({"bare": "true", "host": ANYWHERE}, "expected a loopback host with bare"),
    "keys that nobody asks for": ({"keys": "keys.jsonl"}, "expected either keys or insecure_no_auth, got both"),
    "any origin": ({"cors_origins": "*"}, "expected cors_origins as https://name"),
    "an origin with a path": ({"cors_origins": "https://a.example/x"}, "expected cors_origins as https://name"),
    "an origin of any name": ({"cors_origins": "https://*.example"}, "expected cors_origins as https://name"),
    "compression that makes larger": ({"caps.decompressed_bytes": "2048"}, "expected caps.decompressed_bytes"),
    "threads too few for a batch": ({"threads": "20"}, "expected threads of at least batching.max_rows and 8 more, 40"),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_settings_that_cannot_hold_together_are_refused(name: str) -> None:
    assignments, expected = CONTRADICTIONS[name]
    assert any(expected in line for line in problems(OPEN, assignments))


def test_a_secret_is_neither_shown_nor_repeated() -> None:
    assignments = {"limits.shared_store": "redis://:hunter2@127.0.0.1:6379/0"}
    text = as_yaml(configure(OPEN, assignments))
    assert "hunter2" not in text
    assert "shared_store: '**********'" in text
    found = problems({**OPEN, "limits.shared_store": ("--set", ["hunter2"])})
    assert "hunter2" not in "".join(found)
    assert [name for name, field in leaves(Settings) if is_secret(field)] == ["limits.shared_store"]


def test_what_check_prints_is_a_file_that_says_the_same(tmp_path: Path) -> None:
    assignments = {"limits.routes.load": "3", "trusted_hosts": "a.example, b.example", "threads": "none"}
    first = configure(OPEN, assignments)
    file = tmp_path / "server.yml"
    file.write_text(as_yaml(first))
    assert configure({}, file=file).settings == first.settings
    assert set(yaml.safe_load(file.read_text())) == set(Settings.model_fields)
    assert "routes: {" in file.read_text()
    assert "# --set limits.routes.load" in file.read_text()


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    port=st.integers(0, 65_535),
    rows=st.integers(1, 500),
    hosts=st.lists(st.from_regex(r"[a-z]{1,8}\.example", fullmatch=True), max_size=3),
    idle=st.floats(0.01, 1000),
    load=st.booleans(),
)
def test_each_source_says_the_same_in_its_own_way(
    tmp_path: Path, port: int, rows: int, hosts: list[str], idle: float, load: bool
) -> None:
    nested = {"port": port, "batching": {"max_rows": rows}, "trusted_hosts": hosts, "waiting": {"idle_s": idle}}
    flat = {"port": str(port), "batching.max_rows": str(rows), "trusted_hosts": json.dumps(hosts),
            "waiting.idle_s": repr(idle), "load": str(load)}  # fmt: skip
    file = tmp_path / "server.yml"
    file.write_text(yaml.safe_dump({**nested, "load": load}))
    by_file = configure(OPEN, file=file).settings
    by_set = configure(OPEN, flat).settings
    with pytest.MonkeyPatch.context() as patch:
        for name, text in flat.items():
            patch.setenv(variable_of(PREFIX, name), text)
        by_environment = configure(OPEN).settings
        direct = Settings(models=Path("models"), insecure_no_auth=True)
    assert by_file == by_set == by_environment == direct
    assert by_file.port == port
    assert by_file.places >= rows


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.text(max_size=20), st.one_of(st.none(), st.integers(), st.text(), st.lists(st.integers()))))
def test_no_file_brings_forth_anything_but_a_plain_error(content: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "server.yml"
        file.write_text(yaml.safe_dump(content))
        said = ""
        try:
            configure(OPEN, file=file)
        except ServeError as error:
            said = str(error)
    assert all(line.startswith("[settings] expected") for line in said.splitlines())


def test_the_check_finds_what_would_keep_it_from_serving(tmp_path: Path) -> None:
    told = configure(
        {"models": ("--models", tmp_path / "none"), "keys": ("--keys", tmp_path / "keys.jsonl"), "port": ("--port", 0)},
        {"device": "no such device", "audit_file": str(tmp_path / "no" / "audit"),
         "pepper_file": str(tmp_path / "pepper"), "host": "203.0.113.7"},
    )  # fmt: skip
    text = "\n".join(problems_of(told.settings))
    for part in ("expected a folder", "pepper", "expected a device", "expected a file that can be written",
                 "expected an address of this machine, got 203.0.113.7"):  # fmt: skip
        assert part in text
