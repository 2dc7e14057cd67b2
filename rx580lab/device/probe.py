"""The probe: runs in a child process, so that a broken OpenCL runtime kills only the child.

``python -m rx580lab.device.probe list`` prints every platform and device as one JSON line.
``python -m rx580lab.device.probe test PLATFORM INDEX`` builds a kernel that no cache can hold, runs it, compares the
result and prints what it found as one JSON line. The parent (``find.py``) gives it an empty kernel cache: a warm cache
would hide a missing linker.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from itertools import pairwise
from typing import Any

import numpy as np
import pyopencl as cl

from rx580lab.device.describe import describe, pick

# Bits that the OpenCL compiler itself reports: what kernels are compiled for, not what the CPU could do.
ISA_BITS = ("__SSE4_2__", "__AVX__", "__AVX2__", "__FMA__", "__F16C__", "__AVX512F__", "__ARM_NEON", "__AMDGCN__")

_PROBE_SOURCE = """
__kernel void probe(__global const float *x, __global float *y, __global int *isa, __local float *shared)
{
    const int i = get_global_id(0), l = get_local_id(0), n = get_local_size(0);
    shared[l] = x[i] * %(scale)sf;
    barrier(CLK_LOCAL_MEM_FENCE);
    y[i] = shared[n - 1 - l] + exp(0.0f);
    if (i == 0) {
        int bits = 0;
%(bits)s
        isa[0] = bits;
    }
}
"""


def _source() -> tuple[str, float]:
    # A constant that depends on the clock makes the source new to every cache on the way.
    scale = 1.0 + (time.time_ns() % 8388608) / 8388608.0
    bits = "\n".join(f"#ifdef {name}\n        bits |= {1 << i};\n#endif" for i, name in enumerate(ISA_BITS))
    return _PROBE_SOURCE % {"scale": repr(scale), "bits": bits}, scale


def list_devices() -> list[dict[str, Any]]:
    """Every device of every platform; an empty platform is one entry with ``device`` None."""
    found: list[dict[str, Any]] = []
    for platform in cl.get_platforms():
        try:
            devices = platform.get_devices()
        except cl.Error:
            devices = []
        for index, device in enumerate(devices):
            found.append({"index": index, **describe(platform, device)})
        if not devices:
            found.append({"index": 0, "platform": platform.name.strip(), "device": None})
    return found


def check_device(platform_name: str, index: int) -> dict[str, Any]:
    """Builds, runs and compares one kernel. ``ok`` False comes with a reason; a crash is the parent's to see."""
    device = pick(platform_name, index)
    context: Any = cl.Context([device])
    profiling = bool(device.queue_properties & cl.command_queue_properties.PROFILING_ENABLE)
    properties = cl.command_queue_properties.PROFILING_ENABLE if profiling else cl.command_queue_properties(0)
    queue = cl.CommandQueue(context, properties=properties)
    source, scale = _source()
    program: Any = cl.Program(context, source)  # pyopencl's hints miss cache_dir=False and LocalMemory
    kernel: Any = cl.Kernel(program.build(cache_dir=False), "probe")
    n, group = 256, min(32, int(device.max_work_group_size))
    x = np.arange(n, dtype=np.float32)
    y, isa = np.zeros_like(x), np.zeros(1, dtype=np.int32)
    flags = cl.mem_flags
    buffers = [cl.Buffer(context, flags.READ_WRITE | flags.COPY_HOST_PTR, hostbuf=a) for a in (x, y, isa)]
    kernel.set_args(*buffers, cl.LocalMemory(4 * group))
    events = [cl.enqueue_nd_range_kernel(queue, kernel, (n,), (group,)) for _ in range(3)]
    cl.enqueue_copy(queue, y, buffers[1])
    cl.enqueue_copy(queue, isa, buffers[2])
    expected = (x * np.float32(scale)).reshape(-1, group)[:, ::-1].reshape(-1) + np.float32(1)
    if not np.allclose(y, expected, rtol=1e-6, atol=1e-5):
        wrong = int(np.argmax(~np.isclose(y, expected, rtol=1e-6, atol=1e-5)))
        return {"ok": False, "reason": f"computed {y[wrong]!r} where {expected[wrong]!r} is right (value {wrong})"}
    clock, why = _event_clock(events) if profiling else (False, "the driver offers no profiling queue")
    names = [name for i, name in enumerate(ISA_BITS) if int(isa[0]) >> i & 1]
    return {"ok": True, "isa_bits": names, "event_clock": clock, "event_clock_reason": why}


def _event_clock(events: list[Any]) -> tuple[bool, str]:
    spans = [(e.profile.start, e.profile.end) for e in events]
    if any(end <= start for start, end in spans):
        return False, f"event timestamps do not increase (start, end = {spans[-1]})"
    if any(later[0] <= earlier[0] for earlier, later in pairwise(spans)):
        return False, "event timestamps do not advance from kernel to kernel"
    return True, "event timestamps increase within and between kernels"


def main(argv: list[str]) -> int:
    """Prints one JSON line; a Python-level failure is a line with ``ok`` false, a crash is no line at all."""
    warnings.simplefilter("ignore")
    try:
        answer: Any = list_devices() if argv[0] == "list" else check_device(argv[1], int(argv[2]))
    except (cl.Error, LookupError, MemoryError) as error:
        answer = {"ok": False, "reason": f"{type(error).__name__}: {error}"[:2000]}
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
