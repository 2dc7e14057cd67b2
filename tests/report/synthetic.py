"""Invented runs with the shape of real ones: seeded samples, real statistics, every kind of trouble."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
import numpy as np

from rx580lab.results.files import sha256_of
from rx580lab.results.folder import RunFolder, write_point
from rx580lab.results.points import POINT_FILE, SAMPLES_FILE
from rx580lab.results.records import (
    Achieved,
    Check,
    Comparison,
    Environment,
    GateResult,
    Interval,
    Metric,
    NoiseFloor,
    Point,
    PointEntry,
    Roof,
    Scalar,
    Sensors,
    Series,
    Work,
)
from rx580lab.results.statistics import median_interval, outliers, ratio_interval, verdict

ORACLE = "numpy float64 matmul (IEEE 754 binary64; Higham, Accuracy and Stability, 2002, section 3.5)"
TOLERANCE = "2 K u (|A| |B|) element by element, u = 2^-24: what rounding in single precision can explain"


def environment(**changes: Any) -> Environment:
    """A PoCL machine."""
    fields: dict[str, Any] = {
        "device": {
            "hash": "6b3f0c9a51de",
            "selector": "pocl",
            "platform": "Portable Computing Language",
            "name": "cpu-znver3-AMD EPYC Processor",
            "board": None,
            "device_class": "cpu",
            "isa": "x86-64-avx2",
            "driver": "PoCL 6.0",
            "compute_units": 2,
            "limits": {"memory_bytes": 8_123_456_789, "lds_bytes": 524_288, "work_group": 4096},
            "extensions": ["cl_khr_fp64", "cl_khr_global_int32_base_atomics"],
            "pci_address": None,
        },
        "host": {
            "cpu": "AMD EPYC 7763",
            "cores": 2,
            "kernel": "Linux 6.1.0-31-amd64",
            "memory_bytes": 16_777_216_000,
            "python": "3.11.2",
            "governor": None,
        },
        "packages": {"numpy": "2.4.6", "pyopencl": "2026.1.4", "pocl-binary-distribution": "3.0", "rx580lab": "0.1.0"},
        "commit": "b5a70df1c2aa4417b2f0d5a2b3f6ce1f1c0f2d11",
        "dirty": False,
        "variables": {"POCL_AFFINITY": "1", "POCL_MAX_PTHREAD_COUNT": "1", "OPENBLAS_NUM_THREADS": "1"},
        "libraries": [{"user_api": "blas", "internal_api": "openblas", "version": "0.3.30", "num_threads": 1}],
        "missing": {
            "device.pci_address": "the driver reports no PCI address for a CPU device",
            "host.governor": "/sys/devices/system/cpu/cpu0/cpufreq does not exist (a virtual machine)",
        },
    }
    return Environment(**{**fields, **changes})


def sensors(at: str, load: float) -> Sensors:
    """What a machine without a card can say."""
    no_card = "no amdgpu card under /sys/class/drm"
    return Sensors(
        at=at,
        cpu_clock_mhz=2445.4,
        load_1min=load,
        missing=dict.fromkeys(
            ["shader_clock_mhz", "memory_clock_mhz", "temperature_c", "power_w", "vram_used_bytes"], no_card
        ),
    )


def series(name: str, label: str, role: str, median_ns: float, noise: float, seed: int, n: int = 30) -> Series:
    """Samples about ``median_ns`` with a tail to the right, one far outlier, and a warm-up that comes down to it."""
    rng = np.random.default_rng(seed)
    samples = median_ns * np.exp(rng.normal(0, noise, n) + rng.exponential(noise, n) * 0.6)
    if n > 8:
        samples[n // 2] *= 2.4
    warmup = median_ns * (1 + 1.6 * np.exp(-np.arange(26) / 5)) * np.exp(rng.normal(0, noise, 26))
    return Series(
        contestant=name,
        label=label,
        role=role,
        clock="cpu",
        clock_reason="one thread on a CPU device: process CPU time leaves out what other processes take",
        samples_ns=[float(value) for value in samples],
        order=[int(place) for place in np.argsort(np.argsort(rng.random(n)))],
        warmup_ns=[float(value) for value in warmup],
        warmup_settled=True,
        outliers=outliers(samples),
        median_ns=median_interval(samples),
    )


def check(name: str, share: float = 0.12, reason: str | None = None) -> Check:
    """An output's judgement; a ``reason`` makes it a failure."""
    return Check(
        contestant=name,
        oracle=ORACLE,
        ok=reason is None,
        reason=reason,
        max_abs_error=None if reason and "finite" in reason else 3.1e-5 * share,
        max_rel_error=None if reason and "finite" in reason else 8.8e-7,
        worst_share=None if reason and "finite" in reason else share,
        tolerance=TOLERANCE,
        n_values=262_144,
    )


def rate(value: float, spread: float = 0.01) -> Interval:
    """An interval of a given relative half width."""
    return Interval(value=value, low=value * (1 - spread), high=value * (1 + spread), n=30)


def roofs() -> list[Roof]:
    """The three roofs of a small CPU."""
    rows = (
        ("copy", "bandwidth", "GB/s", 11.9),
        ("triad", "bandwidth", "GB/s", 14.3),
        ("fma_peak", "arithmetic", "GFLOP/s", 71.2),
    )
    return [
        Roof(
            name=name,
            kind=kind,
            unit=unit,
            rate=rate(value, 0.015),
            check=check(name, 0.0),
            detail=f"{name} at 16777216 elements, default template, process CPU time",
        )
        for name, kind, unit, value in rows
    ]


def gemm_point(m: int, n: int, k: int, *, quickness: float = 1.0, broken: bool = False, seed: int = 1) -> Point:
    """One matrix product: ours, OpenBLAS, the plain kernel. ``quickness`` is OpenBLAS' time over ours."""
    flop, size = 2 * m * n * k, 4 * (m * k + k * n + m * n)
    openblas_ns = flop / 61.0
    runners = [
        series("lab", "rx580lab gemm_cpu", "lab", openblas_ns / quickness, 0.012, seed),
        series("openblas", "OpenBLAS 0.3.30", "peer", openblas_ns, 0.010, seed + 1),
        series("plain", "plain kernel", "control", openblas_ns * 9, 0.02, seed + 2),
    ]
    floor = 0.013
    compared = []
    for each in (runners[0], runners[2]):
        ratio = ratio_interval(runners[1].samples_ns, each.samples_ns)
        word, reason = verdict(ratio, min_effect=0.02, noise_floor=floor)
        compared.append(
            Comparison(
                contestant=each.contestant,
                baseline="openblas",
                ratio=ratio,
                verdict=word,
                reason=reason,
                min_effect=0.02,
                noise_floor=floor,
            )
        )
    ours = runners[0].median_ns
    return Point(
        title=f"gemm {m}×{n}×{k}, single precision",
        params={"op": "gemm", "shape": f"{m}x{n}x{k}", "threads": 1},
        op="gemm",
        shape={"M": m, "N": n, "K": k},
        work=Work(bytes=size, flop=flop),
        series=runners,
        checks=[
            check("lab", 0.14, "1 of 262144 values is not finite, the first at [511, 511]" if broken else None),
            check("openblas", 0.09),
            check("plain", 0.11),
        ],
        comparisons=compared,
        noise_floor=NoiseFloor(
            contestant="lab", ratio=Interval(value=1.001, low=0.992, high=1.009, n=30), effect=floor
        ),
        roofs=roofs(),
        achieved=[_achieved(each, flop, size) for each in runners],
        metrics={
            "gemm/lab/time/median_ns": Metric(
                value=ours.value, low=ours.low, high=ours.high, unit="ns", higher_is_better=False
            ),
            "gemm/lab/ratio": Metric(
                value=compared[0].ratio.value,
                low=compared[0].ratio.low,
                high=compared[0].ratio.high,
                unit="ratio",
                higher_is_better=True,
            ),
        },
        unavailable={"clblast": "libclblast.so.1 is not installed; apt-get install libclblast1"},
        sensors_before=sensors("2026-11-24T10:00:00Z", 0.4),
        sensors_after=sensors("2026-11-24T10:00:41Z", 1.1),
        environment=environment(),
    )


def _achieved(each: Series, flop: int, size: int) -> Achieved:
    def per_ns(amount: int) -> Interval:
        median = each.median_ns
        return Interval(value=amount / median.value, low=amount / median.high, high=amount / median.low, n=median.n)

    intensity = flop / size
    roof = "triad" if intensity * 14.3 < 71.2 else "fma_peak"
    top = min(intensity * 14.3, 71.2)
    share = (flop / each.median_ns.value) / top
    return Achieved(
        contestant=each.contestant,
        gflop_s=per_ns(flop),
        gb_s=per_ns(size),
        flop_per_byte=intensity,
        roof=roof,
        roof_share=share,
        above_roof=share > 1,
    )


def notebook(*, hostile: str = "") -> Any:
    """An executed notebook as Papermill leaves it."""
    v4 = nbformat.v4
    outputs = [
        v4.new_output("stream", name="stdout", text="lab \x1b[32m0.97\x1b[0m of OpenBLAS\n" + hostile),
        v4.new_output("display_data", data={"text/html": f"<table><tr><th>M</th><td>512</td></tr></table>{hostile}"}),
        v4.new_output("display_data", data={"application/vnd.rx580lab.result+json": {"op": "gemm"}}),
    ]
    return v4.new_notebook(
        cells=[
            v4.new_markdown_cell(f"# One matrix product\n\nOurs against *OpenBLAS*. {hostile}"),
            v4.new_code_cell(f"shape: str = '512x512x512'  # M x N x K {hostile}", execution_count=1),
            v4.new_code_cell("point = bench_op(op, shape)\npoint", execution_count=2, outputs=outputs),
        ]
    )


def write_run(root: Path, points: list[tuple[PointEntry, Point | None]], **fields: Any) -> Path:
    """A run folder with these points, each with its files' hashes, ended unless ``fields`` say otherwise."""
    given: dict[str, Any] = {
        "kind": "bench",
        "name": "gemm",
        "title": "Matrix product against OpenBLAS",
        "question": "How near does our single-precision gemm come to OpenBLAS on one thread?",
        "spec": {
            "schema_version": 1,
            "name": "gemm",
            "notebook": "../../notebooks/bench/op.ipynb",
            "params": {"threads": 1},
        },
        "spec_file": "experiments/bench/gemm.yml",
        "command": "rx580lab run experiments/bench/gemm.yml --device pocl",
        "hashes": {
            "spec": "a" * 64,
            "notebook": "b" * 64,
            "package": "c" * 64,
            "kernels": "d" * 64,
            "device": "e" * 64,
        },
        "device": "pocl",
        "points": [entry for entry, _ in points],
    }
    ended = {"status": "ok", "ended": "2026-11-24T10:07:19.000000Z"}
    run = RunFolder.create(
        root, **{**given, **{key: value for key, value in fields.items() if key not in ended and key != "reason"}}
    )
    for entry, point in points:
        if point is not None:
            folder = run.point_folder(entry.key)
            write_point(folder, point)
            (folder / "executed.ipynb").write_text(nbformat.writes(notebook()), encoding="utf-8")
            for name in (POINT_FILE, SAMPLES_FILE, "executed.ipynb"):
                entry.files[name] = sha256_of((folder / name).read_bytes())
    manifest = run.manifest
    manifest.points = [entry for entry, _ in points]
    for key, value in {**ended, **fields}.items():
        setattr(manifest, key, value)
    run.save_manifest()
    return run.path


def entry(key: str, status: str = "ok", **fields: Any) -> PointEntry:
    """A point of the manifest; ``params`` and the rest as given."""
    params: dict[str, Scalar] = fields.pop("params", {"op": "gemm", "shape": "512x512x512", "threads": 1})
    return PointEntry(key=key, params=params, status=status, **{"attempts": 1, "seconds": 21.4, **fields})


def gate(metric: str, point: str, limit: float, value: float | None, **fields: Any) -> GateResult:
    """A lower bound on ``metric``."""
    ok = value is not None and value >= limit
    found = "has no value" if value is None else f"{value:.3g} is {'at least' if ok else 'below'} {limit:g}"
    return GateResult(
        **{
            "metric": metric,
            "point": point,
            "kind": "speed",
            "bound": "min",
            "limit": limit,
            "value": value,
            "ok": ok,
            "enforced": True,
            "reason": found,
            **fields,
        }
    )


def gemm_run(root: Path) -> Path:
    """A failed run of five points: quicker, same, slower, wrong results, killed, and one that never started."""
    sizes = {
        "a1": (512, 512, 512, 1.07),
        "a2": (1024, 1024, 1024, 0.996),
        "a3": (2048, 2048, 2048, 0.93),
        "a4": (4096, 16, 4096, 1.0),
    }
    rows: list[tuple[PointEntry, Point | None]] = []
    for place, (key, (m, n, k, quickness)) in enumerate(sizes.items()):
        point = gemm_point(m, n, k, quickness=quickness, broken=key == "a4", seed=10 * place + 3)
        if key == "a3":
            point.environment = environment(variables={"POCL_AFFINITY": "1", "OPENBLAS_NUM_THREADS": "2"}, dirty=True)
        fields: dict[str, Any] = {}
        if key == "a4":
            fields = {
                "error_type": "ExperimentError",
                "error": "[lab] 1 of 262144 values is not finite, the first at [511, 511]",
            }
        rows.append((entry(key, "failed" if key == "a4" else "ok", params=point.params, **fields), point))
    lost = {"op": "gemm", "shape": "1823x781x1031", "threads": 1}
    rows.append(
        (
            entry(
                "a5",
                "killed",
                params=lost,
                error_type="DeadKernelError",
                error="Kernel died\n\nthe wall limit of 900 s passed",
            ),
            None,
        )
    )
    rows.append((entry("a6", "pending", params={**lost, "shape": "4096x4096x4096"}, attempts=0, seconds=None), None))
    ratios = {each.key: point.metrics["gemm/lab/ratio"].value for each, point in rows if point}
    return write_run(
        root,
        rows,
        status="failed",
        reason="oracle: rx580lab gemm_cpu at 4096x16x4096 gave values that are not finite",
        gates=[gate("gemm/lab/ratio", key, 0.95, value) for key, value in ratios.items()],
    )


def wide_json(path: Path) -> dict[str, Any]:
    """A JSON file, read."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
