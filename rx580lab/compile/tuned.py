"""Tuned parameters: the user's, then the shipped ones; this device's, then its family's; else the op's default.

A file ``<device or family>.json`` holds, per op and template, the winning parameters, where they come from, and the
hash of the ``.cl`` that they were measured on::

    {"device": "pocl-amd-epyc", "entries": {"gemm_cpu": {
        "params": {"TILE_M": 96}, "source_sha256": "...", "provenance": {"command": "...", "date": "..."}}}}

An entry whose source has changed since is not used: its figures were of another kernel.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rx580lab.compile.locate import kernel_source, kernels_dir
from rx580lab.device import Device, data_dir
from rx580lab.errors import BuildError

__all__ = ["TunedEntry", "find_tuned", "source_hash", "tuned"]


@dataclass(frozen=True)
class TunedEntry:
    """Winning parameters of one kernel. ``stale`` is why they are not used, None when they are."""

    params: Mapping[str, int]
    file: Path
    provenance: Mapping[str, Any]
    stale: str | None


def source_hash(source: str) -> str:
    """sha256 of the kernel's text with its includes and without macros."""
    return hashlib.sha256(kernel_source(source).encode()).hexdigest()


def tuned(device: Device, name: str, source: str | None = None) -> Mapping[str, int] | None:
    """The parameters to use for the entry ``name`` (``<op>_<template>``) on ``device``; None means the default.

    ``source`` is the kernel's file under ``kernels/`` where it is not called ``name`` too.
    """
    for entry in find_tuned(device, name, source):
        if entry.stale is None:
            return entry.params
    return None


def find_tuned(device: Device, name: str, source: str | None = None) -> list[TunedEntry]:
    """All entries ``name`` that concern ``device``, in the order of look-up, stale ones included."""
    owners = [re.sub(r"[^a-z0-9]+", "-", device.selector.split("#")[0]), device.isa]
    folders = [data_dir() / "tuned", kernels_dir() / "tuned"]
    files = [folder / f"{owner}.json" for owner in owners for folder in folders]
    kernel = source or name
    return [entry for file in files if file.is_file() and (entry := _entry(file, name, kernel)) is not None]


def _entry(file: Path, name: str, source: str) -> TunedEntry | None:
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))["entries"]
        found = entries.get(name)
        if found is None:
            return None
        params = {str(k): int(v) for k, v in found["params"].items()}
        measured_on = str(found["source_sha256"])
        provenance = dict(found.get("provenance", {}))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BuildError(
            "tuned", f"expected tuned entries in {file}, got a damaged file ({error!r}); delete it"
        ) from error
    now = source_hash(source)
    stale = None if measured_on == now else f"measured on another {source}.cl ({measured_on[:12]}, now {now[:12]})"
    return TunedEntry(params, file, provenance, stale)
