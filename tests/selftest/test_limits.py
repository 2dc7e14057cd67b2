"""A configuration beyond what is known to work is refused with a reason, before anything is built."""

from __future__ import annotations

import pytest

from rx580lab import ops
from rx580lab.device import Device, Limits, open_device
from rx580lab.errors import InputError, LimitExceeded
from rx580lab.ops import Template
from rx580lab.ops.plan import WRITTEN_OUT
from rx580lab.selftest import run_selftest

TEMPLATES = [
    pytest.param(one, id=f"{name}-{one.name}") for name in ops.NAMES for one in ops.spec(name).templates if one.default
]


@pytest.mark.parametrize("template", TEMPLATES)
def test_no_macro_may_leave_its_range(template: Template) -> None:
    for name, default in template.default.items():
        known = {*template.space.get(name, ()), default}
        beyond = {-1, max(known) + 1, max(known) * 4096, *(() if 0 in known else (0,))}
        for value in beyond | ({3} - known if name in WRITTEN_OUT else set()):
            with pytest.raises(InputError, match=rf"\[{template.source}\] expected .*, got "):
                template.checked({name: value})


@pytest.mark.parametrize("template", TEMPLATES)
def test_the_default_and_each_value_worth_trying_are_legal_somewhere(template: Template) -> None:
    assert template.checked(None) == dict(template.default)
    for name, values in template.space.items():
        assert template.default[name] in values, name


@pytest.mark.parametrize("op", ops.NAMES)
def test_the_limits_of_the_card_hold_for_every_template(op: str) -> None:
    report = run_selftest(open_device("pocl", limits="rx580"), ops=[op], tiers=("small",))
    assert report.ok, [line.reason for line in report.lines if not line.ok]
    assert all(line.n_cases for line in report.lines), [line.reason for line in report.lines if not line.n_cases]


def test_groups_and_arrays_beyond_a_device_are_refused(pocl: Device) -> None:
    small = open_device("pocl", limits=Limits(lds_bytes=1024, work_group=64, allocation_bytes=1 << 20))
    x = pocl.zeros((64, 64)).download()
    with pytest.raises(LimitExceeded, match="expected at most 1,024 bytes of local memory a group, got"):
        ops.gemm(small, x, x, template="gpu")
    with pytest.raises(LimitExceeded, match="expected at most 64 work-items a group"):
        ops.softmax(small, x, template="gpu", params={"WG_X": 256})
    with pytest.raises(LimitExceeded, match="expected an array of at most 1,048,576 bytes"):
        small.empty((1 << 20,))
