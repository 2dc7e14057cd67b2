"""The oracle of ``resize``: by hand, against ONNX's own reference, and against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rx580lab.reference import compare
from rx580lab.reference.resize import resize, resize_tolerance
from rx580lab.selftest.case import Case, prepare, suite
from tests.reference.one_node import by_onnx, by_onnxruntime
from tests.requirements import require


def test_by_hand() -> None:
    x = np.array([1.0, 2.0, 4.0, 8.0], np.float32)
    np.testing.assert_array_equal(resize(x, scales=(2,)), [1, 1, 2, 2, 4, 4, 8, 8])
    np.testing.assert_array_equal(resize(x, scales=(0.5,), mode="linear"), [1.5, 6])
    # 3/4 of the length: weights 1 - 3/4 distance, normalized.
    np.testing.assert_allclose(resize(x, sizes=(3,), mode="linear", antialias=True), [14 / 11, 3, 76 / 11])
    way: dict[str, Any] = {"coordinate_transformation_mode": "align_corners"}
    np.testing.assert_array_equal(resize(x, sizes=(7,), mode="linear", **way), [1, 1.5, 2, 3, 4, 6, 8])
    crop: dict[str, Any] = {"coordinate_transformation_mode": "tf_crop_and_resize", "roi": (-0.5, 0.5)}
    np.testing.assert_array_equal(resize(x, sizes=(3,), extrapolation_value=9, mode="linear", **crop), [9, 1, 3])


def _attributes(case: Case) -> tuple[dict[str, Any], list[Any]]:
    """The case's keywords in ONNX's types, and its inputs after x: roi, scales, sizes."""
    keywords = dict(case.keywords)
    kinds = {"roi": np.float32, "scales": np.float32, "sizes": np.int64}
    inputs = [np.asarray(keywords.pop(name), kind) if name in keywords else None for name, kind in kinds.items()]
    while inputs and inputs[-1] is None:
        inputs.pop()
    return {name: int(value) if isinstance(value, bool) else value for name, value in keywords.items()}, inputs


def _in_float32(case: Case) -> Case:
    """The case with the roi and scales that fp32 tensors can hold."""
    given = {name: case.keywords[name] for name in ("roi", "scales") if name in case.keywords}
    rounded = {name: tuple(np.asarray(values, np.float32).tolist()) for name, values in given.items()}
    return Case(case.name, case.tier, case.inputs, {**case.keywords, **rounded}, case.dtype)


@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_the_onnx_reference(seed: int) -> None:
    require("onnxruntime")
    rng = np.random.default_rng(seed)
    n_compared = 0
    for _ in range(90):
        case = _in_float32(suite("resize").random(rng))
        prepared = prepare("resize", case)
        x = prepared.arrays[0]
        # It gives up on results without elements, and computes with infinities where we move them.
        if x is None or x.dtype != np.float32 or prepared.expected.size == 0 or not np.isfinite(x).all():
            continue
        # It takes -0.5 for a single place where ONNX's text has 0; one rounding beside a whole place it reads another.
        way = case.keywords["coordinate_transformation_mode"]
        single = way == "pytorch_half_pixel" and 1 in prepared.expected.shape
        if single or way in ("tf_half_pixel_for_nn", "half_pixel_symmetric"):
            continue
        attributes, inputs = _attributes(case)
        attributes["axes"] = list(attributes["axes"])
        (got,) = by_onnx("Resize", [x, *inputs], **attributes)
        # Its cubic weights are in fp32, a sum of terms of up to 10.
        outcome = compare(got, prepared.expected, np.asarray(prepared.tolerance) + 1e-5 * np.abs(x).max())
        assert outcome.ok, f"{case.name}: {outcome.reason}"
        n_compared += 1
    assert n_compared > 8


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("way", ["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"])
@pytest.mark.parametrize("scale", [0.5, 2.0, 4.0])
def test_agrees_with_onnxruntime_on_images(mode: str, way: str, scale: float) -> None:
    require("onnxruntime")
    x = np.random.default_rng(0).standard_normal((1, 2, 12, 16)).astype(np.float32)
    scales = np.array([1, 1, scale, scale], np.float32)
    keywords: dict[str, Any] = {"mode": mode, "coordinate_transformation_mode": way}
    (got,) = by_onnxruntime("Resize", [x, None, scales], **keywords)
    expected = resize(x, scales=(1, 1, scale, scale), **keywords)
    # Its coordinates are in fp32, and so are weights of up to 4 that it makes of them.
    outcome = compare(got, expected.astype(np.float64), 1e-5 if mode != "nearest" else 0.0)
    assert outcome.ok, outcome.reason


def test_tolerance_covers_a_plain_fp32_computation_and_refuses_a_shifted_tap() -> None:
    x = np.random.default_rng(0).standard_normal((3, 40)).astype(np.float32)
    keywords: dict[str, Any] = {"scales": (1, 2), "mode": "linear"}
    left, right = np.pad(x, ((0, 0), (1, 0)), "edge")[:, :-1], np.pad(x, ((0, 0), (0, 1)), "edge")[:, 1:]
    made = np.empty((3, 80), np.float32)
    made[:, ::2] = np.float32(0.25) * left + np.float32(0.75) * x
    made[:, 1::2] = np.float32(0.75) * x + np.float32(0.25) * right
    assert compare(made, resize(x, **keywords), resize_tolerance(x, **keywords)).ok
    made[:, 1::2] = np.float32(0.75) * x + np.float32(0.25) * left
    assert not compare(made, resize(x, **keywords), resize_tolerance(x, **keywords)).ok
