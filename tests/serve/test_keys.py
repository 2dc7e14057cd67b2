"""The file of keys: what is a key, what opens, how it changes under a server, and that no kill loses one."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from rx580lab.errors import ServeError
from rx580lab.serve import key_file
from rx580lab.serve.key_times import duration, expiry, moment
from rx580lab.serve.keys import FORMAT, Keys, make_key, parse, read_keys
from rx580lab.serve.private_files import FileExposed, FileMissing
from rx580lab.serve.roles import Role
from tests.serve.stored_keys import PEPPER, Clock, stored


def rewrite(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Changes the fields of the only key of a file."""
    fields = json.loads(path.read_text())
    change(fields)
    path.write_text(json.dumps(fields) + "\n")


def test_a_key_reads_as_promised_and_only_its_hash_is_stored(path: Path) -> None:
    key, record = stored(path, label="load test", models=("a", "b"))
    match = FORMAT.fullmatch(key)
    assert match is not None
    assert match[1] == record.id
    text = path.read_text()
    assert match[2] not in text
    assert path.stat().st_mode & 0o777 == 0o600
    assert set(json.loads(text)) == {
        "id", "hash", "role", "created", "expires", "disabled", "label", "models", "replaced_by", "pepper",
    }  # fmt: skip
    found = Keys(path, PEPPER).verify(key)
    assert found == record


def test_what_is_wrong_opens_nothing(path: Path) -> None:
    key, _ = stored(path)
    keys = Keys(path, PEPPER)
    last = "A" if key[-1] != "A" else "B"
    swapped = make_key(PEPPER, Role.ADMIN)[0][:15] + key[15:]
    for wrong in ("", "rx580_", key[:-1], key[:-1] + last, key + "A", key.upper(), f" {key}", f"{key}\n", swapped):
        assert keys.verify(wrong) is None, wrong
    assert Keys(path, PEPPER).verify(key) is not None
    assert Keys(path, PEPPER).check(swapped).why == "wrong"


@given(st.text(max_size=300))
def test_no_text_as_a_key_raises(text: str) -> None:
    assert KEYS_OF_NOBODY.verify(text) is None


def keys_of_nobody() -> Keys:
    folder = Path(os.environ["TMPDIR"])
    key_file.add(folder / "nobody.jsonl", make_key(PEPPER, Role.ADMIN)[1])
    return Keys(folder / "nobody.jsonl", PEPPER)


KEYS_OF_NOBODY = keys_of_nobody()


def test_an_unknown_id_costs_a_hash_and_a_comparison_too(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same work, whether the id exists: else the time would tell."""
    key, _ = stored(path)
    keys = Keys(path, PEPPER)
    done: list[str] = []
    import hmac

    digest, compare = hmac.digest, hmac.compare_digest

    class Watched:
        @staticmethod
        def digest(*arguments: Any) -> bytes:
            done.append("digest")
            return digest(*arguments)

        @staticmethod
        def compare_digest(one: bytes, other: bytes) -> bool:
            done.append("compare")
            assert len(one) == len(other) == 32
            return compare(one, other)

    monkeypatch.setattr("rx580lab.serve.keys.hmac", Watched)
    wrong_secret = key[:15] + make_key(PEPPER, Role.USER)[0][15:]
    for presented in (key, wrong_secret, make_key(PEPPER, Role.USER)[0]):
        done.clear()
        keys.verify(presented)
        assert done == ["digest", "compare"]
    done.clear()
    keys.verify("rx580_" + "A" * 100_000)
    assert done == [], "what is too long costs no hash"


def test_an_end_is_an_end(path: Path, clock: Clock) -> None:
    key, _ = stored(path, expires=datetime.now(UTC) + timedelta(hours=1))
    keys = Keys(path, PEPPER)
    assert keys.verify(key) is not None
    clock.passed_s = 3601
    checked = keys.check(key)
    assert (checked.record, checked.why) == (None, "expired")


@pytest.mark.parametrize(
    "text", ["", "never", "tomorrow", "5", "0d", "-3d", "1.5d", "3w", "2027-01-01", "2027-01-01T00:00", "99999999d",
             "2027-02-30T00:00Z", "2020-01-01T00:00Z", "2027-01-01T00:00Z ", "1893456000", "٣d"]
)  # fmt: skip
def test_an_expiry_that_is_none_is_refused_never_endless(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        expiry(text)


def test_expiries_are_durations_or_moments_with_a_zone() -> None:
    now = datetime(2026, 12, 1, tzinfo=UTC)
    assert expiry("30d", now) == now + timedelta(days=30)
    assert expiry("12h", now) == now + timedelta(hours=12)
    assert expiry("2027-01-01T02:00:00+02:00", now) == datetime(2027, 1, 1, tzinfo=UTC)
    assert moment("2027-01-01T00:00Z").utcoffset() == timedelta(0)
    assert duration("90m") == timedelta(minutes=90)


@pytest.mark.parametrize(
    ("field", "value"),
    [("expires", "soon"), ("expires", 5), ("expires", "5"), ("expires", "2027-01-01"), ("expires", ""),
     ("role", "root"), ("role", "public"), ("role", "ADMIN "), ("models", ["../x"]), ("models", ["."]),
     ("models", "all"), ("id", "short"),
     ("hash", "0"), ("disabled", "no"), ("disabled", 0), ("label", "two\nlines"), ("label", "x" * 101), ("extra", 1)],
)  # fmt: skip
def test_a_line_with_a_field_that_is_none_is_no_key(path: Path, field: str, value: object) -> None:
    stored(path)
    rewrite(path, lambda fields: fields.update({field: value}))
    assert read_keys(path).corrupt == (1,)


@pytest.mark.parametrize("field", ["id", "hash", "role", "created", "expires", "disabled", "models"])
def test_a_line_without_what_bounds_it_is_no_key(path: Path, field: str) -> None:
    stored(path)
    rewrite(path, lambda fields: fields.pop(field))
    assert read_keys(path).corrupt == (1,)


def test_models_and_labels_are_checked_when_a_key_is_made() -> None:
    for options in ({"models": ("a/b",)}, {"models": ("",)}, {"label": "\x1b[31m"}):
        with pytest.raises(ValidationError):
            make_key(PEPPER, Role.USER, **options)


def test_a_damaged_line_is_reported_by_number_and_the_others_serve(path: Path) -> None:
    key, _ = stored(path)
    with path.open("ab") as stream:
        stream.write(b"\n{damaged secret\xff\xfe\n\n")
    other, _ = stored(path, Role.ADMIN)
    events: list[tuple[str, dict[str, Any]]] = []
    keys = Keys(path, PEPPER, lambda event, **fields: events.append((event, fields)))
    assert keys.verify(key) is not None
    assert keys.verify(other) is not None
    assert ("corrupt keys left out", {"lines": (3,), "count": 1}) in events
    assert "damaged" not in repr(events)
    assert b"damaged" in path.read_bytes(), "who damaged it may still want it"


def test_of_two_lines_with_one_id_neither_is_a_key(path: Path) -> None:
    key, record = stored(path)
    other, _ = stored(path)
    with path.open("a") as stream:
        stream.write(record.model_copy(update={"role": "admin"}).model_dump_json() + "\n")
    assert read_keys(path).corrupt == (1, 3)
    keys = Keys(path, PEPPER)
    assert keys.verify(key) is None
    assert keys.verify(other) is not None


@given(st.binary(max_size=400))
def test_any_bytes_can_be_read_as_lines(content: bytes) -> None:
    contents = parse(content)
    assert len(contents.records) + len(contents.corrupt) == contents.n_lines


def test_a_file_that_others_may_read_is_refused_with_the_cure(path: Path) -> None:
    stored(path)
    for mode in (0o640, 0o604, 0o620):
        path.chmod(mode)
        with pytest.raises(FileExposed, match="chmod 600"):
            Keys(path, PEPPER)


@pytest.mark.parametrize("content", [b"", b"\n\n"])
def test_no_key_no_start(path: Path, content: bytes) -> None:
    with pytest.raises(FileMissing, match="keys create"):
        Keys(path, PEPPER)
    path.touch(0o600)
    path.write_bytes(content)
    with pytest.raises(ServeError, match="keys create"):
        Keys(path, PEPPER)


def test_only_revoked_keys_no_start(path: Path) -> None:
    _, record = stored(path)
    key_file.revoke(path, record.id)
    with pytest.raises(ServeError, match="in force"):
        Keys(path, PEPPER)


def test_keys_of_another_pepper_no_start(path: Path) -> None:
    stored(path)
    with pytest.raises(ServeError, match="pepper"):
        Keys(path, bytes(32))


@pytest.mark.parametrize("content", [b"garbage\n", b"\xff\x00" * 50, b"[1, 2]\n{}\n"])
def test_a_file_that_is_none_closes_until_it_is_one(path: Path, clock: Clock, content: bytes) -> None:
    path.touch(0o600)
    path.write_bytes(content)
    keys = Keys(path, PEPPER)
    assert keys.closed
    path.unlink()
    key, _ = stored(path)
    clock.passed_s += 1
    assert keys.verify(key) is not None
    assert not keys.closed


def test_a_folder_or_a_pipe_in_its_place_closes_and_does_not_hang(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe", 0o600)
    assert Keys(tmp_path / "folder", PEPPER).closed
    assert Keys(tmp_path / "pipe", PEPPER).closed


def test_changes_hold_within_a_second_and_the_file_is_looked_at_no_more_often(path: Path, clock: Clock) -> None:
    key, record = stored(path)
    keys = Keys(path, PEPPER)
    key_file.revoke(path, record.id)
    assert keys.verify(key) is not None, "looked at too often"
    clock.passed_s += 1
    assert keys.verify(key) is None
    fresh, _ = stored(path)
    clock.passed_s += 1
    assert keys.verify(fresh) is not None


@pytest.mark.parametrize("harm", ["garbage", "gone", "exposed", "folder"])
def test_a_file_that_becomes_unreadable_leaves_the_last_good_keys(path: Path, clock: Clock, harm: str) -> None:
    key, record = stored(path)
    good = path.read_bytes()
    events: list[str] = []
    keys = Keys(path, PEPPER, lambda event, **_: events.append(event))
    if harm == "garbage":
        path.write_bytes(b"garbage")
    elif harm == "exposed":
        path.chmod(0o644)
    else:
        path.unlink()
        if harm == "folder":
            path.mkdir()
    for _ in range(3):
        clock.passed_s += 1
        assert keys.verify(key) is not None
    assert events.count("key file unreadable") == 1, "once, not each second"
    assert not keys.closed
    if path.is_dir():
        path.rmdir()
    path.unlink(missing_ok=True)
    path.touch(0o600)
    path.write_bytes(good)
    key_file.revoke(path, record.id)
    clock.passed_s += 1
    assert keys.verify(key) is None


def test_an_emptied_file_opens_nothing(path: Path, clock: Clock) -> None:
    key, _ = stored(path)
    keys = Keys(path, PEPPER)
    path.write_bytes(b"")
    clock.passed_s += 1
    assert keys.verify(key) is None
