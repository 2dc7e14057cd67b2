"""Bodies that are made to cost: refused with the right status, for little time and memory of the server's process."""

from __future__ import annotations

import gzip
import io
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rx580lab.serve.asked import HEADER_LENGTH
from tests.serve.running import Running

MIB = 1 << 20
CPU_S = 0.1
# Of a process clock in Linux's numbering: the scheduler's own count of all its threads, in nanoseconds.
_SCHEDULED = 2


def cpu_s(pid: int) -> float:
    return time.clock_gettime((~pid << 3) | _SCHEDULED)


def memory_bytes(pid: int, what: str) -> int:
    """``VmRSS``: what it holds. ``VmHWM``: the most it held since ``forget_peak``."""
    [line] = [one for one in Path(f"/proc/{pid}/status").read_text().splitlines() if one.startswith(what)]
    return int(line.split()[1]) * 1024


def forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def with_length(head: dict[str, Any], raw: bytes) -> tuple[bytes, dict[str, str]]:
    text = json.dumps(head).encode()
    return text + raw, {HEADER_LENGTH: str(len(text))}


def tensor(**changed: Any) -> dict[str, Any]:
    return {"inputs": [{"name": "x", "shape": [1, 5], "datatype": "FP32", "data": [1.0] * 5, **changed}]}


def raw_tensor(shape: list[int], size: int) -> dict[str, Any]:
    return {"inputs": [{"name": "x", "shape": shape, "datatype": "FP32", "parameters": {"binary_data_size": size}}]}


def archive() -> bytes:
    """An .npz of 50 MB of zeros, 49 KB long."""
    made = io.BytesIO()
    np.savez_compressed(made, x=np.zeros(50_000_000, np.uint8))
    return made.getvalue()


def array_header() -> bytes:
    """An .npy that says it holds 10^12 numbers."""
    made = io.BytesIO()
    np.lib.format.write_array_header_1_0(made, {"descr": "<f4", "fortran_order": False, "shape": (10**12,)})
    return made.getvalue()


GZIP = {"Content-Encoding": "gzip"}
Hazard = tuple[bytes, Mapping[str, str], int]
HAZARDS: dict[str, Hazard] = {
    "gzip of 200 MB": (gzip.compress(bytes(200 * MIB)), GZIP, 413),
    "gzip of gzip": (gzip.compress(gzip.compress(bytes(200 * MIB))), GZIP, 400),
    "100,000 levels": (b"[" * 100_000 + b"]" * 100_000, {}, 400),
    "100,000 levels of data": (json.dumps(tensor()).encode().replace(b"[1.0", b"[" * 100_000), {}, 400),
    "a million empty lists": (b'{"inputs": [' + b"[]," * 10**6 + b"[]]}", {}, 413),
    "a million objects": (b'{"inputs": [' + b'{"a":1},' * 10**6 + b"{}]}", {}, 413),
    "NaN": (json.dumps(tensor(data=[float("nan")] * 5)).encode(), {}, 400),
    "1e999": (json.dumps(tensor()).encode().replace(b"1.0", b"1e999"), {}, 400),
    "2^64": (json.dumps(tensor(shape=[2**64, 5])).encode(), {}, 400),
    "a surrogate": (b'{"id": "\\udc00", "inputs": []}', {}, 400),
    "a name twice": (b'{"inputs": [], ' + json.dumps(tensor()).encode()[1:], {}, 400),
    "a name twice among colons": (b'{"id": "::::", "id": "", ' + json.dumps(tensor()).encode()[1:], {}, 400),
    "a million texts": (json.dumps(tensor(data=[":"] * 10**6), separators=(",", ":")).encode(), {}, 413),
    "a product that wraps": (json.dumps(tensor(shape=[2**32, 2**32], data=[])).encode(), {}, 413),
    "a product that wraps, in bytes": (*with_length(raw_tensor([2**32, 2**32], 0), b""), 413),
    "10^12 of nothing": (json.dumps(tensor(shape=[0, 10**12], data=[])).encode(), {}, 413),
    "a size of 2^62": (*with_length(raw_tensor([1, 5], 2**62), bytes(20)), 400),
    "elements that are not there": (*with_length(raw_tensor([1000, 5], 20_000), bytes(20)), 400),
    "a header length of 10^11": (b"{}", {HEADER_LENGTH: "1" * 12}, 400),
    "a header length of many digits": (b"{}", {HEADER_LENGTH: "1" * 4000}, 400),
    "a long JSON header": (b" " * (2 * MIB), {HEADER_LENGTH: str(2 * MIB)}, 413),
    "much JSON": (b'{"inputs": [' + b"0," * (9 * MIB) + b"0]}", {}, 413),
    "a long body": (bytes(33 * MIB), {}, 413),
    "an archive": (archive(), {}, 400),
    "an array of 10^12": (array_header(), {}, 400),
    "a long integer": (b'{"inputs": ' + b"9" * 10**6 + b"}", {}, 400),
    "many inputs": (b'{"inputs": [' + b"0," * 10**6 + b"0]}", {}, 413),
    "a long name": (json.dumps(tensor(name="x" * 10**6)).encode(), {}, 400),
}


@pytest.mark.parametrize("what", HAZARDS)
def test_a_hazard_costs_little(protocol_server: Running, what: str) -> None:
    body, headers, status = HAZARDS[what]
    pid = protocol_server.process.pid

    def send() -> tuple[int, Any]:
        got, answer, _ = protocol_server.send(
            "POST", "/v2/models/scores/infer", body, "user", {"Content-Type": "application/json", **headers}
        )
        return got, answer

    send()  # what is made once, and kept, is none of its cost
    forget_peak(pid)
    before, started = memory_bytes(pid, "VmRSS"), cpu_s(pid)
    got, answer = send()
    took_s = cpu_s(pid) - started
    grew = memory_bytes(pid, "VmHWM") - before
    assert got == status, answer
    assert len(json.dumps(answer)) < 1000
    assert took_s < CPU_S
    # The body as it came, in the server's buffer and as one piece; and half of what it may be decompressed to, since a
    # million zeros of JSON, which are two of these megabytes, take 25 as Python's objects.
    assert grew < 2 * len(body) + 32 * MIB
