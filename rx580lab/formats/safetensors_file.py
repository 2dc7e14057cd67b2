"""Tensors of a safetensors file as numpy arrays.

The `safetensors` package reads it: it holds the header to 100 MB, and checks that the tensors lie side by side within
the file, without overlap or gap, and that each has the bytes which its shape and type ask for. Nothing in such a file
can be executed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from rx580lab.errors import ModelError

__all__ = ["read_safetensors"]

# The types that numpy has; bfloat16 and the 8-bit floats are not among them.
DTYPES = {
    "F64": np.dtype(np.float64), "F32": np.dtype(np.float32), "F16": np.dtype(np.float16),
    "I64": np.dtype(np.int64), "I32": np.dtype(np.int32), "I16": np.dtype(np.int16), "I8": np.dtype(np.int8),
    "U64": np.dtype(np.uint64), "U32": np.dtype(np.uint32), "U16": np.dtype(np.uint16), "U8": np.dtype(np.uint8),
    "BOOL": np.dtype(np.bool_),
}  # fmt: skip


def read_safetensors(path: Path) -> dict[str, NDArray[Any]]:
    """Every tensor of ``path`` by name, in the file's order.

    Raises:
        ModelError: the file is missing, is damaged, or holds a type that numpy has not.
    """
    try:
        with safe_open(path, framework="np") as file:
            names = file.offset_keys()
            for name in names:
                if (dtype := file.get_slice(name).get_dtype()) not in DTYPES:
                    message = f"expected tensor {name!r} to be of one of {', '.join(DTYPES)}, got {dtype}"
                    raise ModelError(str(path), message)
            return {name: np.asarray(file.get_tensor(name)) for name in names}
    except (SafetensorError, OSError) as error:
        raise ModelError(str(path), f"expected a safetensors file, got one that cannot be read: {error}") from error
