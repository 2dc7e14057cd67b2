"""What every op has in common: its templates, their parameter space and preconditions, its cost, and a launch plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rx580lab.compile import Launch, tuned
from rx580lab.device import Array, Device, Event
from rx580lab.errors import DtypeError, InputError, ShapeError

__all__ = [
    "Constraint",
    "Cost",
    "OpSpec",
    "Plan",
    "Template",
    "apart",
    "as_array",
    "choose",
    "given_back",
    "optional_array",
    "output",
]

# Macros that name a vector type or a loop written out: there are only the values of their space.
WRITTEN_OUT = {"VEC", "CHAINS"}

Shape = Mapping[str, int]
Params = Mapping[str, int]


@dataclass(frozen=True)
class Cost:
    """What one call must at least do: bytes moved to and from memory, and floating-point operations."""

    bytes: int
    flop: int


@dataclass(frozen=True)
class Constraint:
    """A combination of parameters that is legal, and the reason."""

    reason: str
    holds: Callable[[Params], bool]


def _always(_device: Device, _shape: Shape) -> str | None:
    return None


@dataclass(frozen=True)
class Template:
    """One kernel file's way to do an op.

    Attributes:
        name: what ``template=`` takes: ``plain``, ``gpu``, ``cpu``.
        source: stem of the ``.cl`` under ``kernels/``.
        space: macro -> the values worth trying. default: macro -> value. constraints: what must hold between them.
        precondition: when it may run, in words; ``applies`` decides: None, or why not.
        preferred_class: the device class it is shaped for; None if it serves as the plain one.
    """

    name: str
    source: str
    space: Mapping[str, tuple[int, ...]]
    default: Params
    precondition: str
    constraints: tuple[Constraint, ...] = ()
    applies: Callable[[Device, Shape], str | None] = _always
    preferred_class: Literal["cpu", "gpu"] | None = None

    def checked(self, params: Params | None) -> dict[str, int]:
        """The default with ``params`` on top. InputError for an unknown macro or an illegal combination."""
        unknown = sorted(set(params or {}) - set(self.default))
        if unknown:
            raise InputError(
                self.source, f"expected parameters among {', '.join(self.default)}, got {', '.join(unknown)}"
            )
        merged = {**self.default, **(params or {})}
        for name, value in merged.items():
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
                raise InputError(self.source, f"expected {name} to be an integer, got {value!r}")
        for constraint in self.constraints:
            if not _holds(constraint, merged):
                raise InputError(self.source, f"expected {constraint.reason}, got {merged}")
        for name, value in merged.items():
            worth = (*self.space.get(name, ()), self.default[name])
            if not min(1, *worth) <= value <= max(worth):
                # Beyond what was tried lie endless builds, spilled registers and drivers that die without a word.
                raise InputError(self.source, f"expected {name} of {min(1, *worth)} to {max(worth)}, got {value}")
            if name in WRITTEN_OUT and value not in worth:
                raise InputError(self.source, f"expected {name} among {_values(worth)}, got {value}")
        return {name: int(value) for name, value in merged.items()}

    def _repr_html_(self) -> str:
        from rx580lab.results.display import card, facts, table

        rows = [(name, value, _values(self.space.get(name, ()))) for name, value in self.default.items()]
        conditions = {"runs where": self.precondition, "shaped for": self.preferred_class or "any device"}
        rules = {f"rule {place}": one.reason for place, one in enumerate(self.constraints, start=1)}
        return card(
            f"{self.name} ({self.source}.cl)",
            facts({**conditions, **rules}),
            table(("macro", "default", "worth trying"), rows),
        )


@dataclass(frozen=True)
class OpSpec:
    """An op: its templates, its cost by shape, and how to plan it. ``rx.ops.spec(name)`` returns it.

    ``shape`` takes what the op takes (numpy arrays or Arrays, None for an optional one, and keywords) and gives the
    op's shape letters, such as ``{"M": 512, "N": 512, "K": 512}``, by which ``cost`` and templates judge.
    """

    name: str
    summary: str
    templates: tuple[Template, ...]
    cost: Callable[[Shape], Cost]
    plan: Callable[..., Plan] = field(repr=False)
    shape: Callable[..., dict[str, int]] = field(repr=False)

    def template(self, name: str) -> Template:
        """The template of that name."""
        for template in self.templates:
            if template.name == name:
                return template
        raise InputError(
            self.name, f"expected a template among {', '.join(t.name for t in self.templates)}, got {name!r}"
        )

    @property
    def space(self) -> dict[str, Mapping[str, tuple[int, ...]]]:
        """Template -> macro -> values worth trying."""
        return {template.name: template.space for template in self.templates}

    @property
    def default(self) -> dict[str, Params]:
        """Template -> macro -> default value."""
        return {template.name: template.default for template in self.templates}

    def _repr_html_(self) -> str:
        from rx580lab.results.display import card, table

        rows = [
            (
                one.name,
                one.preferred_class or "any device",
                one.precondition,
                ", ".join(f"{name}={value}" for name, value in one.default.items()),
            )
            for one in self.templates
        ]
        return card(f"{self.name}: {self.summary}", table(("template", "shaped for", "runs where", "default"), rows))


def _holds(constraint: Constraint, params: Params) -> bool:
    """False also where a parameter of 0 leaves nothing to divide by."""
    try:
        return constraint.holds(params)
    except ZeroDivisionError:
        return False


def _values(values: tuple[int, ...]) -> str:
    return ", ".join(map(str, values)) or "fixed"


@dataclass
class Plan:
    """Launches with their arguments bound, in order. Run it as often as you like; the inputs' contents may change.

    ``more`` holds the outputs after the first, for an op that has several.
    """

    op: str
    template: str
    params: dict[str, int]
    launches: tuple[Launch, ...]
    out: Array
    workspace: tuple[Array, ...] = ()
    more: tuple[Array, ...] = ()

    def enqueue(self) -> list[Event]:
        """Queues all launches and returns their events; nothing waits."""
        return [launch.enqueue() for launch in self.launches]

    def run(self) -> Array:
        """Queues all launches and returns the output array; reading it waits."""
        self.enqueue()
        return self.out


def choose(
    device: Device, spec: OpSpec, shape: Shape, template: str | None, params: Params | None
) -> tuple[Template, dict[str, int]]:
    """The template to run and its parameters.

    An explicit template comes first and must apply; else the first one shaped for this class of device whose
    precondition holds; else the first that applies at all. Parameters: explicit, over tuned, over default.
    """
    if template is not None:
        chosen = spec.template(template)
        refusal = chosen.applies(device, shape)
        if refusal is not None:
            raise InputError(spec.name, f"template {template!r} cannot run here: {refusal}")
    else:
        able = [t for t in spec.templates if t.applies(device, shape) is None]
        if not able:
            reasons = "; ".join(f"{t.name}: {t.applies(device, shape)}" for t in spec.templates)
            raise InputError(spec.name, f"no template can run on {device.selector}: {reasons}")
        chosen = min(able, key=lambda t: (t.preferred_class != device.device_class, t.preferred_class is not None))
    found = tuned(device, f"{spec.name}_{chosen.name}", chosen.source) or {}
    usable = {name: value for name, value in found.items() if name in chosen.default}
    return chosen, chosen.checked({**usable, **(params or {})})


def as_array(
    device: Device,
    where: str,
    name: str,
    value: Array | npt.ArrayLike,
    *dtypes: npt.DTypeLike,
) -> Array:
    """``value`` on ``device``: an Array as it is, anything else uploaded; of float32, or of one of ``dtypes``.

    A numpy array of another dtype is refused rather than converted: a silent conversion hides wrong input.
    """
    wanted = [np.dtype(one) for one in dtypes] or [np.dtype(np.float32)]
    if isinstance(value, Array):
        if value.device is not device:
            raise InputError(where, f"expected {name} on {device.selector}, got one on {value.device.selector}")
        found = value
    else:
        host = np.asarray(value)
        _check_dtype(where, name, host.dtype, wanted)
        found = device.upload(host)
    _check_dtype(where, name, found.dtype, wanted)
    return found


def _check_dtype(where: str, name: str, dtype: np.dtype[Any], wanted: Sequence[np.dtype[Any]]) -> None:
    if dtype not in wanted:
        raise DtypeError(where, f"expected {name} of {' or '.join(map(str, wanted))}, got {dtype}")


def optional_array(
    device: Device, where: str, name: str, value: Array | npt.ArrayLike | None, *dtypes: npt.DTypeLike
) -> Array | None:
    """As ``as_array``; None stays None."""
    return None if value is None else as_array(device, where, name, value, *dtypes)


def apart(where: str, out: Array, **inputs: Array | None) -> None:
    """InputError when ``out`` is the memory of one of the inputs: its kernels read them while they write."""
    shared = [name for name, one in inputs.items() if one is not None and out.size and one.int_ptr == out.int_ptr]
    if shared:
        names = " and ".join(inputs)
        raise InputError(where, f"expected out apart from {names}, got one that shares memory with {shared[0]}")


def output(
    device: Device, where: str, out: Array | None, shape: tuple[int, ...], dtype: npt.DTypeLike = np.float32
) -> Array:
    """``out`` checked, or a new array."""
    if out is None:
        return device.scratch(shape, dtype)
    if out.device is not device:
        raise InputError(where, f"expected out on {device.selector}, got one on {out.device.selector}")
    if out.shape != shape:
        raise ShapeError(where, f"expected out of shape {shape}, got {out.shape}")
    if out.dtype != np.dtype(dtype):
        raise DtypeError(where, f"expected out of {np.dtype(dtype)}, got {out.dtype}")
    return out


def given_back(plan: Plan, *inputs: Any) -> Any:
    """Runs the plan: an Array if any input was one, a numpy array if all came from the host; a tuple for several."""
    results: tuple[Any, ...] = (plan.run(), *plan.more)
    if not any(isinstance(value, Array) for value in inputs):
        results = tuple(result.download() for result in results)
    return results if plan.more else results[0]
