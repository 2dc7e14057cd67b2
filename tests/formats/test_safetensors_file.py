"""Safetensors files: what is read back, and what is refused."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from rx580lab.errors import ModelError
from rx580lab.formats.safetensors_file import read_safetensors

TENSORS = {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.array([-1, 7]), "s": np.array(2.5)}


def framed(header: dict[str, Any], data: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(first: int, last: int, *shape: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [first, last]}


def test_what_was_saved_is_read(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(save(TENSORS, metadata={"format": "np"}))
    read = read_safetensors(path)
    assert set(read) == set(TENSORS)
    for name, array in TENSORS.items():
        assert (read[name].dtype, read[name].shape, read[name].tolist()) == (array.dtype, array.shape, array.tolist())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x08\0\0\0\0\0\0\0{}",
        struct.pack("<Q", 1 << 40) + b"{}",
        framed({"a": entry(0, 8, 2)}, b"\0" * 7),
        framed({"a": entry(0, 8, 3)}, b"\0" * 8),
        framed({"a": entry(0, 8, 2), "b": entry(4, 12, 2)}, b"\0" * 12),
        framed({"a": entry(8, 0, 2)}, b"\0" * 8),
        framed({"a": entry(-8, 0, 2)}, b"\0" * 8),
        framed({"a": entry(0, 8, 1 << 62, 1 << 62)}, b"\0" * 8),
        framed({"a": entry(0, 8, 2, dtype="Q4")}, b"\0" * 8),
    ],
    ids=["empty", "cut", "header", "bytes", "shape", "overlap", "order", "negative", "overflow", "dtype"],
)
def test_a_damaged_file_is_refused_by_name(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(data)
    with pytest.raises(ModelError, match=r"damaged.safetensors\] expected a safetensors file, got one"):
        read_safetensors(path)


def test_a_type_that_numpy_lacks_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(framed({"a": entry(0, 4, 2, dtype="BF16")}, b"\0" * 4))
    with pytest.raises(ModelError, match=r"tensor 'a' to be of one of F64, .*, got BF16"):
        read_safetensors(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"none\.safetensors"):
        read_safetensors(tmp_path / "none.safetensors")


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_changed_byte_gives_arrays_or_a_clear_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    whole = bytearray(save(TENSORS))
    whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "changed.safetensors"
    path.write_bytes(whole[: data.draw(st.integers(1, len(whole)))])
    try:
        arrays = read_safetensors(path)
    except ModelError:  # any other error is a failure
        return
    assert all(isinstance(array, np.ndarray) for array in arrays.values())
