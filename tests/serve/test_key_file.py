"""Changes of the file of keys: rotation, revocation, and that no kill and no second writer loses a key."""

from __future__ import annotations

import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rx580lab.errors import ServeError
from rx580lab.serve import key_file
from rx580lab.serve.keys import Keys, read_keys
from rx580lab.serve.private_files import locked
from tests.serve.stored_keys import PEPPER, Clock, stored


def test_rotation_hands_on_role_models_label_and_lifetime(path: Path, clock: Clock) -> None:
    old, record = stored(path, label="ci", models=("m",), expires=datetime.now(UTC) + timedelta(days=10))
    fresh, successor, ended = key_file.rotate(path, PEPPER, record.id, grace=timedelta(hours=2))
    assert (successor.role, successor.models, successor.label) == (record.role, record.models, record.label)
    assert successor.expires is not None
    assert record.expires is not None
    assert (successor.expires - successor.created) / (record.expires - record.created) == pytest.approx(1)
    assert ended.replaced_by == successor.id
    keys = Keys(path, PEPPER)
    assert keys.verify(fresh) is not None
    assert keys.verify(old) is not None, "in its grace"
    clock.passed_s = 2 * 3600
    assert keys.verify(old) is None
    assert keys.verify(fresh) is not None


def test_rotation_without_grace_ends_at_once_and_a_closed_key_stays_closed(path: Path) -> None:
    old, record = stored(path)
    fresh, successor, _ = key_file.rotate(path, PEPPER, record.id)
    keys = Keys(path, PEPPER)
    assert keys.verify(old) is None
    assert keys.verify(fresh) is not None
    with pytest.raises(ServeError, match="replaced"):
        key_file.rotate(path, PEPPER, record.id)
    key_file.revoke(path, successor.id)
    with pytest.raises(ServeError, match="revoked"):
        key_file.rotate(path, PEPPER, successor.id)


def test_rotation_under_another_pepper_would_hand_out_what_opens_nothing(path: Path) -> None:
    _, record = stored(path)
    before = path.read_bytes()
    with pytest.raises(ServeError, match="pepper"):
        key_file.rotate(path, bytes(32), record.id)
    assert path.read_bytes() == before


def test_grace_is_never_longer_than_what_the_key_had(path: Path) -> None:
    end = datetime.now(UTC) + timedelta(hours=1)
    _, record = stored(path, expires=end)
    assert key_file.rotate(path, PEPPER, record.id, grace=timedelta(days=9))[2].expires == end


def test_a_link_stays_a_link(tmp_path: Path, path: Path) -> None:
    real = tmp_path / "elsewhere" / "real.jsonl"
    real.parent.mkdir()
    path.symlink_to(real)
    stored(path)
    key, _ = stored(path)
    assert path.is_symlink()
    assert len(real.read_text().splitlines()) == 2
    assert Keys(path, PEPPER).verify(key) is not None


def test_something_else_is_not_written_into(path: Path) -> None:
    path.touch(0o600)
    path.write_bytes(b"my thesis\n")
    with pytest.raises(ServeError, match="something else"):
        stored(path)
    assert path.read_bytes() == b"my thesis\n"


def test_a_writer_waits_for_another_and_says_so(path: Path) -> None:
    with locked(path), pytest.raises(ServeError, match="another process"), locked(path, timeout_s=0.05):
        pass


WRITER = """
import sys
from pathlib import Path
from rx580lab.serve import key_file
from rx580lab.serve.keys import make_key
from rx580lab.serve.roles import Role
for _ in range(50):
    key, record = make_key(bytes(range(32)), Role.USER)
    key_file.add(Path(sys.argv[1]), record)
    print(key, flush=True)
"""


def writer(path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)


def test_no_kill_loses_a_key_that_was_printed(path: Path) -> None:
    """Each of five writers is killed after another number of its 50 keys, in the middle of the next."""
    printed: list[str] = []
    for after in (1, 7, 19, 33, 48):
        process = writer(path)
        assert process.stdout is not None
        with process.stdout:
            printed.extend(process.stdout.readline().strip() for _ in range(after))
            process.send_signal(signal.SIGKILL)
            printed.extend(line.strip() for line in process.stdout if line.endswith("\n"))
        process.wait()
    contents = read_keys(path)
    assert contents.corrupt == ()
    keys = Keys(path, PEPPER)
    assert [key for key in printed if keys.verify(key) is None] == []
    assert len(printed) >= 108
    assert path.stat().st_mode & 0o777 == 0o600
    key, _ = stored(path)
    assert Keys(path, PEPPER).verify(key) is not None, "what a killed writer left is in nobody's way"


def test_two_writers_at_once_lose_nothing(path: Path) -> None:
    printed = [line for process in [writer(path), writer(path)] for line in process.communicate()[0].split()]
    keys = Keys(path, PEPPER)
    assert len(printed) == 100
    assert [key for key in printed if keys.verify(key) is None] == []
