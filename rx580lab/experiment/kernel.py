"""The kernel that a point's notebook runs in: this very interpreter, over encrypted sockets."""

from __future__ import annotations

import sys
from collections.abc import Callable
from subprocess import Popen
from typing import Any

from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager

__all__ = ["LabKernel"]


class LabKernel(AsyncKernelManager):
    """Jupyter's kernel process for one notebook. ``on_start`` is told the process when it has started.

    The kernel is always ``sys.executable``: a kernelspec called python3 in a person's home may be another Python,
    and its results would carry the wrong environment. Code travels over loopback TCP, which any local user can
    reach: CurveZMQ is required, and a kernel that cannot do it does not start.
    """

    on_start: Callable[[Popen[bytes]], None] | None = None

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.transport_encryption = "required"

    @property
    def kernel_spec(self) -> KernelSpec:
        """The kernelspec of this interpreter's ipykernel."""
        described = get_kernel_dict()
        return KernelSpec(**{**described, "argv": [sys.executable, *described["argv"][1:]]})

    async def _async_post_start_kernel(self, **arguments: Any) -> None:
        await super()._async_post_start_kernel(**arguments)
        process = getattr(self.provisioner, "process", None)
        if process is not None and LabKernel.on_start is not None:
            LabKernel.on_start(process)
