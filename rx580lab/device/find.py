"""Finds devices by name and vouches for them: nothing is opened that has not passed its probe in a child process."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

from rx580lab.device import linker
from rx580lab.device.cache import cache_dir
from rx580lab.errors import DeviceNotFound, ProbeFailed
from rx580lab.results.files import atomic_write

__all__ = ["DeviceInfo", "find_device", "list_devices"]

PROBE_TIMEOUT_S = 120.0
# Raised when the probe learns to see more: results of an older one are not taken over.
PROBE_VERSION = 1

# Short names that people type; platforms that are not listed go by a slug of their own name.
PLATFORM_NAMES = {
    "Portable Computing Language": "pocl",
    "AMD Accelerated Parallel Processing": "amd",
    "NVIDIA CUDA": "nvidia",
    "Intel(R) OpenCL": "intel",
    "Intel(R) OpenCL Graphics": "intel-gpu",
}
# How the drivers name a Polaris 10/20/30 card: AMD-APP, ROCm, Mesa, and the boards' names.
_POLARIS = re.compile(r"gfx803\b|ellesmere|polaris\s*(10|20|30)|\brx\s*(470|480|570|580|590)\b", re.IGNORECASE)
# Simulators are asked for by name: kernels run 100 to 1600 times slower there.
_SIMULATORS = frozenset({"oclgrind"})
_PROBE_VARIABLES = re.compile(r"^(OCL_ICD_|OPENCL_|POCL_|RUSTICL_|LIBGL_|GALLIUM_|ROC_|GPU_|HSA_|CUDA_VISIBLE)")


_LISTED: dict[str, tuple[DeviceInfo, ...]] = {}


@dataclass(frozen=True)
class DeviceInfo:
    """One device as found: its names, whether it works here, and the reason where it does not.

    ``selector`` is the name to give to ``open_device``, ``--device`` or ``RX580LAB_DEVICE``.
    """

    selector: str
    platform: str
    name: str | None
    device_class: str
    isa: str
    usable: bool | None
    reason: str
    linker: str = "system"
    index: int = 0
    facts: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def is_polaris(self) -> bool:
        """Whether the driver's names say Polaris 10, 20 or 30 (gfx803)."""
        return self.device_class == "gpu" and self.isa == "gfx803"

    @property
    def is_simulator(self) -> bool:
        """Oclgrind and the like: never chosen unless named."""
        return self.platform in _SIMULATORS

    def as_dict(self) -> dict[str, Any]:
        """JSON-able: what ``rx580lab devices --json`` prints."""
        return {
            "selector": self.selector,
            "platform": self.platform,
            "name": self.name,
            "device_class": self.device_class,
            "isa": self.isa,
            "usable": self.usable,
            "reason": self.reason,
            "polaris": self.is_polaris,
            "linker": self.linker,
            **{k: v for k, v in self.facts.items() if k not in {"platform", "index"}},
        }

    def _repr_html_(self) -> str:
        return DeviceList([self])._repr_html_()


class DeviceList(list[DeviceInfo]):
    """Devices as found; a plain list that a notebook shows as a table."""

    def _repr_html_(self) -> str:
        from rx580lab.results.display import badge, card, quantity, table

        rows = []
        for info in self:
            state = (
                badge("usable", "good")
                if info.usable
                else badge(info.reason, "plain" if info.usable is None else "bad")
            )
            memory = quantity(info.facts.get("memory_bytes"), "bytes")
            rows.append((info.selector, info.name, info.device_class, info.isa, memory, state))
        return card(
            "OpenCL devices, best first", table(("selector", "device", "class", "family", "memory", "state"), rows)
        )


def list_devices(*, probe: bool = True) -> DeviceList:
    """All devices, best first: Polaris, other GPUs, PoCL, other CPUs, simulators, what does not work.

    With ``probe`` each one is tested in a child process (about 2 s the first time, then from a cache); without it
    ``usable`` is None.
    """
    found = _enumerate()
    if probe:
        found = [_probed(info) for info in found]
    return DeviceList(sorted(found, key=_preference))


def find_device(name: str | None) -> DeviceInfo:
    """The best usable device, or the best one that ``name`` describes.

    ``name`` is a selector or words of platform, device and board names, in any case: ``"pocl"``, ``"RX 580"``,
    ``"rusticl llvmpipe"``. Raises DeviceNotFound if nothing has that name, ProbeFailed if what has it does not work.
    """
    if name is not None and name.strip().isdigit():
        raise DeviceNotFound(
            "device", f"expected a name (platform order is not fixed), got index {name!r}; {_choices()}"
        )
    candidates = [info for info in sorted(_enumerate(), key=_preference) if _matches(info, name)]
    if not candidates:
        wanted = "any OpenCL device" if name is None else f"a device named {name!r}"
        raise DeviceNotFound("device", f"expected {wanted}, got none; {_choices()}")
    failures = []
    for info in candidates:
        probed = _probed(info)
        if probed.usable:
            return probed
        failures.append(f"{probed.selector}: {probed.reason}")
    raise ProbeFailed("device", "no usable device; " + "; ".join(failures))


def _choices() -> str:
    names = [info.selector for info in sorted(_enumerate(), key=_preference) if info.name is not None]
    return (
        f"here: {', '.join(names)}" if names else "no OpenCL device is here (pip install 'pyopencl[pocl]' brings one)"
    )


def _matches(info: DeviceInfo, name: str | None) -> bool:
    if name is None or not name.strip():
        return info.name is not None and not info.is_simulator
    wanted = name.strip().lower()
    if wanted == info.selector:
        return True
    words = re.split(r"[\s/]+", wanted)
    text = " ".join(str(part).lower() for part in (info.selector, info.facts.get("platform"), info.name,
                                                   info.facts.get("board"), info.isa) if part)  # fmt: skip
    squeezed = text.replace(" ", "")
    return all(word in text for word in words) or wanted.replace(" ", "") in squeezed


def _preference(info: DeviceInfo) -> tuple[int, str]:
    if info.usable is False or info.name is None:
        rank = 9
    elif info.is_simulator:
        rank = 5
    elif info.is_polaris:
        rank = 0
    elif info.device_class == "gpu":
        rank = 1
    else:
        rank = 2 if info.platform == "pocl" else 3
    return rank, info.selector


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _enumerate() -> list[DeviceInfo]:
    # Listing depends on the environment; the key makes a changed variable count, and the list is kept otherwise.
    key = _environment_key()
    if key not in _LISTED:
        _LISTED[key] = tuple(_with_distinct_selectors(_listed()))
    return list(_LISTED[key])


def _environment_key() -> str:
    steering = sorted((k, v) for k, v in os.environ.items() if _PROBE_VARIABLES.match(k))
    return json.dumps([steering, linker.linker_identity()])


def _listed() -> list[DeviceInfo]:
    done = _run_probe(["list"])
    if isinstance(done, str):
        raise ProbeFailed(
            "device",
            f"listing the OpenCL platforms {done}; one of the installed implementations is broken: name the one to use "
            "in OCL_ICD_VENDORS (the path of its .icd file)",
        )
    if isinstance(done, dict):
        if "PLATFORM_NOT_FOUND" in str(done.get("reason")):
            return []
        raise ProbeFailed("device", f"listing the OpenCL platforms failed: {done.get('reason')}")
    return [_info(facts) for facts in done]


def _info(facts: dict[str, Any]) -> DeviceInfo:
    short = PLATFORM_NAMES.get(facts["platform"], _slug(facts["platform"]))
    device = facts["device"]
    if device is None:
        return DeviceInfo(short, short, None, "none", "none", False, "the platform has no device", facts=facts)
    names = f"{device} {facts.get('board') or ''}"
    gpu = bool(facts["is_gpu"])
    slug = _slug(re.sub(r"^(pthread|basic|cpu)-", "", device).split("(")[0])
    return DeviceInfo(
        selector=f"{short}/{slug}",
        platform=short,
        name=device,
        device_class="gpu" if gpu else "cpu",
        isa="gfx803" if gpu and _POLARIS.search(names) else "unknown",
        usable=None,
        reason="not probed",
        index=int(facts["index"]),
        facts=facts,
    )


def _with_distinct_selectors(infos: list[DeviceInfo]) -> list[DeviceInfo]:
    # Rigs hold several equal cards: the PCI address tells them apart, or a running number where there is none.
    seen: dict[str, int] = {}
    distinct = []
    for info in infos:
        seen[info.selector] = n = seen.get(info.selector, 0) + 1
        suffix = "" if n == 1 else f"#{n}"
        distinct.append(DeviceInfo(**{**_fields(info), "selector": info.selector + suffix}))
    return distinct


def _fields(info: DeviceInfo) -> dict[str, Any]:
    return {name: getattr(info, name) for name in DeviceInfo.__dataclass_fields__}


def _probed(info: DeviceInfo) -> DeviceInfo:
    if info.name is None or info.usable is not None:
        return info
    store = cache_dir("probes") / f"{_probe_key(info)}.json"
    kept = _read_probe(store)
    if kept is None:
        kept = _probe(info)
        if kept["ok"]:  # a failure is never kept: the cure must work at once
            atomic_write(store, json.dumps(kept), lasting=False)
    if not kept["ok"]:
        return DeviceInfo(**{**_fields(info), "usable": False, "reason": str(kept["reason"])})
    isa = info.isa if info.isa != "unknown" else _instruction_set(kept["isa_bits"])
    clock = {key: kept[key] for key in ("event_clock", "event_clock_reason", "isa_bits")}
    found = {"usable": True, "reason": "probe passed", "isa": isa, "linker": kept.get("linker", "system")}
    return DeviceInfo(**{**_fields(info), **found, "facts": {**info.facts, **clock}})


def _read_probe(store: Any) -> dict[str, Any] | None:
    try:
        kept = json.loads(store.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return kept if isinstance(kept, dict) and {"ok", "isa_bits", "event_clock_reason"} <= kept.keys() else None


def _probe_key(info: DeviceInfo) -> str:
    versions = [PROBE_VERSION, metadata.version("pyopencl"), platform.release(), sys.prefix, _environment_key()]
    identity = [info.selector, info.index, {k: v for k, v in info.facts.items() if not k.endswith("_bytes")}]
    return hashlib.sha256(json.dumps([identity, versions], sort_keys=True).encode()).hexdigest()[:32]


def _probe(info: DeviceInfo) -> dict[str, Any]:
    arguments = ["test", str(info.facts["platform"]), str(info.index)]
    answer = _run_probe(arguments)
    if isinstance(answer, dict) and answer.get("ok"):
        return answer
    if info.platform == "pocl" and linker.zig_available():
        second = _run_probe(arguments, {"PATH": linker.zig_path()})
        if isinstance(second, dict) and second.get("ok"):
            return {**second, "linker": "ziglang"}
    reason = answer if isinstance(answer, str) else str(answer.get("reason") if isinstance(answer, dict) else answer)
    if info.platform == "pocl" and ("linking" in reason or '"ld"' in reason):
        reason = f"{linker.CURE}. (The probe {reason})"
    return {"ok": False, "reason": reason}


def _run_probe(arguments: list[str], variables: Mapping[str, str] | None = None) -> Any:
    """The probe's JSON answer; a string (a predicate such as "was ended by SIGABRT ...") if the child gave none."""
    with tempfile.TemporaryDirectory(prefix="rx580lab-probe-") as empty:
        env = {**os.environ, "POCL_CACHE_DIR": empty, "MESA_SHADER_CACHE_DIR": empty, "PYOPENCL_NO_CACHE": "1"}
        env |= variables or {}
        command = [sys.executable, "-P", "-m", "rx580lab.device.probe", *arguments]
        try:
            done = subprocess.run(command, env=env, capture_output=True, timeout=PROBE_TIMEOUT_S, check=False,
                                  stdin=subprocess.DEVNULL, text=True, errors="replace")  # fmt: skip
        except subprocess.TimeoutExpired:
            return f"did not answer within {PROBE_TIMEOUT_S:.0f} s"
    lines = [line for line in done.stdout.splitlines() if line.startswith(("{", "["))]
    if done.returncode == 0 and lines:
        return json.loads(lines[-1])
    tail = " | ".join(line.strip() for line in done.stderr.splitlines()[-6:] if line.strip())
    if done.returncode < 0:
        return f"was ended by {signal.Signals(-done.returncode).name}: {tail or 'no message'}"
    return f"ended with exit status {done.returncode}: {tail or 'no message'}"


def _instruction_set(bits: list[str]) -> str:
    """The x86-64 psABI level that the OpenCL compiler targets, or another family's name."""
    have = set(bits)
    if "__AMDGCN__" in have:
        return "amdgcn"
    if "__ARM_NEON" in have:
        return "arm-neon"
    if "__AVX512F__" in have:
        return "x86-64-v4"
    if {"__AVX2__", "__FMA__", "__F16C__"} <= have:
        return "x86-64-v3"
    return "x86-64-v2" if "__SSE4_2__" in have else "unknown"
