"""The size of a benchmark's problem, as a spec or a person writes it."""

from __future__ import annotations

from collections.abc import Mapping

from rx580lab import ops
from rx580lab.errors import InputError
from rx580lab.selftest.case import suite

__all__ = ["parse_shape", "shape_text"]


def parse_shape(op: str, text: str | None = None) -> dict[str, int]:
    """The sizes of an op's problem, defaults filled in; without a text, those of the op's own example.

    ``"512x512x512"`` of ``gemm`` -> ``{"M": 512, "N": 512, "K": 512}``; sizes that have a default follow by name:
    ``"64x56x56 stride=2"``. All may be given by name. InputError if it does not fit the op.
    """
    if op not in ops.NAMES:
        raise InputError("bench", f"expected an op among {', '.join(ops.NAMES)}, got {op!r}")
    bench = suite(op).bench
    asked = [name for name, default in bench.letters.items() if default is None]
    optional = "".join(f" [{name}={default}]" for name, default in bench.letters.items() if default is not None)
    wanted = f"expected a shape {'x'.join(asked)}{optional} of {op}, such as {bench.example!r}, got {text!r}"
    words = (bench.example if text is None else text).split()
    found: dict[str, str] = {}
    if words and "=" not in words[0]:
        parts = words.pop(0).lower().split("x")
        if len(parts) != len(asked):
            raise InputError("bench", wanted)
        found = dict(zip(asked, parts, strict=True))
    named = [(word.partition("=")[0], word.partition("=")[2]) for word in words if "=" in word]
    if len(named) != len(words) or len({*found, *(name for name, _ in named)}) != len(found) + len(named):
        raise InputError("bench", wanted)
    found |= dict(named)
    sizes = {name: _size(found.get(name), default) for name, default in bench.letters.items()}
    if set(found) - set(sizes) or any(value is None for value in sizes.values()):
        raise InputError("bench", wanted)
    return {name: value for name, value in sizes.items() if value is not None}


def shape_text(op: str, sizes: Mapping[str, int]) -> str:
    """The shortest text that ``parse_shape`` reads as these sizes: those that have their default are left out."""
    letters = suite(op).bench.letters
    asked = "x".join(str(sizes[name]) for name, default in letters.items() if default is None)
    named = (f"{name}={sizes[name]}" for name, default in letters.items() if default not in (None, sizes[name]))
    return " ".join([asked, *named]).strip()


def _size(text: str | None, default: int | None) -> int | None:
    """A size that must be given is at least 1; one with a default may be 0. None where it is missing or no number."""
    if text is None:
        return default
    return int(text) if text.isdecimal() and (int(text) > 0 or default is not None) else None
