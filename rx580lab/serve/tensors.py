"""Element types of the V2 protocol, and tensors in and out of JSON and of raw bytes.

Nothing is converted that would change a value, and nothing is taken for what it is not: no truth value for a number, no
fraction for a whole number, no number that the element type cannot hold.

Source: the Open Inference Protocol (V2), "Tensor Data", and its binary tensor data extension: little-endian, row-major.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from itertools import chain, compress
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.serve.inference import Tensor
from rx580lab.serve.refusal import Refusal

__all__ = ["DATATYPES", "datatype", "from_bytes", "from_json", "shape_of", "strings_to_bytes"]

DATATYPES: Mapping[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    **{f"UINT{8 * n}": np.dtype(f"<u{n}") for n in (1, 2, 4, 8)},
    **{f"INT{8 * n}": np.dtype(f"<i{n}") for n in (1, 2, 4, 8)},
    **{f"FP{8 * n}": np.dtype(f"<f{n}") for n in (2, 4, 8)},
    "BYTES": np.dtype(np.object_),
}
_NAMES = {dtype: name for name, dtype in DATATYPES.items()}
# The struct module packs a list in one go, and refuses what is out of range or of another type.
_CODES = {"UINT8": "B", "UINT16": "H", "UINT32": "I", "UINT64": "Q", "INT8": "b", "INT16": "h", "INT32": "i",
          "INT64": "q", "FP16": "e", "FP32": "f", "FP64": "d"}  # fmt: skip
_WHERE = "infer"


def datatype(dtype: npt.DTypeLike) -> str:
    """The protocol's name of a dtype; BYTES for text, bytes and objects."""
    return _NAMES.get(np.dtype(dtype), "BYTES")


def from_bytes(data: memoryview, name: str, kind: str, shape: tuple[int, ...]) -> Tensor:
    """A tensor from its raw bytes: a read-only view of them, which need not be aligned.

    BYTES alone are copied: each element is a 32-bit length and as many bytes, and becomes ``bytes``.
    Refusal 400 where the sizes do not agree, or a BOOL is neither 0 nor 1.
    """
    if kind == "BYTES":
        return _strings(data, name, shape)
    dtype = DATATYPES[kind]
    expected = math.prod(shape) * dtype.itemsize
    if len(data) != expected:
        raise Refusal(400, _WHERE, f"expected {expected} bytes for {name} of {kind} {list(shape)}, got {len(data)}")
    if kind == "BOOL" and expected and int(np.frombuffer(data, np.uint8).max()) > 1:
        raise Refusal(400, _WHERE, f"expected bytes 0 and 1 for {name} of BOOL, got others")
    return np.frombuffer(data.toreadonly(), dtype).reshape(shape)


def _strings(data: memoryview, name: str, shape: tuple[int, ...]) -> Tensor:
    expected = math.prod(shape)
    if len(data) < 4 * expected:
        raise Refusal(400, _WHERE, f"expected {expected} lengths with their bytes for {name} of BYTES, got too few")
    found = np.empty(expected, np.object_)
    place = 0
    for n in range(expected):
        end = place + 4
        if end > len(data):
            raise Refusal(400, _WHERE, f"expected {expected} elements in {name} of BYTES, got {n}")
        end += int.from_bytes(data[place:end], "little")
        if end > len(data):
            raise Refusal(400, _WHERE, f"expected element {n} of {name} within its tensor, got one that ends after it")
        found[n] = bytes(data[place + 4 : end])
        place = end
    if place != len(data):
        raise Refusal(400, _WHERE, f"expected {expected} elements in {name} of BYTES, got more")
    return found.reshape(shape)


def strings_to_bytes(strings: Sequence[bytes]) -> bytes:
    """Elements of BYTES as the binary extension sends them."""
    return b"".join(part for one in strings for part in (len(one).to_bytes(4, "little"), one))


def from_json(data: Any, name: str, kind: str, shape: tuple[int, ...]) -> Tensor:
    """A tensor from a list: flat in row-major order, or nested as the shape says.

    Whole numbers are taken for FP elements, as JSON has no other way to write 1. Refusal 400 for anything else: other
    types, values out of range, other numbers of elements, rows of different lengths.
    """
    if type(data) is not list:
        raise Refusal(400, _WHERE, f"expected data of {name} as a list, got {_kind_of(data)}")
    flat = _flattened(data, name, shape)
    if len(flat) != math.prod(shape):
        raise Refusal(400, _WHERE, f"expected {math.prod(shape)} elements in {name}, got {len(flat)}")
    if kind == "BOOL":
        return np.array(_all_of(flat, bool, name, kind), np.bool_).reshape(shape)
    if kind == "BYTES":
        found = np.empty(len(flat), np.object_)
        found[:] = [one.encode() for one in _all_of(flat, str, name, kind)]
        return found.reshape(shape)
    return _numbers(flat, name, kind).reshape(shape)


def _flattened(data: list[Any], name: str, shape: tuple[int, ...]) -> list[Any]:
    """Its elements: as they are where it is flat, else one level of lists at a time, each held against the shape."""
    if not data or type(data[0]) is not list:
        return data
    level = [data]
    for length in shape:
        if set(map(type, level)) != {list} or set(map(len, level)) != {length}:
            raise Refusal(400, _WHERE, f"expected a flat list, or lists nested as {list(shape)}, in {name}")
        level = list(chain.from_iterable(level))
    # Lists that go deeper than the shape are found among the elements.
    return level


def _numbers(flat: list[Any], name: str, kind: str) -> Tensor:
    try:
        packed = struct.pack(f"<{len(flat)}{_CODES[kind]}", *flat)
    except (struct.error, OverflowError):
        raise Refusal(400, _WHERE, f"expected elements of {name} within {kind}, got others or larger ones") from None
    found = np.frombuffer(packed, DATATYPES[kind])
    # What became 0 or 1 may have been a truth value, which Python takes for a number.
    doubtful = (found == 0) | (found == 1)
    if doubtful.any() and bool in set(map(type, compress(flat, doubtful.tolist()))):
        raise Refusal(400, _WHERE, f"expected elements of {kind} in {name}, got true or false")
    return found


def _all_of(flat: list[Any], wanted: type, name: str, kind: str) -> list[Any]:
    if flat and set(map(type, flat)) != {wanted}:
        raise Refusal(400, _WHERE, f"expected elements of {kind} in {name}, got others")
    return flat


def _kind_of(value: Any) -> str:
    return {dict: "an object", str: "text", bool: "true or false", type(None): "null"}.get(type(value), "a number")


def shape_of(data: Any, rank: int) -> tuple[int, ...]:
    """Lengths of nested lists by their first elements; at most ``rank`` of them."""
    shape: list[int] = []
    while type(data) is list and len(shape) < rank:
        shape.append(len(data))
        data = data[0] if data else None
    return tuple(shape)
