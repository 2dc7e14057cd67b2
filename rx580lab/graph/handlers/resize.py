"""Resampling, and the operators that it replaced."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx

from rx580lab.graph.handlers.expansion import Expansion
from rx580lab.graph.handlers.registry import Handler, Values, fault
from rx580lab.graph.handlers.shape import required
from rx580lab.graph.ir import Graph, Node, Value
from rx580lab.graph.lowering import Context
from rx580lab.ops.resize import resized_shape

__all__ = ["HANDLERS"]

MODES = ("nearest", "linear", "cubic")
FLOATS = (np.dtype(np.float32), np.dtype(np.float16))
# The version whose attributes replace all older ones.
NEWEST = 19


def _numbers(given: Values, place: int) -> list[Any] | None:
    """The data of an optional input; None where it is not given, or empty, as it is in older versions."""
    found = given[place] if place < len(given) else None
    return None if found is None or found.data is None or not found.size else np.ravel(found.data).tolist()


def resize_keywords(node: Node, given: Values) -> dict[str, Any]:
    """The keywords of ``ops.resize`` but ``extrapolation_value``."""
    roi, scales, sizes = (_numbers(given, place) for place in (1, 2, 3))
    if (scales is None) == (sizes is None):
        raise fault(node, f"expected either scales or sizes, got {'neither' if scales is None else 'both'}")
    coordinates = node.attribute("coordinate_transformation_mode", "half_pixel")
    return {
        "scales": scales,
        "sizes": sizes,
        "roi": roi,
        "axes": node.attribute("axes"),
        "mode": node.attribute("mode", "nearest"),
        "coordinate_transformation_mode": coordinates,
        "nearest_mode": node.attribute("nearest_mode", "round_prefer_floor"),
        "cubic_coeff_a": node.attribute("cubic_coeff_a", -0.75),
        "exclude_outside": bool(node.attribute("exclude_outside", 0)),
        "antialias": bool(node.attribute("antialias", 0)) and node.attribute("mode", "nearest") != "nearest",
        "keep_aspect_ratio_policy": node.attribute("keep_aspect_ratio_policy", "stretch"),
    }


def _infer(node: Node, given: Values) -> list[Value]:
    x = required(node, given, 0)
    return [Value(x.dtype, resized_shape(x, **resize_keywords(node, given)))]


def _lower(node: Node, ctx: Context) -> None:
    given = [ctx.graph.values[name] if name else None for name in node.inputs]
    outside = node.attribute("extrapolation_value", 0.0)
    keywords = resize_keywords(node, given)
    ctx.call("resize", ctx.given(0), out=ctx.out(), extrapolation_value=outside, **keywords)


def _expand(graph: Graph, node: Node, given: Values) -> list[Node]:
    """Whole numbers are interpolated as floats, and truncated."""
    x = required(node, given, 0)
    if x.dtype in FLOATS or node.attribute("mode", "nearest") == "nearest":
        return [node]
    made = Expansion(graph, node)
    wide = made.add("Cast", node.inputs[0], to=1)
    attributes = dict(node.attributes)
    result = made.add("Resize", wide, *node.inputs[1:], opset=NEWEST, **attributes)
    made.add("Cast", result, out=node.outputs[0], to=_code(x.dtype))
    return made.nodes


def _code(dtype: np.dtype[Any]) -> int:
    """ONNX's number for an element type."""
    return int(onnx.helper.np_dtype_to_tensor_dtype(dtype))


def _older(graph: Graph, node: Node, given: Values) -> list[Node]:
    """Upsample, and Resize as it first was: coordinates by the scale alone, rounded down."""
    x, made = required(node, given, 0), Expansion(graph, node)
    mode = {"bilinear": "linear"}.get(node.attribute("mode", "nearest"), node.attribute("mode", "nearest"))
    if mode not in MODES[:2]:
        raise fault(node, f"expected mode nearest or linear, got {mode!r}")
    if len(node.inputs) > 1:
        scales = node.inputs[1]
    elif node.attribute("scales") is not None:
        scales = made.constant(node.attribute("scales"), np.float32)
    elif x.ndim == 4:
        scales = made.constant([1, 1, node.attribute("height_scale"), node.attribute("width_scale")], np.float32)
    else:
        raise fault(node, f"expected (N, C, H, W), got {x.shape}")
    how = {"mode": mode, "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    made.add("Resize", node.inputs[0], "", scales, out=node.outputs[0], opset=NEWEST, **how)
    return made.nodes


HANDLERS = (
    Handler("Resize", 11, _infer, _lower, needs=(1, 2, 3), expand=_expand),
    Handler("Resize", 10, _infer, needs=(1,), expand=_older),
    Handler("Upsample", 1, _infer, needs=(1,), expand=_older),
)
