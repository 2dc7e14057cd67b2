"""The model that the examples of the documents speak of: ``demo``, x float32 [batch, 4] to y = max(x, 0)."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import TensorProto, helper

LABELS = ("north", "east", "south", "west")


def write_demo(folder: Path, name: str = "demo", versions: tuple[int, ...] = (1, 2)) -> None:
    """``folder/NAME/VERSION/model.onnx`` with ``labels.txt``."""
    x, y = (helper.make_tensor_value_info(one, TensorProto.FLOAT, ["batch", 4]) for one in "xy")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "demo", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    for version in versions:
        place = folder / name / str(version)
        place.mkdir(parents=True)
        onnx.save(model, place / "model.onnx")
        (place / "labels.txt").write_text("".join(f"{label}\n" for label in LABELS), encoding="utf-8")
