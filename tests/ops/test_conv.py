"""``conv``: within its bound for any lengths, strides and groups, by every template; refused where not right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rx580lab as rx
from rx580lab.device import Device
from rx580lab.errors import DtypeError, InputError, ShapeError
from rx580lab.ops import _conv_cpu
from rx580lab.ops.conv import SPEC, conv, pack_weights, plan
from rx580lab.ops.sizing import runs_avx512
from rx580lab.reference import compare
from rx580lab.reference.conv import conv as oracle
from rx580lab.reference.conv import conv_tolerance
from rx580lab.selftest.case import prepare, suite
from rx580lab.selftest.check import stand_up
from tests.ops.sweep import sweep

TEMPLATES = {"plain": 35, "gpu": 19, "cpu": 35, "cpu_depthwise": 10}
Floats = npt.NDArray[np.float32]


def tensors(x: tuple[int, ...], w: tuple[int, ...], seed: int = 0) -> tuple[Floats, Floats]:
    rng = np.random.default_rng((seed, *x, *w))
    return rng.standard_normal(x, dtype=np.float32), rng.standard_normal(w, dtype=np.float32)


def test_every_template_is_tried() -> None:
    assert set(TEMPLATES) == {template.name for template in SPEC.templates}


@pytest.mark.parametrize("template", TEMPLATES)
def test_cases(pocl: Device, template: str) -> None:
    assert sweep(pocl, "conv", template) == TEMPLATES[template]


@pytest.mark.parametrize("template", TEMPLATES)
def test_large_cases(pocl: Device, template: str) -> None:
    assert sweep(pocl, "conv", template, tiers=("large",)) >= 1


@pytest.mark.parametrize("params", [{"USE_AVX512": 0, "TILE_P": 6, "TILE_N": 1}, {"TILE_P": 384, "TILE_N": 16}])
def test_parameters_change_nothing(pocl: Device, params: dict[str, int]) -> None:
    assert sweep(pocl, "conv", "cpu", params, tiers=("small",)) == 8


def pixel_major(x: npt.NDArray[Any], borders: Sequence[int]) -> npt.NDArray[Any]:
    """(N, C, ...) -> (N, ..., C) within zeros, by numpy."""
    rank = x.ndim - 2
    return np.pad(np.moveaxis(x, 1, -1), [(0, 0), *zip(borders[:rank], borders[rank:], strict=True), (0, 0)])


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize(
    ("x", "w", "window"),
    [
        ((2, 19, 9, 11), (37, 19, 3, 3), {"pads": (1, 1, 1, 1)}),
        ((1, 32, 8, 9), (64, 16, 3, 3), {"pads": (0, 2, 2, 1), "group": 2, "dilations": (1, 2), "strides": (2, 1)}),
        ((2, 35, 9, 11), (35, 1, 3, 3), {"pads": (1, 1, 1, 1), "group": 35, "strides": (1, 2)}),
        ((1, 5, 20), (16, 5, 4), {"pads": (1, 2)}),
        ((1, 3, 4, 5, 6), (17, 3, 2, 2, 2), {"pads": (0, 1, 0, 1, 0, 1)}),
    ],
)
def test_pixel_major_arrays(
    pocl: Device, x: tuple[int, ...], w: tuple[int, ...], window: dict[str, Any], dtype: type[np.floating[Any]]
) -> None:
    rank = len(x) - 2
    a, b = (array.astype(dtype) for array in tensors(x, w))
    b *= dtype(0.1)
    bias = np.linspace(-1, 1, w[0]).astype(dtype)
    expected = oracle(a, b, bias, activation="relu", **window)
    tolerance = conv_tolerance(a, b, bias, activation="relu", **window)
    enough, none, after = window["pads"], [0] * 2 * rank, [1, 2, 0, 3, 1, 2][: 2 * rank]
    packed = pack_weights(pocl, b, group=window.get("group", 1))
    for borders, out_borders, weights in ((enough, none, b), (none, after, packed), (after, enough, b)):
        got = conv(
            pocl, pixel_major(a, borders), weights, bias, layout="nhwc", borders=borders, out_borders=out_borders,
            activation="relu", **window,
        )  # fmt: skip
        bound = pixel_major(tolerance, out_borders)
        outcome = compare(got, pixel_major(expected, out_borders), bound, dtype=dtype)
        assert outcome.ok, (borders, out_borders, outcome.reason)
    inward = conv(pocl, a, b, bias, out_layout="nhwc", activation="relu", **window)
    outcome = compare(inward, pixel_major(expected, none), pixel_major(tolerance, none), dtype=dtype)
    assert outcome.ok, outcome.reason
    outward = conv(
        pocl, pixel_major(a, enough), b, bias, layout="nhwc", borders=enough, out_layout="nchw", activation="relu",
        **window,
    )  # fmt: skip
    assert compare(outward, expected, tolerance, dtype=dtype).ok


def test_pixel_major_arrays_with_a_residual_stay_in_place(pocl: Device) -> None:
    x, w = tensors((1, 16, 6, 6), (16, 16, 3, 3))
    borders = (1, 1, 1, 1)
    held = pocl.upload(pixel_major(x, borders))
    out = pocl.zeros((1, 8, 8, 16))
    window: dict[str, Any] = {"pads": borders, "activation": "silu"}
    planned = plan(
        pocl, held, pack_weights(pocl, w), None, held, layout="nhwc", borders=borders, out_borders=borders, out=out,
        **window,
    )  # fmt: skip
    assert [launch.name for launch in planned.launches] == ["conv_cpu.cl:conv_cpu"]
    assert planned.run() is out
    expected, tolerance = oracle(x, w, None, x, **window), conv_tolerance(x, w, None, x, **window)
    outcome = compare(out.download(), pixel_major(expected, borders), pixel_major(tolerance, borders))
    assert outcome.ok, outcome.reason


@settings(deadline=None, max_examples=25)
@given(st.data())
def test_pixel_major_arrays_without_borders_are_read_in_place(pocl: Device, data: st.DataObject) -> None:
    """Near the edges, whatever kernel, stride, dilation and padding leave of the taps."""
    kernel, strides, dilations = (tuple(data.draw(st.integers(1, n)) for _ in range(2)) for n in (5, 3, 2))
    pads = tuple(data.draw(st.integers(0, 4)) for _ in range(4))
    extents = [(n - 1) * step + 1 for n, step in zip(kernel, dilations, strict=True)]
    size = [max(data.draw(st.integers(1, 9)), n - pads[i] - pads[2 + i]) for i, n in enumerate(extents)]
    channels, each = data.draw(st.sampled_from([(3, 3), (17, 1), (8, 4)]))
    x, w = tensors((2, channels, *size), (channels if each == 1 else 2 * channels, each, *kernel))
    window: dict[str, Any] = {
        "strides": strides, "dilations": dilations, "pads": pads, "group": channels // each, "activation": "relu",
    }  # fmt: skip
    packed = pack_weights(pocl, w, group=window["group"])
    planned = plan(pocl, pixel_major(x, [0] * 4), packed, layout="nhwc", **window)
    assert len(planned.launches) == 1
    got = np.moveaxis(planned.run().download(), -1, 1)
    outcome = compare(got, oracle(x, w, **window), conv_tolerance(x, w, **window))
    assert outcome.ok, outcome.reason


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("kernel", [(3,), (2, 3), (2, 2, 2)])
def test_few_channels_pixel_major(pocl: Device, channels: int, kernel: tuple[int, ...]) -> None:
    x, w = tensors((2, channels, *[n + 3 for n in kernel]), (channels, 1, *kernel))
    got = conv(pocl, np.ascontiguousarray(np.moveaxis(x, 1, -1)), w, layout="nhwc", group=channels)
    expected = conv(pocl, x, w, group=channels, template="plain")
    np.testing.assert_allclose(np.moveaxis(got, -1, 1), expected, rtol=1e-5, atol=1e-6)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.sampled_from(sorted(TEMPLATES)))
def test_any_case(pocl: Device, seed: int, template: str) -> None:
    case = suite("conv").random(np.random.default_rng(seed))
    prepared = prepare("conv", case)
    if SPEC.template(template).applies(pocl, prepared.shape) is None:
        outcome = stand_up(pocl, template, prepared).judge()
        assert outcome.ok, f"{case.name}: {outcome.reason}"


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_plan_follows_its_inputs(pocl: Device, template: str) -> None:
    x, w = tensors((2, 16, 9, 9), (16, 1, 3, 3) if template.endswith("depthwise") else (16, 16, 3, 3))
    window = {"pads": (1, 1, 1, 1), "group": 16 // w.shape[1]}
    left, right = pocl.upload(x), pocl.upload(w)
    planned = plan(pocl, left, right, template=template, **window)
    planned.run()
    left.write(2 * x)
    right.write(w + 1)
    outcome = compare(planned.run().download(), oracle(2 * x, w + 1, **window), conv_tolerance(2 * x, w + 1, **window))
    assert outcome.ok, outcome.reason


def test_kinds_of_arrays(pocl: Device) -> None:
    x, w = tensors((1, 3, 8, 8), (4, 3, 3, 3))
    got = rx.ops.conv(pocl, x, w)
    assert isinstance(got, np.ndarray)
    mixed = rx.ops.conv(pocl, x, pocl.upload(w))
    assert isinstance(mixed, rx.Array)
    np.testing.assert_array_equal(mixed.download(), got)
    outcome = compare(rx.ops.conv(pocl, x[:, :, ::-1], w), oracle(x[:, :, ::-1], w), conv_tolerance(x, w).max())
    assert outcome.ok, outcome.reason


def test_refusals(pocl: Device) -> None:
    x, w = tensors((1, 4, 6, 6), (8, 4, 3, 3))
    with pytest.raises(ShapeError, match=r"\[conv\] expected w of shape \(K, C/group, ...\) with C/group = 2, got"):
        conv(pocl, x, w, group=2)
    with pytest.raises(ShapeError, match="expected channels in 3 equal groups, got 4"):
        conv(pocl, x, w, group=3)
    with pytest.raises(InputError, match="expected group to be an integer of at least 1, got 0"):
        conv(pocl, x, w, group=0)
    with pytest.raises(ShapeError, match="expected a kernel extent of at most the padded height 6, got extent 7"):
        conv(pocl, x, w, dilations=(3, 1))
    with pytest.raises(ShapeError, match="expected 4 pads"):
        conv(pocl, x, w, pads=(1, 1))
    with pytest.raises(ShapeError, match="expected strides of at least 1"):
        conv(pocl, x, w, strides=(0, 1))
    with pytest.raises(ShapeError, match="1 to 3 spatial axes"):
        conv(pocl, x[0, 0], w[0, 0])
    with pytest.raises(ShapeError, match=r"expected bias of shape \(8,\), got \(4,\)"):
        conv(pocl, x, w, np.zeros(4, np.float32))
    with pytest.raises(ShapeError, match=r"expected residual of shape \(1, 8, 4, 4\)"):
        conv(pocl, x, w, None, x)
    with pytest.raises(DtypeError, match="expected w of float32, got float16"):
        conv(pocl, x, w.astype(np.float16))
    with pytest.raises(InputError, match="expected an activation among"):
        conv(pocl, x, w, activation="softer")
    with pytest.raises(InputError, match="expected layout nchw or nhwc, got 'chwn'"):
        conv(pocl, x, w, layout="chwn")
    with pytest.raises(InputError, match="expected no borders with layout nchw"):
        conv(pocl, x, w, borders=(1, 1, 1, 1))
    with pytest.raises(ShapeError, match="to hold its borders"):
        conv(pocl, np.moveaxis(x, 1, -1), w, layout="nhwc", borders=(3, 0, 4, 0))
    with pytest.raises(InputError, match="template 'plain' cannot run here: reads and writes channel-major"):
        conv(pocl, x, pack_weights(pocl, w), template="plain")
    with pytest.raises(InputError, match="template 'cpu_depthwise' cannot run here: needs one filter per channel"):
        conv(pocl, x, w, template="cpu_depthwise")
    with pytest.raises(InputError, match="TILE_P, TILE_N and UNROLL_K to be at least 1"):
        conv(pocl, x, w, template="cpu", params={"TILE_P": 0})
    held = pocl.upload(np.zeros((1, 4, 4, 4), np.float32))
    with pytest.raises(InputError, match="expected out apart from x and w"):
        conv(pocl, held, w[:4, :, :1, :1], out=held)


def test_avx512_is_used_where_the_processor_has_it_and_refused_elsewhere(
    pocl: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, w = tensors((1, 4, 6, 6), (8, 4, 3, 3))
    assert plan(pocl, x, w).params["USE_AVX512"] == int(runs_avx512(pocl))
    monkeypatch.setattr(_conv_cpu, "runs_avx512", lambda _device: False)
    assert plan(pocl, x, w).params["USE_AVX512"] == 0
    with pytest.raises(InputError, match=r"expected USE_AVX512 to be 0: .* has no AVX-512"):
        plan(pocl, x, w, params={"USE_AVX512": 1})


def test_choice(pocl: Device) -> None:
    assert plan(pocl, *tensors((1, 4, 6, 6), (8, 4, 3, 3))).template == "cpu"
    assert plan(pocl, *tensors((1, 4, 6, 6), (8, 2, 3, 3)), group=2).template == "cpu"
    assert plan(pocl, *tensors((1, 4, 6, 6), (4, 1, 3, 3)), group=4).template == "cpu_depthwise"


def test_spec_describes_what_can_run() -> None:
    for template in SPEC.templates:
        assert template.checked(None) == dict(template.default)
        for name, value in template.default.items():
            assert value in template.space[name]
    x, w = tensors((2, 4, 5, 6), (8, 2, 3, 3))
    shape = SPEC.shape(x, w, group=2)
    assert shape == {
        "B": 2, "C": 4, "K": 8, "G": 2, "D": 1, "H": 5, "W": 6, "OD": 1, "OH": 3, "OW": 4, "R": 3, "S": 3, "T": 1,
        "bytes": 4, "nhwc": 0, "packed": 0,
    }  # fmt: skip
    cost = SPEC.cost(shape)
    assert (cost.bytes, cost.flop) == (4 * (2 * 4 * 30 + 2 * 8 * 12 + 8 * 2 * 9), 2 * 2 * 8 * 12 * 2 * 9)
