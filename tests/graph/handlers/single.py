"""Models of one operator, and what others say that they compute."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx.reference import ReferenceEvaluator

import rx580lab as rx
from tests.graph.build import node, write
from tests.graph.oracle import onnxruntime_outputs

__all__ = ["Single"]

Arrays = Sequence[npt.NDArray[Any] | None]


class Single:
    """A model of one node, its inputs those of ``arrays`` that are neither None nor ``held`` as constants.

    ``outputs``: the dtype of each; None for one that is not asked for.
    """

    def __init__(
        self,
        folder: Path,
        op: str,
        arrays: Arrays,
        *,
        opset: int,
        outputs: Any = (np.float32,),
        held: Any = (),
        **attributes: Any,
    ) -> None:
        names = ["" if one is None else f"input{place}" for place, one in enumerate(arrays)]
        results = ["" if kind is None else f"output{place}" for place, kind in enumerate(outputs)]
        given = {name: one for name, one in zip(names, arrays, strict=True) if one is not None}
        constants = {name: one for name, one in given.items() if names.index(name) in held}
        self.inputs = {name: np.asarray(one) for name, one in given.items() if name not in constants}
        self.path = write(
            folder / "single.onnx",
            [node(op, names, results, name="single", **attributes)],
            {name: (one.dtype, one.shape) for name, one in self.inputs.items()},
            {name: (kind, None) for name, kind in zip(results, outputs, strict=True) if kind is not None},
            constants,
            opset=opset,
        )

    def run(self, device: rx.Device) -> list[npt.NDArray[Any]]:
        """Our answer."""
        return list(rx.load(self.path, device).run(self.inputs).values())

    def by_onnxruntime(self) -> list[npt.NDArray[Any]]:
        """ONNX Runtime's answer."""
        return list(onnxruntime_outputs(self.path, self.inputs).values())

    def by_reference(self) -> list[npt.NDArray[Any]]:
        """The answer of ONNX's own evaluator."""
        return [np.asarray(one) for one in ReferenceEvaluator(str(self.path)).run(None, self.inputs)]

    def agree(self, device: rx.Device, expected: Sequence[npt.NDArray[Any]] | None = None, **tolerance: Any) -> None:
        """AssertionError unless ours is ``expected``, or ONNX Runtime's answer, in dtype, shape and value."""
        wanted = self.by_onnxruntime() if expected is None else expected
        for ours, theirs in zip(self.run(device), wanted, strict=True):
            assert ours.dtype == theirs.dtype
            assert ours.shape == theirs.shape
            np.testing.assert_allclose(ours, theirs, **{"rtol": 1e-5, "atol": 1e-5, **tolerance})
