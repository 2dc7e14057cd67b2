"""``rx580lab keys``: make, list, rotate, revoke; the key alone on standard output, everything else beside it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import Result

from rx580lab.serve.keys import FORMAT, Keys
from rx580lab.serve.pepper import read_pepper
from rx580lab.serve.places import default_keys_file, default_pepper_file
from tests.cli.test_commands import invoke

LIST = """
import sys
sys.argv = ["rx580lab", "keys", "list", "--json"]
from rx580lab.cli import main
try:
    main()
except SystemExit:
    pass
assert not {"flask", "pyopencl", "pydantic_settings", "waitress"} & set(sys.modules)
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folders of a person who has no keys yet."""
    for name, folder in (("XDG_CONFIG_HOME", "config"), ("XDG_STATE_HOME", "state")):
        monkeypatch.setenv(name, str(tmp_path / folder))
    return tmp_path


def made(*arguments: str) -> str:
    """A fresh key."""
    result = invoke("keys", "create", *arguments)
    assert result.exit_code == 0, result.stderr
    assert re.fullmatch(rf"{FORMAT.pattern}\n", result.stdout), "nothing but the key"
    return result.stdout.strip()


def listed(*arguments: str) -> dict[str, dict[str, object]]:
    result = invoke("keys", "list", "--json", *arguments)
    assert result.exit_code == 0, result.stderr
    return {entry["id"]: entry for entry in json.loads(result.stdout)}


def holds(key: str, file: Path | None = None) -> bool:
    return Keys(file or default_keys_file(), read_pepper(default_pepper_file())).verify(key) is not None


def refused(result: Result) -> str:
    assert (result.exit_code, result.stdout) == (1, "")
    return result.stderr


def test_the_defaults_are_two_private_folders(home: Path) -> None:
    key = made("--role", "user")
    assert holds(key)
    assert default_keys_file() == home / "config/rx580lab/keys.jsonl"
    assert default_pepper_file() == home / "state/rx580lab/pepper"
    for path in (default_keys_file(), default_pepper_file()):
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700


def test_the_environment_and_options_name_other_places(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RX580LAB_SERVE_KEYS", str(home / "named.jsonl"))
    monkeypatch.setenv("RX580LAB_SERVE_PEPPER_FILE", str(home / "named.pepper"))
    made("--role", "user")
    assert (home / "named.jsonl").exists()
    assert (home / "named.pepper").exists()
    made("--role", "user", "--keys", str(home / "a/b.jsonl"), "--pepper-file", str(home / "c/pepper"))
    assert len(listed("--keys", str(home / "a/b.jsonl"))) == 1


def test_create_says_what_it_made_and_where(home: Path) -> None:
    result = invoke("keys", "create", "--role", "readonly", "--label", "[red]x", "--expires", "30d", "--models", "a, b")
    said = result.stderr
    for word in ("readonly", '"[red]x"', "a, b only", str(default_keys_file()), "this once"):
        assert word in said
    assert result.stdout.strip() not in said
    entry = next(iter(listed().values()))
    shown = {"role": "readonly", "label": "[red]x", "models": ["a", "b"], "state": "active"}
    assert {**entry, **shown} == entry
    assert str(entry["expires"]) > str(entry["created"])
    assert home in default_keys_file().parents


def test_list_shows_neither_keys_nor_hashes() -> None:
    key = made("--role", "admin", "--label", "[red]x")
    text = default_keys_file().read_text()
    for result in (invoke("keys", "list"), invoke("keys", "list", "--json")):
        assert key[6:14] in result.stdout
        assert "[red]x" in result.stdout
        assert key[15:] not in result.output
        assert json.loads(text)["hash"] not in result.output
        assert str(default_keys_file()) in result.stderr
    assert set(next(iter(listed().values()))) == {
        "id", "role", "label", "created", "expires", "models", "replaced_by", "state",
    }  # fmt: skip


def test_list_names_the_lines_that_are_no_keys() -> None:
    made("--role", "user")
    with default_keys_file().open("a") as stream:
        stream.write("secret damage\n")
    result = invoke("keys", "list")
    assert "1 lines are no keys" in result.stderr
    assert result.stderr.rstrip().endswith(": 2")
    assert "damage" not in result.output


def test_rotate_hands_on_and_ends_the_other() -> None:
    old = made("--role", "user", "--label", "ci", "--models", "m")
    result = invoke("keys", "rotate", old[6:14], "--grace", "24h")
    fresh = result.stdout.strip()
    assert FORMAT.fullmatch(fresh)
    assert holds(old)
    assert holds(fresh)
    entries = listed()
    assert entries[old[6:14]]["state"] == "retiring"
    assert entries[old[6:14]]["replaced_by"] == fresh[6:14]
    assert {**entries[fresh[6:14]], "id": 0, "created": 0} == {
        "id": 0, "created": 0, "role": "user", "label": "ci", "models": ["m"], "expires": None, "replaced_by": None,
        "state": "active",
    }  # fmt: skip
    last = invoke("keys", "rotate", fresh[6:14]).stdout.strip()
    assert not holds(fresh)
    assert holds(last)
    assert "replaced" in refused(invoke("keys", "rotate", fresh[6:14]))


def test_revoke_ends_at_once_and_twice_is_no_harm() -> None:
    key, other = made("--role", "user"), made("--role", "user")
    assert invoke("keys", "revoke", key[6:11]).exit_code == 0
    assert not holds(key)
    assert holds(other)
    again = invoke("keys", "revoke", key[6:14])
    assert (again.exit_code, "as it was before" in again.stderr) == (0, True)
    assert listed()[key[6:14]]["state"] == "revoked"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("create", "--role", "root"), "readonly, user, admin, got root"),
        (("create", "--role", "public"), "readonly, user, admin"),
        (("create", "--role", "user", "--expires", "soon"), "such as 30d"),
        (("create", "--role", "user", "--expires", "2027-01-01"), "such as 30d"),
        (("create", "--role", "user", "--expires", "2020-01-01T00:00Z"), "has passed"),
        (("create", "--role", "user", "--models", "../x"), "--models: expected names"),
        (("create", "--role", "user", "--models", "a,,b"), "--models: expected names"),
        (("create", "--role", "user", "--label", "a\x1bb"), "control characters"),
        (("create", "--role", "user", "--label", "x" * 101), "--label"),
        (("rotate", "A", "--grace", "some"), "--grace: expected a duration"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_made(arguments: tuple[str, ...], said: str) -> None:
    assert said in refused(invoke("keys", *arguments))
    assert not default_keys_file().exists()


def test_an_id_that_is_none_or_two(home: Path) -> None:
    assert "expected a file" in refused(invoke("keys", "revoke", "A"))
    ids = [made("--role", "user")[6:14] for _ in range(2)]
    assert "expected the id of a key" in refused(invoke("keys", "revoke", "?"))
    assert "expected the id of a key" in refused(invoke("keys", "revoke", ""))
    file = default_keys_file()
    file.write_text(file.read_text().replace(ids[0], "AAAAAAA1").replace(ids[1], "AAAAAAA2"))
    said = refused(invoke("keys", "revoke", "AAAA"))
    assert "AAAAAAA1, AAAAAAA2" in said
    assert home in file.parents


def test_a_key_in_the_wrong_place_is_not_echoed() -> None:
    key, unknown = made("--role", "user"), f"rx580_{'A' * 8}_{'b' * 43}"
    assert unknown[20:] not in refused(invoke("keys", "revoke", unknown))
    assert unknown[20:] not in refused(invoke("keys", "create", "--role", unknown))
    assert unknown[20:] not in refused(invoke("keys", "create", "--role", "user", "--expires", unknown))
    assert holds(key)


def test_a_lost_pepper_is_not_made_again() -> None:
    made("--role", "user")
    default_pepper_file().unlink()
    assert "expected the pepper" in refused(invoke("keys", "create", "--role", "user"))
    assert not default_pepper_file().exists()


def test_a_key_of_another_pepper_does_not_join(home: Path) -> None:
    made("--role", "user")
    other = ("--pepper-file", str(home / "other"))
    made("--role", "user", "--keys", str(home / "b.jsonl"), *other)
    assert "of another" in refused(invoke("keys", "create", "--role", "user", *other))


def test_files_that_others_may_read_are_refused() -> None:
    made("--role", "user")
    for path in (default_keys_file(), default_pepper_file()):
        path.chmod(0o644)
        assert "chmod 600" in refused(invoke("keys", "create", "--role", "user"))
        path.chmod(0o600)


def test_each_command_teaches_by_an_example() -> None:
    for command in ("create", "list", "rotate", "revoke"):
        shown = invoke("keys", command, "--help").output
        assert re.search(rf"Examples?:\s+rx580lab keys {command}\b", shown), command


def test_the_commands_load_neither_flask_nor_the_device() -> None:
    made("--role", "user")
    done = subprocess.run([sys.executable, "-c", LIST], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
