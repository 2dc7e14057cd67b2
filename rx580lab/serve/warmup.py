"""The first runs of a model: whether rows of different requests may share a launch, and what launches cost.

That an axis has no fixed length does not prove that rows stand alone: a mean over it, or a scale that is computed from
the whole batch, makes one client's answer depend on another's data. So it is tried, with random rows.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rx580lab.errors import InputError, LabError, LimitExceeded
from rx580lab.graph.model import Model, TensorInfo
from rx580lab.serve.inference import Tensor
from rx580lab.serve.launches import row_counts
from rx580lab.serve.turns import Turns

__all__ = ["Warm", "one_launch", "only_rows_are_open", "random_rows", "warm_up", "why_unbatched"]

# Of a symbolic axis other than the batch, where the model's own file does not say.
LENGTH = 16
# Larger launches are not tried once one takes this long, or a row has become hardly cheaper in one of 100 ms.
LONGEST_S = 1.0
LONG_S = 0.1
HARDLY = 0.97
# The least of so many times counts, if that does not take longer in all.
ROUNDS = 6
MEASURED_S = 0.5
# Against rows of the same launch, whose neighbours differ; and against a launch of one row, by other kernels. Both
# relative to the largest value of a row.
SAME = 1e-5
ROUNDING = {np.dtype(np.float64): 1e-6, np.dtype(np.float32): 1e-3, np.dtype(np.float16): 2e-2}
# A value near the edge between two steps of a quantized model may fall to either side.
STEP = 3e-2
PROVEN_ROWS = 4
SCALES = (1.0, 3.0, 0.3)


@dataclass(frozen=True)
class Warm:
    """``costs``: rows of a launch -> seconds; empty where rows do not share one, and ``reason`` says why."""

    costs: Mapping[int, float]
    reason: str


def why_unbatched(model: Model) -> str:
    """What in a model's declaration keeps rows of requests apart; "" if nothing does."""
    if not model.inputs or not model.outputs:
        return "it has no inputs or no outputs"
    names = set()
    for one in (*model.inputs.values(), *model.outputs.values()):
        if not one.shape or isinstance(one.shape[0], int):
            return f"the first axis of {one.name} is not symbolic"
        names.add(one.shape[0])
    if len(names - {None}) > 1:
        return f"the first axes have different names: {', '.join(sorted(map(str, names - {None})))}"
    if model.deciding:
        return f"the data of {', '.join(sorted(model.deciding))} decide shapes"
    return ""


def only_rows_are_open(model: Model) -> bool:
    """Whether launches of one row count are all alike, since every other axis has a fixed length."""
    return all(isinstance(n, int) for one in model.inputs.values() for n in (one.shape or ("any",))[1:])


def one_launch(model: Model, lengths: Mapping[str, int], rows: int) -> dict[str, tuple[int, ...]]:
    """Lengths of all inputs for a launch of so many rows; other open axes as ``lengths`` says."""
    return {name: _shape(info, lengths, rows) for name, info in model.inputs.items()}


def random_rows(
    model: Model, lengths: Mapping[str, int], rows: int, rng: np.random.Generator, scale: float = 1.0
) -> dict[str, Tensor]:
    """Inputs of the types that it declares: normal floats, whole numbers 0 and 1, since others may be out of range."""
    return {name: _random(info, _shape(info, lengths, rows), rng, scale) for name, info in model.inputs.items()}


def warm_up(model: Model, lengths: Mapping[str, int], most: int, turns: Turns, *, batching: bool) -> Warm:
    """Runs it in launches of 1, 2, 4 ... ``most`` rows, each under a turn of the device.

    Where that fails, or rows mix, it is served one request a launch. Raises the error of a launch of one row, unless
    that is about the inputs that were made up here.
    """
    reason = why_unbatched(model) if batching else "its settings say so"
    if not reason and most == 1:
        reason = "a launch of one row is the largest allowed"
    if reason:
        return Warm({}, reason + _cold(model, lengths, turns))
    try:
        costs = _costs(model, lengths, most, turns)
        if len(costs) == 1:
            return Warm({}, "launches of more rows do not fit the device or do not pay")
        return Warm(costs, "") if not (reason := _mixing(model, lengths, costs, turns)) else Warm({}, reason)
    except LimitExceeded:
        raise
    except LabError as error:
        return Warm({}, f"a launch of several rows failed: {error.message[:300]}" + _cold(model, lengths, turns))


def _cold(model: Model, lengths: Mapping[str, int], turns: Turns) -> str:
    """One launch of one row: "", or that it did not take the inputs."""
    try:
        with turns:
            model.run(random_rows(model, lengths, 1, np.random.default_rng(0)))
    except InputError as error:
        return f"; it is not warmed up: {error.message[:300]}"
    return ""


def _costs(model: Model, lengths: Mapping[str, int], most: int, turns: Turns) -> dict[int, float]:
    costs: dict[int, float] = {}
    given: dict[int, dict[str, Tensor]] = {}
    last = 0
    for rows in row_counts(most):
        inputs = given[rows] = random_rows(model, lengths, rows, np.random.default_rng(rows))
        try:
            with turns:
                model.run(inputs)
            costs[rows] = _timed(model, inputs, turns)
        except LimitExceeded:
            if not costs:
                raise
            break
        if costs[rows] > LONGEST_S or (last and _hardly_pays(model, given, costs, (last, rows), turns)):
            break
        last = rows
    # Round after round, so that what disturbs the machine for a moment does not meet one row count alone.
    end = time.monotonic() + MEASURED_S
    for _ in range(ROUNDS):
        for rows in costs:
            if time.monotonic() < end:
                costs[rows] = min(costs[rows], _timed(model, given[rows], turns))
    return costs


def _hardly_pays(
    model: Model,
    given: Mapping[int, dict[str, Tensor]],
    costs: dict[int, float],
    pair: tuple[int, int],
    turns: Turns,
) -> bool:
    """Whether a row is hardly cheaper in the larger of two launches, which are not short: timed again to be sure."""
    less, more = pair
    for _ in range(ROUNDS):
        if costs[more] <= LONG_S or costs[more] / more <= HARDLY * costs[less] / less:
            return False
        for rows in pair:
            costs[rows] = min(costs[rows], _timed(model, given[rows], turns))
    return True


def _timed(model: Model, inputs: Mapping[str, Tensor], turns: Turns) -> float:
    with turns:
        began = time.perf_counter()
        model.run(inputs)
        return time.perf_counter() - began


def _mixing(model: Model, lengths: Mapping[str, int], costs: Mapping[int, float], turns: Turns) -> str:
    """Why rows must not share a launch, by random ones; "" if they come out as they do alone."""
    size = max(n for n in costs if n <= PROVEN_ROWS)
    rng = np.random.default_rng(1)
    rows = [random_rows(model, lengths, 1, rng, scale) for _, scale in zip(range(size - 1), SCALES, strict=False)]
    strangers = random_rows(model, lengths, size - 1, rng, 30.0)
    with turns:
        together = model.run(_joined([*rows, *[rows[-1]] * (size - len(rows))]))
        beside = model.run(_joined([rows[0], strangers]))
        alone = [model.run(one) for one in rows]
    quantized = any("Quantize" in op or "QLinear" in op or "Integer" in op for op in model.operators)
    for name, whole in together.items():
        if whole.shape[:1] != (size,):
            return f"output {name} has {whole.shape} for {size} rows"
        if not _agree(whole[:1], beside[name][:1], SAME, 0):
            return f"output {name} of a row depends on the rows beside it"
        near = STEP if quantized else ROUNDING.get(whole.dtype, 0.0)
        for place, one in enumerate(alone):
            if not _agree(whole[place : place + 1], one[name], near, int(quantized)):
                return f"output {name} of a row depends on how many rows are beside it"
    return ""


def _agree(left: Tensor, right: Tensor, near: float, steps: int) -> bool:
    if left.shape != right.shape:
        return False
    if left.dtype.kind == "f":
        a, b = left.astype(np.float64), right.astype(np.float64)
        finite = np.isfinite(a)
        if not np.array_equal(finite, np.isfinite(b)):
            return False
        scale = np.abs(a[finite]).max(initial=0.0)
        return bool(np.all(np.abs(a[finite] - b[finite]) <= near * scale))
    if left.dtype.kind in "iu" and steps:
        # Without wrapping round: the difference of unsigned numbers, and of the largest ones.
        return bool(np.all(np.maximum(left, right) - np.minimum(left, right) <= steps))
    return bool(np.array_equal(left, right))


def _joined(parts: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: np.concatenate([one[name] for one in parts]) for name in parts[0]}


def _shape(info: TensorInfo, lengths: Mapping[str, int], rows: int) -> tuple[int, ...]:
    def length(axis: int, n: int | str | None) -> int:
        if isinstance(n, int):
            return n
        if axis == 0:
            return rows
        return lengths.get(str(n), lengths.get(f"{info.name}.{axis}", LENGTH))

    return tuple(length(axis, n) for axis, n in enumerate(info.shape or ()))


def _random(info: TensorInfo, shape: tuple[int, ...], rng: np.random.Generator, scale: float) -> Tensor:
    if info.dtype.kind == "f":
        return np.asarray(scale * rng.standard_normal(shape)).astype(info.dtype)
    return rng.integers(0, 2, shape).astype(info.dtype)
