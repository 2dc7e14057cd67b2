"""Every op and template under Oclgrind: out-of-bounds accesses, API errors, races, divergence, uninitialized reads.

``python -m rx580lab.selftest.sanitize`` runs the suites' small cases once per check, each check in a process of its
own, since Oclgrind reads its settings when a context is made and its checks hide each other's findings. Oclgrind never
raises and exits with 0, so its log is what counts; and since an empty log is also what no launch at all leaves, every
template's results must be right and its launches are counted.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rx580lab.device import Device, open_device
from rx580lab.errors import DeviceNotFound, InputError, LabError
from rx580lab.ops import NAMES, Template, spec
from rx580lab.selftest.case import Prepared, cases, prepare
from rx580lab.selftest.check import Standing, stand_up

__all__ = ["CHECKS", "CheckResult", "Finding", "judge", "parse_log", "sanitize"]

# Check -> the variables that switch it on. The card's shape holds for all: 64 KiB of local memory, groups of 256.
CHECKS: Mapping[str, Mapping[str, str]] = {
    "bounds": {"OCLGRIND_CHECK_API": "1"},
    "races": {"OCLGRIND_DATA_RACES": "1"},
    "uninitialized": {"OCLGRIND_UNINITIALIZED": "1"},
}
_SHAPE = {"OCLGRIND_LOCAL_MEM_SIZE": "65536", "OCLGRIND_MAX_WGSIZE": "256", "OCLGRIND_MAX_ERRORS": "100000"}
_TIMEOUT_S = 240

_API_ERROR = re.compile(r"Function: (\S+)\s+Error:\s+(\S+)\s*\n\s*(.*)")
# pyopencl asks for what Oclgrind does not have, and looks for a kernel of the name of each attribute it is asked for.
_PYOPENCL_ASKS = (("clGetDeviceInfo", "CL_INVALID_VALUE"), ("clCreateKernel", "CL_INVALID_KERNEL_NAME"))


@dataclass(frozen=True)
class Finding:
    """One message of Oclgrind. ``where`` is the kernel's name, or the API function's; ``count`` how often it came."""

    kind: str
    where: str
    text: str
    count: int = 1


@dataclass(frozen=True)
class CheckResult:
    """One check over all templates. ``ran`` maps "op template" to its launches; ``reason`` is None when all is well."""

    check: str
    ok: bool
    reason: str | None
    ran: dict[str, int]
    n_cases: int
    findings: list[Finding] = field(default_factory=list)


def sanitize(ops: Sequence[str] | None = None, checks: Sequence[str] | None = None) -> list[CheckResult]:
    """Runs the checks (all by default) over the ops (all by default), each check in a child process.

    Raises DeviceNotFound where Oclgrind is not installed, InputError for an unknown op or check.
    """
    names = [spec(name).name for name in ops] if ops else list(NAMES)
    wanted = list(checks) if checks else list(CHECKS)
    unknown = sorted(set(wanted) - set(CHECKS))
    if unknown:
        raise InputError("sanitize", f"expected checks among {', '.join(CHECKS)}, got {', '.join(unknown)}")
    return [_check(check, names) for check in wanted]


def _check(check: str, ops: list[str]) -> CheckResult:
    with tempfile.TemporaryDirectory(prefix="rx580lab-sanitize-") as folder:
        log = Path(folder) / "oclgrind.log"
        environment = {k: v for k, v in os.environ.items() if not k.startswith("OCLGRIND_")}
        environment |= {**_SHAPE, **CHECKS[check], "OCLGRIND_LOG": str(log)}
        command = [sys.executable, "-m", "rx580lab.selftest.sanitize", "--inside", "--op", *ops]
        try:
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired:
            return CheckResult(check, False, f"took more than {_TIMEOUT_S} s", {}, 0)
        findings = parse_log(log.read_text(encoding="utf-8", errors="replace")) if log.is_file() else []
    if done.returncode != 0:
        return CheckResult(check, False, _died(done), {}, 0, findings)
    said = json.loads(done.stdout.splitlines()[-1])
    return judge(check, ops, said, findings)


def _died(done: subprocess.CompletedProcess[str]) -> str:
    last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
    if "[device] " in last and "oclgrind" in last.lower():
        raise DeviceNotFound("sanitize", f"needs Oclgrind: pip install 'rx580lab[dev]' ({last})")
    return f"the run under Oclgrind ended with {done.returncode}: {last}"


def judge(check: str, ops: list[str], said: Mapping[str, Any], findings: list[Finding]) -> CheckResult:
    """The verdict on what a child said and Oclgrind logged: findings, then wrong results, then missing launches."""
    ran: dict[str, int] = said["ran"]
    idle = [f"{op} {t.name}" for op in ops for t in spec(op).templates if not ran.get(f"{op} {t.name}")]
    reason = None
    if findings:
        first = findings[0]
        reason = f"{sum(f.count for f in findings)} findings, the first: {first.kind} in {first.where}: {first.text}"
    elif said["wrong"]:
        reason = said["wrong"][0]
    elif idle:
        why = said["refused"].get(idle[0], "no case was launched")
        reason = f"no proof of a launch for {', '.join(idle)}: {why}"
    return CheckResult(check, reason is None, reason, ran, said["n_cases"], findings)


def parse_log(text: str) -> list[Finding]:
    """Oclgrind's messages, equal ones counted; without those that pyopencl's own questions cause."""
    counted: dict[tuple[str, str, str], int] = {}
    for block in re.split(r"\n(?=\S)", text):
        found = _finding(block.strip())
        if found is not None:
            counted[found] = counted.get(found, 0) + 1
    return [Finding(*found, count=n) for found, n in counted.items()]


def _finding(block: str) -> tuple[str, str, str] | None:
    if not block or "\n" not in block:
        return None
    api = _API_ERROR.search(block)
    if api:
        function, error, detail = api.groups()
        if (function, error) in _PYOPENCL_ASKS and ("param_name" in detail or "'_" in detail):
            return None
        return "API error", function, f"{error}: {detail}"
    kernel = re.search(r"Kernel:\s+(\S+)", block)
    if kernel is None:
        return None
    place = re.search(r"At line (\d+) .*?of (\S+?):?\s", block)
    kind = re.sub(r"\s+(at|to|from|of size).*", "", block.splitlines()[0].strip())
    return kind, kernel.group(1), f"at {place.group(2)}:{place.group(1)}" if place else block.splitlines()[0].strip()


def _inside(ops: Sequence[str]) -> dict[str, Any]:
    """What the child does: all templates on their small cases, in buffers that end exactly where the data ends."""
    device = open_device("oclgrind")
    said: dict[str, Any] = {"ran": {}, "refused": {}, "wrong": [], "n_cases": 0}
    # Kept to the end: Oclgrind confuses the uninitialized state of a freed buffer with that of its successor.
    kept: list[Standing] = []
    for op in ops:
        prepared = [prepare(op, case) for case in cases(op, ("small",))]
        for template in spec(op).templates:
            _try_template(device, template, prepared, kept, said)
    return said


def _try_template(
    device: Device, template: Template, prepared: list[Prepared], kept: list[Standing], said: dict[str, Any]
) -> None:
    """One template on all cases, up to the first that Oclgrind has something to say about: one names the fault."""
    log = Path(os.environ["OCLGRIND_LOG"])
    for each in prepared:
        label = f"{each.op} {template.name}"
        refusal = template.applies(device, each.shape)
        if refusal is not None:
            said["refused"][label] = refusal
            continue
        said["n_cases"] += 1
        try:
            standing = stand_up(device, template.name, each, guard=False)
            kept.append(standing)
            said_before = log.stat().st_size if log.is_file() else 0
            outcome = standing.judge()
        except LabError as error:
            said["wrong"].append(f"{label} on {each.case.name}: {error}")
            continue
        said["ran"][label] = said["ran"].get(label, 0) + len(standing.plan.launches)
        if not outcome.ok:
            said["wrong"].append(f"{label} on {each.case.name}: {outcome.reason}")
        if log.is_file() and log.stat().st_size > said_before:
            break


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints one line per check, or JSON; exit status 1 when a check failed."""
    parser = argparse.ArgumentParser(prog="python -m rx580lab.selftest.sanitize", description=__doc__)
    parser.add_argument("--op", nargs="+", metavar="OP", help="only these ops")
    parser.add_argument("--check", nargs="+", metavar="CHECK", help=f"only these: {', '.join(CHECKS)}")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.inside:
        sys.stdout.write(json.dumps(_inside(options.op)) + "\n")
        return 0
    try:
        results = sanitize(options.op, options.check)
    except LabError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if options.json:
        sys.stdout.write(json.dumps([asdict(result) for result in results], indent=2) + "\n")
    else:
        for result in results:
            launches = f"{sum(result.ran.values())} launches, {result.n_cases} cases"
            sys.stdout.write(f"{result.check}: {'pass' if result.ok else f'FAIL: {result.reason}'} ({launches})\n")
    return 0 if all(result.ok for result in results) else 1


if __name__ == "__main__":
    raise SystemExit(main())
