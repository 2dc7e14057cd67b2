"""Typed records of a run: what was measured, what it was checked against, and where.

A value that is missing is ``None`` and its reason stands in a ``missing`` mapping beside it; it is never 0.
Times are nanoseconds, rates are GB/s (1e9 bytes) and GFLOP/s (1e9 operations), unless a field's name says otherwise.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from rx580lab.results import display

SCHEMA_VERSION = 1

Scalar = bool | int | float | str | None
Clock = Literal["device_event", "cpu", "wall"]
VerdictWord = Literal["SAME", "FASTER", "SLOWER", "AMBIGUOUS"]
PointStatus = Literal["pending", "running", "ok", "failed", "timeout", "killed", "invalid"]
RunStatus = Literal["running", "ok", "failed", "killed"]


class Record(BaseModel):
    """Base of all records: unknown fields are refused, so that a misspelt one is never lost."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Interval(Record):
    """A point estimate (a median unless said otherwise) with its confidence interval over ``n`` samples."""

    value: float
    low: float
    high: float
    confidence: float = 0.95
    n: int

    def _repr_html_(self) -> str:
        return display.interval_html(self)


class Series(Record):
    """All samples of one contestant in one interleaved session. Nothing is dropped silently."""

    contestant: str
    label: str
    role: Literal["lab", "peer", "control"]
    clock: Clock
    clock_reason: str
    samples_ns: list[float]
    order: list[int] = Field(description="position of each sample in the session's global order")
    warmup_ns: list[float] = Field(description="warm-up samples, kept for the trace and left out of the median")
    warmup_settled: bool
    outliers: list[int] = Field(default_factory=list, description="indices into samples_ns that were labelled")
    throttled: list[int] = Field(default_factory=list, description="indices into samples_ns with a lowered clock")
    median_ns: Interval
    cpu_ns: Interval | None = Field(default=None, description="process CPU time per call, where it is not the clock")
    inner: int = Field(default=1, description="calls in one sample; samples_ns are per call")
    first_ns: float | None = Field(default=None, description="the first dispatch, left out of everything")
    shortfall: str | None = Field(default=None, description="why there are fewer samples than the protocol asked for")

    def _repr_html_(self) -> str:
        return display.series_html(self)


class Check(Record):
    """One contestant's output against its oracle. Compared in order: finite, sentinels, dtype and shape, error."""

    contestant: str
    oracle: str = Field(description="what the output was compared with, and that oracle's source")
    ok: bool
    reason: str | None = Field(default=None, description="why it failed; None when it passed")
    max_abs_error: float | None = None
    max_rel_error: float | None = None
    worst_share: float | None = Field(default=None, description="largest error as a share of its tolerance")
    tolerance: str = Field(description="the tolerance in words and figures")
    n_values: int


class Comparison(Record):
    """``ratio`` is the baseline's time over the contestant's: above 1 the contestant is quicker."""

    contestant: str
    baseline: str
    ratio: Interval
    verdict: VerdictWord
    reason: str
    min_effect: float
    noise_floor: float | None

    def _repr_html_(self) -> str:
        return display.comparison_html(self)


class NoiseFloor(Record):
    """An A/A session: the same contestant twice. ``effect`` is the smallest relative change worth believing."""

    contestant: str
    ratio: Interval
    effect: float
    clock: Clock | None = Field(default=None, description="the clock that it was taken by; it holds for that alone")


class Roof(Record):
    """One measured ceiling of the device."""

    name: str = Field(description="copy, triad or fma_peak")
    kind: Literal["bandwidth", "arithmetic"]
    unit: Literal["GB/s", "GFLOP/s"]
    rate: Interval
    detail: str = Field(description="size, template and clock that gave it")
    check: Check


class Work(Record):
    """What one call must at least do: bytes moved and floating-point operations."""

    bytes: int
    flop: int


class Achieved(Record):
    """A contestant's rates, and its share of the roof above it at this arithmetic intensity."""

    contestant: str
    gflop_s: Interval
    gb_s: Interval
    flop_per_byte: float
    roof: str
    roof_share: float
    above_roof: bool = Field(description="True means that bytes or FLOP are miscounted, or a cache helped")


class StepTime(Record):
    """One step of a model: what it ran, and its time on the device over all rounds of a profile.

    ``bytes`` and ``flop`` are what its ops must at least move and compute; ``roof`` bounds these, None where nothing
    is launched or no roof was measured.
    """

    node: str = Field(description="the model's name for it")
    operator: str
    ops: list[str]
    n_launches: int
    time_ns: Interval | None = Field(description="of all its launches together; None where nothing is launched")
    bytes: int
    flop: int
    roof: str | None = None
    roof_share: float | None = None


class Metric(Record):
    """One figure that a gate or a history can name, such as ``gemm/lab/time/median_ns``."""

    value: float
    unit: str
    low: float | None = None
    high: float | None = None
    higher_is_better: bool


class Sensors(Record):
    """Clocks, temperature and power at one moment; ``missing`` gives the reason for each None."""

    at: str = Field(description="UTC, ISO 8601")
    shader_clock_mhz: float | None = None
    memory_clock_mhz: float | None = None
    temperature_c: float | None = None
    power_w: float | None = None
    vram_used_bytes: int | None = None
    gpu_busy_percent: float | None = None
    cpu_clock_mhz: float | None = None
    load_1min: float | None = None
    missing: dict[str, str] = Field(default_factory=dict)


class Environment(Record):
    """Where a point was measured. ``device`` is the driver fingerprint; ``missing`` gives a reason for each None."""

    device: dict[str, Any]
    host: dict[str, Any] = Field(description="CPU, cores, OS kernel, governor, memory, Python")
    packages: dict[str, str]
    commit: str | None = None
    dirty: bool | None = None
    variables: dict[str, str] = Field(description="the environment variables that steer OpenCL and thread counts")
    libraries: list[dict[str, Any]] = Field(default_factory=list, description="BLAS and OpenMP pools at work")
    missing: dict[str, str] = Field(default_factory=dict)


class Trials(Record):
    """Many small comparisons of one kind, which show how often the stopwatch and the verdict rule are right.

    ``aa``: the same work twice, where every FASTER or SLOWER is a false alarm. ``planted``: the contestant really
    does ``planted`` more work, where every SLOWER is a detection.
    """

    kind: Literal["aa", "planted"]
    contestant: str
    planted: float = Field(default=0.0, description="extra work of the contestant, as a share of the baseline's")
    n_trials: int
    n_hits: int = Field(description="false alarms (aa) or detections (planted)")
    verdicts: dict[VerdictWord, int]
    ratios: list[Interval] = Field(description="one per trial, baseline's time over the contestant's")
    min_effect: float
    noise_floor: float | None
    n_samples: int = Field(description="interleaved rounds in each trial")
    clock: Clock
    clock_reason: str
    seconds: float


class Point(Record):
    """Everything that one sweep point found."""

    schema_version: int = SCHEMA_VERSION
    title: str
    params: dict[str, Scalar]
    op: str | None = None
    shape: dict[str, int] = Field(default_factory=dict)
    work: Work | None = None
    series: list[Series] = Field(default_factory=list)
    checks: list[Check] = Field(default_factory=list)
    comparisons: list[Comparison] = Field(default_factory=list)
    noise_floor: NoiseFloor | None = None
    trials: list[Trials] = Field(default_factory=list, description="self-checks of the stopwatch, where it made them")
    roofs: list[Roof] = Field(default_factory=list)
    achieved: list[Achieved] = Field(default_factory=list)
    steps: list[StepTime] = Field(default_factory=list, description="profile of a model, in the order of its steps")
    metrics: dict[str, Metric] = Field(default_factory=dict)
    unavailable: dict[str, str] = Field(default_factory=dict, description="contestant -> why it could not take part")
    notes: list[str] = Field(default_factory=list)
    sensors_before: Sensors | None = None
    sensors_after: Sensors | None = None
    environment: Environment
    samples_sha256: str | None = Field(default=None, description="hash of samples.csv.gz; set when it is written")

    def _repr_html_(self) -> str:
        return display.point_html(self)


class GateResult(Record):
    """One gate, applied to one point. ``enforced`` is False for a gate on speed under ``--ci``."""

    metric: str
    point: str
    kind: Literal["correctness", "speed"]
    bound: Literal["min", "max"]
    limit: float
    value: float | None
    ok: bool
    enforced: bool
    reason: str


class PointEntry(Record):
    """A sweep point as the manifest sees it."""

    key: str = Field(description="hash of notebook, package, kernels, parameters and device; names the folder")
    params: dict[str, Scalar]
    status: PointStatus = "pending"
    attempts: int = 0
    started: str | None = None
    ended: str | None = None
    seconds: float | None = None
    error_type: str | None = None
    error: str | None = None
    files: dict[str, str] = Field(default_factory=dict, description="file name -> sha256")


class Manifest(Record):
    """``manifest.json``: says ``running`` from the start and is replaced atomically."""

    schema_version: int = SCHEMA_VERSION
    kind: str
    name: str
    title: str = ""
    question: str = ""
    run: str = Field(description="<UTC>-<6 hex>")
    status: RunStatus = "running"
    reason: str | None = Field(default=None, description="why the run did not end ok")
    pid: int
    process_started: float = Field(description="start time of that process, so that a reused pid is not mistaken")
    host: str
    started: str
    ended: str | None = None
    ci: bool = False
    device: str | None = Field(default=None, description="the device selector that was asked for")
    spec: dict[str, Any] = Field(description="the specification as it was validated")
    spec_file: str
    command: str = Field(description="the exact command that runs it again")
    hashes: dict[str, str] = Field(description="spec, notebook, package, kernels, device -> sha256")
    points: list[PointEntry]
    gates: list[GateResult] = Field(default_factory=list)

    def _repr_html_(self) -> str:
        return display.manifest_html(self)
