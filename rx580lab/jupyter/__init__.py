"""At home in Jupyter: the ``%%opencl`` cell, the reports inside JupyterLab, and how ``make lab`` starts it."""

from __future__ import annotations

from rx580lab.jupyter.frame import reports

__all__ = ["reports"]
