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

__all__ = ["Case", "Prepared", "Suite", "Tier", "cases", "prepare", "suite"]

AnyArray = npt.NDArray[Any]
Arrays = tuple[AnyArray, ...]
# small: quick enough for a simulator, and enough to take every branch of a kernel. edge: sizes around 32, 64, 256,
# tiles and groups, and odd ones. large: far beyond the caches or the counts of one launch.
Tier = Literal["small", "edge", "large"]


@dataclass(frozen=True)
class Case:
    """One set of inputs.

    Attributes:
        name: unique within the suite; it also seeds the inputs.
        shape: by the op's shape letters, as templates judge it.
        inputs: makes the op's arrays from a generator. keywords: the op's other arguments.
    """

    name: str
    tier: Tier
    shape: Mapping[str, int]
    inputs: Callable[[np.random.Generator], Arrays]
    keywords: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Suite:
    """An op's cases and what judges them: ``oracle`` and ``tolerance`` take the arrays and keywords of a case."""

    op: str
    oracle: Callable[..., AnyArray]
    tolerance: Callable[..., float | AnyArray]
    cases: tuple[Case, ...]
    dtype: npt.DTypeLike = np.float32


@dataclass(frozen=True)
class Prepared:
    """A case with its inputs made and its oracle asked, to be used for every template."""

    op: str
    case: Case
    arrays: Arrays
    expected: AnyArray
    tolerance: float | AnyArray
    dtype: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        """Device memory that inputs and output take, without guards."""
        return sum(a.nbytes for a in self.arrays) + self.expected.size * self.dtype.itemsize


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
    return Prepared(op, case, arrays, expected, tolerance, np.dtype(found.dtype))
