"""What a model says about itself, as text, as a table in a notebook and as figures for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rx580lab.graph.handlers.registry import find
from rx580lab.graph.ir import Node
from rx580lab.graph.memory import weight_bytes

if TYPE_CHECKING:
    from rx580lab.graph.model import Model
    from rx580lab.graph.model_plan import ModelPlan

__all__ = ["PlanSummary", "Summary", "summary_of"]


@dataclass(frozen=True)
class PlanSummary:
    """What is known only for inputs of given shapes, on a device.

    Attributes:
        device: its selector. shapes: input -> lengths. operators: steps by operator, those that passes made marked so.
        n_launches: kernels that a run queues. n_renamed: steps that only see an array under another shape.
        flop, moved_bytes: of one run, by the ops' own formulas; what lies between kernels in caches is counted too.
        arena_bytes: inputs and results, placed; ``workspace_bytes`` of these are there for steps alone.
        held_bytes: weights as ops read them, and tables.
    """

    device: str
    shapes: Mapping[str, tuple[int, ...]]
    operators: Mapping[str, int]
    n_launches: int
    n_renamed: int
    flop: int
    moved_bytes: int
    arena_bytes: int
    workspace_bytes: int
    held_bytes: int

    @property
    def n_steps(self) -> int:
        """Nodes that are executed."""
        return sum(self.operators.values())


@dataclass(frozen=True)
class Summary:
    """A model's nodes, weights, inputs and outputs; ``plan`` what is known for given shapes, or None.

    Attributes:
        operators: nodes of the file by operator. n_left: how many are left when all that constants decide is
            computed. weights_bytes: constants that the rest reads. n_unsupported is 0: ``load`` refuses others.
    """

    path: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    operators: Mapping[str, int]
    n_left: int
    weights_bytes: int
    plan: PlanSummary | None = None

    @property
    def n_nodes(self) -> int:
        """Nodes in the file."""
        return sum(self.operators.values())

    def as_dict(self) -> dict[str, Any]:
        """Everything as numbers, texts, lists and mappings."""
        plan = None
        if self.plan is not None:
            plan = {**vars(self.plan), "shapes": {name: list(one) for name, one in self.plan.shapes.items()}}
        return {**vars(self), "inputs": list(self.inputs), "outputs": list(self.outputs), "plan": plan}

    def __str__(self) -> str:
        width = max(map(len, self._facts()))
        return "\n".join([self.path, *(f"  {name:{width}}  {value}" for name, value in self._facts().items())])

    def _repr_html_(self) -> str:
        from rx580lab.results.display import card, facts, table

        executed = self.plan.operators if self.plan else {}
        names = sorted({*self.operators, *executed}, key=lambda name: (-self.operators.get(name, 0), name))
        rows = [(name, self.operators.get(name), executed.get(name)) for name in names]
        headings = ("operator", "in the file", "executed")
        cut = [row[:2] for row in rows] if self.plan is None else rows
        return card(self.path, facts(self._facts()), table(headings[: 2 if self.plan is None else 3], cut))

    def _facts(self) -> dict[str, str]:
        from rx580lab.results.display import quantity

        found = {
            "inputs": ", ".join(self.inputs),
            "outputs": ", ".join(self.outputs),
            "nodes": f"{self.n_nodes}: {_counted(self.operators)}",
            "left to run": f"{self.n_left}; all operators are supported, the others are computed beforehand",
            "weights": quantity(self.weights_bytes, "bytes"),
        }
        plan = self.plan
        if plan is None:
            return found
        shapes = ", ".join(f"{name} {'x'.join(map(str, one)) or 'scalar'}" for name, one in plan.shapes.items())
        return found | {
            "planned for": f"{shapes} on {plan.device}",
            "steps": f"{plan.n_steps}: {_counted(plan.operators)}",
            "launches": f"{plan.n_launches}; {plan.n_renamed} steps only see an array under another shape",
            "work": f"{plan.flop / 1e6:,.1f} MFLOP, {plan.moved_bytes / 1e6:,.1f} MB read and written by kernels",
            "memory": (
                f"{quantity(plan.held_bytes + plan.arena_bytes, 'bytes')}: {quantity(plan.held_bytes, 'bytes')} of"
                f" weights and tables, an arena of {quantity(plan.arena_bytes, 'bytes')}"
                + (f", {quantity(plan.workspace_bytes, 'bytes')} of it workspace" if plan.workspace_bytes else "")
            ),
        }


def summary_of(model: Model, plan: ModelPlan | None = None) -> Summary:
    """Of a model, or of one of its plans."""
    return Summary(
        str(model.path),
        tuple(map(str, model.inputs.values())),
        tuple(map(str, model.outputs.values())),
        dict(model.operators),
        len(model.graph.nodes),
        weight_bytes(model.graph if plan is None else plan.graph),
        None if plan is None else _of_plan(plan),
    )


def _of_plan(plan: ModelPlan) -> PlanSummary:
    nodes = plan.graph.nodes
    return PlanSummary(
        plan.model.device.selector,
        {name: one.shape for name, one in plan.inputs.items()},
        dict(Counter(map(_name, nodes))),
        len(plan.launches),
        sum(find(node).alias for node in nodes),
        sum(step.cost.flop for step in plan.steps),
        sum(step.cost.bytes for step in plan.steps),
        plan.arena_bytes,
        plan.workspace_bytes,
        plan.held_bytes,
    )


def _name(node: Node) -> str:
    return f"{node.domain}.{node.op}" if node.domain else node.op


def _counted(operators: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {n}" for name, n in sorted(operators.items(), key=lambda pair: (-pair[1], pair[0])))
