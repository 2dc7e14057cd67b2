"""Whether a model fits a device, answered from its file: no device is opened, no weights are uploaded."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rx580lab.errors import ModelError
from rx580lab.graph.footprint import Footprint
from rx580lab.graph.inputs import assumed_lengths
from rx580lab.graph.model import load

__all__ = ["Fit", "fit"]


@dataclass(frozen=True)
class Fit:
    """The answer of ``fit``.

    Attributes:
        path: the model's file. lengths: of each input. assumed: inputs for which lengths that the file leaves open were
            taken as 1. footprint: bytes, and the limits that they were held against.
    """

    path: str
    lengths: Mapping[str, tuple[int, ...]]
    assumed: tuple[str, ...]
    footprint: Footprint

    @property
    def fits(self) -> bool:
        """Whether all limits hold."""
        return self.footprint.fits

    def as_dict(self) -> dict[str, Any]:
        """For programs: bytes, names, limits."""
        found = asdict(self.footprint)
        more = {"needed_bytes": self.footprint.needed_bytes, "over_bytes": self.footprint.over_bytes}
        answer = {"path": self.path, "fits": self.fits, "assumed": list(self.assumed), "reason": self.footprint.refusal}
        return {**answer, "lengths": {name: list(one) for name, one in self.lengths.items()}, **found, **more}

    def __str__(self) -> str:
        rows = [[*map(str, row)] for row in self.rows()]
        widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
        lines = ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([self.title, *lines, *self.notes()])

    def _repr_html_(self) -> str:
        from rx580lab.results.display import Html, badge, card, table, text

        word = badge("fits" if self.fits else "does not fit", "good" if self.fits else "bad")
        notes = Html("".join(f"<p>{text(note)}</p>" for note in self.notes()))
        heading, *rows = self.rows()
        return card(self.title, word, table(heading, rows), notes)

    @property
    def title(self) -> str:
        """The model and the lengths of its inputs."""
        shapes = (f"{name} {'x'.join(map(str, one)) or 'scalar'}" for name, one in self.lengths.items())
        return f"{self.path}: {', '.join(shapes)}"

    def rows(self) -> list[tuple[str, str, str, str]]:
        """The table, its heading first: what, how much, limit, verdict."""
        from rx580lab.results.display import quantity

        one = self.footprint
        largest = max(filter(None, (one.largest_weight, one.largest_value)), key=lambda some: some.nbytes, default=None)
        size = 0 if largest is None else largest.nbytes

        def verdict(needed: int, limit: int | None) -> str:
            if limit is None:
                return ""
            short = needed - limit
            return f"fits, {quantity(-short, 'bytes')} left" if short <= 0 else f"{quantity(short, 'bytes')} too many"

        def row(what: str, needed: int, limit: int | None = None) -> tuple[str, str, str, str]:
            shown = "" if limit is None else quantity(limit, "bytes")
            return what, quantity(needed, "bytes"), shown, verdict(needed, limit)

        return [
            ("", "needs", "limit", "verdict"),
            row("weights", one.weights_bytes),
            row("activations arena", one.arena_bytes),
            row("in all", one.needed_bytes, one.memory_bytes),
            row("largest array", size, one.allocation_bytes),
        ]

    def notes(self) -> list[str]:
        """What was assumed, which arrays are the largest, and what to try."""
        one = self.footprint
        found = [f"largest weight: {one.largest_weight}"] if one.largest_weight else []
        found += [f"largest value: {one.largest_value}"] if one.largest_value else []
        if self.assumed:
            found.append(f"lengths that the file leaves open were taken as 1: {', '.join(self.assumed)}")
        return found + ([one.refusal] if one.refusal else [])


def fit(
    path: str | os.PathLike[str],
    lengths: Mapping[str, tuple[int, ...]] | None = None,
    *,
    memory_bytes: int | None = None,
    allocation_bytes: int | None = None,
    device_class: str = "gpu",
) -> Fit:
    """What the model of that file needs for inputs of these lengths, and whether it fits within the limits.

    ``device_class``: "gpu" or "cpu", for which arrays are laid out (``Device.device_class``). Lengths that the file
    leaves open and ``lengths`` does not give are taken as 1. What ops need for themselves while they run, and what
    packing adds to weights, only a device knows: that comes on top. Raises as ``load`` and ``Model.plan`` do.
    """
    model = load(path)
    whole = assumed_lengths(model.inputs, lengths or {})
    assumed = tuple(
        name
        for name, info in model.inputs.items()
        if name not in (lengths or {}) and (info.shape is None or not all(isinstance(n, int) for n in info.shape))
    )
    try:
        found = model.footprint(
            whole, memory_bytes=memory_bytes, allocation_bytes=allocation_bytes, device_class=device_class
        )
    except ModelError as error:
        if not assumed:
            raise
        note = f"lengths that the file leaves open were taken as 1, give them for {', '.join(assumed)}"
        raise ModelError(error.where, f"{error.message}; {note}") from error
    return Fit(str(path), whole, assumed, found)
