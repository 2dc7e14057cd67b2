"""This project as a backend of ONNX's own test suite, and the suite's cases by name."""

from __future__ import annotations

import inspect
import tempfile
import unittest
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx.backend.base import Backend, BackendRep
from onnx.backend.test import BackendTest
from onnx.backend.test.case.test_case import TestCase
from onnx.backend.test.loader import load_model_tests

import rx580lab as rx

__all__ = ["KINDS", "LabBackend", "checks", "stored"]

KINDS = ("node", "real", "simple", "pytorch-converted", "pytorch-operator")


class _Prepared(BackendRep):
    """A loaded model that takes its inputs by place."""

    def __init__(self, model: rx.Model) -> None:
        self.model = model
        self.runs = 0

    def run(self, inputs: Any, **_options: Any) -> tuple[npt.NDArray[Any], ...]:
        """The suite's scalars may be numpy scalars; ``model.inputs`` leaves out constants that old files list too."""
        arrays = [np.asarray(one) for one in inputs]
        named = dict(zip(self.model.inputs, arrays, strict=True))
        found = self.model.run(named)
        self.runs += 1
        return tuple(found[name] for name in self.model.outputs)


class LabBackend(Backend):
    """``rx.load`` as the suite calls it. ``made`` holds what was prepared, so that a test sees that it ran."""

    device: rx.Device
    made: list[_Prepared]

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """The suite knows CPU and CUDA; ours is whatever ``device`` is."""
        return device == "CPU"

    @classmethod
    def is_compatible(cls, model: Any, device: str = "CPU", **_options: Any) -> bool:
        """Every model: one that we cannot run must fail, not be skipped."""
        return isinstance(model, onnx.ModelProto) and cls.supports_device(device)

    @classmethod
    def prepare(cls, model: Any, device: str = "CPU", **_options: Any) -> _Prepared:
        """Through a file, as any model comes."""
        assert cls.supports_device(device)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            path.write_bytes(model.SerializeToString())
            made = _Prepared(rx.load(path, cls.device))
        cls.made.append(made)
        return made


def stored() -> dict[str, tuple[str, TestCase]]:
    """Each case of the suite by its name: the kind, and what onnx keeps of it. Node cases are computed (seconds)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the suite's own numpy code overflows
        return {case.name: (kind, case) for kind in KINDS for case in load_model_tests(kind=kind)}


def checks(device: rx.Device) -> Mapping[str, Callable[[], None]]:
    """Name -> what runs that case on ``device`` and compares. One that would be skipped fails."""
    LabBackend.device = device
    LabBackend.made = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        suite = BackendTest(LabBackend, __name__).test_cases
    found: dict[str, Callable[[], None]] = {}
    for group in suite.values():
        for method, _function in inspect.getmembers(group, inspect.isfunction):
            if method.startswith("test_") and method.endswith("_cpu"):
                found[method.removesuffix("_cpu")] = _check(group(method), method)
    return found


def _check(case: unittest.TestCase, method: str) -> Callable[[], None]:
    def check() -> None:
        LabBackend.made.clear()
        try:
            getattr(case, method)()
        except unittest.SkipTest as error:
            raise AssertionError(f"the suite wants to skip {method}: {error}") from error
        runs = [one.runs for one in LabBackend.made]
        assert len(runs) == 1, f"expected one model to be loaded, got {len(runs)}"
        assert runs[0] >= 1, "the model did not run"

    return check
