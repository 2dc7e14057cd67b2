"""Norms, softmax and dropout in all their versions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rx580lab as rx
from rx580lab.errors import ModelError
from tests.graph.handlers.single import Single

RNG = np.random.default_rng(0)
F32: Any = np.float32


def normal(*shape: int) -> Any:
    return RNG.standard_normal(shape, dtype=np.float32)


def moments(x: Any) -> list[Any]:
    """Scale, bias, mean and variance of the channels of ``x``."""
    n = x.shape[1]
    return [normal(n), normal(n), normal(n), RNG.uniform(0.5, 2, n).astype(F32)]


def by_moments(x: Any, scale: Any, bias: Any, mean: Any, variance: Any, *, epsilon: float = 1e-5) -> Any:
    """The formula, in float64."""
    lengths = (-1, *[1] * (x.ndim - 2))
    s, b, m, v = (one.astype(np.float64).reshape(lengths) for one in (scale, bias, mean, variance))
    return ((x - m) / np.sqrt(v + epsilon) * s + b).astype(F32)


@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 5), (2, 3, 4, 5), (2, 3, 2, 3, 4)])
@pytest.mark.parametrize(("opset", "attributes"), [(6, {"is_test": 1}), (7, {}), (9, {}), (14, {}), (15, {})])
def test_batch_by_given_moments(
    tmp_path: Path, pocl: rx.Device, shape: tuple[int, ...], opset: int, attributes: dict[str, Any]
) -> None:
    x = normal(*shape)
    given_moments = moments(x)
    one = Single(tmp_path, "BatchNormalization", [x, *given_moments], opset=opset, epsilon=1e-3, **attributes)
    one.agree(pocl, [by_moments(x, *given_moments, epsilon=1e-3)])
    assert len(rx.load(one.path, pocl).plan({name: value.shape for name, value in one.inputs.items()}).launches) == 1


def _trained(x: Any, given_moments: list[Any], momentum: float) -> list[Any]:
    """y, running mean and variance, mean and variance of the batch."""
    axes = tuple(k for k in range(x.ndim) if k != 1)
    own = [x.mean(axes), x.var(axes)]
    running = [old * momentum + now * (1 - momentum) for old, now in zip(given_moments[2:], own, strict=True)]
    return [by_moments(x, *given_moments[:2], *own), *running, *own]


@pytest.mark.parametrize("shape", [(6, 4), (2, 3, 4, 5)])
@pytest.mark.parametrize(
    ("opset", "attributes", "n_outputs"),
    [(15, {"training_mode": 1}, 3), (14, {"training_mode": 1}, 1), (9, {}, 5), (7, {}, 3), (6, {}, 5), (6, {}, 1)],
)
def test_batch_by_its_own_moments(
    tmp_path: Path, pocl: rx.Device, shape: tuple[int, ...], opset: int, attributes: dict[str, Any], n_outputs: int
) -> None:
    x = normal(*shape) * 3 + 1
    given_moments = moments(x)
    outputs = [F32] * n_outputs
    made = Single(
        tmp_path, "BatchNormalization", [x, *given_moments], opset=opset, outputs=outputs, momentum=0.7, **attributes
    )
    made.agree(pocl, _trained(x, given_moments, 0.7)[:n_outputs])


def test_a_running_moment_may_be_asked_for_alone(tmp_path: Path, pocl: rx.Device) -> None:
    x = normal(2, 3, 4)
    given_moments = moments(x)
    made = Single(
        tmp_path, "BatchNormalization", [x, *given_moments], opset=15, outputs=[F32, None, F32], training_mode=1
    )
    expected = _trained(x, given_moments, 0.9)
    made.agree(pocl, [expected[0], expected[2]])


def test_each_place_by_itself(tmp_path: Path, pocl: rx.Device) -> None:
    x = normal(4, 2, 3)
    own = [normal(2, 3), normal(2, 3), normal(2, 3), RNG.uniform(0.5, 2, (2, 3)).astype(F32)]
    expected = by_moments(x.reshape(4, 6), *(one.reshape(6) for one in own)).reshape(x.shape)
    Single(tmp_path, "BatchNormalization", [x, *own], opset=7, spatial=0).agree(pocl, [expected])
    trained = Single(tmp_path, "BatchNormalization", [x, *own], opset=7, spatial=0, outputs=[F32] * 3)
    y, mean, variance = trained.run(pocl)
    np.testing.assert_allclose(mean.reshape(-1), (own[2] * 0.9 + x.mean(0) * 0.1).reshape(-1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(variance.reshape(-1), (own[3] * 0.9 + x.var(0) * 0.1).reshape(-1), rtol=1e-5)
    assert y.shape == x.shape


def test_samples_of_one_channel(tmp_path: Path, pocl: rx.Device) -> None:
    x, own = normal(5), [normal(1), normal(1), normal(1), F32([2])]
    expected = by_moments(x[:, None], *own)[:, 0]
    Single(tmp_path, "BatchNormalization", [x, *own], opset=15).agree(pocl, [expected])


@pytest.mark.parametrize("shape", [(2, 6, 5), (1, 6, 4, 3)])
def test_instances_and_groups(tmp_path: Path, pocl: rx.Device, shape: tuple[int, ...]) -> None:
    x, scale, bias = normal(*shape) * 2 + 1, normal(6), normal(6)
    Single(tmp_path, "InstanceNormalization", [x, scale, bias], opset=6).agree(pocl)
    for groups in (1, 2, 6):
        one = Single(tmp_path, "GroupNormalization", [x, scale, bias], opset=21, num_groups=groups)
        one.agree(pocl, one.by_reference())
        of_groups = scale[:groups], bias[:groups]
        of_channels = [np.repeat(one, 6 // groups) for one in of_groups]
        recent = Single(tmp_path, "GroupNormalization", [x, *of_channels], opset=21, num_groups=groups).by_reference()
        Single(tmp_path, "GroupNormalization", [x, *of_groups], opset=18, num_groups=groups).agree(pocl, recent)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 4), st.data())
def test_any_layer_norm(tmp_path_factory: Any, pocl: rx.Device, rank: int, data: st.DataObject) -> None:
    shape = tuple(data.draw(st.integers(1, 5)) for _ in range(rank))
    axis = data.draw(st.integers(-rank, rank - 1))
    rows = shape[axis % rank :]
    terms = [normal(*rows), normal(*rows) if data.draw(st.booleans()) else None]
    outputs = data.draw(st.sampled_from([[F32], [F32] * 3, [F32, F32], [F32, None, F32]]))
    x, epsilon = normal(*shape), data.draw(st.sampled_from([1e-3, 0.1]))
    axes = tuple(range(axis % rank, rank))
    mean = x.astype(np.float64).mean(axes, keepdims=True)
    inverse = 1 / np.sqrt(((x - mean) ** 2).mean(axes, keepdims=True) + epsilon)
    y = (x - mean) * inverse * terms[0] + (0 if terms[1] is None else terms[1])
    one = Single(
        tmp_path_factory.getbasetemp(), "LayerNormalization", [x, *terms], opset=17, outputs=outputs, axis=axis,
        epsilon=epsilon,
    )  # fmt: skip
    wanted = zip((y, mean, inverse), outputs, strict=False)
    one.agree(pocl, [value.astype(F32) for value, kind in wanted if kind is not None])


@pytest.mark.parametrize("op", ["LayerNormalization", "RMSNormalization"])
@pytest.mark.parametrize("shape", [(4, 5), (5,), (1,), (), (1, 1, 5), (4, 1), (3, 1, 1), (2, 3, 4, 5)])
@pytest.mark.parametrize("held", [(), (1, 2)])
def test_scales_that_broadcast(
    tmp_path: Path, pocl: rx.Device, op: str, shape: tuple[int, ...], held: tuple[int, ...]
) -> None:
    inputs = [normal(2, 3, 4, 5), *(np.asarray(normal(*shape)) for _ in range(2 if op[0] == "L" else 1))]
    one = Single(tmp_path, op, inputs, opset=23, held=held, axis=2)
    x = inputs[0].astype(np.float64)
    around = x - x.mean((2, 3), keepdims=True) if op[0] == "L" else x
    expected = around / np.sqrt((around**2).mean((2, 3), keepdims=True) + 1e-5) * inputs[1]
    if op[0] == "L":
        expected = expected + inputs[2]
    one.agree(pocl, [expected.astype(F32)])


@pytest.mark.parametrize("size", [1, 3, 4, 5, 9])
@pytest.mark.parametrize("shape", [(2, 7, 4, 5), (1, 3, 6)])
def test_neighbouring_channels(tmp_path: Path, pocl: rx.Device, size: int, shape: tuple[int, ...]) -> None:
    x = normal(*shape)
    square = np.pad(x.astype(np.float64) ** 2, [(0, 0), ((size - 1) // 2, size // 2), *[(0, 0)] * (x.ndim - 2)])
    total = np.stack([square[:, k : k + size].sum(1) for k in range(x.shape[1])], axis=1)
    expected = x / (2 + 0.3 / size * total) ** 0.6
    made = Single(tmp_path, "LRN", [x], opset=13, size=size, alpha=0.3, beta=0.6, bias=2.0)
    made.agree(pocl, [expected.astype(F32)])


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize("opset", [1, 11, 13])
@pytest.mark.parametrize("attributes", [{}, {"axis": 0}, {"axis": 1}, {"axis": 2}, {"axis": -1}])
@pytest.mark.parametrize("shape", [(3, 4, 5), (2, 6, 1)])
def test_exponentials(
    tmp_path: Path, pocl: rx.Device, op: str, opset: int, attributes: dict[str, Any], shape: tuple[int, ...]
) -> None:
    Single(tmp_path, op, [normal(*shape) * 3], opset=opset, **attributes).agree(pocl)


def test_large_numbers_do_not_overflow(tmp_path: Path, pocl: rx.Device) -> None:
    x = F32([[1000, 1001, 999], [-1000, 0, 1000]])
    Single(tmp_path, "LogSoftmax", [x], opset=13).agree(pocl)
    Single(tmp_path, "Softmax", [x], opset=13).agree(pocl)


@pytest.mark.parametrize(
    ("opset", "inputs", "attributes", "kind"),
    [
        (1, [], {"is_test": 1}, F32),
        (6, [], {"is_test": 1, "ratio": 0.3}, F32),
        (7, [], {"ratio": 0.3}, F32),
        (10, [], {}, np.bool_),
        (12, [F32(0.5)], {}, np.bool_),
        (13, [F32(0.5), np.bool_(False)], {}, np.bool_),
        (22, [F32(0), np.bool_(True)], {"seed": 3}, np.bool_),
    ],
)
def test_dropout_keeps_all(
    tmp_path: Path, pocl: rx.Device, opset: int, inputs: list[Any], attributes: dict[str, Any], kind: Any
) -> None:
    x = normal(3, 4)
    made = Single(tmp_path, "Dropout", [x, *inputs], opset=opset, outputs=[F32, kind], held=(1, 2), **attributes)
    made.agree(pocl, [x, np.ones(x.shape, kind)])
    Single(tmp_path, "Dropout", [x, *inputs], opset=opset, held=(1, 2), **attributes).agree(pocl, [x])


@pytest.mark.parametrize(
    ("op", "opset", "inputs", "attributes", "message"),
    [
        ("BatchNormalization", 15, [normal(2, 3), *[normal(2)] * 4], {}, r"input 1 of shape \(3,\)"),
        ("BatchNormalization", 15, [normal(2, 3), *[normal(3)] * 4], {"epsilon": -1.0}, "epsilon of at least 0"),
        ("InstanceNormalization", 6, [normal(2, 3), normal(3), normal(3)], {}, "at least one axis more"),
        ("GroupNormalization", 21, [normal(2, 4), normal(4), normal(4)], {"num_groups": 3}, "3 equal groups"),
        ("GroupNormalization", 21, [normal(2, 4), normal(4), normal(4)], {"num_groups": 0}, "0 equal groups"),
        ("LayerNormalization", 17, [normal(2, 4), normal(4)], {"axis": 2}, "axis within the rank"),
        ("RMSNormalization", 23, [normal(2, 4), normal(3)], {}, "shapes that broadcast"),
        ("LRN", 13, [normal(2, 4, 3)], {"size": 0}, "size of at least 1"),
        ("Softmax", 13, [normal(2, 4)], {"axis": -3}, "axis within the rank"),
        ("Softmax", 11, [normal(2, 4)], {"axis": 5}, "axis within the rank"),
        ("Dropout", 13, [normal(2), F32(0.5), np.bool_(True)], {}, "drops at random"),
    ],
)
def test_refusals_name_the_node(
    tmp_path: Path, pocl: rx.Device, op: str, opset: int, inputs: list[Any], attributes: dict[str, Any], message: str
) -> None:
    made = Single(tmp_path, op, inputs, opset=opset, held=(1, 2), **attributes)
    with pytest.raises(ModelError, match=rf"single\.onnx: node 'single' \(\w+\)\] .*{message}"):
        made.run(pocl)


def test_moments_of_a_batch_that_does_not_train_are_refused(tmp_path: Path, pocl: rx.Device) -> None:
    x = normal(2, 3)
    made = Single(tmp_path, "BatchNormalization", [x, *moments(x)], opset=15, outputs=[F32] * 3)
    with pytest.raises(ModelError, match="expected one output where it does not train, got 3"):
        made.run(pocl)
