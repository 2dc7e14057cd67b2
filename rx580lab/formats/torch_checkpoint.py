"""Tensors of a checkpoint that ``torch.save`` wrote before torch 1.6, without torch and without running anything.

Such a file is five pickles (magic number, protocol, byte order, the state dict, the list of storage keys) followed by
each storage: its count of elements as an int64, then the elements. Pickles are programs; here they are interpreted
on a stack of plain values. Of opcodes only those are known that a state dict needs, of callables only an ordered
dict and torch's two functions that put a tensor together, and these are not called but stand for themselves.

A tensor is a view of a storage, with an offset and strides. The strides count: torch keeps the memory order of what
was transposed before it was saved, so a file has tensors whose elements do not lie in the order of their indices.
"""

from __future__ import annotations

import io
import math
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rx580lab.errors import ModelError

__all__ = ["read_torch_checkpoint"]

# numpy's own limit; and no size of a file on this earth.
MOST_DIMENSIONS, MOST_ELEMENTS = 64, 1 << 48
MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
OPCODES = {opcode.code: opcode for opcode in pickletools.opcodes}
STORAGES: dict[str, np.dtype[Any]] = {
    "torch DoubleStorage": np.dtype("<f8"), "torch FloatStorage": np.dtype("<f4"), "torch HalfStorage": np.dtype("<f2"),
    "torch LongStorage": np.dtype("<i8"), "torch IntStorage": np.dtype("<i4"), "torch ShortStorage": np.dtype("<i2"),
    "torch CharStorage": np.dtype("i1"), "torch ByteStorage": np.dtype("u1"), "torch BoolStorage": np.dtype("?"),
}  # fmt: skip
ORDERED_DICT, TENSOR, PARAMETER = (
    "collections OrderedDict", "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter",
)  # fmt: skip


@dataclass(frozen=True)
class _Name:
    """A global that the pickle names, which stays a name."""

    name: str


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: np.dtype[Any]
    n_elements: int


@dataclass(frozen=True)
class _View:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


_MARK = object()


class _Refused(Exception):
    """Why a pickle is not interpreted further."""


class _Machine:
    """Interprets one pickle: the stack, the memo, and an action for each opcode that is known."""

    def __init__(self, stream: io.BytesIO) -> None:
        self.stream = stream
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.storages: dict[str, _Storage] = {}

    def run(self) -> Any:
        """The pickle's value; the stream then stands behind it."""
        while code := self.stream.read(1):
            opcode = OPCODES.get(code.decode("latin-1"))
            if opcode is None:
                raise _Refused(f"the byte {code!r} where a pickle's opcode should be")
            name = opcode.name
            if name == "STOP":
                return self._pop()
            if name not in KNOWN:
                raise _Refused(f"opcode {name}, which no state dict needs")
            argument = opcode.arg.reader(self.stream) if opcode.arg else None
            if name in CONSTANTS:
                self.stack.append(CONSTANTS[name]())
            elif name in ARGUMENTS:
                self.stack.append(argument)
            else:
                ACTIONS[name](self, argument)
        raise _Refused("a pickle without an end")

    def _pop(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            raise _Refused("a pickle that takes more from the stack than is there")
        return self.stack.pop()

    def _pop_to_mark(self) -> list[Any]:
        last = next((i for i in reversed(range(len(self.stack))) if self.stack[i] is _MARK), None)
        if last is None:
            raise _Refused("a pickle that asks for a mark which it has not set")
        items = self.stack[last + 1 :]
        del self.stack[last:]
        return items

    def tuple_of(self, count: int) -> None:
        items = [self._pop() for _ in range(count)]
        self.stack.append(tuple(reversed(items)))

    def tuple_to_mark(self, _: Any) -> None:
        self.stack.append(tuple(self._pop_to_mark()))

    def put(self, index: int) -> None:
        value = self._pop()
        self.stack.append(value)
        self.memo[index] = value

    def get(self, index: int) -> None:
        if index not in self.memo:
            raise _Refused(f"a pickle that recalls entry {index}, which it has not stored")
        self.stack.append(self.memo[index])

    def append(self, items: list[Any]) -> None:
        target = self._pop()
        if not isinstance(target, list):
            raise _Refused(f"a pickle that appends to {_kind(target)}")
        target.extend(items)
        self.stack.append(target)

    def set_items(self, items: list[Any]) -> None:
        target = self._pop()
        keys = items[::2]
        if not isinstance(target, dict) or len(items) % 2 or not all(isinstance(key, str | int) for key in keys):
            raise _Refused(f"a pickle that sets {len(items)} keys and values of {_kind(target)}")
        target.update(zip(keys, items[1::2], strict=True))
        self.stack.append(target)

    def build(self, _: Any) -> None:
        """Attributes of the state dict (torch's versions of modules): they say nothing about the tensors."""
        self._pop()
        target = self._pop()
        if not isinstance(target, dict):
            raise _Refused(f"a pickle that sets attributes of {_kind(target)}")
        self.stack.append(target)

    def name(self, argument: str) -> None:
        if argument not in {ORDERED_DICT, TENSOR, PARAMETER, *STORAGES}:
            raise _Refused(f"the global {argument.replace(' ', '.')!r}, which no state dict needs")
        self.stack.append(_Name(argument))

    def reduce(self, _: Any) -> None:
        arguments, function = self._pop(), self._pop()
        made: Any = None
        if function == _Name(ORDERED_DICT) and arguments == ():
            made = {}
        elif function == _Name(TENSOR):
            made = _view(arguments)
        elif function == _Name(PARAMETER) and isinstance(arguments, tuple) and arguments:
            made = arguments[0]
        if made is None:
            raise _Refused(f"a call of {_kind(function)} with {_kind(arguments)}")
        self.stack.append(made)

    def persistent(self, _: Any) -> None:
        match self._pop():
            case ("storage", _Name(name), str(key), str(), int(n_elements), None) if name in STORAGES:
                storage = self.storages.setdefault(key, _Storage(key, STORAGES[name], n_elements))
                if storage != _Storage(key, STORAGES[name], n_elements):
                    raise _Refused(f"storage {key!r} with two types or sizes")
                self.stack.append(storage)
            case other:
                raise _Refused(f"a reference to something that is no storage: {_kind(other)}")


CONSTANTS: dict[str, Callable[[], Any]] = {
    "MARK": lambda: _MARK, "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple,
}  # fmt: skip
ARGUMENTS = {"BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"}
ACTIONS: dict[str, Callable[[_Machine, Any], None]] = {
    "PROTO": lambda _machine, _argument: None,
    "BINPUT": _Machine.put, "LONG_BINPUT": _Machine.put, "BINGET": _Machine.get, "LONG_BINGET": _Machine.get,
    "TUPLE": _Machine.tuple_to_mark,
    "TUPLE1": lambda machine, _: machine.tuple_of(1),
    "TUPLE2": lambda machine, _: machine.tuple_of(2),
    "TUPLE3": lambda machine, _: machine.tuple_of(3),
    "APPEND": lambda machine, _: machine.append([machine._pop()]),
    "APPENDS": lambda machine, _: machine.append(machine._pop_to_mark()),
    "SETITEM": lambda machine, _: machine.set_items([machine._pop(), machine._pop()][::-1]),
    "SETITEMS": lambda machine, _: machine.set_items(machine._pop_to_mark()),
    "GLOBAL": _Machine.name, "REDUCE": _Machine.reduce, "BUILD": _Machine.build, "BINPERSID": _Machine.persistent,
}  # fmt: skip
KNOWN = {*CONSTANTS, *ARGUMENTS, *ACTIONS}


def _kind(value: Any) -> str:
    return value.name.replace(" ", ".") if isinstance(value, _Name) else f"a value of type {type(value).__name__}"


def _view(arguments: Any) -> _View:
    """The view that ``_rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, hooks)`` would make."""
    match arguments:
        case (_Storage() as storage, int(offset), tuple(shape), tuple(strides), *_):
            pass
        case _:
            raise _Refused("a tensor that is not made of storage, offset, shape and strides")
    if len(shape) > MOST_DIMENSIONS or len(shape) != len(strides):
        raise _Refused(f"a tensor of {len(shape)} dimensions with {len(strides)} strides")
    if not all(type(size) is int and 0 <= size < MOST_ELEMENTS for size in (offset, *shape, *strides)):
        raise _Refused(f"a tensor with a size, stride or offset that is not from 0 to {MOST_ELEMENTS - 1}")
    n_elements = math.prod(shape)
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    # More elements than the storage has would be an expanded view, which need not fit in memory.
    if n_elements > storage.n_elements or (n_elements and last >= storage.n_elements):
        reach = f"a tensor of shape {shape} with strides {strides} and offset {offset}"
        raise _Refused(f"{reach} in a storage of {storage.n_elements} elements")
    if not n_elements:
        strides = (0,) * len(shape)  # where there is nothing, they may point anywhere
    return _View(storage, offset, shape, strides)


def read_torch_checkpoint(path: Path) -> dict[str, NDArray[Any]]:
    """The state dict of ``path``: every tensor by name, C-contiguous, in the file's order.

    Raises:
        ModelError: the file is missing or damaged, is no checkpoint of torch's legacy format, or asks for anything
            but plain tensors. Nothing that it asks for is executed.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(str(path), f"expected a checkpoint, got a file that cannot be read: {error}") from error
    if data[:4] == b"PK\x03\x04":
        raise ModelError(
            str(path), "expected torch's legacy format, got its zip format; save it with legacy torch.save"
        )
    try:
        return _read(data)
    except _Refused as error:
        raise ModelError(str(path), f"expected a state dict of plain tensors, got {error}") from error
    except ValueError as error:  # pickletools on bytes that are no pickle: cut off, or no opcode
        raise ModelError(str(path), f"expected a checkpoint of torch's legacy format, got {error}") from error


def _read(data: bytes) -> dict[str, NDArray[Any]]:
    stream = io.BytesIO(data)
    for expected, what in ((MAGIC, "magic number"), (PROTOCOL, "protocol")):
        if (got := _Machine(stream).run()) != expected:
            raise _Refused(f"a {what} of {got!r}" if isinstance(got, int) else f"{_kind(got)} for a {what}")
    system = _Machine(stream).run()
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise _Refused("a file that is not little-endian")
    machine = _Machine(stream)
    state, keys = machine.run(), _Machine(stream).run()
    if not isinstance(state, dict):
        raise _Refused(f"{_kind(state)} in place of a state dict")
    other = next((value for value in state.values() if not isinstance(value, _View)), None)
    if other is not None:
        raise _Refused(f"{_kind(other)} in place of a tensor")
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise _Refused("something else in place of the list of storages")
    if sorted(keys) != sorted(machine.storages):
        raise _Refused("a list of storages that is not that of its tensors")
    storages = _storages(data, stream.tell(), [machine.storages[key] for key in keys])
    return {str(name): _tensor(view, storages[view.storage.key]) for name, view in state.items()}


def _storages(data: bytes, position: int, storages: list[_Storage]) -> dict[str, memoryview]:
    """The bytes of each storage, without a copy."""
    found: dict[str, memoryview] = {}
    for storage in storages:
        count = int.from_bytes(data[position : position + 8], "little", signed=True)
        first, n_bytes = position + 8, storage.n_elements * storage.dtype.itemsize
        position = first + n_bytes
        if count != storage.n_elements or storage.n_elements < 0 or position > len(data):
            raise _Refused(f"storage {storage.key!r} cut off, or with another number of elements than it says")
        found[storage.key] = memoryview(data)[first:position]
    if position != len(data):
        raise _Refused(f"{len(data) - position} bytes after the last storage")
    return found


def _tensor(view: _View, storage: memoryview) -> NDArray[Any]:
    size = view.storage.dtype.itemsize
    strides = tuple(stride * size for stride in view.strides)
    offset = view.offset * size if math.prod(view.shape) else 0
    array: NDArray[Any] = np.ndarray(view.shape, view.storage.dtype, storage, offset, strides)
    # np.ascontiguousarray would make a scalar one-dimensional.
    return array.copy(order="C")
