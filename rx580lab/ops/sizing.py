"""Sizes that launchers have in common: rounding up, and work-groups that fit a device."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from rx580lab.device import Device
from rx580lab.errors import ShapeError

__all__ = [
    "MAX_ELEMENTS",
    "WAVEFRONT",
    "ceil_div",
    "checked_count",
    "fitted_group",
    "plain_sizes",
    "runs_avx512",
    "too_many_turns",
    "turn_limit",
    "wants_wavefronts",
]

# Kernels count elements in 32 bits: an index and its next step of at most 2^31 must not wrap round.
MAX_ELEMENTS = 2**31 - 1
# Work-items that issue together on GCN. A smaller group leaves lanes idle.
WAVEFRONT = 64
# Mesa's llvmpipe ends a work-item's loops, without a word, after so many turns of all of them together.
LLVMPIPE_TURNS = 65535


def ceil_div(n: int, step: int) -> int:
    """How many steps cover n."""
    return -(-n // step)


def checked_count(where: str, n: int) -> int:
    """``n``, or ShapeError when a kernel could not count so far."""
    if n > MAX_ELEMENTS:
        raise ShapeError(where, f"expected at most {MAX_ELEMENTS:,} elements, got {n:,}")
    return n


def fitted_group(device: Device, params: dict[str, int], asked: Mapping[str, int] | None) -> dict[str, int]:
    """``params`` with ``WG_X`` halved until the device takes it; one that was asked for is left as it is."""
    size = params["WG_X"]
    limit = device.limits.work_group or size
    if "WG_X" not in (asked or {}):
        while size > limit:
            size //= 2
    return {**params, "WG_X": size}


def plain_sizes(device: Device, n: int) -> tuple[tuple[int], tuple[int]]:
    """Global and local size of a kernel with one work-item per element; those past n have nothing to do.

    A fixed local size, since PoCL compiles a kernel anew for each one that it meets, and would choose one by n.
    """
    group = min(WAVEFRONT, device.limits.work_group or WAVEFRONT)
    return (ceil_div(n, group) * group,), (group,)


def turn_limit(device: Device) -> float:
    """The loop turns that a work-item may make before ``device`` silently computes wrong; inf nearly everywhere."""
    return LLVMPIPE_TURNS if "llvmpipe" in device.name.lower() else math.inf


@cache
def _host_features() -> frozenset[str]:
    """What Linux says that this machine's processor can do; empty elsewhere."""
    cpuinfo = Path("/proc/cpuinfo")
    flags = re.search(
        r"^flags\s*:(.*)$", cpuinfo.read_text(encoding="utf-8") if cpuinfo.is_file() else "", re.MULTILINE
    )
    return frozenset(flags.group(1).split()) if flags else frozenset()


def runs_avx512(device: Device) -> bool:
    """Whether a function of a kernel may be compiled for AVX-512: ``device`` is this processor, by PoCL, and has it.

    PoCL's own target leaves it out, but its compiler takes ``__attribute__((target("avx512f")))``.
    """
    return device.info.platform == "pocl" and device.device_class == "cpu" and "avx512f" in _host_features()


def too_many_turns(device: Device, turns: int) -> str | None:
    """None, or why a work-item of that many loop turns cannot run on ``device``."""
    limit = turn_limit(device)
    if turns > limit:
        return f"llvmpipe stops a work-item after {limit:,} loop turns, and this needs {turns:,}"
    return None


def wants_wavefronts(device: Device, _shape: Mapping[str, int]) -> str | None:
    """None, or why a template of whole wavefronts cannot run on ``device``."""
    limit = device.limits.work_group
    if limit is not None and limit < WAVEFRONT:
        return f"needs work-groups of {WAVEFRONT}, and {device.selector} takes at most {limit}"
    return None
