"""The oracle of ``pool``: by hand, and against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rx580lab.reference import compare
from rx580lab.reference.pool import pool, pool_tolerance
from rx580lab.selftest.case import prepare, suite
from tests.reference.one_node import by_onnxruntime
from tests.requirements import require


def test_by_hand() -> None:
    x = np.array([[[1, 5, 2, -3, 4]]], np.float32)
    window: dict[str, Any] = {"kernel_shape": (2,), "strides": (2,), "pads": (1, 0)}
    np.testing.assert_array_equal(pool(x, **window), [[[1, 5, 4]]])
    np.testing.assert_array_equal(pool(x, mode="average", **window), [[[1, 3.5, 0.5]]])
    np.testing.assert_array_equal(pool(x, mode="average", count_include_pad=True, **window), [[[0.5, 3.5, 0.5]]])
    np.testing.assert_array_equal(pool(x), [[[5]]])
    np.testing.assert_array_equal(pool(x, mode="average"), [[[1.8]]])


def test_nan_is_the_maximum_and_nothing_is_the_lowest() -> None:
    x = np.array([[[1, np.nan, -np.inf, -np.inf]]], np.float32)
    np.testing.assert_array_equal(pool(x, kernel_shape=(2,)), [[[np.nan, np.nan, -np.inf]]])
    alone: dict[str, Any] = {"kernel_shape": (2,), "dilations": (2,), "pads": (1, 1)}
    assert pool(np.ones((1, 1, 1), np.float32), **alone) == np.finfo(np.float32).min
    assert pool(np.ones((1, 1, 1), np.float32), mode="average", **alone) == 0


@pytest.mark.parametrize("seed", range(6))
def test_agrees_with_onnxruntime(seed: int) -> None:
    require("onnxruntime")
    rng = np.random.default_rng(seed)
    n_compared = 0
    for _ in range(60):
        case = suite("pool").random(rng)
        prepared = prepare("pool", case)
        x, keywords = prepared.arrays[0], dict(case.keywords)
        assert x is not None
        operator = {"max": "MaxPool", "average": "AveragePool"}[keywords.pop("mode")]
        n_outputs = 1 + keywords.pop("indices", 0)
        kernel = keywords.get("kernel_shape")
        # It wants pads shorter than the kernel, and has no float16 averages nor bytes in whole planes.
        refused = kernel and any(pad >= size for pad, size in zip(keywords["pads"], (*kernel, *kernel), strict=True))
        if refused or x.dtype == np.float16 or (kernel is None and x.dtype != np.float32):
            continue
        attributes = {name: int(value) if isinstance(value, bool) else value for name, value in keywords.items()}
        got = by_onnxruntime(operator if kernel else f"Global{operator}", [x], n_outputs, **attributes)
        # It adds up in fp32 as well, so both may be off.
        outcome = compare(got[0], prepared.expected, 2 * np.asarray(prepared.tolerance), dtype=x.dtype)
        assert outcome.ok, f"{case.name}: {outcome.reason}"
        if n_outputs == 2:
            inside = prepared.more[0][0] >= 0
            np.testing.assert_array_equal(got[1][inside], prepared.more[0][0][inside], err_msg=case.name)
        n_compared += 1
    assert n_compared > 15


def test_tolerance_covers_a_plain_fp32_computation_and_refuses_a_missed_tap() -> None:
    x = np.random.default_rng(0).standard_normal((2, 3, 8, 9)).astype(np.float32)
    keywords: dict[str, Any] = {"mode": "average", "kernel_shape": (3, 3)}
    taps = np.stack([x[:, :, i : i + 6, j : j + 7] for i in range(3) for j in range(3)])
    tolerance = pool_tolerance(x, **keywords)
    assert compare(taps.sum(axis=0) / np.float32(9), pool(x, **keywords), tolerance).ok
    assert not compare(taps[1:].sum(axis=0) / np.float32(9), pool(x, **keywords), tolerance).ok
