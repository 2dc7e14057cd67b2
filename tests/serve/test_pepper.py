"""The pepper: made once, its owner's alone, and never made again beside keys that need the lost one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rx580lab.errors import ServeError
from rx580lab.serve.pepper import make_pepper, mark_of, read_pepper
from rx580lab.serve.private_files import FileExposed, FileMissing


def test_it_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "pepper"
    made = make_pepper(path)
    assert len(made) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert make_pepper(path) == read_pepper(path) == made
    assert make_pepper(tmp_path / "another") != made


def test_without_one_the_error_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileMissing, match="--pepper-file"):
        read_pepper(tmp_path / "none")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o622])
def test_one_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "pepper"
    make_pepper(path)
    path.chmod(mode)
    for ask in (read_pepper, make_pepper):
        with pytest.raises(FileExposed, match="chmod 600"):
            ask(path)


@pytest.mark.parametrize("content", [b"", b"00", b"0" * 62, b"z" * 64, b"0" * 64 + b"\n\n", b"\xff" * 64, b"0" * 5000])
def test_what_is_no_pepper_is_refused_and_not_shown(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "pepper"
    path.touch(0o600)
    path.write_bytes(content)
    with pytest.raises(ServeError, match="hexadecimal") as caught:
        make_pepper(path)
    assert "000" not in str(caught.value)
    assert path.read_bytes() == content


def test_four_processes_at_once_make_one(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib as p; from rx580lab.serve.pepper import *; print(make_pepper(p.Path(sys.argv[1])).hex())"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "state" / "pepper")]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert len({process.communicate()[0] for process in processes}) == 1


def test_a_mark_tells_peppers_apart_and_shows_nothing(tmp_path: Path) -> None:
    one, other = make_pepper(tmp_path / "one"), make_pepper(tmp_path / "other")
    assert mark_of(one) == mark_of(one) != mark_of(other)
    assert mark_of(one) not in one.hex()
