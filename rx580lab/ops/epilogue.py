"""What an op may do to each value before it stores it: add a bias and a residual, then an activation.

The order is the same everywhere: ``out = activation(value + bias + residual)``. Kernels: ``include/epilogue.h``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rx580lab.errors import InputError

__all__ = ["ACTIVATIONS", "Activation", "Epilogue"]


@dataclass(frozen=True)
class Activation:
    """Its code in ``include/epilogue.h``, and the defaults of its parameters; None where it has no such parameter."""

    code: int
    alpha: float | None = None
    beta: float | None = None


# Defaults are those of the ONNX operators of these names; hard_swish_affine is no operator.
ACTIVATIONS: Mapping[str, Activation] = {
    "relu": Activation(1),
    "leaky_relu": Activation(2, alpha=0.01),
    "clip": Activation(3, alpha=-math.inf, beta=math.inf),
    "hard_swish": Activation(4, alpha=1 / 6, beta=0.5),
    "hard_sigmoid": Activation(5, alpha=0.2, beta=0.5),
    "gelu": Activation(6),
    "gelu_tanh": Activation(7),
    "silu": Activation(8),
    "sigmoid": Activation(9),
    "tanh": Activation(10),
    "elu": Activation(11, alpha=1.0),
    "selu": Activation(12, alpha=1.67326319217681884765625, beta=1.05070102214813232421875),
    "softplus": Activation(13),
    "mish": Activation(14),
    "softsign": Activation(15),
    "hard_swish_affine": Activation(16, alpha=1.0, beta=0.0),
}


@dataclass(frozen=True)
class Epilogue:
    """An activation and its parameters; ``activation`` None changes nothing.

    ``alpha`` and ``beta`` are ONNX's, where the activation has them: the slope of ``leaky_relu``; the least and the
    largest value of ``clip``; slope and offset of ``hard_sigmoid`` and ``hard_swish``; ``elu``'s factor; ``selu``'s
    alpha and gamma. ``hard_swish_affine`` is alpha * HardSwish + beta, HardSwish of slope 1/6 and offset 1/2. None
    takes ONNX's default. InputError for an unknown activation, for a parameter that it does not have, and for NaN.
    """

    activation: str | None = None
    alpha: float | None = None
    beta: float | None = None

    def __post_init__(self) -> None:
        if self.activation is not None and self.activation not in ACTIVATIONS:
            raise InputError(
                "epilogue", f"expected an activation among {', '.join(ACTIVATIONS)}, got {self.activation!r}"
            )
        known = self._known()
        for name, given, default in (("alpha", self.alpha, known.alpha), ("beta", self.beta, known.beta)):
            if given is not None and default is None:
                raise InputError(
                    "epilogue", f"expected no {name} for {self.activation or 'no activation'}: it has none"
                )
            if given is not None and math.isnan(given):
                raise InputError("epilogue", f"expected {name} to be a number, got {given}")

    def macros(self) -> dict[str, int]:
        """What a kernel that includes ``epilogue.h`` is built with."""
        return {"ACTIVATION": self._known().code}

    def args(self) -> tuple[np.float32, np.float32]:
        """The kernel arguments alpha and beta; 0 where the activation has none."""
        known = self._known()
        pairs = ((self.alpha, known.alpha), (self.beta, known.beta))
        alpha, beta = (np.float32(given if given is not None else default or 0.0) for given, default in pairs)
        return alpha, beta

    def _known(self) -> Activation:
        return Activation(0) if self.activation is None else ACTIVATIONS[self.activation]
