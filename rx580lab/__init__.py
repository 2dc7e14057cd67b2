"""rx580lab: a Jupyter-first OpenCL workbench for the RX 580 and any other OpenCL 1.2 device.

::

    import rx580lab as rx

    device = rx.open_device()             # the best device here; or rx.open_device("pocl"), rx.open_device("RX 580")
    c = rx.ops.gemm(device, a, b)         # numpy in, numpy out; device arrays in, device array out
    rx.ops.spec("gemm")                   # templates, parameters, cost
    model = rx.load("model.onnx")         # model.run({"input": x}) gives {"output": y}

Parts are imported when first used, so that ``import rx580lab`` is quick and a child process loads only what it needs.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rx580lab import (
        compile,  # noqa: A004 - the house's name for that stage
        device,
        experiment,
        graph,
        jupyter,
        loadgen,
        measure,
        models,
        ops,
        peers,
        polaris,
        reference,
        report,
        results,
        selftest,
        serve,
        widgets,
    )
    from rx580lab.device import LIMITS, Array, Device, Event, Limits, list_devices, open_device
    from rx580lab.graph import load

__version__ = version("rx580lab")

_FROM_DEVICE = ("LIMITS", "Array", "Device", "Event", "Limits", "list_devices", "open_device")
_PARTS = (
    "compile",
    "device",
    "experiment",
    "graph",
    "jupyter",
    "loadgen",
    "measure",
    "models",
    "ops",
    "peers",
    "polaris",
    "reference",
    "report",
    "results",
    "selftest",
    "serve",
    "widgets",
)

__all__ = [
    "LIMITS",
    "Array",
    "Device",
    "Event",
    "Limits",
    "__version__",
    "compile",
    "device",
    "experiment",
    "graph",
    "jupyter",
    "list_devices",
    "load",
    "loadgen",
    "measure",
    "models",
    "open_device",
    "ops",
    "peers",
    "polaris",
    "reference",
    "report",
    "results",
    "selftest",
    "serve",
    "widgets",
]


def load_ipython_extension(shell: Any) -> None:
    """``%load_ext rx580lab``: the cell magic ``%%opencl``."""
    import_module("rx580lab.jupyter.magic").register(shell)


def unload_ipython_extension(shell: Any) -> None:
    """``%unload_ext rx580lab``."""
    import_module("rx580lab.jupyter.magic").unregister(shell)


def __getattr__(name: str) -> Any:
    if name in _FROM_DEVICE:
        return getattr(import_module("rx580lab.device"), name)
    if name == "load":
        return import_module("rx580lab.graph").load
    if name in _PARTS:
        return import_module(f"rx580lab.{name}")
    raise AttributeError(f"module 'rx580lab' has no attribute {name!r}")
