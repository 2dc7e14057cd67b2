"""Rewrites of a graph that keep what it computes: fusions, then layout."""

from __future__ import annotations

from rx580lab.graph.ir import Graph
from rx580lab.graph.passes import fuse_activation

__all__ = ["optimise", "simplify"]


def simplify(graph: Graph) -> Graph:
    """What can be done once, before shapes are known."""
    return graph


def optimise(graph: Graph) -> Graph:
    """What is done for known shapes."""
    made = graph.copy()
    fuse_activation.run(made)
    made.drop_unused()
    return made
