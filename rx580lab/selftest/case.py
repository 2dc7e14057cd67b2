"""What an op is tried on: a suite names its oracle and its cases. One file per op, ``selftest/suites/<op>.py``."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rx580lab.errors import InputError
from rx580lab.ops import spec

__all__ = ["Bench", "Case", "Prepared", "Problem", "Suite", "Tier", "cases", "prepare", "prepare_problem", "suite"]

AnyArray = npt.NDArray[Any]
# None stands for an optional array that is not given.
Arrays = tuple[AnyArray | None, ...]
# small: quick enough for a simulator, and enough to take every branch of a kernel. edge: sizes around 32, 64, 256,
# tiles and groups, and odd ones. large: far beyond the caches or the counts of one launch.
Tier = Literal["small", "edge", "large"]


@dataclass(frozen=True)
class Case:
    """One set of inputs.

    Attributes:
        name: unique within the suite; it also seeds the inputs.
        inputs: makes the op's arrays from a generator. keywords: the op's other arguments.
        dtype: of the output, and of each further one whose oracle answers in float64, where it is not the suite's.
    """

    name: str
    tier: Tier
    inputs: Callable[[np.random.Generator], Arrays]
    keywords: Mapping[str, Any] = field(default_factory=dict)
    dtype: npt.DTypeLike | None = None


@dataclass(frozen=True)
class Problem:
    """What a benchmark gives an op: its arrays and its other arguments; ``dtype`` is that of ``Case``."""

    arrays: Arrays
    keywords: Mapping[str, Any] = field(default_factory=dict)
    dtype: npt.DTypeLike | None = None


@dataclass(frozen=True)
class Bench:
    """How a benchmark states a problem of an op.

    Attributes:
        letters: name of a size or switch -> its default; None where it must be given.
        make: the problem at those sizes, by a generator.
        example: sizes worth a first look, as ``parse_shape`` reads them.
    """

    letters: Mapping[str, int | None]
    make: Callable[[Mapping[str, int], np.random.Generator], Problem]
    example: str


@dataclass(frozen=True)
class Suite:
    """An op's cases and what judges them.

    Attributes:
        op: its name.
        oracle: takes the arrays and keywords of a case, gives the output expected; a tuple for several outputs.
        tolerance: takes the same, gives the absolute error allowed, per element or for all; a tuple for several.
        cases: what every template is tried on.
        random: one case by chance, small, of any legal shape and parameters; its name tells them.
        bench: how a benchmark states a problem.
        dtype: of the (first) output.
    """

    op: str
    oracle: Callable[..., AnyArray | tuple[AnyArray, ...]]
    tolerance: Callable[..., float | AnyArray | tuple[float | AnyArray, ...]]
    cases: tuple[Case, ...]
    random: Callable[[np.random.Generator], Case]
    bench: Bench
    dtype: npt.DTypeLike = np.float32


@dataclass(frozen=True)
class Prepared:
    """A case with its inputs made and its oracle asked, to be used for every template.

    ``more`` holds, for an op of several outputs, what is expected of each after the first, and its tolerance.
    """

    op: str
    case: Case
    arrays: Arrays
    expected: AnyArray
    tolerance: float | AnyArray
    dtype: np.dtype[Any]
    more: tuple[tuple[AnyArray, float | AnyArray], ...] = ()

    @property
    def shape(self) -> dict[str, int]:
        """Its shape letters, by which templates and costs judge."""
        return spec(self.op).shape(*self.arrays, **self.case.keywords)

    @property
    def nbytes(self) -> int:
        """Device memory that inputs and output take, without guards."""
        given = sum(a.nbytes for a in self.arrays if a is not None)
        return given + self.expected.size * self.dtype.itemsize + sum(expected.nbytes for expected, _ in self.more)


def suite(op: str) -> Suite:
    """The suite of that op. InputError when it has none: an op without cases is an op that nobody checked."""
    name = f"rx580lab.selftest.suites.{op}"
    if not op.isidentifier() or find_spec(name) is None:
        raise InputError(
            "selftest", f"expected cases for {op!r} in selftest/suites/{op}.py, got none; add a SUITE there"
        )
    found: Suite = import_module(name).SUITE
    return found


def cases(op: str, tiers: tuple[Tier, ...] | None = None) -> list[Case]:
    """The op's cases, of all tiers or of these."""
    return [case for case in suite(op).cases if tiers is None or case.tier in tiers]


def prepare(op: str, case: Case) -> Prepared:
    """Makes the inputs, the same ones every time, and asks the oracle."""
    found = suite(op)
    seed = int.from_bytes(hashlib.sha256(f"{op}/{case.name}".encode()).digest()[:8], "little")
    arrays = case.inputs(np.random.default_rng(seed))
    expected = found.oracle(*arrays, **case.keywords)
    tolerance = found.tolerance(*arrays, **case.keywords)
    dtype = np.dtype(found.dtype if case.dtype is None else case.dtype)
    outputs = expected if isinstance(expected, tuple) else (expected,)
    bounds = tolerance if isinstance(tolerance, tuple) else (tolerance,)
    first, *more = zip(outputs, bounds, strict=True)
    return Prepared(op, case, arrays, *first, dtype, tuple(more))


def prepare_problem(op: str, sizes: Mapping[str, int], *, seed: int) -> Prepared:
    """A benchmark's problem at these sizes (see ``Bench``), with its oracle asked. InputError for an unknown op."""
    found = suite(op)
    made = found.bench.make(sizes, np.random.default_rng(seed))
    words = " ".join(f"{name}={size}" for name, size in sizes.items())
    return prepare(op, Case(words, "large", lambda _rng: made.arrays, made.keywords, made.dtype))
