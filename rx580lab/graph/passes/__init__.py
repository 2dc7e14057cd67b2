"""Rewrites of a graph that keep what it computes: fusions, then layout."""

from __future__ import annotations

from rx580lab.graph.ir import Graph
from rx580lab.graph.passes import (
    fuse_activation,
    fuse_attention,
    fuse_heads,
    fuse_integer,
    fuse_product,
    fuse_quantized,
    name_activations,
    name_norms,
)

__all__ = ["optimise", "simplify"]


def simplify(graph: Graph) -> Graph:
    """What can be done once, before shapes are known."""
    made = graph.copy()
    fuse_quantized.run(made)
    made.drop_unused()
    return made


def optimise(graph: Graph) -> Graph:
    """What is done for known shapes."""
    made = graph.copy()
    fuse_integer.run(made)
    name_activations.run(made)
    name_norms.run(made)
    fuse_attention.run(made)
    fuse_heads.run(made)
    fuse_product.run(made)
    fuse_heads.join_projections(made)
    fuse_activation.run(made)
    made.drop_unused()
    return made
