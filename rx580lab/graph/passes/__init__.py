"""Rewrites of a graph that keep what it computes: fusions, then layout."""

from __future__ import annotations

from rx580lab.graph.ir import Graph
from rx580lab.graph.passes import (
    fold_affine,
    fold_pad,
    fuse_activation,
    fuse_attention,
    fuse_heads,
    fuse_integer,
    fuse_product,
    fuse_quantized,
    fuse_residual,
    join_gates,
    layout,
    name_activations,
    name_norms,
    scale_hard_swish,
)
from rx580lab.graph.passes.layout_rules import RULES

__all__ = ["optimise", "simplify"]


def simplify(graph: Graph) -> Graph:
    """What can be done once, before shapes are known: what changes weights."""
    made = graph.copy()
    fuse_quantized.run(made)
    fold_pad.run(made)
    fold_affine.run(made)
    join_gates.run(made)
    made.drop_unused()
    return made


def optimise(graph: Graph, device_class: str) -> Graph:
    """What is done for known shapes, and for devices of that class (``Device.device_class``)."""
    made = graph.copy()
    fuse_integer.run(made)
    name_activations.run(made)
    name_norms.run(made)
    scale_hard_swish.run(made)
    fuse_attention.run(made)
    fuse_heads.run(made)
    fuse_product.run(made)
    fuse_heads.join_projections(made)
    fuse_residual.run(made)
    fuse_activation.run(made)
    if device_class == "cpu":
        layout.run(made, RULES)
    made.drop_unused()
    return made
