"""Models: ONNX files in, launches out.

``rx.load(path)`` reads a file into a ``Model``: ``formats`` checks the bytes, ``importer`` makes a ``Graph``,
``specialise`` folds what is known, ``passes`` fuse and lay out, ``memory`` places, ``lowering`` binds launches of ops.
"""

from __future__ import annotations

from rx580lab.graph.fit import Fit, fit
from rx580lab.graph.footprint import Footprint
from rx580lab.graph.inputs import TensorInfo
from rx580lab.graph.model import Model, load
from rx580lab.graph.model_plan import ModelPlan
from rx580lab.graph.summary import Summary

__all__ = ["Fit", "Footprint", "Model", "ModelPlan", "Summary", "TensorInfo", "fit", "load"]
