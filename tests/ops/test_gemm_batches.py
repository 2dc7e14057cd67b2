"""``gemm`` beyond one product of two matrices: batches, weights packed before, and shapes that are a ``gemv``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rx580lab.device import Device
from rx580lab.errors import InputError, ShapeError
from rx580lab.ops.epilogue import Epilogue
from rx580lab.ops.gemm import SPEC, PackedB, gemm, pack_b, plan
from rx580lab.reference import compare
from rx580lab.reference.gemm import gemm as oracle
from rx580lab.reference.gemm import gemm_tolerance
from tests.ops.test_gemm import TEMPLATES, assert_right, matrices


@st.composite
def batches(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Batch axes of A and B that broadcast: each of any number, any of them 1."""
    full = draw(st.lists(st.integers(0, 3), max_size=4))
    sides = []
    for _ in "ab":
        kept = full[draw(st.integers(0, len(full))) :]
        sides.append(tuple(1 if draw(st.booleans()) else n for n in kept))
    return sides[0], sides[1]


@settings(deadline=None, max_examples=80)
@given(
    batches(),
    st.tuples(*[st.integers(0, 20)] * 3),
    st.tuples(*[st.booleans()] * 4),
    st.sampled_from([*TEMPLATES, None]),
)
def test_any_batch_as_numpy_broadcasts_it(
    pocl: Device,
    batch: tuple[tuple[int, ...], tuple[int, ...]],
    lengths: tuple[int, int, int],
    switches: tuple[bool, bool, bool, bool],
    template: str | None,
) -> None:
    (m, n, k), (transpose_a, transpose_b, with_bias, with_residual) = lengths, switches
    rng = np.random.default_rng(sum(lengths))
    a = rng.standard_normal((*batch[0], *((k, m) if transpose_a else (m, k))), dtype=np.float32)
    b = rng.standard_normal((*batch[1], *((n, k) if transpose_b else (k, n))), dtype=np.float32)
    wanted = (*np.broadcast_shapes(*batch), m, n)
    bias = rng.standard_normal(n, dtype=np.float32) if with_bias else None
    residual = rng.standard_normal(wanted, dtype=np.float32) if with_residual else None
    turned: dict[str, Any] = {"transpose_a": transpose_a, "transpose_b": transpose_b}
    if template == "cpu_skinny" and transpose_b:
        template = None
    got = gemm(pocl, a, b, bias, residual, **turned, alpha=0.75, template=template)
    assert got.shape == wanted
    expected = oracle(a, b, bias, residual, **turned, alpha=0.75)
    outcome = compare(got, expected, gemm_tolerance(a, b, bias, residual, **turned, alpha=0.75))
    assert outcome.ok, outcome.reason


def test_what_attention_asks_of_it(pocl: Device) -> None:
    """Grouped queries: keys and values of two heads serve six, and are read where they are."""
    rng = np.random.default_rng(7)
    q = rng.standard_normal((2, 2, 3, 20, 16), dtype=np.float32)
    k, v = (rng.standard_normal((2, 2, 1, 33, 16), dtype=np.float32) for _ in range(2))
    scores = gemm(pocl, pocl.upload(q), pocl.upload(k), transpose_b=True, alpha=0.25)
    assert scores.shape == (2, 2, 3, 20, 33)
    np.testing.assert_allclose(scores.download(), 0.25 * q @ k.swapaxes(-1, -2), atol=1e-5)
    np.testing.assert_allclose(gemm(pocl, scores, pocl.upload(v)).download(), scores.download() @ v, atol=1e-4)


def test_what_is_a_gemv_runs_as_one(pocl: Device) -> None:
    rng = np.random.default_rng(3)
    w, x = rng.standard_normal((50, 70), dtype=np.float32), rng.standard_normal((8, 70), dtype=np.float32)
    bias, residual = rng.standard_normal(50, dtype=np.float32), rng.standard_normal((8, 50), dtype=np.float32)
    planned = plan(pocl, x, w, bias, residual, transpose_b=True, alpha=2, epilogue=Epilogue("relu"))
    assert (planned.template, planned.launches[0].build.entry, planned.out.shape) == ("matvec", "gemv_cpu", (8, 50))
    expected = np.maximum(2 * x @ w.T + bias + residual, 0)
    np.testing.assert_allclose(planned.run().download(), expected, atol=1e-4)
    column = plan(pocl, np.stack([w] * 2), x[0][:, None], None, np.ones((2, 50, 1), np.float32))
    assert (column.template, column.out.shape) == ("matvec", (2, 50, 1))
    np.testing.assert_allclose(column.run().download(), np.stack([w @ x[0][:, None] + 1] * 2), atol=1e-4)
    assert plan(pocl, np.concatenate([x, x]), w, transpose_b=True).template == "cpu_inplace"
    with pytest.raises(InputError, match="it takes b transposed, or one column of b without a bias"):
        plan(pocl, w, x[0][:, None], np.ones(1, np.float32), template="matvec")
    with pytest.raises(InputError, match="it takes one product, a not transposed, b not packed"):
        plan(pocl, np.stack([x] * 2), np.stack([w] * 2), transpose_b=True, template="matvec")


def test_a_batch_of_rows_is_one_product() -> None:
    a, b = np.ones((4, 5, 6), np.float32), np.ones((6, 32), np.float32)
    shape = SPEC.shape(a, b)
    assert (shape["M"], shape["B"]) == (20, 1)
    assert SPEC.shape(a, b, transpose_a=False, transpose_b=False)["A"] == 1
    assert SPEC.shape(a.swapaxes(1, 2), b, transpose_a=True)["B"] == 4


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_packed_weights(pocl: Device, dtype: type[np.floating[Any]]) -> None:
    a, b = (one.astype(dtype) for one in matrices(21, 35, 40))
    expected, bound = oracle(a, b), gemm_tolerance(a, b)
    for packed in (pack_b(pocl, b), pack_b(pocl, b.T, transpose_b=True)):
        assert isinstance(packed, PackedB)
        assert (packed.shape, packed.ndim, packed.size) == ((40, 35), 2, 1400)
        assert packed.dtype == dtype
        planned = plan(pocl, a, packed)
        assert (planned.template, len(planned.launches)) == ("cpu", 1)
        assert compare(planned.run().download(), expected, bound, dtype=np.dtype(dtype)).ok
        assert compare(gemm(pocl, a, packed), expected, bound, dtype=np.dtype(dtype)).ok
    with pytest.raises(InputError, match="b is packed, in the order of the cpu template"):
        plan(pocl, a, packed, template="gpu")
    with pytest.raises(InputError, match="transpose_b and constant_b are for pack_b"):
        plan(pocl, a, packed, transpose_b=True)


def test_packed_weights_may_be_batched_and_empty(pocl: Device) -> None:
    a, b = np.ones((3, 1, 2, 4), np.float32), np.ones((5, 4, 17), np.float32)
    np.testing.assert_array_equal(gemm(pocl, a, pack_b(pocl, b)), np.full((3, 5, 2, 17), 4))
    assert gemm(pocl, np.ones((2, 0), np.float32), pack_b(pocl, np.ones((0, 3), np.float32))).tolist() == [[0] * 3] * 2
    with pytest.raises(ShapeError, match=r"expected b of shape \(..., K, N\), got \(4,\)"):
        pack_b(pocl, np.ones(4, np.float32))


def test_constant_weights_are_packed_once(pocl: Device) -> None:
    a, b = matrices(70, 40, 30)
    right = pocl.upload(b)
    planned = plan(pocl, a, right, constant_b=True)
    assert (planned.template, len(planned.launches)) == ("cpu", 1)
    right.write(np.zeros_like(b))
    assert_right(planned.run().download(), a, b)
