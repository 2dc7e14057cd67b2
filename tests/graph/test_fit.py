"""Whether a model fits: answered from its file, by the figures of a real plan."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import rx580lab as rx
from rx580lab.errors import LimitExceeded, ModelError
from rx580lab.graph import fit
from tests.graph.build import node, write

W = np.ones((4, 3, 3, 3), np.float32)
LENGTHS = {"x": (2, 3, 16, 16)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Weights of 432 bytes; x of 6,144, two results of 8,192, of which the second takes over the first."""
    nodes = [node("Conv", ["x", "w"], ["c"], pads=[1] * 4), node("Exp", ["c"], ["y"])]
    io = {"x": (np.float32, ("n", 3, "h", "w"))}, {"y": (np.float32, ("n", 4, "h", "w"))}
    return write(tmp_path / "small.onnx", nodes, io[0], io[1], {"w": W})


def test_its_figures_are_those_of_a_plan(path: Path, pocl: rx.Device) -> None:
    found = fit(path, LENGTHS, device_class=pocl.device_class).footprint
    plan = rx.load(path, pocl).plan(LENGTHS)
    assert plan.footprint.arena_bytes == found.arena_bytes
    assert plan.arena_bytes <= found.arena_bytes + plan.workspace_bytes
    assert plan.footprint.weights_bytes == found.weights_bytes == W.nbytes


def test_the_arena_is_inputs_and_what_lives_at_once(path: Path) -> None:
    found = fit(path, LENGTHS)
    assert (found.footprint.arena_bytes, found.footprint.needed_bytes) == (6144 + 8192, 6144 + 8192 + 432)
    assert (found.fits, found.assumed, found.footprint.refusal) == (True, (), "")
    largest = found.footprint.largest_value
    assert largest is not None
    assert (largest.name, largest.nbytes) == ("c", 8192)


@pytest.mark.parametrize(
    ("memory", "largest", "over", "words"),
    [
        (14_768, 8192, 0, ""),
        (14_767, None, 1, "14,767 bytes of device memory, got one that needs 14,768: 432 for weights and 14,336"),
        (None, 8191, 0, "arrays of at most 8,191 bytes each, got 'c' .* of 8,192 bytes and 1 more; try a smaller"),
        (400, None, 14_368, "its weights alone are too many"),
    ],
)
def test_limits_hold_to_the_byte(path: Path, memory: int | None, largest: int | None, over: int, words: str) -> None:
    found = fit(path, LENGTHS, memory_bytes=memory, allocation_bytes=largest)
    assert (found.fits, found.footprint.over_bytes) == (not words, over)
    assert re.search(words, found.footprint.refusal)


def test_open_lengths_are_1_and_said_so(path: Path) -> None:
    found = fit(path)
    assert (found.lengths, found.assumed) == ({"x": (1, 3, 1, 1)}, ("x",))
    assert "taken as 1: x" in str(found)


def test_where_1_is_too_short_the_error_says_what_to_give(tmp_path: Path) -> None:
    nodes = [node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2])]
    kind = (np.float32, ("n", 3, "h", "w"))
    path = write(tmp_path / "pool.onnx", nodes, {"x": kind}, {"y": kind})
    with pytest.raises(ModelError, match=r"node '.*' \(MaxPool\).*taken as 1, give them for x"):
        fit(path)
    assert fit(path, {"x": (1, 3, 4, 4)}).fits


def test_no_device_is_opened(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RX580LAB_DEVICE", "no such card")
    assert fit(path, LENGTHS, memory_bytes=1 << 20).fits


def test_a_device_of_that_size_agrees(path: Path) -> None:
    too_few = fit(path, LENGTHS, device_class="cpu").footprint.needed_bytes - 1
    refused = rx.open_device("pocl", limits=rx.Limits(memory_bytes=too_few))
    with pytest.raises(LimitExceeded) as caught:
        rx.load(path, refused).plan(LENGTHS)
    assert (
        caught.value.message
        == fit(
            path, LENGTHS, memory_bytes=too_few, allocation_bytes=refused.limits.allocation_bytes, device_class="cpu"
        ).footprint.refusal
    )
    assert refused.bytes_peak == 0


def test_it_shows_itself_as_text_and_as_a_table(path: Path) -> None:
    found = fit(path, LENGTHS, memory_bytes=10_000, allocation_bytes=1 << 20)
    shown = str(found).splitlines()
    assert [line.split("  ")[0] for line in shown[2:6]] == ["weights", "activations arena", "in all", "largest array"]
    assert "4.656 KiB too many" in shown[4]
    assert "1016 KiB left" in shown[5]
    page = found._repr_html_()
    assert "does not fit" in page
    assert "4.656 KiB too many" in page
    assert found.as_dict()["over_bytes"] == 4768
