"""Element types of the V2 protocol, and tensors in and out of JSON and of raw bytes.

Source: the Open Inference Protocol (V2), "Tensor Data", and its binary tensor data extension: little-endian, row-major.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.serve.inference import Tensor
from rx580lab.serve.refusal import Refusal

__all__ = ["DATATYPES", "datatype", "from_bytes", "from_json"]

DATATYPES: Mapping[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    **{f"UINT{8 * n}": np.dtype(f"<u{n}") for n in (1, 2, 4, 8)},
    **{f"INT{8 * n}": np.dtype(f"<i{n}") for n in (1, 2, 4, 8)},
    **{f"FP{8 * n}": np.dtype(f"<f{n}") for n in (2, 4, 8)},
}
_NAMES = {dtype: name for name, dtype in DATATYPES.items()}


def datatype(dtype: npt.DTypeLike) -> str:
    """The protocol's name of a dtype."""
    return _NAMES.get(np.dtype(dtype), "BYTES")


def from_bytes(data: memoryview, name: str, kind: str, shape: tuple[int, ...]) -> Tensor:
    """A tensor from its raw bytes, without a copy. Refusal 400 where the sizes do not agree."""
    dtype = DATATYPES[kind]
    expected = math.prod(shape) * dtype.itemsize
    if len(data) != expected:
        raise Refusal(400, "infer", f"expected {expected} bytes for {name} of {kind} {list(shape)}, got {len(data)}")
    return np.frombuffer(data, dtype).reshape(shape)


def from_json(data: list[Any], name: str, kind: str, shape: tuple[int, ...]) -> Tensor:
    """A tensor from a flat or nested list. Refusal 400 where number or type of elements do not agree."""
    dtype = DATATYPES[kind]
    try:
        found = np.asarray(data)
    except ValueError:
        raise Refusal(400, "infer", f"expected rows of one length in {name}, got different ones") from None
    wanted = "b" if dtype.kind == "b" else "iu" if dtype.kind in "iu" else "iuf"
    if found.size and found.dtype.kind not in wanted:
        raise Refusal(400, "infer", f"expected elements of {kind} in {name}, got others")
    if found.size != math.prod(shape):
        raise Refusal(400, "infer", f"expected {math.prod(shape)} elements in {name}, got {found.size}")
    if dtype.kind in "iu" and found.size:
        bounds = np.iinfo(dtype)
        if int(found.min()) < bounds.min or int(found.max()) > bounds.max:
            raise Refusal(400, "infer", f"expected elements of {name} within {kind}, got larger ones")
    return found.astype(dtype).reshape(shape)
