"""Demo models as a repository of ONNX files: ``<folder>/<name>/<version>/model.onnx`` and what belongs to it."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from rx580lab.errors import InputError, ModelError
from rx580lab.formats.safetensors_file import read_safetensors
from rx580lab.formats.torch_checkpoint import read_torch_checkpoint
from rx580lab.models import efficientnet_lite, fashion_mnist, minilm
from rx580lab.models.catalogue import DemoModel, find
from rx580lab.models.fetch import fetch

__all__ = ["export"]

Files = dict[str, bytes]
Sources = Mapping[str, Path]


def export(name: str, folder: str | Path, *, version: int = 1) -> Path:
    """Write the model ``name`` below ``folder`` and return the path of its ``model.onnx``.

    Beside it lie ``labels.txt`` (one class a line) where the model has classes, and ``tokenizer.json`` where it reads
    tokens. ``model.onnx`` comes last and whole: whoever sees it sees everything. What was there is replaced.

    Raises:
        InputError: no model has that name, or ``version`` is not from 1 on.
        ModelError: its files cannot be had, are not as expected, or the folder cannot be written.
    """
    if version < 1:
        raise InputError("models", f"expected a version from 1 on, got {version}")
    model = find(name)
    files = EXPORTERS.get(name, _copied)(model, fetch(name))
    target = Path(folder) / name / str(version)
    try:
        target.mkdir(parents=True, exist_ok=True)
        for file in sorted(files, key=lambda file: file == "model.onnx"):
            _write(target / file, files[file])
    except OSError as error:
        raise ModelError(str(target), f"expected a folder that can be written, got: {error}") from error
    return target / "model.onnx"


def _write(path: Path, data: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        part.chmod(0o644)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _metadata(model: DemoModel) -> dict[str, str]:
    """What a file that we made says of itself; others are copied as they are."""
    return {"source": model.source, "licence": model.licence, "role": model.role}


def _labels(names: list[str]) -> bytes:
    return "".join(f"{name}\n" for name in names).encode()


def _json(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(str(path), f"expected JSON, got: {error}") from error


def _copied(model: DemoModel, sources: Sources) -> Files:
    return {"model.onnx": sources[model.files[0].name].read_bytes()}


def _efficientnet(model: DemoModel, sources: Sources) -> Files:
    checkpoint, classes = (sources[file.name] for file in model.files)
    built = efficientnet_lite.build(read_torch_checkpoint(checkpoint), _metadata(model), str(checkpoint))
    names = _json(classes)
    if not isinstance(names, list) or len(names) != efficientnet_lite.CLASSES:
        raise ModelError(str(classes), f"expected a list of {efficientnet_lite.CLASSES} names, got something else")
    return {"model.onnx": built.SerializeToString(deterministic=True), "labels.txt": _labels(names)}


def _minilm(model: DemoModel, sources: Sources) -> Files:
    weights, tokenizer = (sources[file.name] for file in model.files)
    built = minilm.build(read_safetensors(weights), _metadata(model), str(weights))
    return {"model.onnx": built.SerializeToString(deterministic=True), "tokenizer.json": tokenizer.read_bytes()}


def _magika(model: DemoModel, sources: Sources) -> Files:
    config = sources[model.files[1].name]
    settings = _json(config)
    if not isinstance(settings, dict) or not isinstance(settings.get("target_labels_space"), list):
        raise ModelError(str(config), "expected a list 'target_labels_space', got none")
    return _copied(model, sources) | {"labels.txt": _labels(settings["target_labels_space"])}


def _fashion(model: DemoModel, sources: Sources) -> Files:
    return _copied(model, sources) | {"labels.txt": _labels(list(fashion_mnist.LABELS))}


EXPORTERS: Mapping[str, Callable[[DemoModel, Sources], Files]] = {
    "efficientnet-lite0": _efficientnet,
    "minilm": _minilm,
    "magika": _magika,
    "fashion-mnist": _fashion,
}
