"""Activations and epilogues: within the bounds that ``include/activation.h`` states, by every width."""

from __future__ import annotations

import math
import re

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rx580lab.compile import expanded_source, kernels_dir, load_source
from rx580lab.device import Device
from rx580lab.errors import InputError
from rx580lab.ops.epilogue import ACTIVATIONS, Epilogue
from rx580lab.reference import compare
from rx580lab.reference.epilogue import activated, activation_error, activation_slope, epilogue, epilogue_tolerance

Floats = npt.NDArray[np.float32]

# One work-item per 29 values: 16 + 8 + 4 + 1, so that each width sees every kind of value.
KERNEL = """
#include "epilogue.h"
#include "vec.h"
__kernel void apply(const __global float *x, __global float *out, const float alpha, const float beta) {
  x += get_global_id(0) * 29;
  out += get_global_id(0) * 29;
  STORE16(ACTIVATE16(LOAD16(x), alpha, beta), out);
  STORE8(ACTIVATE8(LOAD8(x + 16), alpha, beta), out + 16);
  STORE4(ACTIVATE4(LOAD4(x + 24), alpha, beta), out + 24);
  out[28] = ACTIVATE(x[28], alpha, beta);
}
"""
PARAMETERS = [(name, None, None) for name in ACTIVATIONS] + [
    ("leaky_relu", -0.5, None),
    ("clip", 0.0, 6.0),
    ("hard_sigmoid", -0.3, 0.1),
    ("hard_swish", 0.5, 0.25),
    ("hard_swish_affine", -0.7, 0.3),
    ("elu", 2.5, None),
    ("selu", 1.5, -2.0),
]


def apply(device: Device, x: Floats, wanted: Epilogue) -> Floats:
    n = -(-x.size // 29)
    source = device.upload(np.resize(x, n * 29))
    out = device.empty(n * 29)
    text = expanded_source(KERNEL, "apply.cl", wanted.macros())
    load_source(device, text, "apply", where="apply.cl").launch((n,), None, source, out, *wanted.args())
    return np.asarray(out.download()[: x.size])


def dense() -> Floats:
    """Every 4099th bit pattern of fp32, of both signs: from 0 over subnormal numbers to infinity and some NaN."""
    bits = np.arange(0, 2**32, 4099, dtype=np.uint64).astype(np.uint32)
    x = bits.view(np.float32)
    return np.where(np.isnan(x), np.float32(np.nan), x)


def around_zero() -> Floats:
    return np.linspace(-20, 20, 400001).astype(np.float32)


@pytest.mark.parametrize(("name", "alpha", "beta"), PARAMETERS)
def test_bounds_over_all_of_fp32(pocl: Device, name: str, alpha: float | None, beta: float | None) -> None:
    x = np.concatenate([dense(), around_zero(), np.array([0.0, -0.0, np.inf, -np.inf, np.nan], np.float32)])
    got = apply(pocl, x, Epilogue(name, alpha, beta))
    outcome = compare(got, activated(x, name, alpha, beta), activation_error(x, name, alpha, beta))
    assert outcome.ok, outcome.reason
    assert np.isnan(got[-1])


@pytest.mark.parametrize("name", ["gelu", "tanh", "hard_swish", "hard_swish_affine", "elu", "softplus"])
def test_the_bounds_refuse_a_result_that_is_a_little_off(name: str) -> None:
    x = around_zero()
    right = activated(x, name)
    allowed = activation_error(x, name)
    assert not compare((right * (1 + 2e-6)).astype(np.float32), right, allowed).ok


@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_the_slope_is_the_largest_one(name: str) -> None:
    x = np.linspace(-12, 12, 2_000_001)
    steepest = np.abs(np.diff(activated(x, name)) / np.diff(x)).max()
    slope = activation_slope(name)
    assert steepest <= slope * (1 + 1e-6)
    assert steepest >= 0.85 * slope


def test_limits_at_infinity(pocl: Device) -> None:
    x = np.array([np.inf, -np.inf], np.float32)
    limits = {
        "relu": (np.inf, 0), "leaky_relu": (np.inf, -np.inf), "clip": (np.inf, -np.inf), "hard_swish": (np.inf, 0),
        "hard_swish_affine": (np.inf, 0),
        "hard_sigmoid": (1, 0), "gelu": (np.inf, 0), "gelu_tanh": (np.inf, 0), "silu": (np.inf, 0), "sigmoid": (1, 0),
        "tanh": (1, -1), "elu": (np.inf, -1), "selu": (np.inf, -1.7580993), "softplus": (np.inf, 0),
        "mish": (np.inf, 0), "softsign": (1, -1),
    }  # fmt: skip
    assert set(limits) == set(ACTIVATIONS)
    for name, expected in limits.items():
        np.testing.assert_allclose(apply(pocl, x, Epilogue(name)), expected, rtol=1e-6, err_msg=name)


def test_codes_are_those_of_the_header() -> None:
    text = (kernels_dir() / "include" / "epilogue.h").read_text(encoding="utf-8")
    found = re.findall(r"ACTIVATION == (\d+)\n#define ACTIVATE_BY\(n, v, alpha, beta\) (\w+)_##n", text)
    assert {name: int(code) for code, name in found} == {name: known.code for name, known in ACTIVATIONS.items()}


def test_none_changes_nothing(pocl: Device) -> None:
    x = np.linspace(-3, 3, 58, dtype=np.float32)
    np.testing.assert_array_equal(apply(pocl, x, Epilogue()), x)
    assert Epilogue().macros() == {"ACTIVATION": 0}


def test_arguments() -> None:
    assert Epilogue("leaky_relu").args() == (np.float32(0.01), np.float32(0))
    assert Epilogue("clip", beta=6.0).args() == (np.float32(-math.inf), np.float32(6))
    assert Epilogue("hard_swish").args() == (np.float32(1 / 6), np.float32(0.5))
    assert Epilogue("elu", alpha=0.0).args()[0] == 0


@pytest.mark.parametrize(
    ("activation", "alpha", "beta", "reason"),
    [
        ("swoosh", None, None, r"\[epilogue\] expected an activation among relu, .*, got 'swoosh'"),
        ("relu", 1.0, None, "expected no alpha for relu"),
        ("elu", 1.0, 2.0, "expected no beta for elu"),
        (None, 1.0, None, "expected no alpha for no activation"),
        ("clip", math.nan, None, "expected alpha to be a number"),
    ],
)
def test_refusals(activation: str | None, alpha: float | None, beta: float | None, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        Epilogue(activation, alpha, beta)


@settings(deadline=None, max_examples=60)
@given(st.sampled_from([None, *ACTIVATIONS]), st.integers(0, 2**32 - 1), st.floats(0, 8), st.booleans(), st.booleans())
def test_the_tolerance_covers_an_epilogue_in_fp32(
    name: str | None, seed: int, size: float, with_bias: bool, with_residual: bool
) -> None:
    rng = np.random.default_rng(seed)
    value, bias, residual = rng.standard_normal((3, 200)) * size
    narrow_bias = bias.astype(np.float32) if with_bias else None
    narrow_residual = residual.astype(np.float32) if with_residual else None
    bound = np.abs(value) * 2.0**-24
    total = value.astype(np.float32)
    for more in (narrow_bias, narrow_residual):
        total = total if more is None else total + more
    got = activated(total, name).astype(np.float32)
    expected = epilogue(value, narrow_bias, narrow_residual, name)
    allowed = epilogue_tolerance(value, bound, narrow_bias, narrow_residual, name)
    assert compare(got, expected, allowed + np.abs(expected) * 2.0**-24).ok


def test_the_tolerance_refuses_a_forgotten_residual() -> None:
    value, residual = np.ones(9), np.full(9, 1e-4, np.float32)
    expected = epilogue(value, None, residual, "gelu")
    got = activated(value, "gelu").astype(np.float32)
    assert not compare(got, expected, epilogue_tolerance(value, 1e-7, None, residual, "gelu")).ok
