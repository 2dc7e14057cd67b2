"""A bench of a cell, written down for the process that makes it: values by the kernel's own types, the oracle's answer.

The oracle runs in the notebook, where it lives; kernels run in the child, which can be ended whatever they do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.compile import Kernel, LocalBytes, Parameter
from rx580lab.device import Array, Device
from rx580lab.errors import DtypeError, InputError
from rx580lab.jupyter.cell import CellOptions, CellSource, signature

__all__ = ["ARRAYS_FILE", "REQUEST_FILE", "RESULT_FILE", "Entry", "Oracle", "ask_oracle", "make_entry", "write_request"]

REQUEST_FILE, ARRAYS_FILE, RESULT_FILE = "request.json", "arrays.npz", "result.json"
_RELATIVE = 1e-5
# OpenCL C's names of scalar types; a vector's elements are these too.
_DTYPES = {
    "char": np.int8, "uchar": np.uint8, "short": np.int16, "ushort": np.uint16, "int": np.int32, "uint": np.uint32,
    "long": np.int64, "ulong": np.uint64, "half": np.float16, "float": np.float32, "double": np.float64,
    "unsigned char": np.uint8, "unsigned short": np.uint16, "unsigned int": np.uint32, "unsigned long": np.uint64,
}  # fmt: skip
_ELEMENT = re.compile(r"^([a-z ]+?)(2|3|4|8|16)?\*$")

Evaluate = Callable[[str], Any]


@dataclass(frozen=True)
class Entry:
    """A kernel with its sizes and values: an array, a numpy scalar or LocalBytes for each argument."""

    name: str
    source: CellSource
    global_size: tuple[int, ...]
    local_size: tuple[int, ...] | None
    values: tuple[Any, ...]
    out: int

    @property
    def inputs(self) -> list[Any]:
        """What an oracle is given: all but the output and local memory."""
        return [
            value for place, value in enumerate(self.values) if place != self.out and not isinstance(value, LocalBytes)
        ]


@dataclass(frozen=True)
class Oracle:
    """What is right, how far off an element may be, and both in words."""

    name: str
    expected: npt.NDArray[Any]
    tolerance: npt.NDArray[np.float64]
    tolerance_in_words: str


def make_entry(name: str, kernel: Kernel, source: CellSource, options: CellOptions, evaluate: Evaluate) -> Entry:
    """The kernel's values from the notebook. InputError or DtypeError names the argument that does not fit."""
    declared = kernel.parameters
    if declared is None:
        raise InputError(name, "this driver does not tell a kernel's arguments, which --bench needs")
    if len(options.args) != len(declared):
        raise InputError(name, f"expected --args for {signature(kernel)}, got {len(options.args)} values")
    pairs = zip(declared, options.args, strict=True)
    values = tuple(_value(name, parameter, evaluate(word)) for parameter, word in pairs)
    out = _output(name, declared, options.out)
    if values[out].size == 0:
        raise InputError(name, f"expected {declared[out].name} to hold elements, got shape {values[out].shape}")
    sizes = tuple(int(evaluate(word)) for word in options.global_size) or (values[out].size,)
    group = tuple(int(evaluate(word)) for word in options.local_size) or None
    return Entry(name, source, sizes, group, values, out)


def _value(kernel: str, parameter: Parameter, value: Any) -> Any:
    if parameter.space == "local":
        n = value.n if isinstance(value, LocalBytes) else value
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
            raise InputError(kernel, f"expected bytes of local memory for {parameter.name}, got {value!r}")
        return LocalBytes(int(n))
    if parameter.is_pointer:
        return _array(kernel, parameter, value)
    kind = _DTYPES.get(parameter.type_name)
    if kind is None or not isinstance(value, (int, float, np.generic)):
        shown = type(value).__name__
        raise InputError(kernel, f"expected a number for {parameter.type_name} {parameter.name}, got {shown}")
    converted: Any = np.dtype(kind).type(value)
    if np.issubdtype(kind, np.integer) and converted != value:
        raise InputError(kernel, f"expected a {parameter.type_name} for {parameter.name}, got {value!r}")
    return converted


def _array(kernel: str, parameter: Parameter, value: Any) -> npt.NDArray[Any]:
    if not isinstance(value, (np.ndarray, Array)):
        shown = type(value).__name__
        raise InputError(kernel, f"expected an array for {parameter.type_name} {parameter.name}, got {shown}")
    host = value.download() if isinstance(value, Array) else np.ascontiguousarray(value)
    element = _ELEMENT.match(parameter.type_name)
    wanted = _DTYPES.get(element[1]) if element else None
    if wanted is not None and host.dtype != wanted:
        raise DtypeError(kernel, f"expected {parameter.name} of {np.dtype(wanted)}, got {host.dtype}")
    return host


def _output(kernel: str, declared: Sequence[Parameter], asked: str | None) -> int:
    written = [one.name for one in declared if one.space == "global" and one.is_pointer and not one.is_const]
    if asked is None and len(written) != 1:
        found = ", ".join(written) or "none"
        raise InputError(kernel, f"expected one global argument that is not const, got {found}; name it by --out")
    chosen = asked if asked is not None else written[0]
    if chosen not in written:
        raise InputError(kernel, f"expected --out among {', '.join(written) or 'none'}, got {chosen!r}")
    return [one.name for one in declared].index(chosen)


def ask_oracle(entry: Entry, options: CellOptions, evaluate: Evaluate) -> Oracle:
    """What the oracle says for these inputs. Its result must have the output's shape."""
    if options.oracle is None:
        raise InputError(entry.name, "expected --oracle NAME, a function that gives what is right; nothing is timed")
    function = evaluate(options.oracle)
    expected = np.asarray(function(*entry.inputs))
    kind, shape = entry.values[entry.out].dtype, entry.values[entry.out].shape
    if expected.shape != shape:
        raise InputError(options.oracle, f"expected an answer of the output's shape {shape}, got {expected.shape}")
    if kind.kind in "iu" and expected.dtype.kind in "iub" and np.array_equal(expected.astype(kind), expected):
        expected = expected.astype(kind)  # numpy widens integers; the values are what counts
    bound, words = _tolerance(entry, expected, options, evaluate)
    source = (getattr(function, "__doc__", None) or "the notebook's function").strip().splitlines()[0]
    return Oracle(f"{options.oracle}: {source}", expected, np.broadcast_to(bound, shape).astype(np.float64), words)


def _tolerance(entry: Entry, expected: npt.NDArray[Any], options: CellOptions, evaluate: Evaluate) -> tuple[Any, str]:
    if options.tolerance is not None:
        return evaluate(options.tolerance), f"an absolute error of {options.tolerance}"
    companion = f"{options.oracle}_tolerance"
    try:
        function = evaluate(companion)
    except (NameError, AttributeError):
        wide = np.abs(expected.astype(np.float64))
        finite = wide[np.isfinite(wide)]
        floor = _RELATIVE * 1e-2 * (float(finite.max()) if finite.size else 0.0)
        words = f"{_RELATIVE:g} of each value, and {floor:.2g} beside it"
        return np.nan_to_num(wide, posinf=0.0) * _RELATIVE + floor, words
    return function(*entry.inputs), f"{companion}(...), per value"


def write_request(
    folder: Path, device: Device, entries: Sequence[Entry], oracle: Oracle, options: CellOptions, max_s: float
) -> None:
    """The request and its arrays, for ``cell_bench``."""
    arrays: dict[str, npt.NDArray[Any]] = {"expected": oracle.expected, "tolerance": oracle.tolerance}
    described = []
    for place, entry in enumerate(entries):
        words = []
        for index, value in enumerate(entry.values):
            words.append(_described(f"{place}-{index}", value, arrays))
        described.append(
            {
                "name": entry.name,
                "text": entry.source.text,
                "options": entry.source.options,
                "global": entry.global_size,
                "local": entry.local_size,
                "values": words,
                "out": entry.out,
            }
        )
    request = {
        "device": device.selector,
        "limits": device.emulated.as_dict(),
        "entries": described,
        "oracle": oracle.name,
        "tolerance": oracle.tolerance_in_words,
        "n_samples": options.samples,
        "max_s": max_s,
    }
    (folder / REQUEST_FILE).write_text(json.dumps(request), encoding="utf-8")
    with (folder / ARRAYS_FILE).open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)


def _described(key: str, value: Any, arrays: dict[str, npt.NDArray[Any]]) -> Mapping[str, Any]:
    if isinstance(value, LocalBytes):
        return {"local": value.n}
    arrays[key] = np.asarray(value)
    return {"array": key} if isinstance(value, np.ndarray) else {"scalar": key}
