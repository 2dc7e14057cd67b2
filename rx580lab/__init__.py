"""rx580lab: a Jupyter-first OpenCL workbench for the RX 580."""

from __future__ import annotations

from importlib.metadata import version

__version__ = version("rx580lab")
