"""ONNX files -> checked messages and arrays; external data only from inside the model's folder.

Only Protobuf's parser sees the bytes: ``onnx.checker`` and ``onnx.shape_inference`` are native code that trusts them.
"""

from __future__ import annotations

import io
import math
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import psutil
from google.protobuf.message import DecodeError, Message

from rx580lab.errors import ModelError

__all__ = ["OnnxFile", "dtype_of", "read_model", "tensor"]

# Protobuf's own limit of a message.
LARGEST_FILE_BYTES = (1 << 31) - 1
# A file of a few megabytes can hold millions of empty messages and texts; large real models hold some ten thousand.
MOST_PARTS = 800_000
# A file beside the model gives this many times its size at most: few bytes must not become many by overlapping ranges.
MOST_OVERLAP = 4
MOST_AXES = 32
LARGEST_ARRAY_BYTES = (1 << 63) - 1

Element = onnx.TensorProto
NUMPY_DTYPES: dict[int, np.dtype[Any]] = {
    Element.FLOAT: np.dtype(np.float32),
    Element.UINT8: np.dtype(np.uint8),
    Element.INT8: np.dtype(np.int8),
    Element.UINT16: np.dtype(np.uint16),
    Element.INT16: np.dtype(np.int16),
    Element.INT32: np.dtype(np.int32),
    Element.INT64: np.dtype(np.int64),
    Element.BOOL: np.dtype(np.bool_),
    Element.FLOAT16: np.dtype(np.float16),
    Element.DOUBLE: np.dtype(np.float64),
    Element.UINT32: np.dtype(np.uint32),
    Element.UINT64: np.dtype(np.uint64),
}
# Where a message holds elements that are not raw bytes: field -> (type of its numbers, element types it serves).
FIELDS: dict[str, tuple[type[np.generic], frozenset[int]]] = {
    "float_data": (np.float32, frozenset({Element.FLOAT})),
    "double_data": (np.float64, frozenset({Element.DOUBLE})),
    "int64_data": (np.int64, frozenset({Element.INT64})),
    "uint64_data": (np.uint64, frozenset({Element.UINT64, Element.UINT32})),
    "int32_data": (
        np.int32,
        frozenset(
            {Element.INT32, Element.INT16, Element.INT8, Element.UINT16, Element.UINT8, Element.BOOL, Element.FLOAT16}
        ),
    ),
    "string_data": (np.bytes_, frozenset()),
}


@dataclass(frozen=True)
class OnnxFile:
    """A file that Protobuf could read.

    Attributes:
        path: as asked for. folder: where it lies, absolute and without links: no tensor comes from outside of it.
        proto: what it holds; all its texts are UTF-8. n_bytes: its size, without external data.
        ranges: external data that were read, by file, offset and length.
    """

    path: Path
    folder: Path
    proto: onnx.ModelProto
    n_bytes: int
    ranges: dict[tuple[Path, int, int], bytearray] = field(default_factory=dict, compare=False, repr=False)


def read_model(path: str | os.PathLike[str]) -> OnnxFile:
    """Reads that file. Raises ModelError naming it and what is wrong with it."""
    place = Path(path)
    data = _bytes_of(place)
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(data)
    except DecodeError as error:
        raise ModelError(str(place), f"it is truncated, damaged or no ONNX file ({error})") from error
    except MemoryError as error:
        raise ModelError(str(place), f"there is no memory for a model of {len(data):,} bytes") from error
    if not proto.HasField("graph"):
        raise ModelError(str(place), "it is truncated or no ONNX file: expected a graph in it, got none")
    _check_messages(str(place), proto)
    return OnnxFile(place, place.parent.resolve(), proto, len(data))


def dtype_of(number: int, where: str) -> np.dtype[Any]:
    """The dtype of ONNX's ``number`` for an element type. Raises ModelError at ``where`` for those without one here."""
    found = NUMPY_DTYPES.get(number)
    if found is None:
        known = number in Element.DataType.values()
        name = Element.DataType.Name(number) if known else str(number)
        kinds = "bool, float16/32/64, int8..int64 or uint8..uint64"
        raise ModelError(where, f"expected elements of {kinds}, got {name if known else f'type number {name}'}")
    return found


def tensor(proto: onnx.TensorProto, file: OnnxFile, where: str) -> npt.NDArray[Any]:
    """The elements of a constant, in native byte order, C-contiguous and read-only.

    ``where`` names the place in error messages; the tensor's own name is added. Raises ModelError if dtype, lengths
    and data do not fit together, or if external data lie outside ``file.folder``. Nothing is allocated before that.
    """
    place = f"{where}: tensor {proto.name!r}" if proto.name else where
    dtype = dtype_of(proto.data_type, place)
    shape, n_bytes = _extent(proto, dtype, place)
    if proto.HasField("segment"):
        raise ModelError(place, "tensors in segments are not supported")
    fields = [name for name in FIELDS if len(getattr(proto, name))]
    if proto.data_location == Element.EXTERNAL:
        if fields or proto.raw_data:
            raise ModelError(place, "expected its data in another file, got data in this one as well")
        flat = _decoded(_external(proto, file, n_bytes, place), dtype)
    elif fields:
        if len(fields) > 1 or proto.raw_data:
            raise ModelError(place, f"expected its data once, got {' and '.join((*fields, 'raw_data')[:2])}")
        flat = _typed(proto, fields[0], dtype, math.prod(shape), place)
    else:
        raw = proto.raw_data
        if len(raw) != n_bytes:
            raise ModelError(place, f"expected {n_bytes:,} bytes of {dtype} {shape}, got {len(raw):,}")
        flat = _decoded(raw, dtype)
    made = flat.reshape(shape)
    made.setflags(write=False)
    return made


def _bytes_of(path: Path) -> bytes:
    where = str(path)
    try:
        with _opened(path, follow=True) as stream:
            n_bytes = os.fstat(stream.fileno()).st_size
            if n_bytes == 0:
                raise ModelError(where, "the file is empty")
            if n_bytes > LARGEST_FILE_BYTES:
                raise ModelError(where, f"expected at most {LARGEST_FILE_BYTES:,} bytes, got {n_bytes:,}")
            _check_memory(n_bytes, where)
            return stream.read(n_bytes)
    except OSError as error:
        raise ModelError(where, f"it cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # a NUL in the name
        raise ModelError(where, f"it cannot be read: {error}") from error


def _opened(path: Path, *, follow: bool) -> io.BufferedReader:
    """A regular file, open for reading; OSError for anything else. Does not wait for the writer of a pipe."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    descriptor = os.open(path, flags)
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise OSError("it is a folder" if stat.S_ISDIR(mode) else "it is no regular file")
        return os.fdopen(descriptor, "rb")
    except OSError:
        os.close(descriptor)
        raise


def _check_memory(n_bytes: int, where: str) -> None:
    free = int(psutil.virtual_memory().available)
    if n_bytes > free:
        raise ModelError(where, f"expected at most the {free:,} bytes of memory that are free, got {n_bytes:,}")


def _check_messages(where: str, proto: onnx.ModelProto) -> None:
    """All texts are UTF-8 (others come as bytes from Protobuf), and the messages are not too many to be looked at."""
    waiting: list[Message] = [proto]
    seen = 1
    while waiting:
        message = waiting.pop()
        if seen > MOST_PARTS:
            raise ModelError(where, f"expected a model of at most {MOST_PARTS:,} parts, got more")
        for kind, value in message.ListFields():
            if kind.type == kind.TYPE_MESSAGE:
                below = value if kind.is_repeated else (value,)
                seen += len(below)
                waiting.extend(below)
            elif kind.type == kind.TYPE_STRING:
                texts = value if kind.is_repeated else (value,)
                seen += len(texts)
                for text in texts:
                    if not isinstance(text, str):
                        raise ModelError(where, f"expected UTF-8 as {kind.name!r} of a part, got {text[:40]!r}")


def _extent(proto: onnx.TensorProto, dtype: np.dtype[Any], place: str) -> tuple[tuple[int, ...], int]:
    """Lengths and bytes of a tensor, without trust: lengths of zero must not hide a product that overflows."""
    if len(proto.dims) > MOST_AXES:
        raise ModelError(place, f"expected at most {MOST_AXES} axes, got {len(proto.dims)}")
    shape = tuple(int(length) for length in proto.dims)
    if any(length < 0 for length in shape):
        raise ModelError(place, f"expected lengths of 0 or more, got {shape}")
    if math.prod(max(length, 1) for length in shape) * dtype.itemsize > LARGEST_ARRAY_BYTES:
        raise ModelError(place, f"expected lengths that fit 64 bits together, got {shape}")
    return shape, math.prod(shape) * dtype.itemsize


def _decoded(raw: bytes | bytearray, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Elements of little-endian bytes; any byte but 0 is True."""
    if dtype == np.bool_:
        return np.frombuffer(raw, np.uint8).astype(np.bool_)
    found: npt.NDArray[Any] = np.frombuffer(raw, dtype.newbyteorder("<"))
    return found.astype(dtype, copy=False)


def _typed(proto: onnx.TensorProto, field: str, dtype: np.dtype[Any], n_elements: int, place: str) -> npt.NDArray[Any]:
    kind, served = FIELDS[field]
    if proto.data_type not in served:
        raise ModelError(place, f"expected elements of {dtype}, got data in {field}")
    numbers = getattr(proto, field)
    if len(numbers) != n_elements:
        raise ModelError(place, f"expected {n_elements:,} elements in {field}, got {len(numbers):,}")
    found: npt.NDArray[Any] = np.fromiter(numbers, kind, count=n_elements)
    if dtype == np.bool_:
        return found.astype(np.bool_)
    stored = np.dtype(np.uint16) if dtype == np.float16 else dtype  # halves are stored as their bits
    if stored.kind in "iu" and stored != found.dtype:
        limits = np.iinfo(stored)
        outside = found[(found < limits.min) | (found > limits.max)]
        if outside.size:
            raise ModelError(place, f"expected elements of {stored}, got {outside[0]}")
    return found.astype(stored, copy=False).view(dtype)


def _external(proto: onnx.TensorProto, file: OnnxFile, n_bytes: int, place: str) -> bytearray:
    """The tensor's range of a file in the model's folder."""
    entries: dict[str, str] = {}
    for one in proto.external_data:
        if one.key in entries:
            raise ModelError(place, f"expected {one.key!r} of its external data once, got it twice")
        entries[one.key] = one.value
    target = _inside(file, entries.get("location", ""), place)
    offset = _number(entries, "offset", 0, place)
    length = _number(entries, "length", n_bytes, place)
    if length != n_bytes:
        raise ModelError(place, f"expected {n_bytes:,} bytes of external data, got a length of {length:,}")
    key = (target, offset, length)
    if key not in file.ranges:
        file.ranges[key] = _range(file, target, offset, length, place)
    return file.ranges[key]


def _range(file: OnnxFile, target: Path, offset: int, length: int, place: str) -> bytearray:
    try:
        with _opened(target, follow=False) as stream:
            size = os.fstat(stream.fileno()).st_size
            if offset + length > size:
                raise ModelError(
                    place,
                    f"expected bytes {offset:,} to {offset + length:,} of {target.name!r}, got a file of {size:,}",
                )
            if length + sum(n for path, _, n in file.ranges if path == target) > MOST_OVERLAP * size:
                raise ModelError(place, f"expected ranges of {target.name!r} that do not overlap so much")
            _check_memory(length, place)
            stream.seek(offset)
            data = bytearray(length)
            n_read = stream.readinto(data)
    except OSError as error:
        raise ModelError(place, f"external data {target.name!r} cannot be read: {error.strerror or error}") from error
    except MemoryError as error:
        raise ModelError(place, f"there is no memory for {length:,} bytes of external data") from error
    if n_read != length:
        raise ModelError(place, f"expected {length:,} bytes of external data, got {n_read:,}")
    return data


def _number(entries: dict[str, str], key: str, otherwise: int, place: str) -> int:
    text = entries.get(key, "")
    if not text:
        return otherwise
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise ModelError(place, f"expected a number of bytes as {key!r} of its external data, got {text[:40]!r}")
    return int(text)


def _inside(file: OnnxFile, location: str, place: str) -> Path:
    """The file at ``location``, links followed, if that is inside the model's folder. Opens nothing."""
    if not location or "\0" in location:
        raise ModelError(place, f"expected the name of a file as location of its external data, got {location!r}")
    if Path(location).is_absolute():
        raise ModelError(place, f"expected external data beside the model, got the absolute path {location!r}")
    try:
        target = (file.folder / location).resolve()
    except (OSError, RuntimeError) as error:  # a loop of links
        raise ModelError(place, f"external data {location!r} cannot be found: {error}") from error
    if not target.is_relative_to(file.folder):
        raise ModelError(place, f"expected external data inside the model's folder, got {location!r}, which leads out")
    return target
