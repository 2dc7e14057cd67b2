"""Panels for JupyterLab: devices, an experiment's form, a kernel to play with, a server, and the runs so far.

::

    import rx580lab as rx

    rx.widgets.devices()                    # what is here; live clock, temperature, power
    rx.widgets.experiment("bench/gemm")     # a form of its parameters; run, watch, cancel, open the report
    rx.widgets.kernel("gemm")               # macros as sliders: build, check, time, roofline
    rx.widgets.runs()                       # browse runs, compare two
    rx.widgets.server("models")             # start, stop, keys, live rate and latency, load and unload

Each returns a widget; put it last in a cell. Builds and runs happen in child processes with a time limit, so a kernel
that does not compile or never ends, or a driver that crashes, is told in the panel, and the notebook lives on.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rx580lab.widgets.device_panel import devices
    from rx580lab.widgets.experiment_form import experiment
    from rx580lab.widgets.kernel_explorer import kernel
    from rx580lab.widgets.run_browser import runs
    from rx580lab.widgets.server_panel import server

__all__ = ["devices", "experiment", "kernel", "runs", "server"]

_MODULES = {
    "devices": "device_panel",
    "experiment": "experiment_form",
    "kernel": "kernel_explorer",
    "runs": "run_browser",
    "server": "server_panel",
}


def __getattr__(name: str) -> Any:
    # The panels' children live in this package too, and load none of what a panel needs.
    if name not in _MODULES:
        raise AttributeError(f"module 'rx580lab.widgets' has no attribute {name!r}")
    if any(find_spec(package) is None for package in ("ipywidgets", "anywidget")):
        raise ImportError("[widgets] expected ipywidgets and anywidget, got none; pip install 'rx580lab[lab]'")
    return getattr(import_module(f"rx580lab.widgets.{_MODULES[name]}"), name)
