"""tinygrad's OpenCL backend: its own kernels, without a search (BEAM ends in no reasonable time on a processor).

It runs in this process, so that the race's clock sees it, on a queue of its own: it chooses the device itself, by the
system's OpenCL loader, and is shown PoCL only.
"""

from __future__ import annotations

import ctypes
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from rx580lab.device import Device
from rx580lab.errors import PeerUnavailable
from rx580lab.measure import Contestant
from rx580lab.peers.entrant import NONE, Entrant, Inputs, Keywords, checked_matrices, in_a_row
from rx580lab.reference import poison

__all__ = ["OPS", "entrant", "model", "unavailable"]

OPS = ("gemm",)
LOADER = "libOpenCL.so.1"
# Calls before its recording is complete and its kernel built: one plain, one recorded, two played.
WARM_UPS = 4


def unavailable(device: Device) -> str | None:
    """None beside PoCL, where it is installed and finds the system's OpenCL loader."""
    if find_spec("tinygrad") is None:
        return "needs tinygrad: pip install 'rx580lab[peers]'"
    if device.platform != "pocl":
        return f"it takes the first device it finds, which need not be {device.selector}; it is set up for PoCL only"
    if _pocl() is None:
        return "no pocl.icd was found, by which it could be shown PoCL; pip install 'pyopencl[pocl]' brings one"
    try:
        ctypes.CDLL(LOADER)
    except OSError as error:
        return f"{LOADER} cannot be loaded ({error}); on Debian: apt-get install ocl-icd-libopencl1"
    return None


def entrant(device: Device, op: str, inputs: Inputs, keywords: Keywords = NONE) -> Entrant:
    """``a @ b`` recorded by ``TinyJit`` and played in each run, on copies of ``inputs``; its warm-up is over then."""
    a, b = checked_matrices("tinygrad", op, OPS, unavailable(device), inputs, keywords)
    tinygrad, own = _opened(device)
    left, right = (tinygrad.Tensor(one, device="CL").realize() for one in (a, b))
    play = tinygrad.TinyJit(lambda x, y: (x @ y).realize())
    for _ in range(WARM_UPS):
        out = play(left, right)
        own.synchronize()
    # A recording writes the same memory each time.
    memory = out.uop.base.realized
    blank = tinygrad.Tensor(poison((a.shape[0], b.shape[1]), np.float32), device="CL").realize().uop.base.realized

    def run() -> None:
        play(left, right)  # no events to return: it has a queue of its own

    def spoil() -> None:
        memory.copy_from(blank)
        own.synchronize()

    def output() -> Any:
        return out.numpy().copy()

    spoil()
    contestant = Contestant(
        name="tinygrad",
        label="tinygrad, OpenCL backend",
        role="peer",
        run=run,
        sync=own.synchronize,
        output=output,
    )
    return Entrant(contestant, spoil, f"tinygrad: {version('tinygrad')}, DEV=CL on {own.device_name}, no search")


def model(device: Device, path: Path, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> Entrant:
    """A whole model from its file, recorded by ``TinyJit`` and played in each run; its warm-up is over then.

    ``outputs``: arrays like those that it gives, in the order in which they are read. The contestant's output is all
    of them in a row. Building takes a minute or more.
    """
    reason = unavailable(device)
    if reason is not None:
        raise PeerUnavailable("tinygrad", reason)
    tinygrad, own = _opened(device)
    held = {name: tinygrad.Tensor(np.array(one), device="CL").realize() for name, one in inputs.items()}
    try:
        with tempfile.TemporaryDirectory() as folder:  # it reads weights when they are first used
            runner = import_module("tinygrad.nn.onnx").OnnxRunner(str(_readable(path, Path(folder))))
            play = tinygrad.TinyJit(lambda **given: tuple(runner(given)[name].realize() for name in outputs))
            for _ in range(WARM_UPS):
                results = play(**held)
                own.synchronize()
    except (RuntimeError, ValueError, KeyError, AssertionError) as error:
        raise PeerUnavailable("tinygrad", f"it does not run this model: {error}") from error
    memories = [one.uop.base.realized for one in results]
    blanks = [
        tinygrad.Tensor(poison(one.shape, one.dtype), device="CL").realize().uop.base.realized
        for one in outputs.values()
    ]

    def run() -> None:
        play(**held)  # no events to return: it has a queue of its own

    def spoil() -> None:
        for memory, blank in zip(memories, blanks, strict=True):
            memory.copy_from(blank)
        own.synchronize()

    def output() -> Any:
        return in_a_row(one.numpy().copy() for one in results)

    contestant = Contestant(
        name="tinygrad",
        label="tinygrad, OpenCL backend",
        role="peer",
        run=run,
        sync=own.synchronize,
        output=output,
    )
    return Entrant(contestant, spoil, f"tinygrad: {version('tinygrad')}, DEV=CL on {own.device_name}, no search")


def _readable(path: Path, folder: Path) -> Path:
    """The file, or a copy without its empty constants, which tinygrad cannot read: a Resize's region that is not given.

    Its nodes take an input that is left out for the same.
    """
    read = import_module("onnx").load(path)
    empty = {
        node.output[0]
        for node in read.graph.node
        if node.op_type == "Constant" and any(0 in one.t.dims for one in node.attribute)
    }
    if not empty:
        return path
    kept = [node for node in read.graph.node if not set(node.output) & empty]
    for node in kept:
        node.input[:] = ["" if name in empty else name for name in node.input]
    del read.graph.node[:]
    read.graph.node.extend(kept)
    copy = folder / path.name
    copy.write_bytes(read.SerializeToString())
    return copy


def _opened(device: Device) -> tuple[Any, Any]:
    """The package and its device, which has to be ours."""
    with _shown_pocl():
        tinygrad = import_module("tinygrad")
        own = tinygrad.Device["CL"]
    if device.name not in str(own.device_name):
        raise PeerUnavailable("tinygrad", f"it took {own.device_name}, not {device.name}")
    return tinygrad, own


@contextmanager
def _shown_pocl() -> Iterator[None]:
    """The environment as it must be while tinygrad is imported and opens its device."""
    wanted = {"OCL_ICD_VENDORS": str(_pocl()), "CACHELEVEL": "0"}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _pocl() -> Path | None:
    """The file that names PoCL to a loader: the wheel's, else the system's."""
    found = find_spec("pyopencl")
    folders = [Path(place) / ".libs" for place in (found.submodule_search_locations or ())] if found else []
    return next((file for folder in (*folders, Path("/etc/OpenCL/vendors")) for file in folder.glob("pocl.icd")), None)
