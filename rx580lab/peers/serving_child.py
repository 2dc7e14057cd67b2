"""What the processes of rival servers share; runs in their environments."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import rx580lab as rx

__all__ = ["Rows", "end_with_parent"]


class Rows:
    """A model of one input and one output with a batch axis, by ``rx580lab.load``; it has run once when it is made."""

    def __init__(self, path: str, device: str) -> None:
        self.model = rx.load(Path(path), device)
        (self.input,), (self.output,) = self.model.inputs, self.model.outputs
        self.run(
            np.zeros([1, *(n for n in self.model.inputs[self.input].shape or () if isinstance(n, int))], np.float32)
        )

    def run(self, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Its output. Rows are filled up to a power of two, so that a few plans serve every number of rows."""
        n = len(x)
        whole = 1 << (n - 1).bit_length()
        if whole != n:
            x = np.concatenate([x, np.zeros((whole - n, *x.shape[1:]), x.dtype)])
        return self.model.run({self.input: x})[self.output][:n]


def end_with_parent() -> None:
    """Ends this process when the one that started it is gone."""

    def watch() -> None:
        # Not by sys.stdin, whose lock a forked child would find taken for good.
        while os.read(0, 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()
