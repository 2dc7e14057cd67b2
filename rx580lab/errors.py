"""The one exception tree of rx580lab.

::

    LabError                    everything that rx580lab raises on purpose
    ├── InputError              an argument is wrong
    │   ├── ShapeError          shapes, sizes or strides do not fit
    │   └── DtypeError          an element type is not supported here
    ├── DeviceError             something about an OpenCL implementation or device
    │   ├── DeviceNotFound      no usable device has that name
    │   ├── ProbeFailed         an implementation is present but does not work
    │   ├── LimitExceeded       a launch or allocation exceeds what the device (or its emulated limits) allows
    │   └── LaunchFailed        the driver refused or lost a kernel
    ├── BuildError              a kernel did not compile; carries the compiler's log
    ├── SpecError               an experiment's YAML is wrong; carries file and line
    ├── ResultError             a record or run folder is missing, damaged or of another schema
    ├── ModelError              a model's file is wrong, or asks for what is not done here; names file, node and cause
    ├── MeasureError            a measurement cannot be made or believed
    ├── ServeError              the server cannot start or go on: settings, keys; below it, requests that it refuses
    ├── ExperimentError         a run failed: cell, kernel, wall limit, oracle or gate
    ├── PeerUnavailable         a rival implementation is not installed here; says how to get it
    └── CompilerUnavailable     the compiler for gfx803 is not installed here; says how to get it

Every message reads ``[where] expected ..., got ...`` or ``[where] what happened; what to do``.
"""

from __future__ import annotations

__all__ = [
    "BuildError",
    "CompilerUnavailable",
    "DeviceError",
    "DeviceNotFound",
    "DtypeError",
    "ExperimentError",
    "InputError",
    "LabError",
    "LaunchFailed",
    "LimitExceeded",
    "MeasureError",
    "ModelError",
    "PeerUnavailable",
    "ProbeFailed",
    "ResultError",
    "ServeError",
    "ShapeError",
    "SpecError",
]


class LabError(Exception):
    """Base of all errors raised by rx580lab. ``where`` is the op, file or component that speaks."""

    def __init__(self, where: str, message: str) -> None:
        self.where = where
        self.message = message
        super().__init__(f"[{where}] {message}")

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions cross process borders here (probes, workers); the default would lose an argument.
        return (_rebuild, (type(self), self.where, self.message, self.__dict__))


def _rebuild(kind: type[LabError], where: str, message: str, state: dict[str, object]) -> LabError:
    error = kind.__new__(kind)
    LabError.__init__(error, where, message)
    error.__dict__.update(state)
    return error


class InputError(LabError):
    """An argument is wrong."""


class ShapeError(InputError):
    """Shapes, sizes or strides do not fit together."""


class DtypeError(InputError):
    """An element type is not supported here."""


class DeviceError(LabError):
    """Something is wrong with an OpenCL implementation or device."""


class DeviceNotFound(DeviceError):
    """No usable device has the requested name."""


class ProbeFailed(DeviceError):
    """An OpenCL implementation is present but failed its probe."""


class LimitExceeded(DeviceError):
    """A launch or an allocation exceeds the device's limits, real or emulated."""


class LaunchFailed(DeviceError):
    """The driver refused a kernel, or lost it."""


class BuildError(LabError):
    """A kernel did not compile. ``log`` is the compiler's output, by the kernel's own file and line."""

    def __init__(self, where: str, message: str, log: str = "") -> None:
        self.log = log
        super().__init__(where, f"{message}\n{log}" if log else message)


class SpecError(LabError):
    """An experiment's specification is wrong. ``line`` counts from 1; 0 when it concerns the whole file."""

    def __init__(self, where: str, message: str, line: int = 0) -> None:
        self.line = line
        super().__init__(f"{where}:{line}" if line else where, message)


class ResultError(LabError):
    """A record or a run folder is missing, damaged or of another schema."""


class ModelError(LabError):
    """A model is wrong, or asks for what is not done here. ``where`` is its file, with the node it is about."""


class ServeError(LabError):
    """The server cannot start or go on as it is set up. Requests that it refuses derive from it, with their status."""


class MeasureError(LabError):
    """A measurement cannot be made, or cannot be believed."""


class ExperimentError(LabError):
    """A run failed: a cell, a kernel, the wall limit, an oracle or a gate."""


class PeerUnavailable(LabError):
    """A rival implementation is not installed here; the message says how to get it."""


class CompilerUnavailable(LabError):
    """The compiler for gfx803 is not installed here, or is not the right one; the message says how to get it."""
