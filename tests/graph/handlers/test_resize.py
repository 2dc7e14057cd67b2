"""Resampling in every way that ONNX has, as ONNX Runtime or ONNX's own evaluator computes it."""

from __future__ import annotations

import math
from fractions import Fraction
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
COORDINATES = ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric")


def normal(*shape: int) -> Any:
    return RNG.standard_normal(shape, dtype=np.float32)


def floats(*values: float) -> Any:
    return np.array(values, np.float32)


@st.composite
def ways(draw: st.DrawFn) -> tuple[list[Any], dict[str, Any]]:
    """Inputs and attributes of a two-dimensional resize of images."""
    mode = draw(st.sampled_from(["nearest", "linear", "cubic"]))
    attributes: dict[str, Any] = {"mode": mode, "coordinate_transformation_mode": draw(st.sampled_from(COORDINATES))}
    if mode == "nearest":
        modes = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]
        attributes["nearest_mode"] = draw(st.sampled_from(modes))
    if mode == "cubic":
        attributes["cubic_coeff_a"] = draw(st.sampled_from([-0.75, -0.5]))
        attributes["exclude_outside"] = draw(st.integers(0, 1))
    x = normal(1, 2, draw(st.integers(2, 9)), draw(st.integers(2, 9)))
    inputs = [x, None, None, None]
    # ONNX Runtime stretches from corner to corner of whole lengths only, and rounds scaled lengths in its own way.
    if attributes["coordinate_transformation_mode"] != "align_corners" and draw(st.booleans()):
        inputs[2] = floats(1, 1, *(draw(st.sampled_from([0.5, 1.0, 1.5, 2.0, 2.5])) for _ in range(2)))
    else:
        inputs[3] = np.array([1, 2, draw(st.integers(1, 12)), draw(st.integers(1, 12))])
    return inputs, attributes


def _nearest(n: int, n_out: int, scale: Fraction, way: str, rounding: str) -> list[int]:
    """Which places are taken along an axis, in exact arithmetic: in any other, whole and half places are a lottery."""
    found = []
    for place in map(Fraction, range(n_out)):
        at = (place + Fraction(1, 2)) / scale - Fraction(1, 2)
        if way == "half_pixel_symmetric":
            at += Fraction(n, 2) * (1 - n_out / (scale * n))
        elif way == "pytorch_half_pixel" and n_out == 1:
            at = Fraction(0)
        elif way == "asymmetric":
            at = place / scale
        elif way == "align_corners":
            at = place * (n - 1) / max(n_out - 1, 1)
        if rounding.startswith("round"):
            at += Fraction(1 if rounding == "round_prefer_ceil" else -1, 2)
        taken = math.floor(at) if rounding in ("floor", "round_prefer_ceil") else math.ceil(at)
        found.append(min(max(taken, 0), n - 1))
    return found


def _moved(inputs: list[Any], attributes: dict[str, Any]) -> Any:
    """What mode nearest makes of the inputs."""
    x, _, scales, sizes = inputs
    places = []
    for axis in (2, 3):
        n = x.shape[axis]
        scale = Fraction(int(sizes[axis]), n) if scales is None else Fraction(float(scales[axis]))
        n_out = int(sizes[axis]) if scales is None else math.floor(scale * n)
        places.append(
            _nearest(n, n_out, scale, attributes["coordinate_transformation_mode"], attributes["nearest_mode"])
        )
    return x[:, :, places[0]][:, :, :, places[1]]


@settings(deadline=None, max_examples=40)
@given(ways())
def test_any_way(tmp_path_factory: Any, pocl: rx.Device, drawn: Any) -> None:
    inputs, attributes = drawn
    one = Single(tmp_path_factory.getbasetemp(), "Resize", inputs, opset=19, held=(2, 3), **attributes)
    one.agree(pocl, [_moved(inputs, attributes)] if attributes["mode"] == "nearest" else None, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("mode", ["linear", "cubic"])
def test_antialias(tmp_path: Path, pocl: rx.Device, mode: str) -> None:
    inputs = [normal(1, 3, 13, 17), None, None, np.array([1, 3, 6, 5])]
    one = Single(tmp_path, "Resize", inputs, opset=18, antialias=1, mode=mode)
    one.agree(pocl, one.by_reference(), atol=1e-4)


@pytest.mark.parametrize("policy", ["stretch", "not_larger", "not_smaller"])
def test_axes_and_aspect_ratio(tmp_path: Path, pocl: rx.Device, policy: str) -> None:
    inputs = [normal(1, 2, 6, 10), None, None, np.array([9, 7])]
    Single(
        tmp_path, "Resize", inputs, opset=18, axes=[3, 2], keep_aspect_ratio_policy=policy, mode="linear"
    ).agree(pocl)  # fmt: skip


def test_crop(tmp_path: Path, pocl: rx.Device) -> None:
    inputs = [normal(1, 1, 6, 7), floats(0, 0, 0.4, -0.2, 1, 1, 1.3, 0.8), floats(), np.array([1, 1, 5, 6])]
    crop = {"coordinate_transformation_mode": "tf_crop_and_resize", "extrapolation_value": 10.0, "mode": "linear"}
    Single(tmp_path, "Resize", inputs, opset=11, **crop).agree(pocl)


def test_scales_and_sizes_may_be_inputs_of_the_model(tmp_path: Path, pocl: rx.Device) -> None:
    one = Single(tmp_path, "Resize", [normal(1, 1, 4, 4), None, floats(1, 1, 2, 2)], opset=13)
    model = rx.load(one.path, pocl)
    for scale in (2.0, 3.0):
        got = model.run({**one.inputs, "input2": floats(1, 1, scale, 1)})["output0"]
        assert got.shape == (1, 1, 4 * scale, 4)


@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_coordinates_of_version_11_alone(tmp_path: Path, pocl: rx.Device, mode: str) -> None:
    inputs = [normal(1, 1, 4, 6), floats(), floats(1, 1, 2, 1.5)]
    more = {"mode": mode, "nearest_mode": "floor"}
    Single(tmp_path, "Resize", inputs, opset=11, coordinate_transformation_mode="tf_half_pixel_for_nn", **more).agree(
        pocl
    )


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int32, np.int64, np.bool_, np.float16])
def test_nearest_moves_elements_of_any_type(tmp_path: Path, pocl: rx.Device, kind: Any) -> None:
    x = RNG.integers(0, 2, (1, 2, 3, 5)).astype(kind)
    inputs = [x, None, floats(1, 1, 2, 2)]
    Single(tmp_path, "Resize", inputs, opset=13, outputs=(kind,)).agree(pocl, [x.repeat(2, 2).repeat(2, 3)])


def test_whole_numbers_are_interpolated_and_truncated(tmp_path: Path, pocl: rx.Device) -> None:
    x = RNG.integers(-90, 90, (1, 1, 4, 5)).astype(np.int32)
    wide = Single(tmp_path, "Resize", [x.astype(np.float32), None, floats(1, 1, 2, 2)], opset=13, mode="linear")
    expected = [wide.by_onnxruntime()[0].astype(np.int32)]
    inputs = [x, None, floats(1, 1, 2, 2)]
    Single(tmp_path, "Resize", inputs, opset=13, outputs=(np.int32,), mode="linear").agree(pocl, expected)


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("scales", [(1, 1, 2, 2), (1, 1, 3, 1.5)])
def test_what_resize_replaced(tmp_path: Path, pocl: rx.Device, mode: str, scales: tuple[float, ...]) -> None:
    x = normal(1, 2, 4, 6)
    now = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor", "mode": mode}
    expected = Single(tmp_path, "Resize", [x, None, floats(*scales)], opset=13, **now).by_onnxruntime()
    Single(tmp_path, "Upsample", [x, floats(*scales)], opset=9, mode=mode).agree(pocl, expected)
    Single(tmp_path, "Upsample", [x], opset=7, mode=mode, scales=[float(one) for one in scales]).agree(pocl, expected)
    Single(tmp_path, "Resize", [x, floats(*scales)], opset=10, mode=mode).agree(pocl, expected)
    first = {"nearest": "nearest", "linear": "bilinear"}[mode]
    sides = {"height_scale": float(scales[2]), "width_scale": float(scales[3])}
    Single(tmp_path, "Upsample", [x], opset=1, mode=first, **sides).agree(pocl, expected)


@pytest.mark.parametrize(
    ("op", "opset", "inputs", "attributes", "message"),
    [
        ("Resize", 13, [], {}, "either scales or sizes, got neither"),
        ("Resize", 13, [None, floats(1, 1, 2, 2), np.array([1, 1, 2, 2])], {}, "got both"),
        ("Resize", 13, [None, floats(1, 2)], {}, "4 scales or sizes"),
        ("Resize", 13, [None, floats(1, 1, -1, 1)], {}, "of at least 0"),
        ("Resize", 13, [None, floats(1, 1, 2, 2)], {"mode": "area"}, "mode among"),
        ("Resize", 13, [None, floats(1, 1, 2, 2)], {"nearest_mode": "up"}, "nearest_mode among"),
        (
            "Resize",
            13,
            [None, floats(1, 1, 2, 2)],
            {"coordinate_transformation_mode": "centre"},
            "coordinate_transformation_mode among",
        ),
        ("Resize", 18, [None, floats(2, 2)], {"axes": [2, 4]}, "distinct axes of rank 4"),
        ("Resize", 10, [floats(1, 1, 2, 2)], {"mode": "cubic"}, "mode nearest or linear"),
        ("Upsample", 9, [floats(1, 2)], {}, "4 scales"),
    ],
)
def test_refusals_name_the_node(
    tmp_path: Path, pocl: rx.Device, op: str, opset: int, inputs: list[Any], attributes: dict[str, Any], message: str
) -> None:
    made = Single(tmp_path, op, [normal(1, 1, 4, 4), *inputs], opset=opset, held=(1, 2, 3), **attributes)
    with pytest.raises(ModelError, match=rf"single\.onnx: node 'single' \(\w+\)\] .*{message}"):
        made.run(pocl)
