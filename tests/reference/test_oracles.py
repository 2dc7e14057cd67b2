"""The oracles against what is known without them, and their tolerances against what they must and must not allow."""

from __future__ import annotations

import ast
import importlib
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rx580lab import reference
from rx580lab.ops import NAMES
from rx580lab.reference import compare
from rx580lab.reference.copy import copy, copy_tolerance
from rx580lab.reference.fma_peak import fma_peak, fma_peak_tolerance
from rx580lab.reference.softmax import softmax, softmax_tolerance
from rx580lab.reference.triad import triad, triad_tolerance

FOLDER = Path(reference.__file__).parent
floats = st.floats(-1e6, 1e6, width=32)


@pytest.mark.parametrize("op", NAMES)
def test_every_op_has_an_oracle_that_names_its_source_and_imports_only_numpy(op: str) -> None:
    module = importlib.import_module(f"rx580lab.reference.{op}")
    assert len(module.ORACLE.splitlines()) == 1
    assert callable(getattr(module, op))
    assert callable(getattr(module, f"{op}_tolerance"))
    imported = set()
    for node in ast.walk(ast.parse((FOLDER / f"{op}.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(str(node.module).split(".")[0])
    # rx580lab: only rx580lab.reference, as tests/test_house.py has it.
    assert imported <= {*sys.stdlib_module_names, "numpy", "rx580lab"}


def test_copy_is_the_input_and_allows_nothing() -> None:
    x = np.array([1.5, -0.0, np.inf, 1e-45], np.float32)
    np.testing.assert_array_equal(copy(x), x)
    assert not copy_tolerance(x).any()


@settings(deadline=None)
@given(st.lists(st.tuples(floats, floats), min_size=1, max_size=20), floats)
def test_triad_tolerance_covers_one_and_two_roundings(pairs: list[tuple[float, float]], s: float) -> None:
    a, b = np.array(pairs, np.float32).T
    two_roundings = a + np.float32(s) * b
    # One rounding, by exact arithmetic.
    exact = [
        float(Fraction(float(x)) + Fraction(float(np.float32(s))) * Fraction(float(y)))
        for x, y in zip(a, b, strict=True)
    ]
    fused = np.array(exact, np.float64).astype(np.float32)
    for got in (two_roundings, fused):
        outcome = compare(got, triad(a, b, s=s), triad_tolerance(a, b, s=s))
        assert outcome.ok, outcome.reason


def test_triad_tolerance_refuses_a_lost_product() -> None:
    a, b = np.ones(4, np.float32), np.full(4, 1e-3, np.float32)
    assert not compare(a, triad(a, b), triad_tolerance(a, b)).ok


@pytest.mark.parametrize("n_steps", [0, 1, 2, 7, 100])
def test_fma_peak_is_the_iteration_in_exact_arithmetic(n_steps: int) -> None:
    m, c = (Fraction(float(np.float32(v))) for v in (1 - 1 / (n_steps + 1), 0.5 / (n_steps + 1)))
    for start in (-2.0, 0.3, 1.0):
        value = Fraction(float(np.float32(start)))
        for _ in range(n_steps):
            value = value * m + c
        got = fma_peak(np.array([start], np.float32), n_steps=n_steps)
        assert got[0] == pytest.approx(float(value), rel=1e-13)


def test_fma_peak_tolerance_covers_fp32_and_refuses_a_missed_step() -> None:
    x = np.linspace(2, 3, 50, dtype=np.float32)
    n_steps = 1024
    m, c = np.float32(1 - 1 / (n_steps + 1)), np.float32(0.5 / (n_steps + 1))
    v, before = x, x
    for _ in range(n_steps):
        before, v = v, v * m + c
    tolerance = fma_peak_tolerance(x, n_steps=n_steps)
    assert compare(v, fma_peak(x, n_steps=n_steps), tolerance).ok
    assert not compare(before, fma_peak(x, n_steps=n_steps), tolerance).ok


def test_softmax_by_hand() -> None:
    x = np.log(np.array([[1.0, 2.0, 5.0], [3.0, 3.0, 2.0]], np.float64)).astype(np.float32)
    np.testing.assert_allclose(softmax(x), [[1 / 8, 2 / 8, 5 / 8], [3 / 8, 3 / 8, 2 / 8]], rtol=1e-6)


def test_softmax_special_rows() -> None:
    inf, nan = np.inf, np.nan
    got = softmax(np.array([[1, nan, 3], [inf, 0, 1], [-inf, -inf, -inf], [-inf, 2, -inf]], np.float32))
    assert np.isnan(got[:3]).all()
    np.testing.assert_array_equal(got[3], [0, 1, 0])


@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (0,)])
def test_softmax_of_nothing(shape: tuple[int, ...]) -> None:
    x = np.empty(shape, np.float32)
    assert softmax(x).shape == softmax_tolerance(x).shape == shape


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 6), st.integers(1, 300), st.floats(0.1, 60), st.integers(0, 2**32 - 1))
def test_softmax_tolerance_covers_a_plain_fp32_computation(rows: int, cols: int, scale: float, seed: int) -> None:
    x = (np.random.default_rng(seed).standard_normal((rows, cols)) * scale).astype(np.float32)
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    outcome = compare((e / e.sum(axis=-1, keepdims=True)).astype(np.float32), softmax(x), softmax_tolerance(x))
    assert outcome.ok, outcome.reason


def test_softmax_tolerance_refuses_a_sum_without_its_last_column() -> None:
    x = np.zeros((1, 1000), np.float32)
    e = np.exp(x - x.max())
    short = e / e[:, :-1].sum(axis=-1, keepdims=True)
    assert not compare(short, softmax(x), softmax_tolerance(x)).ok
    assert (softmax_tolerance(x) / softmax(x)).max() < 2e-5
