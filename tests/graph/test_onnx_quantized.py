"""The cases of ONNX's backend suite for quantized and recurrent operators, of the element types that we compute in."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

import rx580lab as rx
from tests.graph.onnx_backend import checks

CASES = (
    "test_convinteger_with_padding",
    "test_convinteger_without_padding",
    "test_dequantizelinear",
    "test_dequantizelinear_axis",
    "test_dequantizelinear_blocked",
    "test_dynamicquantizelinear",
    "test_dynamicquantizelinear_max_adjusted",
    "test_dynamicquantizelinear_min_adjusted",
    "test_matmulinteger",
    "test_qlinearconv",
    "test_qlinearmatmul_2D_int8_float32",
    "test_qlinearmatmul_2D_uint8_float32",
    "test_qlinearmatmul_3D_int8_float32",
    "test_qlinearmatmul_3D_uint8_float32",
    "test_quantizelinear",
    "test_quantizelinear_axis",
    "test_quantizelinear_blocked_asymmetric",
)


@pytest.fixture(scope="module")
def suite(pocl: rx.Device) -> Mapping[str, Callable[[], None]]:
    return checks(pocl)


@pytest.mark.parametrize("name", CASES)
def test_case(name: str, suite: Mapping[str, Callable[[], None]]) -> None:
    suite[name]()
