"""What an experiment's YAML may say: the pydantic models, and the JSON Schema published as experiments/schema.json.

How a spec reaches its notebook: every name in ``params`` and ``sweep``, every field of ``protocol``, every name in
``verify``, and ``contestants`` is passed as the notebook parameter of the same name, and the notebook must declare
it: nothing that a spec says is ignored. ``device`` and ``threads`` are passed when the notebook declares them.
"""

from __future__ import annotations

import keyword
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    model_validator,
)

__all__ = [
    "Ci",
    "Declaration",
    "ExperimentModel",
    "Gate",
    "Limits",
    "Protocol",
    "Resources",
    "Scalar",
    "Value",
    "parameter_name_problem",
    "spec_schema",
]

SPEC_VERSION = 1
NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,63}$"


def parameter_name_problem(name: str) -> str | None:
    """Why ``name`` may not be assigned in a notebook; None when it may. Papermill would paste it as code."""
    if not (name.isascii() and name.isidentifier()):
        return f"expected a Python identifier as parameter name, got {name!r}"
    if keyword.iskeyword(name):
        return f"expected a Python identifier as parameter name, got the keyword {name!r}"
    return None


def _parameter_name(name: str) -> str:
    problem = parameter_name_problem(name)
    if problem:
        raise ValueError(problem)
    return name


ParameterName = Annotated[
    str,
    AfterValidator(_parameter_name),
    WithJsonSchema({"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$"}),
]
Scalar = bool | int | float | str | None
Value = bool | int | float | str | None | list[Scalar]
Number = int | float


class Section(BaseModel):
    """Base of all parts: unknown keys are refused, and so are values of another type (``"30"`` is not 30)."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Declaration(Section):
    """A parameter with its bounds. Without ``default`` the notebook's own default holds."""

    default: Value = None
    type: Literal["bool", "int", "float", "str", "list"] | None = Field(
        None, description="must agree with the annotation in the notebook; said here for the reader"
    )
    min: Number | None = Field(None, description="smallest value allowed, inclusive")
    max: Number | None = Field(None, description="largest value allowed, inclusive")
    enum: list[Scalar] | None = Field(None, min_length=1, description="the only values allowed")
    unit: str | None = None
    help: str | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Declaration:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"expected min <= max, got min {self.min} and max {self.max}")
        return self


def _is_mapping(value: object) -> str:
    return "mapping" if isinstance(value, dict | Declaration) else "value"


ParameterEntry = Annotated[
    Annotated[Declaration, Tag("mapping")] | Annotated[Value, Tag("value")],
    Discriminator(_is_mapping),
]
Axes = dict[ParameterName, Annotated[list[Value], Field(min_length=1)]]
PointList = Annotated[list[dict[ParameterName, Value]], Field(min_length=1)]
Sweep = Annotated[
    Annotated[Axes, Tag("mapping")] | Annotated[PointList, Tag("value")],
    Discriminator(_is_mapping),
]
_SWEEP_HELP = "mapping of name -> list of values: every combination; or a list of mappings: exactly these points"


class Protocol(Section):
    """How a point is timed: the fields of ``rx580lab.measure.Protocol``. Only the fields given are passed on."""

    n_samples: int | None = Field(None, ge=1, description="samples per contestant")
    warmup_window: int | None = Field(None, ge=1, description="samples in each of the two windows compared")
    warmup_rel: float | None = Field(None, gt=0, lt=1, description="relative change at which warm-up has settled")
    warmup_max_s: float | None = Field(None, ge=0, description="longest warm-up, in seconds")
    min_effect: float | None = Field(None, ge=0, lt=1, description="smallest relative difference that matters")
    confidence: float | None = Field(None, gt=0, lt=1, description="of the intervals of ratios")
    gap_s: float | None = Field(None, ge=0, description="pause between samples, in seconds")
    clock: Literal["auto", "device_event", "cpu", "wall"] | None = None
    inner: Annotated[int, Field(ge=1)] | Literal["auto"] | None = Field(None, description="calls per sample")
    min_sample_s: float | None = Field(None, ge=0, description="how long inner: auto makes a sample, in seconds")
    seed: int | None = Field(None, ge=0, description="seed of the random order of contestants")
    max_s: float | None = Field(None, gt=0, description="longest session, in seconds")


class Gate(Section):
    """A bound on a metric that each point it applies to must keep."""

    metric: str = Field(min_length=1, description="metric path, such as gemm/lab/vs/openblas/speed_ratio")
    kind: Literal["correctness", "speed"] = Field(
        description="correctness always holds; speed fails a full run and is only reported under --ci"
    )
    min: Number | None = None
    max: Number | None = None
    where: dict[ParameterName, Scalar] = Field(
        default_factory=dict, description="applies only to points with these parameter values"
    )

    @model_validator(mode="after")
    def _bounded(self) -> Gate:
        if self.min is None and self.max is None:
            raise ValueError("expected min or max (or both), got neither")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"expected min <= max, got min {self.min} and max {self.max}")
        return self


class Limits(Section):
    """Time limits of one attempt at one point, and how often a failed attempt is repeated."""

    start_timeout_s: int = Field(60, ge=1, description="for the kernel to start")
    cell_timeout_s: int = Field(300, ge=1, description="for one cell")
    wall_s: float = Field(900, gt=0, description="for the whole attempt; then its processes are killed")
    retries: int = Field(0, ge=0, le=10, description="further attempts after a failed cell, dead kernel or time-out")


class Resources(Section):
    """What the point's processes may use. Set in their environment only, never in the caller's."""

    threads: int | None = Field(
        None, ge=1, description="POCL_MAX_PTHREAD_COUNT, OPENBLAS_NUM_THREADS and OMP_NUM_THREADS"
    )
    affinity: bool = Field(True, description="POCL_AFFINITY=1: PoCL pins its threads to cores")


class Ci(Section):
    """The small version that ``--ci`` runs. ``params`` and ``protocol`` are merged over the full run's values;
    ``sweep``, when given, replaces the full run's sweep.
    """

    params: dict[ParameterName, Value] = Field(default_factory=dict)
    sweep: Sweep | None = Field(None, description=_SWEEP_HELP)
    protocol: Protocol = Field(default_factory=Protocol)


class ExperimentModel(Section):
    """An experiment: a question, a notebook that answers it, and the points at which it is asked."""

    model_config = ConfigDict(title="rx580lab experiment")

    schema_version: Literal[1]
    name: str = Field(pattern=NAME_PATTERN, description="names the folder of its runs: reports/<kind>/<name>/")
    title: str = Field(min_length=1)
    question: str = Field("", description="what the run answers, in a sentence")
    notebook: str = Field(min_length=1, description="path of the .ipynb, relative to this file")
    params: dict[ParameterName, ParameterEntry] = Field(
        default_factory=dict,
        description="notebook parameters: a plain value, or a mapping of default and bounds; the bounds hold for "
        "every value that sweep, ci or --set gives to that name",
    )
    sweep: Sweep | None = Field(None, description=_SWEEP_HELP)
    contestants: list[Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]] | None = Field(
        None, min_length=1, description="passed as `contestants`: a list, or comma-separated if declared as str"
    )
    protocol: Protocol = Field(default_factory=Protocol)
    verify: dict[ParameterName, Value] = Field(
        default_factory=dict, description="parameters that say how outputs are checked, such as a tolerance"
    )
    gates: list[Gate] = Field(default_factory=list)
    limits: Limits = Field(default_factory=Limits)
    resources: Resources = Field(default_factory=Resources)
    ci: Ci = Field(default_factory=Ci)


def spec_schema() -> dict[str, Any]:
    """The JSON Schema of a spec. ``experiments/schema.json`` holds its text; a test compares the two."""
    schema = ExperimentModel.model_json_schema()
    _close(schema)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _close(node: Any) -> None:
    """Forbid names outside the pattern of parameter names: pydantic says what they look like, not that others fail."""
    if isinstance(node, dict):
        if "patternProperties" in node:
            node["additionalProperties"] = False
        for child in node.values():
            _close(child)
    elif isinstance(node, list):
        for child in node:
            _close(child)
