"""Cases of ``gemm``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rx580lab.ops.epilogue import ACTIVATIONS, Epilogue
from rx580lab.reference.gemm import gemm, gemm_tolerance
from rx580lab.selftest.case import AnyArray, Arrays, Bench, Case, Problem, Suite, Tier

__all__ = ["SUITE"]

Dims = tuple[int, ...]


@dataclass(frozen=True)
class _Kind:
    """What a case is besides its lengths; ``left`` and ``right`` are the batch axes of A and B."""

    left: Dims = ()
    right: Dims = ()
    transpose_a: bool = False
    transpose_b: bool = False
    half: bool = False
    bias: bool = False
    residual: bool = False
    constant_b: bool = False
    alpha: float = 1.0
    epilogue: Epilogue | None = None

    @property
    def words(self) -> str:
        """The switches that are on."""
        switches = ("transpose_a", "transpose_b", "half", "bias", "residual", "constant_b")
        batch = f"batch {self.left} {self.right}" if self.left or self.right else ""
        alpha = f"alpha {self.alpha:g}" if self.alpha != 1 else ""
        activation = self.epilogue.activation if self.epilogue else ""
        return ", ".join(
            word for word in (batch, *(name for name in switches if getattr(self, name)), alpha, activation) if word
        )

    @property
    def keywords(self) -> Mapping[str, Any]:
        """The op's keywords, those left out that have their default."""
        found = {name: True for name in ("transpose_a", "transpose_b", "constant_b") if getattr(self, name)}
        more: dict[str, Any] = {} if self.alpha == 1 else {"alpha": self.alpha}
        return {**found, **more, **({} if self.epilogue is None else {"epilogue": self.epilogue})}

    def arrays(self, rng: np.random.Generator, m: int, n: int, k: int) -> Arrays:
        """Inputs. All lengths differ wherever they can, so that a swapped or wrong leading dimension shows."""
        dtype = np.float16 if self.half else np.float32

        def normal(*shape: int) -> AnyArray:
            return rng.standard_normal(shape, dtype=np.float32).astype(dtype)

        a = normal(*self.left, *((k, m) if self.transpose_a else (m, k)))
        b = normal(*self.right, *((n, k) if self.transpose_b else (k, n)))
        given: list[AnyArray | None] = [a, b]
        if self.bias or self.residual:
            batch = np.broadcast_shapes(self.left, self.right)
            given.append(normal(n) if self.bias else None)
            given.append(normal(*batch, m, n) if self.residual else None)
        return tuple(given)


_PLAIN = _Kind()


def _case(tier: Tier, shape: tuple[int, int, int], kind: _Kind = _PLAIN) -> Case:
    name = "x".join(map(str, shape)) + (f", {kind.words}" if kind.words else "")
    dtype = np.float16 if kind.half else np.float32
    return Case(name, tier, lambda rng: kind.arrays(rng, *shape), kind.keywords, dtype)


# (M, N, K). Around the cpu template's micro-tile (6x16) and the gpu template's tiles (64, 16); skinny both ways;
# irregular; sums of length 0.
_SHAPES: tuple[tuple[Tier, tuple[int, int, int]], ...] = (
    ("small", (1, 1, 1)),
    ("small", (7, 17, 5)),
    ("small", (13, 35, 19)),
    ("edge", (0, 4, 3)),
    ("edge", (4, 0, 3)),
    ("edge", (3, 5, 0)),
    ("edge", (6, 16, 4)),
    ("edge", (31, 33, 32)),
    ("edge", (64, 65, 63)),
    ("edge", (1, 257, 300)),
    ("edge", (255, 1, 129)),
    ("edge", (8, 512, 515)),
    ("edge", (97, 130, 1025)),
    ("edge", (128, 96, 64)),
    ("large", (317, 533, 781)),
    ("large", (768, 770, 769)),
)
# Of a benchmark and of cases by chance. packed: B is packed before, and not in each call.
_SWITCHES = ("transpose_a", "transpose_b", "half", "bias", "residual", "packed")
_BOTH: dict[str, Any] = {"transpose_a": True, "transpose_b": True}
_FULL: dict[str, Any] = {"bias": True, "residual": True, "alpha": -0.375}
_RELU = Epilogue("relu")
# Few macros and many arguments: each transposition, element type and activation is a build of its own on the gpu
# template, so that they are tried together, and not each with each.
_KINDS: tuple[tuple[Tier, tuple[int, int, int], _Kind], ...] = (
    ("small", (9, 18, 7), _Kind(transpose_a=True, **_FULL)),
    ("small", (5, 21, 6), _Kind((2, 1), (3,), transpose_b=True)),
    ("small", (6, 17, 5), _Kind((2,), (2,), half=True, transpose_b=True, bias=True, epilogue=_RELU)),
    ("small", (7, 33, 9), _Kind(constant_b=True, residual=True)),
    ("edge", (65, 33, 70), _Kind(transpose_a=True)),
    ("edge", (33, 65, 67), _Kind(transpose_b=True, bias=True)),
    ("edge", (66, 17, 35), _Kind(**_BOTH, residual=True)),
    ("edge", (97, 61, 1030), _Kind(**_BOTH, **_FULL)),
    ("edge", (17, 31, 40), _Kind((3, 1, 2), (2, 1), bias=True)),
    ("edge", (63, 65, 64), _Kind((2, 3), (2, 3), transpose_b=True, alpha=0.125)),
    ("edge", (5, 30, 33), _Kind((4, 3), (1,), residual=True)),
    ("edge", (5, 30, 33), _Kind((1,), (4,), transpose_a=True)),
    ("edge", (4, 6, 5), _Kind((0, 2), (1, 2))),
    ("edge", (2, 3, 0), _Kind((2,), (2,), **_FULL)),
    ("edge", (31, 49, 1100), _Kind(half=True, transpose_b=True, bias=True, epilogue=_RELU)),
    ("edge", (200, 47, 2055), _Kind(half=True, transpose_b=True, residual=True, epilogue=_RELU)),
    ("edge", (100, 80, 90), _Kind((2,), (2,), constant_b=True, bias=True)),
    ("edge", (20, 48, 1030), _Kind(constant_b=True, transpose_b=True)),
    ("large", (1000, 129, 517), _Kind((2, 1), (1, 2), transpose_b=True)),
)


def _special(rng: np.random.Generator) -> Arrays:
    """A NaN in A spoils its row of C, an infinity in B its column; nothing else."""
    a, b = rng.standard_normal((9, 21), dtype=np.float32), rng.standard_normal((21, 18), dtype=np.float32)
    a[4, 20] = np.nan
    b[0, 17] = np.inf
    return a, b


def _random(rng: np.random.Generator) -> Case:
    m, n, k = (int(10 ** rng.uniform(0, 2.2)) for _ in range(3))
    full = [int(rng.integers(1, 4)) for _ in range(rng.integers(0, 3))] if m * n * k < 30000 else []
    left, right = (
        tuple(1 if rng.random() < 0.3 else size for size in full[int(rng.integers(len(full) + 1)) :]) for _ in "ab"
    )
    switches: dict[str, Any] = {name: bool(rng.random() < 0.4) for name in _SWITCHES[:-1]}
    ends: dict[str, Any] = {}
    if rng.random() < 0.3:
        ends = {"alpha": float(np.float32(rng.normal())), "epilogue": Epilogue(str(rng.choice(sorted(ACTIVATIONS))))}
    return _case("edge", (m, n, k), _Kind(left, right, constant_b=bool(rng.random() < 0.2), **switches, **ends))


def _problem(sizes: Mapping[str, int], rng: np.random.Generator) -> Problem:
    batch = (sizes["B"],) if sizes["B"] > 1 else ()
    switches: dict[str, Any] = {name: bool(sizes[name]) for name in _SWITCHES[:-1]}
    kind = _Kind(batch, batch, constant_b=bool(sizes["packed"]), **switches)
    dtype = np.float16 if kind.half else np.float32
    return Problem(kind.arrays(rng, sizes["M"], sizes["N"], sizes["K"]), kind.keywords, dtype)


SUITE = Suite(
    "gemm",
    gemm,
    gemm_tolerance,
    (
        *(_case(tier, shape) for tier, shape in _SHAPES),
        *(_case(tier, shape, kind) for tier, shape, kind in _KINDS),
        Case("NaN and infinity", "small", _special),
    ),
    random=_random,
    bench=Bench(
        {"M": None, "N": None, "K": None, "B": 1, **dict.fromkeys(_SWITCHES, 0)},
        _problem,
        example="256x256x256",
    ),
)
