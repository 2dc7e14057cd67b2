"""What a model is given: checked against what it declares, on the host or already on the device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from rx580lab.device import Array, Device
from rx580lab.errors import DtypeError, InputError, ShapeError

__all__ = ["Given", "Inputs", "TensorInfo", "assumed_lengths"]

Given: TypeAlias = "npt.NDArray[Any] | Array"


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of a model: lengths are numbers, names of symbolic dimensions, or None where unknown."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | str | None, ...] | None

    def __str__(self) -> str:
        lengths = "any shape" if self.shape is None else "x".join("?" if n is None else str(n) for n in self.shape)
        return f"{self.name} {self.dtype} {lengths or 'scalar'}"


def assumed_lengths(
    inputs: Mapping[str, TensorInfo], lengths: Mapping[str, tuple[int, ...]]
) -> dict[str, tuple[int, ...]]:
    """``lengths`` of inputs, and for those not named their own, with 1 for each length that the file leaves open."""
    return {
        name: tuple(lengths[name])
        if name in lengths
        else tuple(n if isinstance(n, int) else 1 for n in info.shape or ())
        for name, info in inputs.items()
    }


class Inputs:
    """The inputs of one model; ``where`` is its file, for messages."""

    def __init__(self, where: str, infos: Mapping[str, TensorInfo]) -> None:
        self._where = where
        self._infos = infos

    def info(self, name: str) -> TensorInfo:
        """What the model declares of an input."""
        if name not in self._infos:
            raise InputError(self._where, f"expected inputs {', '.join(self._infos)}, got {name!r}")
        return self._infos[name]

    def checked(self, inputs: Mapping[str, Any], device: Device | None) -> dict[str, Given]:
        """All inputs in the model's order: an Array of ``device`` as it is, anything else as a numpy array.

        Nothing is converted: InputError, DtypeError or ShapeError for what does not fit.
        """
        for name in inputs:
            self.info(name)
        missing = [name for name in self._infos if name not in inputs]
        if missing:
            raise InputError(self._where, f"expected inputs {', '.join(self._infos)}, got none for {missing[0]!r}")
        lengths: dict[str, tuple[int, str]] = {}
        return {name: self._one(info, inputs[name], device, lengths) for name, info in self._infos.items()}

    def lengths(self, name: str, shape: Sequence[Any]) -> npt.NDArray[Any]:
        """Zeros of these lengths, which take no memory."""
        if any(not isinstance(n, (int, np.integer)) or n < 0 for n in shape):
            raise ShapeError(self._where, f"expected lengths of {name!r} that are whole numbers, got {shape}")
        return np.broadcast_to(np.zeros((), self.info(name).dtype), shape)

    def _one(self, info: TensorInfo, value: Any, device: Device | None, lengths: dict[str, tuple[int, str]]) -> Given:
        if isinstance(value, Array):
            if value.device is not device:
                raise InputError(self._where, f"expected input {info.name!r} on the model's device, got {value!r}")
            found: Given = value
        else:
            found = self._host(info, value)
        if found.dtype != info.dtype:
            raise DtypeError(self._where, f"expected input {info.name!r} of {info.dtype}, got {found.dtype}")
        self._check_shape(info, found.shape, lengths)
        return found

    def _host(self, info: TensorInfo, value: Any) -> npt.NDArray[Any]:
        try:
            return np.asarray(value)
        except ValueError as error:  # numpy's, for rows of different lengths
            raise InputError(self._where, f"expected input {info.name!r} as an array: {error}") from error

    def _check_shape(self, info: TensorInfo, shape: tuple[int, ...], lengths: dict[str, tuple[int, str]]) -> None:
        if info.shape is None:
            return
        fits = len(shape) == len(info.shape)
        for wanted, got in zip(info.shape, shape, strict=False):
            if isinstance(wanted, str):
                first, where = lengths.setdefault(wanted, (got, info.name))
                if first != got:
                    raise ShapeError(
                        self._where,
                        f"expected {wanted!r} of {info.name!r} to be {first} as in {where!r}, got {got}",
                    )
            elif wanted is not None and wanted != got:
                fits = False
        if not fits:
            raise ShapeError(self._where, f"expected input {info.name!r} of shape {info.shape}, got {shape}")
