"""``embedding``: exactly the rows asked for, of any table, by every template."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rx580lab as rx
from rx580lab.device import Device
from rx580lab.errors import DtypeError, InputError, ShapeError
from rx580lab.ops.embedding import SPEC, embedding, plan
from tests.ops.sweep import sweep

TEMPLATES = [template.name for template in SPEC.templates]


@pytest.mark.parametrize("template", TEMPLATES)
def test_cases(pocl: Device, template: str) -> None:
    assert sweep(pocl, "embedding", template) >= 13


def test_large_cases(pocl: Device) -> None:
    assert sweep(pocl, "embedding", "cpu", tiers=("large",)) == 1


@settings(deadline=None, max_examples=50)
@given(st.data(), st.booleans(), st.sampled_from(TEMPLATES), st.integers(0, 99))
def test_as_numpy_indexes(pocl: Device, data: st.DataObject, half: bool, template: str, seed: int) -> None:
    n_rows, n_columns = data.draw(st.integers(1, 50)), data.draw(st.integers(0, 70))
    shape = tuple(data.draw(st.lists(st.integers(0, 9), max_size=3)))
    rng = np.random.default_rng(seed)
    table = rng.standard_normal((n_rows, n_columns)).astype(np.float16 if half else np.float32)
    ids = rng.integers(0, n_rows, shape)
    got = embedding(pocl, ids, table, template=template)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, table[ids].astype(np.float32))


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_half_widens_exactly(pocl: Device, template: str) -> None:
    table = np.arange(65536, dtype=np.uint16).view(np.float16).reshape(256, 256)
    got = embedding(pocl, np.arange(256), table, template=template)
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(got, table.astype(np.float32))


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_ids_that_name_no_row(pocl: Device, template: str, index: type[np.signedinteger]) -> None:
    """On the host they are refused; on the device they give zeros, even the widest ones."""
    table = np.arange(1, 13, dtype=np.float32).reshape(3, 4)
    beyond = np.array([0, 3, -1, np.iinfo(index).min, np.iinfo(index).max, 2], index)
    got = embedding(pocl, pocl.upload(beyond), table, template=template).download()
    np.testing.assert_array_equal(got, [table[0], *np.zeros((4, 4)), table[2]])
    with pytest.raises(InputError, match=r"\[embedding\] expected ids from 0 to 2, got 3 at \[1\]"):
        embedding(pocl, beyond, table, template=template)
    with pytest.raises(InputError, match=r"expected ids from 0 to 2, got -1 at \[0\]"):
        embedding(pocl, beyond[2:3], table, template=template)


def test_kinds_of_arrays(pocl: Device) -> None:
    ids, table = np.array([[1, 0]]), np.arange(6, dtype=np.float32).reshape(2, 3)
    assert isinstance(rx.ops.embedding(pocl, ids, table), np.ndarray)
    got = rx.ops.embedding(pocl, ids, pocl.upload(table))
    assert isinstance(got, rx.Array)
    np.testing.assert_array_equal(got.download(), table[ids])
    assert plan(pocl, ids[:0], table).launches == ()


def test_refusals(pocl: Device) -> None:
    ids, table = np.zeros(2, np.int64), np.ones((2, 3), np.float32)
    with pytest.raises(ShapeError, match=r"\[embedding\] expected a table of shape \(V, D\), got \(6,\)"):
        embedding(pocl, ids, table.reshape(6))
    with pytest.raises(DtypeError, match="expected ids of int32 or int64, got float32"):
        embedding(pocl, ids.astype(np.float32), table)
    with pytest.raises(DtypeError, match="expected table of float32 or float16, got int8"):
        embedding(pocl, ids, table.astype(np.int8))
    with pytest.raises(ShapeError, match="at most 2,147,483,647 elements"):
        embedding(pocl, pocl.empty((2**15,), np.int32), pocl.empty((1, 2**16)))
    held = pocl.upload(table)
    with pytest.raises(InputError, match="expected out apart from ids and table"):
        embedding(pocl, ids, held, out=held)


def test_cost() -> None:
    assert SPEC.cost({"T": 10, "V": 99, "D": 5, "ITEM": 2}).bytes == 340
