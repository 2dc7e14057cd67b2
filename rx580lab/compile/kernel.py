"""A built kernel and its launches: sizes checked against the device's limits, arguments bound once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyopencl as cl

from rx580lab.device import Array, Device, Event
from rx580lab.errors import InputError, LaunchFailed, LimitExceeded, ShapeError

__all__ = ["Build", "Kernel", "Launch", "LocalBytes", "Parameter"]

_SPACES: dict[Literal["global", "constant", "local", "private"], int] = {
    "global": cl.kernel_arg_address_qualifier.GLOBAL,
    "constant": cl.kernel_arg_address_qualifier.CONSTANT,
    "local": cl.kernel_arg_address_qualifier.LOCAL,
    "private": cl.kernel_arg_address_qualifier.PRIVATE,
}


@dataclass(frozen=True)
class Build:
    """What a kernel was built from: entry point, source with its macros and includes, options; ``where`` names it."""

    where: str
    entry: str
    text: str
    options: tuple[str, ...]


@dataclass(frozen=True)
class LocalBytes:
    """A ``__local`` pointer argument of ``n`` bytes."""

    n: int


@dataclass(frozen=True)
class Parameter:
    """What a kernel declares of one of its arguments: ``space`` is global, constant, local or private."""

    name: str
    type_name: str
    space: Literal["global", "constant", "local", "private"]
    is_const: bool

    @property
    def is_pointer(self) -> bool:
        """Whether it takes an Array, or LocalBytes where its space is local."""
        return self.type_name.endswith("*")


class Kernel:
    """One entry point of a built program. Get it by ``load_kernel``; safe to share, as each launch has its own copy."""

    __slots__ = ("_lds_bytes", "_made", "_program", "build", "device", "name")

    def __init__(self, device: Device, program: Any, made: Any, build: Build) -> None:
        self.device = device
        self.name = f"{build.where}:{build.entry}"
        self.build = build
        self._program = program
        self._made = made
        info = cl.kernel_work_group_info.LOCAL_MEM_SIZE
        self._lds_bytes = int(made.get_work_group_info(info, device.cl_device))

    @property
    def parameters(self) -> tuple[Parameter, ...] | None:
        """What it declares; None where the driver kept nothing (``-cl-kernel-arg-info`` asks for it, at the build)."""
        asked = cl.kernel_arg_info
        spaces = {value: name for name, value in _SPACES.items()}
        try:
            return tuple(
                Parameter(
                    name=str(self._made.get_arg_info(place, asked.NAME)),
                    type_name=str(self._made.get_arg_info(place, asked.TYPE_NAME)),
                    space=spaces[self._made.get_arg_info(place, asked.ADDRESS_QUALIFIER)],
                    is_const=bool(
                        self._made.get_arg_info(place, asked.TYPE_QUALIFIER) & cl.kernel_arg_type_qualifier.CONST
                    ),
                )
                for place in range(self._made.num_args)
            )
        except cl.Error:
            return None

    def _repr_html_(self) -> str:
        from rx580lab.results.display import card, facts, quantity, table

        found = self.parameters
        rows = [(one.name, f"{one.space} {'const ' if one.is_const else ''}{one.type_name}") for one in found or ()]
        known = {"device": self.device.selector, "local memory": quantity(self._lds_bytes, "bytes")}
        return card(self.name, facts(known), *([table(("argument", "type"), rows)] if rows else []))

    def bind(self, global_size: Sequence[int], local_size: Sequence[int] | None, *args: Any) -> Launch:
        """A launch with its sizes and arguments fixed: cheap to enqueue many times.

        Args:
            global_size: work-items per dimension, each at least 1 and a multiple of the local size.
            local_size: work-items of a work-group per dimension; None lets the driver choose.
            *args: Array (not empty), numpy scalars of the kernel's own types, LocalBytes for ``__local`` pointers.
                Where the memory of an Array is still to be chosen, ``settle`` the launch once it is.
        """
        sizes = tuple(int(n) for n in global_size)
        group = None if local_size is None else tuple(int(n) for n in local_size)
        self._check_sizes(sizes, group)
        lds = self._lds_bytes + sum(arg.n for arg in args if isinstance(arg, LocalBytes))
        limit = self.device.limits.lds_bytes
        if limit is not None and lds > limit:
            raise LimitExceeded(self.name, f"expected at most {limit:,} bytes of local memory a group, got {lds:,}")
        made = cl.Kernel(self._program, self._made.function_name)
        launch = Launch(self, made, sizes, group, args)
        if not any(isinstance(arg, Array) and arg.waits for arg in args):
            launch.settle()
        return launch

    def launch(self, global_size: Sequence[int], local_size: Sequence[int] | None, *args: Any) -> Event:
        """Binds and enqueues once."""
        return self.bind(global_size, local_size, *args).enqueue()

    def argument(self, index: int, arg: Any) -> Any:
        """What pyopencl takes for ``arg``; for ``Launch``."""
        if isinstance(arg, Array):
            if arg.device is not self.device:
                raise InputError(
                    self.name, f"expected arrays of {self.device.selector}, got argument {index} of {arg.device}"
                )
            if arg.buffer is None:
                raise ShapeError(self.name, f"expected argument {index} to hold elements, got shape {arg.shape}")
            return arg.buffer
        if isinstance(arg, LocalBytes):
            return cl.LocalMemory(arg.n)
        if isinstance(arg, np.generic):
            return arg
        raise InputError(
            self.name, f"expected an Array, numpy scalar or LocalBytes as argument {index}, got {type(arg).__name__}"
        )

    def _check_sizes(self, sizes: tuple[int, ...], group: tuple[int, ...] | None) -> None:
        if not 1 <= len(sizes) <= 3 or min(sizes) < 1:
            raise ShapeError(self.name, f"expected 1 to 3 global sizes of at least 1, got {sizes}")
        if group is None:
            return
        if len(group) != len(sizes) or min(group) < 1 or any(n % g for n, g in zip(sizes, group, strict=True)):
            raise ShapeError(self.name, f"expected a local size that divides {sizes}, got {group}")
        limit = self.device.limits.work_group
        if limit is not None and math.prod(group) > limit:
            raise LimitExceeded(
                self.name, f"expected at most {limit} work-items a group, got {math.prod(group)} {group}"
            )


class Launch:
    """A kernel with sizes and arguments bound; ``enqueue`` costs a few microseconds."""

    __slots__ = ("_args", "_device", "_kernel", "_made", "build", "global_size", "local_size", "name")

    def __init__(
        self, kernel: Kernel, made: Any, sizes: tuple[int, ...], group: tuple[int, ...] | None, args: tuple[Any, ...]
    ) -> None:
        self._device = kernel.device
        self._kernel = kernel
        self._made = made
        self._args = args  # keeps their memory alive as long as the launch
        self.build = kernel.build
        self.name = kernel.name
        self.global_size = sizes
        self.local_size = group

    @property
    def dynamic_lds_bytes(self) -> int:
        """Local memory of a work-group that comes by arguments, beyond what the kernel itself declares."""
        return sum(arg.n for arg in self._args if isinstance(arg, LocalBytes))

    @property
    def arrays(self) -> list[Array]:
        """Those among its arguments."""
        return [arg for arg in self._args if isinstance(arg, Array)]

    def settle(self) -> None:
        """Passes the kernel its arguments, whose memory is chosen now. ``bind`` does, where it can."""
        try:
            self._made.set_args(*(self._kernel.argument(i, arg) for i, arg in enumerate(self._args)))
        except (cl.Error, TypeError) as error:
            raise InputError(self.name, f"its arguments do not fit: {error}") from error

    def enqueue(self) -> Event:
        """Queues it after everything queued before; returns at once."""
        try:
            return Event(cl.enqueue_nd_range_kernel(self._device.queue, self._made, self.global_size, self.local_size))
        except cl.Error as error:
            sizes = f"global {self.global_size}, local {self.local_size}"
            raise LaunchFailed(self.name, f"the driver refused the launch ({sizes}): {error}") from error

    def __repr__(self) -> str:
        return f"Launch({self.name}, global={self.global_size}, local={self.local_size})"
