"""What a file declares of its outputs, beside what follows from its nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from rx580lab.errors import ModelError
from rx580lab.graph.ir import Graph, Value
from rx580lab.graph.specialise import specialise

__all__ = ["Declared", "check_fixed", "check_outputs", "is_fixed"]


class Declared(Protocol):
    """Type of an input or output as the file gives it."""

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Of the elements."""

    @property
    def shape(self) -> tuple[int | str | None, ...] | None:
        """Numbers, names, or None where the file says nothing."""


def is_fixed(types: Mapping[str, Declared]) -> bool:
    """Whether all lengths are numbers, so that all shapes follow from the file alone."""
    return all(one.shape is not None and all(isinstance(n, int) for n in one.shape) for one in types.values())


def check_fixed(
    graph: Graph, inputs: Mapping[str, Declared], outputs: Mapping[str, Declared], deciding: tuple[str, ...]
) -> None:
    """Infers all that follows from inputs of fixed lengths, so that a conflict is found before anything runs.

    ``deciding``: inputs whose data decide shapes; what depends on them is left alone. Raises ModelError.
    """
    if is_fixed(inputs):
        known = {
            name: Value(one.dtype, tuple(int(n) for n in one.shape or () if isinstance(n, int)))
            for name, one in inputs.items()
            if name not in deciding
        }
        check_outputs(specialise(graph, known), outputs, shapes=True)


def check_outputs(graph: Graph, outputs: Mapping[str, Declared], *, shapes: bool) -> None:
    """ModelError naming the node whose result is not what the file declares.

    Lengths count where ``shapes`` says so: the declared ones are often those of one export, while inputs may vary.
    """
    writers = graph.producers()
    for name, declared in outputs.items():
        found = graph.values.get(name)
        if found is None:
            continue
        where = f"{graph.file}: {writers[name]}" if name in writers else graph.file
        if found.dtype != declared.dtype:
            raise ModelError(where, f"expected output {name!r} of {declared.dtype}, as declared, got {found.dtype}")
        if shapes and declared.shape is not None and not _fits(found.shape, declared.shape):
            raise ModelError(
                where, f"expected output {name!r} of shape {declared.shape}, as declared, got {found.shape}"
            )


def _fits(shape: tuple[int, ...], declared: tuple[int | str | None, ...]) -> bool:
    pairs = zip(shape, declared, strict=False)
    return len(shape) == len(declared) and all(not isinstance(wanted, int) or wanted == n for n, wanted in pairs)
