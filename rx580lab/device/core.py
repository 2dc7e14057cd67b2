"""Opening a device: its queue, pool, limits and fingerprint."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Hashable, Sequence
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt
import pyopencl as cl
from pyopencl.tools import ImmediateAllocator, MemoryPool

from rx580lab.device import linker
from rx580lab.device.array import Array, Block, Slot
from rx580lab.device.describe import pick
from rx580lab.device.find import DeviceInfo, find_device
from rx580lab.device.limits import Limits, parse_limits
from rx580lab.device.scratch import scratch_source
from rx580lab.errors import DtypeError, LaunchFailed, LimitExceeded, ShapeError

__all__ = ["Device", "open_device"]

DTYPES = frozenset("?bBhHiIlLqQefd")


def open_device(name: str | None = None, *, limits: Limits | str | None = None) -> Device:
    """Opens the best usable device, or the one that ``name`` describes.

    Args:
        name: words of a device's selector, platform, name or board ("pocl", "RX 580"); see ``rx580lab devices``.
            None takes ``RX580LAB_DEVICE``, else the best: a Polaris card, another GPU, PoCL, another CPU.
        limits: ``Limits(...)`` or a preset's name to hold the device to, such as "rx580". None takes
            ``RX580LAB_LIMITS``.

    Raises:
        DeviceNotFound: nothing here has that name. ProbeFailed: it is here but does not work; the message has the cure.
    """
    asked = parse_limits(limits if limits is not None else os.environ.get("RX580LAB_LIMITS"))
    info = find_device(name if name is not None else os.environ.get("RX580LAB_DEVICE") or None)
    if info.linker == "ziglang":
        linker.use_zig_linker()
    return Device(info, asked)


class Device:
    """One OpenCL device with an in-order queue and a memory pool. Made by ``open_device``.

    Attributes:
        selector: the name that opens it again, such as ``pocl/amd-epyc``.
        name: the driver's name of the device. platform: short name of the implementation (``pocl``, ``amd`` ...).
        device_class: ``"gpu"`` or ``"cpu"``: what kernels are shaped for.
        isa: instruction set family: ``gfx803``, ``x86-64-v3`` ... or ``unknown``.
        limits: the effective limits, all set: the driver's, tightened by emulated ones.
        emulated: the limits that were asked for; all None if none were.
        event_clock: whether event timestamps can be trusted, and ``event_clock_reason`` why (not).
    """

    def __init__(self, info: DeviceInfo, emulated: Limits) -> None:
        facts = info.facts
        self.info = info
        self.selector = info.selector
        self.name = str(info.name)
        self.platform = info.platform
        self.device_class = info.device_class
        self.isa = info.isa
        self.compute_units = int(facts["compute_units"])
        self.extensions = frozenset(str(e) for e in facts["extensions"])
        self.base_align_bytes = int(facts["base_align_bytes"])
        self.event_clock = bool(facts["event_clock"])
        self.event_clock_reason = str(facts["event_clock_reason"])
        self.emulated = emulated
        own = Limits(**{k: int(facts[k]) for k in ("memory_bytes", "allocation_bytes", "lds_bytes", "work_group")})
        self.limits = own.tightened(emulated)
        self.kernel_cache: dict[Any, Any] = {}
        self._constants: WeakValueDictionary[bytes, Block] = WeakValueDictionary()
        self._bytes_in_use = 0
        self._bytes_peak = 0
        self._cl_device = pick(facts["platform"], info.index)
        self.context = cl.Context([self._cl_device])
        flag = cl.command_queue_properties.PROFILING_ENABLE
        can_profile = bool(self._cl_device.queue_properties & flag)
        self.queue = cl.CommandQueue(self.context, properties=flag if can_profile else cl.command_queue_properties(0))
        allocator = ImmediateAllocator(self.queue)
        # A pool rounds sizes up; a simulator that looks for writes past the end must get the exact size.
        self._allocate = allocator if info.is_simulator else MemoryPool(allocator)

    @property
    def cl_device(self) -> Any:
        """The ``pyopencl.Device``, for ``compile/``."""
        return self._cl_device

    @property
    def queue_int_ptr(self) -> int:
        """The ``cl_command_queue`` handle as an integer, for C libraries that share our queue."""
        return int(self.queue.int_ptr)

    @property
    def bytes_in_use(self) -> int:
        """Bytes of all live arrays."""
        return self._bytes_in_use

    @property
    def bytes_peak(self) -> int:
        """The most bytes that were alive at once."""
        return self._bytes_peak

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Platform, driver, device, limits, extensions, PCI address, emulated limits; ``hash`` identifies them all.

        Memory sizes are left out of the hash: some drivers report what is free at the moment.
        """
        facts = {k: v for k, v in self.info.facts.items() if k != "index"}
        known: dict[str, Any] = {
            **facts,
            "selector": self.selector,
            "platform_short": self.platform,
            "device_class": self.device_class,
            "isa": self.isa,
            "linker": self.info.linker,
            "emulated_limits": self.emulated.as_dict(),
        }
        stable = {k: v for k, v in known.items() if k not in {"memory_bytes", "allocation_bytes"}}
        digest = hashlib.sha256(json.dumps(stable, sort_keys=True).encode()).hexdigest()
        return {**known, "limits": self.limits.as_dict(), "hash": digest[:16]}

    def empty(self, shape: int | Sequence[int], dtype: npt.DTypeLike = np.float32) -> Array:
        """An array with undefined contents. LimitExceeded if it cannot fit; nothing is lost then."""
        sizes = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
        wanted = tuple(int(n) for n in sizes)
        kind = np.dtype(dtype)
        if kind.char not in DTYPES:
            raise DtypeError("device", f"expected a bool, integer or float element type, got {kind}")
        if any(n < 0 for n in wanted):
            raise ShapeError("device", f"expected lengths of 0 or more, got {wanted}")
        nbytes = math.prod(wanted) * kind.itemsize
        if nbytes == 0:  # OpenCL has no empty buffer
            return Array(self, wanted, kind, None, None)
        block = self._block(nbytes)
        return Array(self, wanted, kind, block, block.buffer)

    def _block(self, nbytes: int) -> Block:
        largest, total = self.limits.allocation_bytes, self.limits.memory_bytes
        if largest is not None and nbytes > largest:
            raise LimitExceeded("device", f"expected an array of at most {largest:,} bytes, got {nbytes:,}")
        if total is not None and self._bytes_in_use + nbytes > total:
            raise LimitExceeded(
                "device",
                f"expected at most {total:,} bytes in all, got {self._bytes_in_use:,} in use and {nbytes:,} more",
            )
        try:
            buffer = self._allocate(nbytes)
        except (cl.Error, MemoryError) as error:
            raise LimitExceeded("device", f"the driver has no room for {nbytes:,} bytes: {error}") from error
        self._bytes_in_use += nbytes
        self._bytes_peak = max(self._bytes_peak, self._bytes_in_use)
        return Block(buffer, nbytes, self._count_release)

    def trim(self) -> None:
        """Gives memory that no array holds any more back to the driver; else it is kept for arrays to come."""
        if isinstance(self._allocate, MemoryPool):
            self._allocate.free_held()

    def _count_release(self, nbytes: int) -> None:
        self._bytes_in_use -= nbytes

    def upload(self, host: npt.ArrayLike) -> Array:
        """A copy of ``host`` in device memory, C-contiguous, same shape and dtype."""
        data = np.asarray(host)
        return self.empty(data.shape, data.dtype).write(data)

    def constant(self, host: npt.ArrayLike) -> Array:
        """As ``upload``, for what nobody writes to: arrays of the same bytes share memory while one of them lives."""
        data = np.asarray(host, order="C")
        if data.nbytes == 0:
            return self.empty(data.shape, data.dtype)
        key = hashlib.blake2b(data.reshape(-1).view(np.uint8).data, digest_size=32).digest()
        block = self._constants.get(key)
        if block is None:
            made = self.upload(data)
            self._constants[key] = made.block
            return made
        return Array(self, data.shape, data.dtype, block, block.buffer)

    def scratch(
        self, shape: int | Sequence[int], dtype: npt.DTypeLike = np.float32, *, keep: Hashable | None = None
    ) -> Array:
        """Memory for what the launches of one plan keep between them; they write it before they read it.

        ``keep`` names a use for which it has to be zeros at first and is never changed elsewhere than by plans of that
        use: the border around a copied image. Inside ``scratch_from``, plans that run one after another share memory.
        """
        source = scratch_source()
        if source is None:
            # Uploaded: Oclgrind takes what a fill wrote for uninitialized.
            return self.empty(shape, dtype) if keep is None else self.upload(np.zeros(shape, dtype))
        sizes = (shape,) if isinstance(shape, (int, np.integer)) else shape
        return source(tuple(int(n) for n in sizes), np.dtype(dtype), keep)

    def over(self, slot: Slot, shape: Sequence[int], dtype: npt.DTypeLike) -> Array:
        """An array over memory that is chosen later; see ``Slot``."""
        return Array(self, tuple(shape), np.dtype(dtype), None, slot)

    def zeros(self, shape: int | Sequence[int], dtype: npt.DTypeLike = np.float32) -> Array:
        """An array of zeros."""
        array = self.empty(shape, dtype)
        if array.nbytes:
            try:
                cl.enqueue_fill_buffer(self.queue, array.buffer, np.zeros(1, array.dtype), 0, array.nbytes)
            except cl.Error as error:
                raise LimitExceeded("device", f"could not zero {array.nbytes:,} bytes: {error}") from error
        return array

    def wrap(self, array: Any) -> Array:
        """A ``pyopencl.array.Array`` of this device's context as our Array, without a copy.

        It keeps the memory alive but does not count it: it was not allocated here.
        """
        if array.context != self.context:
            raise ShapeError(
                "device", "expected an array of this device's own context (Device.context), got a foreign one"
            )
        if not array.flags.c_contiguous:
            raise ShapeError("device", f"expected a C-contiguous array, got strides {array.strides}")
        kind, shape = np.dtype(array.dtype), tuple(int(n) for n in array.shape)
        if math.prod(shape) == 0:
            return Array(self, shape, kind, None, None)
        if array.offset % self.base_align_bytes:
            raise ShapeError("device", f"expected an offset of {self.base_align_bytes}-byte steps, got {array.offset}")
        buffer = array.base_data
        if array.offset:
            parent: Any = cl.Buffer.from_int_ptr(buffer.int_ptr, retain=True)
            buffer = parent.get_sub_region(array.offset, math.prod(shape) * kind.itemsize)
        return Array(self, shape, kind, None, buffer)

    def copy_to_host(self, host: npt.NDArray[Any], buffer: Any) -> None:
        """Copies a buffer into a C-contiguous numpy array and waits. For ``Array.download``."""
        try:
            cl.enqueue_copy(self.queue, host, buffer, is_blocking=True)
        except cl.Error as error:
            raise LimitExceeded("device", f"could not read {host.nbytes:,} bytes back: {error}") from error

    def copy_to_device(self, buffer: Any, host: npt.NDArray[Any]) -> None:
        """Copies a C-contiguous numpy array into a buffer and waits. For ``Array.write``."""
        try:
            cl.enqueue_copy(self.queue, buffer, host, is_blocking=True)
        except cl.Error as error:
            raise LimitExceeded("device", f"could not write {host.nbytes:,} bytes: {error}") from error

    def copy(self, target: Any, source: Any, nbytes: int) -> None:
        """Copies between buffers, in queue order; nothing waits. For ``Array.write``."""
        try:
            cl.enqueue_copy(self.queue, target, source, byte_count=nbytes)
        except cl.Error as error:
            raise LimitExceeded("device", f"could not copy {nbytes:,} bytes: {error}") from error

    def flush(self) -> None:
        """Hands queued work to the device without waiting for it."""
        self.queue.flush()

    def finish(self) -> None:
        """Waits until everything queued so far is done."""
        try:
            self.queue.finish()
        except cl.Error as error:
            raise LaunchFailed("device", f"{self.selector} lost what was queued: {error}") from error

    def __repr__(self) -> str:
        limits = "" if self.emulated == Limits() else f", limits={self.emulated}"
        return f"Device({self.selector!r}, {self.device_class}, {self.compute_units} compute units{limits})"

    def _repr_html_(self) -> str:
        from rx580lab.results.display import badge, card, facts, quantity

        limits = self.limits
        held = ", ".join(name for name, value in self.emulated.as_dict().items() if value is not None)
        return card(
            self.selector,
            facts(
                {
                    "device": f"{self.name} ({self.device_class}, {self.isa})",
                    "compute units": self.compute_units,
                    "memory": quantity(limits.memory_bytes, "bytes"),
                    "largest array": quantity(limits.allocation_bytes, "bytes"),
                    "local memory": f"{quantity(limits.lds_bytes, 'bytes')} a group of up to {limits.work_group}",
                    "emulated": held or "no limit",
                    "event clock": badge(self.event_clock_reason, "good" if self.event_clock else "warn"),
                    "in use": f"{quantity(self.bytes_in_use, 'bytes')}, at most {quantity(self.bytes_peak, 'bytes')}",
                }
            ),
        )
