"""The oracle of ``topk``: by hand, and against onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest

from rx580lab.reference.topk import topk
from rx580lab.selftest.case import prepare, suite
from tests.reference.one_node import by_onnxruntime
from tests.requirements import require


def test_by_hand() -> None:
    values, places = topk(np.array([3, 9, 3, 1, 9]), k=3)
    np.testing.assert_array_equal(values, [9, 9, 3])
    np.testing.assert_array_equal(places, [1, 4, 0])
    values, places = topk(np.array([[3, 1], [2, 1]]), k=1, axis=0, largest=False)
    np.testing.assert_array_equal(values, [[2, 1]])
    np.testing.assert_array_equal(places, [[1, 0]])


def test_nan_is_larger_than_everything_and_zeros_are_equal() -> None:
    x = np.array([0.0, -0.0, -np.nan, np.inf, np.nan], np.float32)
    np.testing.assert_array_equal(topk(x, k=5)[1], [2, 4, 3, 0, 1])
    np.testing.assert_array_equal(topk(x, k=5, largest=False)[1], [0, 1, 3, 2, 4])


def test_the_least_integer_has_no_opposite() -> None:
    least, most = np.iinfo(np.int64).min, np.iinfo(np.int64).max
    x = np.array([least, most, -1, least + 1])
    np.testing.assert_array_equal(topk(x, k=4)[1], [1, 2, 3, 0])
    np.testing.assert_array_equal(topk(x, k=4, largest=False)[1], [0, 3, 2, 1])


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_onnxruntime(seed: int) -> None:
    require("onnxruntime")
    rng = np.random.default_rng(seed)
    n_compared = 0
    for _ in range(30):
        case = suite("topk").random(rng)
        prepared = prepare("topk", case)
        x, keywords = prepared.arrays[0], case.keywords
        if x is None or x.dtype == np.float16:  # it has no kernel for that
            continue
        k = np.array([keywords["k"]])
        got = by_onnxruntime("TopK", [x, k], 2, axis=keywords["axis"], largest=int(keywords["largest"]))
        np.testing.assert_array_equal(got[0], prepared.expected, err_msg=case.name)
        np.testing.assert_array_equal(got[1], prepared.more[0][0], err_msg=case.name)
        n_compared += 1
    assert n_compared > 12
