"""Where values lie: no two that are needed at once overlap, and little is wasted."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rx580lab as rx
from rx580lab.errors import LimitExceeded
from rx580lab.graph.handlers.registry import find
from rx580lab.graph.ir import Graph, Node, Value
from rx580lab.graph.memory import Buffer, Placement, buffers, place, weight_bytes
from tests.graph.build import node, write
from tests.graph.oracle import onnxruntime_outputs

RNG = np.random.default_rng(0)
ALIGN, LARGEST = 64, 4096


def bound_of(graph: Graph) -> int:
    """Weights and the largest sum of values alive at one step; a value lives from its node to its last reader."""
    weights: dict[int, int] = {}
    last = {name: len(graph.nodes) for name in graph.outputs}
    for step, one in enumerate(graph.nodes):
        for name in filter(None, one.inputs):
            last[name] = max(last.get(name, 0), step)
            data = graph.values[name].data
            if data is not None:
                weights[id(data)] = data.nbytes
    alive = {name for name in graph.inputs if name in last}
    most = 0
    for step, one in enumerate(graph.nodes):
        # A reshaped value is its source's memory: counted once, as the source while that lives.
        alive |= {name for name in one.outputs if name}
        renamed = set(one.outputs) if find(one).alias else set()
        most = max(most, sum(graph.values[name].nbytes for name in alive - renamed))
        alive = {name for name in alive if last.get(name, -1) > step}
    return sum(weights.values()) + most


@st.composite
def intervals(draw: st.DrawFn) -> list[Buffer]:
    n = draw(st.integers(1, 14))
    made = []
    for place_ in range(n):
        first = draw(st.integers(0, 12))
        last = draw(st.integers(first, 14))
        made.append(Buffer(f"v{place_}", (), draw(st.integers(0, 1500)), first, last))
    return made


def overlap(one: Buffer, other: Buffer, placement: Placement) -> bool:
    (a, begin), (b, start) = placement.at[one.name], placement.at[other.name]
    return a == b and begin < start + other.nbytes and start < begin + one.nbytes


@given(intervals(), st.sampled_from([None, LARGEST]))
def test_buffers_that_are_needed_at_once_lie_apart(wanted: list[Buffer], largest: int | None) -> None:
    placement = place(wanted, align=ALIGN, largest=largest)
    filled = [one for one in wanted if one.nbytes]
    assert set(placement.at) == {one.name for one in filled}
    for place_, one in enumerate(filled):
        block, offset = placement.at[one.name]
        assert offset % ALIGN == 0
        assert offset + one.nbytes <= placement.blocks[block]
        for other in filled[:place_]:
            at_once = one.first <= other.last and other.first <= one.last
            if at_once:
                apart = not overlap(one, other, placement)
                assert apart, (one, other)
    if largest is not None:
        assert max(placement.blocks, default=0) <= largest
    at_least = max(
        (sum(one.nbytes for one in filled if one.first <= step <= one.last) for step in range(15)), default=0
    )
    assert placement.nbytes >= at_least


def test_what_is_larger_than_a_block_gets_one_of_its_own() -> None:
    placement = place([Buffer("big", (), 5000, 0, 1), Buffer("small", (), 100, 0, 1)], align=ALIGN, largest=LARGEST)
    assert sorted(placement.blocks) == [100, 5000]


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Relu, Add, Identity and Transpose (which cannot work in place) over values of two shapes."""
    shapes = {"x": (3, 4), "y": (5,)}
    values = {name: Value(np.dtype(np.float32), shape) for name, shape in shapes.items()}
    nodes: list[Node] = []
    for step in range(draw(st.integers(1, 14))):
        op = draw(st.sampled_from(["Relu", "Add", "Identity", "Transpose"]))
        first = draw(st.sampled_from(sorted(values)))
        alike = sorted(name for name in values if values[name].shape == values[first].shape)
        inputs = (first, draw(st.sampled_from(alike))) if op == "Add" else (first,)
        shape = values[first].shape[::-1] if op == "Transpose" else values[first].shape
        values[f"v{step}"] = Value(np.dtype(np.float32), shape)
        nodes.append(Node(op, "", 17, f"n{step}", inputs, (f"v{step}",)))
    computed = [node.outputs[0] for node in nodes]
    outputs = draw(st.lists(st.sampled_from(computed), min_size=1, max_size=3, unique=True))
    made = Graph("random", nodes, ("x", "y"), tuple(outputs), values)
    made.drop_unused()
    return made


@given(graphs())
def test_each_value_is_whole_until_its_last_reader(graph: Graph) -> None:
    """Walks the steps over a memory of tokens: whoever reads a value finds what was written as that value."""
    wanted = buffers(graph)
    placement = place(wanted, align=16)
    home = {name: one for one in wanted for name in one.values}
    memory = [np.zeros(n, object) for n in placement.blocks]
    content: dict[str, object] = {}

    def cells(name: str) -> Any:
        block, offset = placement.at[home[name].name]
        return memory[block][offset : offset + graph.values[name].nbytes]

    for name in graph.inputs:
        content[name] = cells(name)[:] = name
    for one in graph.nodes:
        for name in one.inputs:
            assert (cells(name) == content[name]).all(), (str(one), name)
        out = one.outputs[0]
        if one.op == "Identity":
            content[out] = content[one.inputs[0]]
        else:
            if one.op == "Transpose":
                at, start = placement.at[home[out].name], placement.at[home[one.inputs[0]].name]
                assert at != start
            content[out] = cells(out)[:] = out
    for name in (*graph.outputs, *graph.inputs):
        assert (cells(name) == content[name]).all(), name


def test_an_operator_works_in_place_if_nobody_reads_later() -> None:
    kind = Value(np.dtype(np.float32), (4,))
    chain = [
        Node("Relu", "", 17, f"n{k}", (name,), (out,))
        for k, (name, out) in enumerate([("x", "a"), ("a", "b"), ("b", "c")])
    ]
    graph = Graph("chain", chain, ("x",), ("c",), dict.fromkeys("xabc", kind))
    assert [one.values for one in buffers(graph)] == [("x",), ("a", "b", "c")]
    both = [*chain[:2], Node("Add", "", 17, "n2", ("a", "b"), ("c",))]
    assert [one.values for one in buffers(Graph("both", both, ("x",), ("c",), dict.fromkeys("xabc", kind)))] == [
        ("x",),
        ("a", "c"),
        ("b",),
    ]


def _net(path: Path, channels: Sequence[int]) -> Path:
    """3x3 convolutions, each with a Relu; a residual around the last; 64 classes."""
    nodes, constants, before = [], {}, "x"
    for k, (inside, outside) in enumerate(pairwise(channels)):
        constants[f"w{k}"] = RNG.standard_normal((outside, inside, 3, 3), dtype=np.float32) / np.float32(
            3 * inside**0.5
        )
        nodes += [node("Conv", [before, f"w{k}"], [f"c{k}"], pads=[1] * 4), node("Relu", [f"c{k}"], [f"r{k}"])]
        before = f"r{k}"
    nodes += [node("Add", [before, f"r{k - 1}"], ["a"]), node("GlobalAveragePool", ["a"], ["p"])]
    nodes += [node("Reshape", ["p", "flat"], ["f"]), node("Gemm", ["f", "v"], ["y"])]
    constants |= {"flat": np.array([0, -1]), "v": RNG.standard_normal((channels[-1], 64), dtype=np.float32)}
    lengths: list[int | str | None] = ["n", channels[0], "h", "w"]
    return write(path / "net.onnx", nodes, {"x": (np.float32, lengths)}, {"y": (np.float32, ["n", 64])}, constants)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return _net(tmp_path, [3, 16, 16])


def test_runs_repeat_bit_for_bit_and_as_onnxruntime_does(small: Path, pocl: rx.Device) -> None:
    model = rx.load(small, pocl)
    shapes = [(1, 3, 12, 9), (2, 3, 8, 8), (1, 3, 12, 9), (1, 3, 5, 5)]
    images = [RNG.standard_normal(shape, dtype=np.float32) for shape in shapes]
    first = [model.run({"x": image})["y"] for image in images]
    for image, answer in zip(images, first, strict=True):
        np.testing.assert_allclose(answer, onnxruntime_outputs(small, {"x": image})["y"], rtol=1e-4, atol=1e-5)
    again = [model.run({"x": image})["y"] for image in reversed(images)]
    assert all(np.array_equal(one, other) for one, other in zip(first, reversed(again), strict=True))


def test_queued_again_it_computes_the_same_from_the_same_inputs(small: Path, pocl: rx.Device) -> None:
    plan = rx.load(small, pocl).plan({"x": (1, 3, 12, 9)})
    answer = plan.run({"x": RNG.standard_normal((1, 3, 12, 9), dtype=np.float32)})["y"]
    for _ in range(3):
        plan.enqueue()
    assert np.array_equal(np.asarray(plan.outputs["y"]), answer)


def test_equal_weights_are_held_once(tmp_path: Path) -> None:
    device = rx.open_device("pocl")
    w = RNG.standard_normal((64, 64), dtype=np.float32)
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("MatMul", ["a", "v"], ["y"])]
    io = {"x": (np.float32, [1, 64])}, {"y": (np.float32, [1, 64])}
    model = rx.load(write(tmp_path / "twice.onnx", nodes, *io, {"w": w, "v": w.copy()}), device)
    plan = model.plan({"x": (1, 64)})
    assert w.nbytes <= plan.held_bytes < 2 * w.nbytes
    assert weight_bytes(plan.graph) == 2 * w.nbytes


def test_it_refuses_before_anything_is_allocated(small: Path) -> None:
    device = rx.open_device("pocl", limits=rx.Limits(memory_bytes=100_000))
    with pytest.raises(LimitExceeded, match=r"within 100,000 bytes .* needs [\d,]+: [\d,]+ for weights"):
        rx.load(small, device).run({"x": np.zeros((1, 3, 128, 128), np.float32)})
    assert (device.bytes_peak, device.bytes_in_use) == (0, 0)
