"""What makes two runs comparable: hashes of the spec, the notebook, the package, the kernels and the device."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rx580lab
from rx580lab.experiment.spec import Spec

__all__ = ["DeviceChoice", "choose_device", "point_key", "run_hashes"]

_KEY_LENGTH = 16
# Some drivers report what is free at the moment; a running index depends on what else is installed.
_UNSTABLE_FACTS = frozenset({"memory_bytes", "allocation_bytes", "index"})


@dataclass(frozen=True)
class DeviceChoice:
    """A device by the selector that opens it again, and the hash of its fingerprint."""

    selector: str
    hash: str


def choose_device(name: str | None) -> DeviceChoice:
    """The device that ``name`` describes; None or "" takes RX580LAB_DEVICE, else the best one that is here.

    Nothing is opened in this process. Raises DeviceNotFound or ProbeFailed, whose message has the cure.
    """
    from rx580lab.device import find_device

    info = find_device(name or os.environ.get("RX580LAB_DEVICE") or None)
    known = {key: value for key, value in info.as_dict().items() if key not in _UNSTABLE_FACTS}
    known["limits"] = os.environ.get("RX580LAB_LIMITS", "")
    return DeviceChoice(info.selector, _hash_of(known))


def run_hashes(spec: Spec, devices: Mapping[str, str], *, ci: bool) -> dict[str, str]:
    """What a run to be resumed must agree in. ``devices`` maps selectors to fingerprint hashes; may be empty."""
    asked = {"model": spec.model.model_dump(mode="json"), "points": spec.points(ci), "ci": ci}
    return {
        "spec": _hash_of(asked),
        "notebook": hashlib.sha256(spec.notebook.read_bytes()).hexdigest(),
        "package": _package_hash(),
        "kernels": _kernels_hash(),
        "device": _hash_of(dict(devices)),
    }


def point_key(hashes: Mapping[str, str], params: Mapping[str, Any], device: DeviceChoice | None) -> str:
    """The name of a point's folder: a hash of notebook, package, kernels, parameters and device."""
    parts = {key: hashes[key] for key in ("notebook", "package", "kernels")}
    return _hash_of({**parts, "params": dict(params), "device": device.hash if device else None})[:_KEY_LENGTH]


def _hash_of(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _hash_files(root: Path, files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(files):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _package_hash() -> str:
    root = Path(rx580lab.__file__).resolve().parent
    return _hash_files(root, root.rglob("*.py"))


def _kernels_hash() -> str:
    """The kernels, and the tuned entries of this installation and of this user, which choose their parameters."""
    from rx580lab.compile import kernels_dir
    from rx580lab.device import data_dir

    kernels, own = kernels_dir(), data_dir()
    places = ((kernels, ("*.cl", "include/*.h", "tuned/*.json")), (own, ("tuned/*.json",)))
    found = [(root, [path for pattern in patterns for path in root.glob(pattern)]) for root, patterns in places]
    return _hash_of([_hash_files(root, files) for root, files in found])
