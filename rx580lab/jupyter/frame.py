"""The reports page in a notebook's output, as JupyterLab's server gives it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from urllib.parse import quote

__all__ = ["PAGE", "ReportsFrame", "reports"]

#: Where the server extension answers, below the server's base address.
PAGE = "rx580lab/reports/"


@dataclass(frozen=True)
class ReportsFrame:
    """A frame with one page of the server extension; in a terminal, where to find it."""

    path: str
    height: int

    @property
    def address(self) -> str:
        """The address below the server's own; JupyterHub tells its prefix, elsewhere it is the root."""
        return f"{os.environ.get('JUPYTERHUB_SERVICE_PREFIX', '/')}{PAGE}{quote(self.path)}"

    def __repr__(self) -> str:
        return f"open {self.address} on the Jupyter server"

    def _repr_html_(self) -> str:
        return (
            f'<iframe src="{self.address}" title="reports of rx580lab" width="100%" height="{self.height}" '
            'style="border:1px solid var(--jp-border-color1,#8888)"></iframe>'
        )


def reports(path: str = "", *, height: int = 600) -> ReportsFrame:
    """The list of all runs, or one page of it such as ``bench/gemm/<run>/report.html``, inside the notebook.

    Needs a Jupyter server of the same environment, with the extension that comes along (``make lab`` has it).
    """
    return ReportsFrame(path, int(height))
