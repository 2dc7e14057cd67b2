"""Arrays in device memory: C-contiguous, counted, from the device's pool."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyopencl as cl

from rx580lab.errors import DtypeError, InputError, LimitExceeded, ShapeError

if TYPE_CHECKING:
    from rx580lab.device.core import Device

__all__ = ["Array", "Slot"]


class Block:
    """One allocation, shared by the arrays that view it; gives its bytes back to the device's count when it dies."""

    __slots__ = ("__weakref__", "_release", "buffer", "nbytes")

    def __init__(self, buffer: Any, nbytes: int, release: Any) -> None:
        self.buffer = buffer
        self.nbytes = nbytes
        self._release = release

    def __del__(self) -> None:
        self._release(self.nbytes)


class Slot:
    """Memory that is chosen later: launches are bound to arrays over it first, and may run once it is filled.

    Attributes:
        nbytes: how much is needed. buffer: the memory object; None before ``fill``.
    """

    __slots__ = ("_parts", "_whole", "block", "buffer", "nbytes")

    def __init__(self, nbytes: int, whole: Slot | None = None) -> None:
        self.nbytes = nbytes
        self._whole = whole
        self.buffer: Any = None
        self.block: Block | None = None
        self._parts: list[tuple[int, Slot]] = []

    @property
    def whole(self) -> Slot:
        """What it is a part of, or itself."""
        return self if self._whole is None else self._whole

    def part(self, offset: int, nbytes: int) -> Slot:
        """A range of it, to be filled with it; both in bytes."""
        found = Slot(nbytes, self.whole)
        self._parts.append((offset, found))
        if self.buffer is not None:
            found._fill_from(self, offset)
        return found

    def fill(self, memory: Array) -> None:
        """Takes the memory of an array of ``nbytes`` bytes."""
        if memory.nbytes != self.nbytes:
            raise ShapeError("array", f"expected memory of {self.nbytes:,} bytes, got {memory.nbytes:,}")
        self.block, self.buffer = memory._block, memory.buffer
        for offset, part in self._parts:
            part._fill_from(self, offset)

    def _fill_from(self, whole: Slot, offset: int) -> None:
        self.block, self.buffer = whole.block, _region(whole.buffer, offset, self.nbytes)
        for more, part in self._parts:
            part._fill_from(self, more)


def _region(buffer: Any, offset: int, nbytes: int) -> Any:
    parent: Any = cl.Buffer.from_int_ptr(buffer.int_ptr, retain=True)
    try:
        return parent.get_sub_region(offset, nbytes)
    except cl.Error as error:
        raise LimitExceeded("array", f"the driver gave no range of {nbytes:,} bytes at {offset:,}: {error}") from error


class Array:
    """An n-dimensional, C-contiguous array in device memory; made by ``Device.upload``, ``empty`` or ``zeros``.

    Attributes:
        device: where it lives.
        shape: lengths of its axes; may hold zeros (then there is no memory behind it).
        dtype: numpy element type.
    """

    __slots__ = ("_block", "_buffer", "device", "dtype", "shape")

    def __init__(self, device: Device, shape: tuple[int, ...], dtype: np.dtype[Any], block: Block | None, buffer: Any):
        self.device = device
        self.shape = shape
        self.dtype = dtype
        self._block = block
        self._buffer = buffer

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the elements."""
        return self.size * self.dtype.itemsize

    @property
    def buffer(self) -> Any:
        """The memory object to pass as a kernel's argument; None for an empty array. For ``compile/``."""
        return self._buffer.buffer if isinstance(self._buffer, Slot) else self._buffer

    @property
    def block(self) -> Any:
        """The allocation that it lies in, which other arrays may share; None for an empty array."""
        return self._buffer.block if isinstance(self._buffer, Slot) else self._block

    @property
    def slot(self) -> Slot | None:
        """The memory that it lies in, if that was chosen after it was made, or still has to be."""
        return self._buffer.whole if isinstance(self._buffer, Slot) else None

    @property
    def waits(self) -> bool:
        """Whether its memory is still to be chosen, by ``Slot.fill``."""
        return isinstance(self._buffer, Slot) and self._buffer.buffer is None

    @property
    def int_ptr(self) -> int:
        """The ``cl_mem`` handle as an integer, for C libraries that share our queue; 0 for an empty array.

        While its memory is still to be chosen: a negative number, the same for all arrays over that memory.
        """
        if self.waits:
            return -id(self._buffer)
        return 0 if self.buffer is None else int(self.buffer.int_ptr)

    def download(self) -> npt.NDArray[Any]:
        """A numpy copy of it, after all work queued before."""
        host = np.empty(self.shape, self.dtype)
        if self.nbytes:
            self.device.copy_to_host(host, self._there())
        return host

    def _there(self) -> Any:
        if self.waits:
            raise InputError("array", f"expected memory behind {self!r}, which is still to be chosen")
        return self.buffer

    def write(self, host: npt.ArrayLike | Array) -> Array:
        """Copies ``host`` (same shape and dtype) into it, in queue order; returns itself.

        An Array of the same device is copied there, without waiting for it.
        """
        here = isinstance(host, Array) and host.device is self.device
        data: Any = host if here else np.ascontiguousarray(host)
        if data.shape != self.shape and not (data.size == self.size == 1):
            raise ShapeError("array", f"expected shape {self.shape}, got {data.shape}")
        if data.dtype != self.dtype:
            raise DtypeError("array", f"expected {self.dtype}, got {data.dtype}")
        if self.nbytes:
            if here:
                self.device.copy(self._there(), data._there(), self.nbytes)
            else:
                self.device.copy_to_device(self._there(), data)
        return self

    def reshape(self, *shape: int | Sequence[int]) -> Array:
        """The same memory under another shape of as many elements; one axis may be -1."""
        wanted = tuple(int(n) for n in (shape[0] if len(shape) == 1 and isinstance(shape[0], Sequence) else shape))  # type: ignore[arg-type]
        if wanted.count(-1) == 1:
            rest = -math.prod(wanted)
            if rest and self.size % rest == 0:
                wanted = tuple(self.size // rest if n == -1 else n for n in wanted)
        if any(n < 0 for n in wanted) or math.prod(wanted) != self.size:
            raise ShapeError("array", f"expected a shape of {self.size} elements for {self.shape}, got {wanted}")
        return Array(self.device, wanted, self.dtype, self._block, self._buffer)

    def view_from(self, offset: int, shape: int | Sequence[int]) -> Array:
        """A sub-range from element ``offset`` on, sharing memory. The offset must suit the device's alignment."""
        wanted = (int(shape),) if isinstance(shape, (int, np.integer)) else tuple(int(n) for n in shape)
        n, start = math.prod(wanted), int(offset)
        if start < 0 or n < 0 or start + n > self.size:
            raise ShapeError("array", f"expected a range within {self.size} elements, got {start} .. {start + n}")
        if n == 0:
            return Array(self.device, wanted, self.dtype, None, None)
        begin, align = start * self.dtype.itemsize, self.device.base_align_bytes
        if begin % align:
            raise ShapeError("array", f"expected an offset that is a multiple of {align} bytes, got {begin} bytes")
        size = n * self.dtype.itemsize
        waits = isinstance(self._buffer, Slot)
        part = self._buffer.part(begin, size) if waits else _region(self._buffer, begin, size)
        return Array(self.device, wanted, self.dtype, self._block, part)

    def viewed_as(self, dtype: npt.DTypeLike, shape: Sequence[int]) -> Array:
        """The same bytes as elements of another type, as many as they hold."""
        kind, wanted = np.dtype(dtype), tuple(int(n) for n in shape)
        if math.prod(wanted) * kind.itemsize != self.nbytes:
            raise ShapeError("array", f"expected a {kind} shape of {self.nbytes} bytes, got {wanted}")
        return Array(self.device, wanted, kind, self._block, self._buffer)

    def to_pyopencl(self) -> Any:
        """A ``pyopencl.array.Array`` over the same memory, without a copy."""
        import pyopencl.array as cl_array  # pulls in a code generator: only for those who ask

        if self.buffer is None:
            raise ShapeError("array", f"expected at least one element to share with pyopencl, got shape {self.shape}")
        return cl_array.Array(self.device.queue, self.shape, self.dtype, data=self.buffer)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        if copy is False:
            raise ValueError("an array in device memory cannot become a numpy array without a copy")
        host = self.download()
        return host if dtype is None else host.astype(dtype, copy=False)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of an array without axes")
        return self.shape[0]

    def __repr__(self) -> str:
        return f"Array(shape={self.shape}, dtype={self.dtype}, device={self.device.selector!r})"
