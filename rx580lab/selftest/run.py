"""Every op and template against its oracle, on the owner's driver; then the same again and again, bit for bit."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from rx580lab.device import Device
from rx580lab.errors import LabError, LimitExceeded
from rx580lab.ops import NAMES, OpSpec, Template, spec
from rx580lab.reference import Outcome
from rx580lab.selftest.case import AnyArray, Prepared, Tier, prepare, suite
from rx580lab.selftest.check import Standing, does_not_fit, stand_up
from rx580lab.selftest.report import OpLine, SelftestReport, Soak

__all__ = ["run_selftest"]

Progress = Callable[[str], None]
# What the soak may hold in device memory at once, as a share of it.
_SOAK_SHARE = 0.25


def run_selftest(
    device: Device,
    *,
    ops: Sequence[str] | None = None,
    soak_s: float = 0.0,
    tiers: tuple[Tier, ...] | None = None,
    progress: Progress | None = None,
) -> SelftestReport:
    """Runs every template of every op (or of ``ops``) on its suite's cases (or on those of ``tiers``).

    An op fails when a template is wrong, or when none of its templates can run here. ``soak_s`` seconds of repeats
    follow, over whatever passed. ``progress`` gets one line of text per template and about one per second of soak.
    Raises InputError for an unknown op.
    """
    started = time.monotonic()
    say = progress or (lambda _line: None)
    names = [spec(name).name for name in ops] if ops else list(NAMES)
    lines: list[OpLine] = []
    faults: list[str] = []
    passed: list[tuple[Prepared, str]] = []
    for name in names:
        found, good = _op_lines(device, spec(name), tiers, say)
        lines += found
        passed += good
        if not any(line.n_cases for line in found):
            faults.append(f"{name}: no template ran on {device.selector}")
    soak = _soak(device, passed, soak_s, say) if soak_s > 0 else None
    ok = all(line.ok for line in lines) and not faults and (soak is None or soak.ok)
    seconds = time.monotonic() - started
    return SelftestReport(ok, lines, device.selector, device.fingerprint, seconds, soak, faults)


def _op_lines(
    device: Device, op: OpSpec, tiers: tuple[Tier, ...] | None, say: Progress
) -> tuple[list[OpLine], list[tuple[Prepared, str]]]:
    prepared = [prepare(op.name, case) for case in suite(op.name).cases if tiers is None or case.tier in tiers]
    lines, passed = [], []
    for template in op.templates:
        line, good = _line(device, op, template, prepared)
        lines.append(line)
        passed += [(case, template.name) for case in good]
        verdict = "FAIL" if not line.ok else "pass" if line.n_cases else "not run"
        say(
            f"{op.name} {template.name}: {verdict}" + (f": {line.reason}" if line.reason else f", {line.n_cases} cases")
        )
    return lines, passed


def _line(device: Device, op: OpSpec, template: Template, cases: list[Prepared]) -> tuple[OpLine, list[Prepared]]:
    """One template on all cases. It stops at the first wrong one: the rest would only repeat it."""
    started = time.monotonic()
    good: list[Prepared] = []
    left_out: list[str] = []
    shares: list[float] = []
    reason = None
    n_cases = 0
    for prepared in cases:
        refusal = template.applies(device, prepared.shape) or does_not_fit(device, prepared)
        if refusal is not None:
            left_out.append(f"{prepared.case.name}: {refusal}")
            continue
        try:
            outcome = _judged(device, template.name, prepared)
        except LimitExceeded as error:
            left_out.append(f"{prepared.case.name}: {error}")
            continue
        n_cases += 1
        if outcome.worst_share is not None:
            shares.append(outcome.worst_share)
        if not outcome.ok:
            reason = f"{prepared.case.name}: {outcome.reason}"
            break
        good.append(prepared)
    if reason is None and not any(prepared.expected.size for prepared in good):
        # Empty inputs launch nothing, so they prove nothing by themselves.
        n_cases, reason = 0, left_out[0] if left_out else "it has no case with elements in these tiers"
    return OpLine(
        op=op.name,
        template=template.name,
        n_cases=n_cases,
        ok=n_cases == 0 or n_cases == len(good),
        reason=reason,
        worst_share=max(shares, default=None) if n_cases else None,
        left_out=tuple(left_out),
        seconds=time.monotonic() - started,
    ), good if n_cases else []


def _judged(device: Device, template: str, prepared: Prepared) -> Outcome:
    """The outcome, also where the op could not be built or launched. LimitExceeded when the device is too small."""
    try:
        return stand_up(device, template, prepared).judge()
    except LimitExceeded:
        raise
    except LabError as error:
        return Outcome(False, str(error), None, None, None, int(prepared.expected.size))


def _soak(device: Device, passed: list[tuple[Prepared, str]], seconds: float, say: Progress) -> Soak:
    standing = _what_fits(device, passed)
    started = time.monotonic()
    spoken = started
    n_repeats = 0
    first = [each.run() for each in standing]
    while standing:
        for each, expected in zip(standing, first, strict=True):
            difference = _difference(each, each.run(), expected)
            n_repeats += 1
            elapsed = time.monotonic() - started
            if difference is not None:
                return Soak(elapsed, n_repeats, len(standing), False, f"repeat {n_repeats}: {difference}")
            if elapsed - (spoken - started) >= 1.0:
                spoken = started + elapsed
                say(f"soak: {n_repeats} repeats identical, {elapsed:.0f} of {seconds:.0f} s")
        if time.monotonic() - started >= seconds:
            break
    return Soak(time.monotonic() - started, n_repeats, len(standing), bool(standing), None)


def _what_fits(device: Device, passed: list[tuple[Prepared, str]]) -> list[Standing]:
    """The largest cases first, as long as they fit: they exercise the most memory and the most compute units."""
    budget = (device.limits.memory_bytes or 2**30) * _SOAK_SHARE
    standing: list[Standing] = []
    for prepared, template in sorted(passed, key=lambda pair: -pair[0].nbytes):
        if prepared.nbytes <= budget and prepared.expected.size and does_not_fit(device, prepared) is None:
            budget -= prepared.nbytes
            standing.append(stand_up(device, template, prepared))
    return standing


def _difference(standing: Standing, got: AnyArray, expected: AnyArray) -> str | None:
    bits, wanted = (np.ascontiguousarray(a).reshape(-1).view(np.uint8).reshape(a.size, -1) for a in (got, expected))
    changed = np.flatnonzero((bits != wanted).any(axis=1))
    if changed.size == 0:
        return None
    at = int(changed[0])
    return (
        f"{standing.plan.op} {standing.plan.template} on {standing.prepared.case.name}: {changed.size} of {got.size} "
        f"values differ from the first run, at {at} first {expected.reshape(-1)[at]!r}, now {got.reshape(-1)[at]!r}"
    )
