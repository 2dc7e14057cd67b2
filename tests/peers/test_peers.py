"""Peers: right where they run, and clear about why where they do not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest

import rx580lab as rx
from rx580lab import ops, peers
from rx580lab.device import Device
from rx580lab.errors import DtypeError, InputError, MeasureError, PeerUnavailable, ShapeError
from rx580lab.experiment.problem import parse_shape
from rx580lab.peers import clblast, numpy, onnxruntime, openblas, tinygrad
from rx580lab.reference import compare
from rx580lab.reference.attention import attention
from rx580lab.reference.gemm import gemm, gemm_tolerance
from rx580lab.selftest.case import prepare_problem
from tests.graph.build import node, write
from tests.requirements import require

Pair = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]


def pair(m: int = 33, n: int = 20, k: int = 17) -> Pair:
    rng = np.random.default_rng((m, n, k))
    return rng.standard_normal((m, k), dtype=np.float32), rng.standard_normal((k, n), dtype=np.float32)


def assert_races(device: Device, name: str) -> None:
    """Its runs are right, its spoilt output is told apart, and its own inputs are left alone."""
    inputs = pair()
    kept = [array.copy() for array in inputs]
    entrant = peers.peer(name).entrant(device, "gemm", inputs)
    runner = entrant.contestant
    assert runner.output is not None
    assert (runner.name, runner.role) == (name, "peer")
    assert name in entrant.note
    expected, tolerance = gemm(*inputs), gemm_tolerance(*inputs)
    for _ in range(2):
        assert "never written" in str(compare(runner.output(), expected, tolerance).reason)
        assert runner.run() is None
        runner.sync()
        outcome = compare(runner.output(), expected, tolerance)
        assert outcome.ok, outcome.reason
        entrant.spoil()
    for array, copy in zip(inputs, kept, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_openblas_races(pocl: Device) -> None:
    assert_races(pocl, "openblas")


def test_openblas_takes_batches_transposed_views_and_vectors(pocl: Device) -> None:
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((2, 5, 7), dtype=np.float32), rng.standard_normal((2, 5, 9), dtype=np.float32)
    turned = openblas.entrant(pocl, "gemm", (a, b), {"transpose_a": True, "constant_b": True}).contestant
    turned.run()
    assert turned.output is not None
    np.testing.assert_allclose(turned.output(), a.swapaxes(1, 2) @ b, rtol=1e-5)
    for x in (a[0, 0], a[0]):
        runner = openblas.entrant(pocl, "gemv", (a[1], x)).contestant
        runner.run()
        assert runner.output is not None
        np.testing.assert_allclose(runner.output(), x @ a[1].T, rtol=1e-5)


def test_clblast_races_on_our_queue(pocl: Device) -> None:
    require("clblast")
    assert_races(pocl, "clblast")


def test_clblast_reports_a_failed_call(pocl: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    require("clblast")
    monkeypatch.setattr(clblast, "ROW_MAJOR", 0)
    runner = clblast.entrant(pocl, "gemm", pair()).contestant
    with pytest.raises(MeasureError, match="expected CLBlastSgemm to return 0, got"):
        runner.run()


def test_tinygrad_races_and_leaves_the_environment_alone(pocl: Device) -> None:
    require("tinygrad")
    before = dict(os.environ)
    assert_races(pocl, "tinygrad")
    assert dict(os.environ) == before
    a, b = pair()
    np.testing.assert_allclose(ops.gemm(pocl, a, b), a @ b, rtol=1e-4, atol=1e-5)


def test_tinygrad_says_why_it_cannot_run(pocl: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tinygrad, "find_spec", lambda _name: None)
    assert tinygrad.unavailable(pocl) == "needs tinygrad: pip install 'rx580lab[peers]'"
    monkeypatch.undo()
    require("tinygrad")
    monkeypatch.setattr(tinygrad, "LOADER", "libOpenCL-of-nobody.so.9")
    assert "apt-get install ocl-icd-libopencl1" in str(tinygrad.unavailable(pocl))
    monkeypatch.undo()
    monkeypatch.setattr(pocl, "platform", "amd")
    assert "set up for PoCL only" in str(tinygrad.unavailable(pocl))


@pytest.fixture
def other_library(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    clblast._library.cache_clear()
    monkeypatch.setattr(clblast, "LIBRARY", "libclblast-of-nobody.so.9")
    yield
    clblast._library.cache_clear()


@pytest.mark.usefixtures("other_library")
def test_clblast_missing_names_the_cure(pocl: Device) -> None:
    assert "apt-get install libclblast1" in str(peers.available(pocl)["clblast"])
    with pytest.raises(PeerUnavailable, match=r"\[clblast\] libclblast-of-nobody.so.9 cannot be loaded"):
        peers.peer("clblast").entrant(pocl, "gemm", pair())


def test_clblast_leaves_a_simulator_alone() -> None:
    require("oclgrind")
    assert "is a simulator" in str(clblast.unavailable(rx.open_device("oclgrind")))


def test_openblas_missing_names_the_cure(pocl: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    assert openblas.unavailable(pocl) is None
    monkeypatch.setattr("threadpoolctl.threadpool_info", list)
    with pytest.raises(PeerUnavailable, match="numpy is linked to another BLAS here"):
        openblas.entrant(pocl, "gemm", pair())


def test_onnxruntime_races(pocl: Device) -> None:
    require("onnxruntime")
    assert_races(pocl, "onnxruntime")


def test_onnxruntime_states_its_threads(pocl: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    require("onnxruntime")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert "threads 1, spinning, all graph optimisations" in onnxruntime.entrant(pocl, "gemm", pair()).note
    assert "not spinning" in onnxruntime.entrant(pocl, "gemm", pair(m=1)).note


def test_onnxruntime_computes_a_chain_of_convolutions(pocl: Device) -> None:
    require("onnxruntime")
    x = np.arange(48, dtype=np.float32).reshape(1, 3, 4, 4)
    double = 2 * np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1)
    add_one = np.ones(3, np.float32)
    runner = onnxruntime.conv_chain(pocl, x, [((double, None), {}), ((double, add_one), {"pads": (0, 1, 0, 0)})])
    assert runner.contestant.output is not None
    runner.contestant.run()
    expected = np.pad(4 * x, ((0, 0), (0, 0), (0, 0), (1, 0))) + 1
    np.testing.assert_array_equal(runner.contestant.output(), expected)


@pytest.mark.parametrize("window", [{}, {"kernel_shape": (2, 2), "strides": (2, 2), "pads": (1, 0, 0, 0)}])
def test_onnxruntime_pools(pocl: Device, window: dict[str, Any]) -> None:
    require("onnxruntime")
    x = np.arange(2 * 3 * 5 * 4, dtype=np.float32).reshape(2, 3, 5, 4)
    contestant = onnxruntime.entrant(pocl, "pool", (x,), {"mode": "average", **window}).contestant
    assert contestant.output is not None
    contestant.run()
    np.testing.assert_allclose(contestant.output(), ops.pool(pocl, x, mode="average", **window), rtol=1e-6)


@pytest.mark.parametrize(
    ("shared", "masked", "causal"), [(1, False, False), (1, True, False), (1, False, True), (3, False, True)]
)
def test_onnxruntime_attends(pocl: Device, shared: int, masked: bool, causal: bool) -> None:
    require("onnxruntime")
    rng = np.random.default_rng(4)
    q = rng.standard_normal((2, 6, 20, 8), dtype=np.float32)
    k, v = rng.standard_normal((2, 2, 6 // shared, 20, 8), dtype=np.float32)
    mask = rng.standard_normal((20, 20), dtype=np.float32) if masked else None
    keywords = {"causal": True} if causal else {}
    runner = onnxruntime.entrant(pocl, "attention", (q, k, v, mask), keywords)
    assert runner.contestant.output is not None
    runner.contestant.run()
    np.testing.assert_allclose(
        runner.contestant.output(), attention(q, k, v, mask, causal=causal), rtol=1e-4, atol=1e-5
    )


def test_onnxruntime_says_which_attention_it_is_not_set_up_for(pocl: Device) -> None:
    require("onnxruntime")
    q, k = np.ones((1, 2, 3, 8), np.float32), np.ones((1, 1, 3, 8), np.float32)
    with pytest.raises(PeerUnavailable, match="GroupQueryAttention is causal"):
        onnxruntime.entrant(pocl, "attention", (q, k, k))
    with pytest.raises(PeerUnavailable, match="ends with the last key"):
        onnxruntime.entrant(pocl, "attention", (q, q, q), {"causal": True, "past": 1})
    with pytest.raises(PeerUnavailable, match="set up for fp32"):
        onnxruntime.entrant(pocl, "attention", [one.astype(np.float16) for one in (q, q, q)])


@pytest.mark.parametrize("keywords", [{"scales": (1, 1, 2, 2)}, {"sizes": (1, 2, 3, 9), "mode": "linear"}])
def test_onnxruntime_resizes(pocl: Device, keywords: dict[str, Any]) -> None:
    require("onnxruntime")
    x = np.arange(2 * 5 * 4, dtype=np.float32).reshape(1, 2, 5, 4)
    contestant = onnxruntime.entrant(pocl, "resize", (x,), keywords).contestant
    assert contestant.output is not None
    contestant.run()
    np.testing.assert_allclose(contestant.output(), ops.resize(pocl, x, **keywords), rtol=1e-5)


def test_onnxruntime_selects(pocl: Device) -> None:
    require("onnxruntime")
    x = np.array([[3, 1, 2], [4, 6, 5]], np.float32)
    contestant = onnxruntime.entrant(pocl, "topk", (x,), {"k": 2, "largest": False}).contestant
    assert contestant.output is not None
    contestant.run()
    np.testing.assert_array_equal(contestant.output(), [[1, 2], [4, 5]])


def test_onnxruntime_missing_names_the_cure(pocl: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "find_spec", lambda _name: None)
    assert onnxruntime.unavailable(pocl) == "needs onnx and onnxruntime: pip install 'rx580lab[peers]'"
    with pytest.raises(PeerUnavailable, match=r"\[onnxruntime\] needs onnx"):
        onnxruntime.entrant(pocl, "gemm", pair())


@pytest.mark.parametrize("name", [name for name in peers.NAMES if "gemm" in peers.peer(name).OPS])
def test_refusals(pocl: Device, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for one in (clblast, onnxruntime, tinygrad):  # the checks come before the library
        monkeypatch.setattr(one, "unavailable", lambda _device: None)
    rival = peers.peer(name)
    a, b = pair()
    with pytest.raises(PeerUnavailable, match=r"expected an op among gemm.*, got 'softmax'"):
        rival.entrant(pocl, "softmax", (a,))
    with pytest.raises(ShapeError, match="expected non-empty"):
        rival.entrant(pocl, "gemm", (a, b[:5]))
    with pytest.raises(ShapeError, match="expected non-empty"):
        rival.entrant(pocl, "gemm", (a[:0], b))
    with pytest.raises(DtypeError, match="float32"):
        rival.entrant(pocl, "gemm", (a.astype(np.float64), b))


def test_names() -> None:
    with pytest.raises(InputError, match=r"expected one of openblas, clblast, .*, got 'mkl'"):
        peers.peer("mkl")


@pytest.mark.parametrize("op", numpy.OPS)
def test_numpy_moves_elements_as_we_do(pocl: Device, op: str) -> None:
    problem = prepare_problem(op, parse_shape(op), seed=1)
    entrant = peers.peer("numpy").entrant(pocl, op, problem.arrays, problem.case.keywords)
    runner = entrant.contestant
    assert runner.output is not None
    for _ in range(2):
        allowed = problem.tolerance
        assert "never written" in str(compare(runner.output(), problem.expected, allowed, dtype=problem.dtype).reason)
        runner.run()
        assert compare(runner.output(), problem.expected, allowed, dtype=problem.dtype).ok
        entrant.spoil()


def test_numpy_refuses_what_it_is_not_set_up_for(pocl: Device) -> None:
    x = np.ones((4, 4), np.float32)
    with pytest.raises(PeerUnavailable, match="an op among transpose, slice"):
        numpy.entrant(pocl, "gemm", (x, x))
    with pytest.raises(PeerUnavailable, match="margins of a constant only"):
        numpy.entrant(pocl, "pad", (x,), {"pads": (0, 0, 1, 1), "mode": "wrap"})
    with pytest.raises(PeerUnavailable, match="no single call for gelu"):
        numpy.entrant(pocl, "elementwise", (x,), {"function": "gelu"})
    with pytest.raises(PeerUnavailable, match="not log_sum_exp"):
        numpy.entrant(pocl, "reduce", (x,), {"function": "log_sum_exp", "axes": (1,)})
    with pytest.raises(PeerUnavailable, match="steps forwards only"):
        numpy.entrant(pocl, "slice", (x,), {"starts": (3,), "ends": (0,), "steps": (-1,)})


@pytest.mark.parametrize("peer", [onnxruntime, tinygrad], ids=["onnxruntime", "tinygrad"])
def test_a_whole_model_runs_and_is_spoilt(peer: Any, pocl: Device, tmp_path: Path) -> None:
    """The empty constant is what PaddlePaddle's exporter gives a Resize for a region."""
    require(peer.__name__.rpartition(".")[2])
    empty = onnx.helper.make_tensor("empty", onnx.TensorProto.FLOAT, [0], [])
    path = write(
        tmp_path / "model.onnx",
        [
            node("Constant", [], ["region"], value=empty),
            node("Resize", ["x", "region", "scales"], ["large"], mode="nearest"),
            node("Relu", ["large"], ["y"]),
        ],
        {"x": (np.float32, [1, 2, 3, 4])},
        {"y": (np.float32, [1, 2, 6, 8])},
        {"scales": np.array([1, 1, 2, 2], np.float32)},
        opset=12,
    )
    x = np.random.default_rng(3).standard_normal((1, 2, 3, 4), dtype=np.float32)
    expected = np.maximum(x, 0).repeat(2, axis=2).repeat(2, axis=3)
    found = peer.model(pocl, path, {"x": x}, {"y": expected})
    runner = found.contestant
    found.spoil()
    assert not np.isfinite(runner.output()).any()
    runner.run()
    runner.sync()
    np.testing.assert_array_equal(runner.output(), expected.ravel())
