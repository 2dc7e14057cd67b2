"""One node as a model, computed twice: on the device, and folded on the host; and onnx's evaluator beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from onnx import helper
from onnx.reference import ReferenceEvaluator

import rx580lab as rx
from rx580lab.errors import ModelError
from tests.graph.build import node, write

__all__ = ["agree", "computed", "refused"]

AnyArray = npt.NDArray[Any]
Inputs = Sequence[AnyArray | None]


def _model(
    path: Path,
    op: str,
    inputs: Inputs,
    outputs: Sequence[npt.DTypeLike],
    attributes: Mapping[str, Any],
    opset: int,
    *,
    constant: bool,
) -> Path:
    names = ["" if one is None else f"x{k}" for k, one in enumerate(inputs)]
    results = [f"y{k}" for k in range(len(outputs))]
    held = {name: one for name, one in zip(names, inputs, strict=True) if one is not None}
    return write(
        path,
        [node(op, names, results, name="it", **attributes)],
        {} if constant else {name: (one.dtype, one.shape) for name, one in held.items()},
        {name: (dtype, None) for name, dtype in zip(results, outputs, strict=True)},
        held if constant else {},
        opset=opset,
    )


def computed(
    device: rx.Device,
    folder: Path,
    op: str,
    inputs: Inputs,
    *,
    opset: int = 20,
    dtypes: Sequence[npt.DTypeLike] | None = None,
    **attributes: Any,
) -> list[AnyArray]:
    """The outputs, of ``dtypes`` (the first input's, one output, by default): on the device, which the host confirms.

    The same node is folded on the host, where its inputs are constants.
    """
    kinds = [inputs[0].dtype] if dtypes is None and inputs[0] is not None else list(dtypes or ())
    path = _model(folder / "device.onnx", op, inputs, kinds, attributes, opset, constant=False)
    found = rx.load(path, device).run({f"x{k}": one for k, one in enumerate(inputs) if one is not None})
    path = _model(folder / "host.onnx", op, inputs, kinds, attributes, opset, constant=True)
    model = rx.load(path, device)
    assert model.plan({}).launches == [], "expected the host to compute it"
    folded = model.run({})
    assert list(found) == list(folded) == [f"y{k}" for k in range(len(kinds))]
    for name, one in found.items():
        close(one, folded[name])
    return list(found.values())


def agree(device: rx.Device, folder: Path, op: str, inputs: Inputs, *, opset: int = 20, **attributes: Any) -> None:
    """Device, host and reference evaluator say the same, in shape, dtype and value."""
    names = ["" if one is None else f"x{k}" for k, one in enumerate(inputs)]
    n_outputs = attributes.pop("n_outputs", 1)
    results = [f"y{k}" for k in range(n_outputs)]
    graph = helper.make_graph(
        [node(op, names, results, **attributes)],
        "reference",
        [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(one.dtype), one.shape)
         for name, one in zip(names, inputs, strict=True) if one is not None],
        [helper.make_empty_tensor_value_info(name) for name in results],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    feeds = {name: one for name, one in zip(names, inputs, strict=True) if one is not None}
    with np.errstate(all="ignore"):
        expected = [np.asarray(one) for one in ReferenceEvaluator(model).run(None, feeds)]
    dtypes = [one.dtype for one in expected]
    got = computed(device, folder, op, inputs, opset=opset, dtypes=dtypes, **attributes)
    for one, wanted in zip(got, expected, strict=True):
        close(one, wanted)


def close(got: AnyArray, expected: AnyArray) -> None:
    """Of one shape and dtype; floats nearly equal, all else exactly."""
    assert got.dtype == expected.dtype
    assert got.shape == expected.shape
    if got.dtype.kind == "f":
        np.testing.assert_allclose(got, expected, rtol=2e-5, atol=2e-6)
    else:
        np.testing.assert_array_equal(got, expected)


def refused(
    device: rx.Device, folder: Path, match: str, op: str, inputs: Inputs, *, opset: int = 20, **attributes: Any
) -> None:
    """Loading or running the node raises a ModelError that names it and says ``match``."""
    first = next(one.dtype for one in inputs if one is not None)
    kinds = [first] * attributes.pop("n_outputs", 1)
    path = _model(folder / "bad.onnx", op, inputs, kinds, attributes, opset, constant=False)
    with pytest.raises(ModelError, match=match) as caught:
        rx.load(path, device).run({f"x{k}": one for k, one in enumerate(inputs) if one is not None})
    assert f"node 'it' ({op})" in str(caught.value)
