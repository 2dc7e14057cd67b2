"""The peak of demo models beside a lower bound, and what happens under tight limits."""

from __future__ import annotations

import re

import numpy as np
import pytest

import rx580lab as rx
from rx580lab.errors import LimitExceeded
from rx580lab.graph import fit
from tests.graph.oracle import onnxruntime_outputs
from tests.graph.test_memory import bound_of
from tests.models.sessions import exported

MIB = 1 << 20
LINE = (1, 3, 48, 320)
RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("ppocrv4-det", (1, 3, 640, 640)),
        ("ppocrv4-rec", LINE),
        ("ppocrv2-cls", (1, 3, 48, 192)),
        ("efficientnet-lite0", (1, 3, 224, 224)),
    ],
)
def test_the_peak_is_within_1_3_of_weights_and_what_lives_at_once(name: str, shape: tuple[int, ...]) -> None:
    device = rx.open_device("pocl")
    model = rx.load(exported(name), device)
    plan = model.plan({next(iter(model.inputs)): shape})
    plan.enqueue()
    device.finish()
    bound = bound_of(plan.graph)
    assert device.bytes_peak >= plan.held_bytes + plan.arena_bytes
    assert device.bytes_peak <= 1.3 * bound, (device.bytes_peak, bound, device.bytes_peak / bound)


def test_256_mib_read_a_line_of_text_in_whatever_lengths_come() -> None:
    path = exported("ppocrv4-rec")
    device = rx.open_device("pocl", limits=rx.Limits(memory_bytes=256 * MIB, allocation_bytes=64 * MIB))
    model = rx.load(path, device)
    name = next(iter(model.inputs))
    for shape in (LINE, (2, 3, 48, 160), LINE):
        x = RNG.standard_normal(shape, dtype=np.float32)
        (got,) = model.run({name: x}).values()
        (expected,) = onnxruntime_outputs(path, {name: x}).values()
        np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-5)
    assert device.bytes_peak <= 256 * MIB


def test_8_mib_refuse_it_with_figures_before_anything_starts() -> None:
    path = exported("ppocrv4-rec")
    device = rx.open_device("pocl", limits=rx.Limits(memory_bytes=8 * MIB))
    model = rx.load(path, device)
    with pytest.raises(LimitExceeded) as caught:
        model.run({next(iter(model.inputs)): np.zeros(LINE, np.float32)})
    assert (device.bytes_peak, device.bytes_in_use) == (0, 0)
    found = re.search(r"within 8,388,608 bytes .*needs ([\d,]+): ([\d,]+) for weights and ([\d,]+)", str(caught.value))
    assert found is not None
    needed, weights, arena = (int(group.replace(",", "")) for group in found.groups())
    assert needed == weights + arena > 8 * MIB
    assert not fit(path, {next(iter(model.inputs)): LINE}, memory_bytes=8 * MIB).fits
