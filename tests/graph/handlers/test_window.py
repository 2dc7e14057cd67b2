"""Convolutions of every shape that ONNX allows, as ONNX Runtime computes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rx580lab as rx
from rx580lab.errors import ModelError
from tests.graph.handlers.single import Single

RNG = np.random.default_rng(0)


def normal(*shape: int) -> Any:
    return RNG.standard_normal(shape, dtype=np.float32)


@st.composite
def windows(draw: st.DrawFn, transposed: bool = False) -> tuple[list[Any], dict[str, Any]]:
    """x, w, perhaps a bias, and attributes under which the kernel fits."""
    rank = draw(st.integers(1, 3))
    group = draw(st.sampled_from([1, 1, 2, 3]))
    each_in, each_out = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    kernel = [draw(st.integers(1, 3)) for _ in range(rank)]
    auto = draw(st.sampled_from(["NOTSET", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]))
    # What ONNX Runtime refuses, or does in its own way: automatic pads of dilated kernels; strides beyond kernels.
    same = auto.startswith("SAME")
    attributes: dict[str, Any] = {
        "strides": [draw(st.integers(1, k if same and transposed else 3)) for k in kernel],
        "dilations": [draw(st.integers(1, 1 if same else 2)) for _ in range(rank)],
        "group": group,
    }
    extents = [(k - 1) * d + 1 for k, d in zip(kernel, attributes["dilations"], strict=True)]
    lengths = [extent + draw(st.integers(0, 5)) for extent in extents]
    if auto != "NOTSET":
        attributes["auto_pad"] = auto
    else:
        most = [(extent - 1) // 2 if transposed else 2 for extent in extents]
        attributes["pads"] = [draw(st.integers(0, n)) for n in (*most, *most)]
    if draw(st.booleans()):
        attributes["kernel_shape"] = kernel
    x = normal(draw(st.integers(1, 2)), each_in * group, *lengths)
    outer = (each_in * group, each_out) if transposed else (each_out * group, each_in)
    arrays = [x, normal(*outer, *kernel)]
    return [*arrays, normal(each_out * group)] if draw(st.booleans()) else arrays, attributes


@settings(deadline=None, max_examples=40)
@given(windows(), st.sampled_from([1, 11, 22]))
def test_any_convolution(tmp_path_factory: Any, pocl: rx.Device, drawn: Any, opset: int) -> None:
    arrays, attributes = drawn
    Single(tmp_path_factory.getbasetemp(), "Conv", arrays, opset=opset, held=(1,), **attributes).agree(pocl)


@settings(deadline=None, max_examples=40)
@given(windows(transposed=True), st.data())
def test_any_transposed_convolution(tmp_path_factory: Any, pocl: rx.Device, drawn: Any, data: st.DataObject) -> None:
    arrays, attributes = drawn
    if attributes.get("auto_pad") not in ("SAME_UPPER", "SAME_LOWER"):
        attributes["output_padding"] = [data.draw(st.integers(0, n - 1)) for n in attributes["strides"]]
    Single(tmp_path_factory.getbasetemp(), "ConvTranspose", arrays, opset=11, held=(1,), **attributes).agree(pocl)


@pytest.mark.parametrize(("auto", "pads"), [("SAME_UPPER", [1, 2, 2, 2]), ("SAME_LOWER", [2, 2, 1, 2])])
def test_automatic_pads_count_dilations(tmp_path: Path, pocl: rx.Device, auto: str, pads: list[int]) -> None:
    arrays, steps = [normal(1, 1, 6, 7), normal(1, 1, 3, 3)], {"strides": [2, 2], "dilations": [2, 2]}
    got = Single(tmp_path, "Conv", arrays, opset=11, auto_pad=auto, **steps).run(pocl)
    Single(tmp_path, "Conv", arrays, opset=11, pads=pads, **steps).agree(pocl, got)


def test_transposed_with_automatic_pads_is_strides_times_as_large(tmp_path: Path, pocl: rx.Device) -> None:
    arrays = [normal(1, 1, 3), normal(1, 1, 1)]
    got = Single(tmp_path, "ConvTranspose", arrays, opset=11, strides=[2], auto_pad="SAME_UPPER").run(pocl)[0]
    np.testing.assert_allclose(
        got, (arrays[0] * arrays[1]).repeat(2, axis=2) * np.array([1, 0] * 3, np.float32), rtol=1e-6
    )


@pytest.mark.parametrize("auto", ["NOTSET", "SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("shape", [[9, 10], [8, 8], [10, 11]])
def test_transposed_to_a_given_shape(tmp_path: Path, pocl: rx.Device, auto: str, shape: list[int]) -> None:
    arrays = [normal(1, 2, 4, 5), normal(2, 3, 4, 3), normal(3)]
    more = {} if auto == "NOTSET" else {"auto_pad": auto}
    Single(tmp_path, "ConvTranspose", arrays, opset=11, strides=[2, 2], output_shape=shape, **more).agree(pocl)


def test_up_to_version_10_a_given_shape_takes_the_odd_one_from_the_other_side(tmp_path: Path, pocl: rx.Device) -> None:
    arrays = [normal(1, 1, 5), normal(1, 1, 4)]
    recent, older = (
        Single(tmp_path, "ConvTranspose", arrays, opset=opset, strides=[2], output_shape=[9]).run(pocl)[0]
        for opset in (11, 1)
    )
    np.testing.assert_array_equal(recent[0, 0, :-1], older[0, 0, 1:])


def test_transposed_beyond_what_the_kernel_reaches_there_is_bias(tmp_path: Path, pocl: rx.Device) -> None:
    arrays = [normal(1, 1, 3), normal(1, 1, 2), np.array([7], np.float32)]
    got = Single(tmp_path, "ConvTranspose", arrays, opset=11, strides=[2], output_shape=[8]).run(pocl)[0]
    whole = Single(tmp_path, "ConvTranspose", arrays, opset=11, strides=[2]).run(pocl)[0]
    np.testing.assert_array_equal(got, np.concatenate([whole, np.full((1, 1, 2), 7, np.float32)], axis=2))


@pytest.mark.parametrize(
    ("op", "attributes", "message"),
    [
        ("Conv", {"strides": [0, 1]}, "strides and dilations of at least 1"),
        ("Conv", {"strides": [1]}, "strides and dilations for all axes"),
        ("Conv", {"dilations": [1, -1]}, "strides and dilations of at least 1"),
        ("Conv", {"kernel_shape": [2, 2]}, r"kernel_shape \[3, 3\]"),
        ("Conv", {"pads": [1, 1]}, "4 pads"),
        ("Conv", {"pads": [-1, 0, 0, 0]}, "pads of at least 0"),
        ("Conv", {"auto_pad": "SAME"}, "expected auto_pad NOTSET, VALID"),
        ("Conv", {"group": 0}, "group to be an integer of at least 1"),
        ("Conv", {"group": 2}, "C/group = 1"),
        ("Conv", {"dilations": [9, 9]}, "kernel extent of at most"),
        ("ConvTranspose", {"output_padding": [1]}, "for 2 axes"),
        ("ConvTranspose", {"output_shape": [9]}, "for 2 axes"),
        ("ConvTranspose", {"pads": [9, 9, 9, 9]}, "leave something"),
    ],
)
def test_refusals_name_the_node(
    tmp_path: Path, pocl: rx.Device, op: str, attributes: dict[str, Any], message: str
) -> None:
    made = Single(tmp_path, op, [normal(1, 2, 6, 6), normal(2, 2, 3, 3)], opset=11, held=(1,), **attributes)
    with pytest.raises(ModelError, match=rf"single\.onnx: node 'single' \({op}\)\] .*{message}"):
        made.run(pocl)


def test_shapes_that_do_not_fit_are_refused(tmp_path: Path, pocl: rx.Device) -> None:
    x, w = normal(1, 2, 6, 6), normal(2, 2, 3, 3)
    for arrays, message in (
        ([x[0], w], "x and w of one rank"),
        ([x[None, None], w[None, None]], "x and w of one rank, 3 to 5"),
        ([x, w, normal(3)], r"bias of shape \(2,\)"),
        ([x, w[:, :1]], "C/group = 2"),
    ):
        with pytest.raises(ModelError, match=rf"node 'single' \(Conv\)\] .*{message}"):
            Single(tmp_path, "Conv", arrays, opset=11).run(pocl)
