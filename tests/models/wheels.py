"""Small wheels in a folder that stands for a package index, and a catalogue that points at them."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

from rx580lab.models.catalogue import DemoModel, Package, SourceFile

PACKAGE = Package("tiny-model-package", "1.0", "tiny_model_package")
WEIGHTS = "tiny_model_package/weights.onnx"


def write_wheel(folder: Path, files: Mapping[str, bytes]) -> Path:
    """A wheel of ``PACKAGE`` with ``files``; pip takes it for a real one."""
    info = "tiny_model_package-1.0.dist-info"
    described = {
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: tiny-model-package\nVersion: 1.0\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    path = folder / "tiny_model_package-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {**files, **described}.items():
            archive.writestr(name, data)
    return path


def tiny_model(data: bytes, path: str = WEIGHTS, name: str = "tiny") -> DemoModel:
    """A model whose one file holds ``data``."""
    file = SourceFile(PACKAGE, path, hashlib.sha256(data).hexdigest(), len(data))
    return DemoModel(name, "a few bytes", "MIT", (file,), "none")
