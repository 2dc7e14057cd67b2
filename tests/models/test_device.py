"""Demo models on OpenCL: the answers are ONNX Runtime's, on two implementations."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage
from numpy.typing import NDArray

import rx580lab as rx
from rx580lab.models import ocr
from tests.graph.oracle import onnxruntime_outputs
from tests.models.real_inputs import drawn, real_inputs
from tests.models.sessions import exported
from tests.models.test_ocr import PAGE, READ
from tests.requirements import DEMO_MODELS, require

ALL = ("fashion-mnist", *DEMO_MODELS)


def assert_near(got: Mapping[str, NDArray[Any]], wanted: Mapping[str, NDArray[Any]]) -> None:
    """To 1e-4 of the largest element of each output."""
    assert got.keys() == wanted.keys()
    for name, values in wanted.items():
        assert (got[name].shape, got[name].dtype) == (values.shape, values.dtype)
        np.testing.assert_allclose(got[name], values, rtol=0, atol=1e-4 * float(np.abs(values).max()))


@pytest.mark.parametrize("name", ALL)
def test_it_answers_as_onnxruntime_does(name: str, pocl: rx.Device) -> None:
    require("onnxruntime")
    path, inputs = exported(name), real_inputs(name)
    assert_near(rx.load(path, pocl).run(inputs), onnxruntime_outputs(path, inputs))


RUSTICL = """
import pickle, sys
import rx580lab as rx

device = rx.open_device("rusticl")
asked = pickle.load(sys.stdin.buffer)
pickle.dump({name: rx.load(path, device).run(inputs) for name, (path, inputs) in asked.items()}, sys.stdout.buffer)
"""


def test_a_second_implementation_answers_so_too() -> None:
    """On small inputs where the model lets one: llvmpipe is a processor that plays a graphics card, and slow."""
    require("onnxruntime")
    icd = require("rusticl")
    asked = {name: (exported(name), real_inputs(name, small=True)) for name in ALL}
    environment = {**os.environ, "RUSTICL_ENABLE": "llvmpipe", "OCL_ICD_VENDORS": icd}
    command = [sys.executable, "-c", RUSTICL]
    done = subprocess.run(
        command, env=environment, input=pickle.dumps(asked), capture_output=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:].decode()
    answers = pickle.loads(done.stdout)  # noqa: S301 - our own child
    for name, (path, inputs) in asked.items():
        assert_near(answers[name], onnxruntime_outputs(path, inputs))


def test_text_is_read_end_to_end(pocl: rx.Device) -> None:
    for name in ("ppocrv4-det", "ppocrv4-rec", "ppocrv2-cls"):
        require(name)
    reader = ocr.open_reader(pocl)
    assert [line.text for line in reader.read(drawn("OpenCL on RX 580", "int8 GEMM 36 CU"))] == READ
    assert [line.text for line in reader.read(skimage.data.page())] == PAGE


def test_exported_models_say_what_they_take(tmp_path: Path) -> None:
    model = rx.load(rx.models.export("fashion-mnist", tmp_path))
    assert [(info.name, info.shape) for info in model.inputs.values()] == [("image", ("batch", 1, 28, 28))]
    assert [(info.name, info.shape) for info in model.outputs.values()] == [("logits", ("batch", 10))]
