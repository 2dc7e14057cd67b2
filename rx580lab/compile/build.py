"""Builds kernels once: a cache in memory per device, and one of binaries on disk that many processes share."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyopencl as cl

from rx580lab.compile.kernel import Build, Kernel
from rx580lab.compile.locate import Macro, kernel_source
from rx580lab.device import Device, cache_dir
from rx580lab.errors import BuildError
from rx580lab.results.files import atomic_write

__all__ = ["load_kernel", "load_source", "load_sources"]

# -cl-mad-enable lets a*b+c become one multiply-add, which every device here has; nothing else is relaxed by default.
OPTIONS = ("-cl-std=CL1.2", "-cl-mad-enable")
_MAGIC = b"rx580lab-binary-1\n"
_DIGEST_BYTES = 32


def load_kernel(
    device: Device,
    source: str,
    entry: str,
    macros: Mapping[str, Macro] | None = None,
    options: Sequence[str] = (),
) -> Kernel:
    """The kernel ``entry`` of ``kernels/<source>.cl``, built for ``device`` with these macros.

    Raises BuildError with the compiler's log, at the kernel's own file and line.
    """
    text = kernel_source(source, macros)
    return load_source(device, text, entry, options, where=f"{source}.cl")


def load_source(device: Device, text: str, entry: str, options: Sequence[str] = (), *, where: str) -> Kernel:
    """The kernel ``entry`` of a source text; ``where`` names the text in messages."""
    program = _built(device, text, options, where)
    chosen = (*OPTIONS, *options)
    made = device.kernel_cache.get((text, chosen, entry))
    if made is None:
        try:
            made = device.kernel_cache[text, chosen, entry] = cl.Kernel(program, entry)
        except cl.Error as error:
            raise BuildError(where, f"expected a kernel named {entry!r} in it: {error}") from error
    return Kernel(device, program, made, Build(where, entry, text, chosen))


def load_sources(device: Device, text: str, options: Sequence[str] = (), *, where: str) -> dict[str, Kernel]:
    """Every kernel of a source text, by name, as ``load_source`` gives one."""
    program = _built(device, text, options, where)
    chosen = (*OPTIONS, *options)
    names = {made.function_name: made for made in program.all_kernels()}
    return {name: Kernel(device, program, made, Build(where, name, text, chosen)) for name, made in names.items()}


def _built(device: Device, text: str, options: Sequence[str], where: str) -> Any:
    chosen = (*OPTIONS, *options)
    key = (text, chosen)
    program = device.kernel_cache.get(key)
    if program is None:
        program = device.kernel_cache[key] = _program(device, text, chosen, where)
    return program


def binary_path(device: Device, text: str, options: Sequence[str]) -> Path:
    """Where the built program lies: named by source, macros (in the text), options, device and driver."""
    identity = {k: v for k, v in device.fingerprint.items() if k not in {"limits", "emulated_limits", "hash"}}
    stable = {k: v for k, v in identity.items() if not k.endswith("_bytes")}
    payload = json.dumps([text, list(options), stable, cl.VERSION_TEXT], sort_keys=True)
    return cache_dir("binaries") / f"{hashlib.sha256(payload.encode()).hexdigest()}.bin"


def _program(device: Device, text: str, options: Sequence[str], where: str) -> Any:
    path = binary_path(device, text, options)
    program = _from_binary(device, _read(path), options)
    if program is not None:
        return program
    program = _compiled(device, text, options, where)
    binary = program.get_info(cl.program_info.BINARIES)[0]
    if binary:
        atomic_write(path, _MAGIC + hashlib.sha256(binary).digest() + binary, lasting=False)
    return program


def _read(path: Path) -> bytes | None:
    """The cached binary, or None if there is none or its digest does not fit (torn or damaged: it is rebuilt)."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    head = len(_MAGIC) + _DIGEST_BYTES
    binary = data[head:]
    whole = data.startswith(_MAGIC) and hashlib.sha256(binary).digest() == data[len(_MAGIC) : head]
    return binary if whole and binary else None


def _from_binary(device: Device, binary: bytes | None, options: Sequence[str]) -> Any | None:
    if binary is None:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", cl.CompilerWarning)
            program: Any = cl.Program(device.context, [device.cl_device], [binary])
            return program.build(list(options), cache_dir=False)
    except cl.Error:
        return None  # a driver may refuse its own binary after an update; the source is always at hand


def _compiled(device: Device, text: str, options: Sequence[str], where: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", cl.CompilerWarning)
            program: Any = cl.Program(device.context, text)  # pyopencl's hints miss cache_dir=False
            return program.build(list(options), [device.cl_device], cache_dir=False)
    except cl.Error as error:
        raise BuildError(where, f"did not build for {device.selector}", _log(error)) from error


def _log(error: Exception) -> str:
    """The compiler's own lines, without pyopencl's frame around them."""
    skipped = ("clBuildProgram failed", "Build on <", "(options:", "(source saved", "Device ")
    lines = [line for line in str(error).splitlines() if line.strip() and not line.startswith(skipped)]
    return "\n".join(lines)
