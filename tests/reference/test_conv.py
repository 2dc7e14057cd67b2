"""The oracle of ``conv`` against sums written out, and its tolerance against what it must and must not allow."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest

from rx580lab.reference.conv import conv, conv_tolerance

Floats = npt.NDArray[np.float64]


def written_out(
    x: Floats, w: Floats, strides: list[int], dilations: list[int], pads: list[int], group: int
) -> dict[tuple[int, ...], float]:
    """Values of out by place, one product at a time."""
    rank, found = x.ndim - 2, {}
    extents = [(k - 1) * d + 1 for k, d in zip(w.shape[2:], dilations, strict=True)]
    lengths = [(n + pads[i] + pads[rank + i] - extents[i]) // strides[i] + 1 for i, n in enumerate(x.shape[2:])]
    for n, k, *place in itertools.product(range(x.shape[0]), range(w.shape[0]), *map(range, lengths)):
        total = 0.0
        for c, *tap in itertools.product(range(w.shape[1]), *map(range, w.shape[2:])):
            at = [place[i] * strides[i] + tap[i] * dilations[i] - pads[i] for i in range(rank)]
            if all(0 <= a < length for a, length in zip(at, x.shape[2:], strict=True)):
                channel = k // (w.shape[0] // group) * w.shape[1] + c
                total += x[(n, channel, *at)] * w[(k, c, *tap)]
        found[(n, k, *place)] = total
    return found


@pytest.mark.parametrize(
    ("x", "w", "strides", "dilations", "pads", "group"),
    [
        ((2, 3, 5), (4, 3, 2), [2], [3], [1, 2], 1),
        ((1, 4, 5, 6), (6, 2, 3, 2), [1, 2], [1, 3], [0, 1, 2, 3], 2),
        ((2, 2, 3, 4, 3), (2, 1, 2, 2, 2), [2, 1, 1], [1, 2, 1], [1, 0, 0, 0, 1, 1], 2),
    ],
)
def test_it_is_the_sum_that_onnx_defines(
    x: tuple[int, ...], w: tuple[int, ...], strides: list[int], dilations: list[int], pads: list[int], group: int
) -> None:
    rng = np.random.default_rng(len(x))
    a, b = rng.standard_normal(x), rng.standard_normal(w)
    got = conv(a, b, strides=strides, dilations=dilations, pads=pads, group=group)
    expected = written_out(a, b, strides, dilations, pads, group)
    assert got.size == len(expected)
    for place, value in expected.items():
        assert abs(got[place] - value) < 1e-12, place


def test_bias_residual_and_activation_follow_in_that_order() -> None:
    x, w = np.ones((1, 1, 2, 2)), np.ones((2, 1, 1, 1))
    bias, residual = np.array([1.0, -4.0]), np.ones((1, 2, 2, 2))
    np.testing.assert_array_equal(conv(x, w, bias, residual, activation="relu")[0, :, 0, 0], [3, 0])


def test_tolerance_grows_with_the_number_of_products_and_covers_fp16() -> None:
    x, w = np.ones((1, 4, 3, 3), np.float32), np.ones((1, 4, 3, 3), np.float32)
    few, many = conv_tolerance(x[:, :1], w[:, :1]), conv_tolerance(x, w)
    assert 13 < many[0, 0, 0, 0] / few[0, 0, 0, 0] < 17
    assert many[0, 0, 0, 0] == pytest.approx(36 * 36 * 2.0**-24, rel=0.1)
    half = conv_tolerance(x.astype(np.float16), w.astype(np.float16))
    assert half[0, 0, 0, 0] == pytest.approx(36 * 2.0**-11, rel=0.01)
    assert conv_tolerance(x, w, np.ones(1, np.float32))[0, 0, 0, 0] > many[0, 0, 0, 0]


def test_an_infinite_weight_meets_padding() -> None:
    x, w = np.ones((1, 1, 3)), np.array([[[np.inf, 1.0]]])
    np.testing.assert_array_equal(conv(x, w, pads=(1, 0))[0, 0], [np.nan, np.inf, np.inf])
