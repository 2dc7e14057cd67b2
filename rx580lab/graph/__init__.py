"""Models: ONNX files in, launches out.

``rx.load(path)`` reads a file into a ``Model``: ``formats`` checks the bytes, ``importer`` makes a ``Graph``,
``specialise`` folds what is known, ``passes`` fuse and lay out, ``memory`` places, ``lowering`` binds launches of ops.
"""

from __future__ import annotations

from rx580lab.graph.model import Model, ModelPlan, TensorInfo, load

__all__ = ["Model", "ModelPlan", "TensorInfo", "load"]
