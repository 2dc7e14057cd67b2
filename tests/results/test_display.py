"""What notebooks show: well-formed, escaped, complete, and plain in a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

import rx580lab as rx
from rx580lab.device import Device
from rx580lab.results import RunFolder, display
from rx580lab.results.records import Check, Comparison, GateResult, Interval, Manifest
from tests.results import sample_records

HOSTILE = "<script>alert(1)</script>\"'&\u202e\x1b"


def parsed(shown: Any) -> ElementTree.Element:
    """The output as XML: every element closed, every text escaped."""
    root = ElementTree.fromstring(f"<all>{shown}</all>")  # noqa: S314 - our own markup
    assert {element.tag for element in root.iter()} <= {
        "all", "style", "div", "p", "table", "thead", "tbody", "tr", "th", "td", "span", "code",
        "svg", "path", "circle", "text",
    }  # fmt: skip
    return root


def words(shown: Any) -> str:
    return " ".join("".join(part.itertext()) for part in parsed(shown).findall("div"))


def comparison(reason: str = "the interval excludes 1") -> Comparison:
    return Comparison(
        contestant="lab",
        baseline="plain",
        ratio=Interval(value=1.5, low=1.4, high=1.6, n=9),
        verdict="FASTER",
        reason=reason,
        min_effect=0.02,
        noise_floor=None,
    )


def hostile_point() -> Any:
    check = Check(contestant="lab", oracle="o", ok=False, reason=HOSTILE, tolerance="t", n_values=1)
    series = [sample_records.series(name, [1e5, 2e5], [0, 1]) for name in ("lab", HOSTILE)]
    return sample_records.point(
        title=HOSTILE, series=series, checks=[check], comparisons=[comparison(HOSTILE)], unavailable={HOSTILE: HOSTILE}
    )


def manifest(**changes: Any) -> Manifest:
    gate = GateResult(
        metric="copy/lab/rate/gb_s", point="0a1b", kind="speed", bound="min", limit=1, value=None, ok=False,
        enforced=True, reason=HOSTILE,
    )  # fmt: skip
    fields = sample_records.manifest_fields(
        run="r", pid=1, process_started=0.0, host="h", started="now", title=HOSTILE, reason=HOSTILE, gates=[gate]
    )
    return Manifest(**{**fields, **changes})


def test_foreign_text_is_escaped_and_what_is_hidden_is_spelled_out() -> None:
    for shown in (hostile_point()._repr_html_(), manifest()._repr_html_()):
        assert "<script" not in shown
        assert "\u202e" not in shown
        assert "\x1b" not in shown
        assert "<script>alert(1)</script>\"'&<U+202E><U+001B>" in words(shown)


def test_a_point_says_who_is_right_how_long_it_took_and_the_verdict() -> None:
    said = words(hostile_point()._repr_html_())
    for part in ("WRONG", "not checked", "100 µs", "FASTER", "1.5 × (1.4 to 1.6)", "lab against plain"):
        assert part in said


def test_samples_are_dots_from_0_on() -> None:
    one = sample_records.series("lab", [1e5, 2e5, 4e5], [0, 1, 2])
    root = parsed(one._repr_html_())
    places = [float(dot.attrib["cx"]) - display._LABEL_WIDTH for dot in root.iter("circle")]
    assert places[1] == pytest.approx(2 * places[0], rel=1e-2)
    assert places[2] == pytest.approx(4 * places[0], rel=1e-2)
    assert "100 µs to 400 µs" in next(root.iter("svg")).attrib["aria-label"]


@pytest.mark.parametrize("bounds", [(0.5, 0.5), (0.0, 2.0), (1.0, 1.0), (1e-9, 1e9), (1.0, float("inf"))])
def test_a_ratio_of_any_size_can_be_drawn(bounds: tuple[float, float]) -> None:
    ratio = Interval.model_construct(value=1.0, low=bounds[0], high=bounds[1], confidence=0.95, n=2)
    parsed(display.ratio_bar(ratio))


def test_a_ratio_above_1_lies_right_of_the_line() -> None:
    bar = list(parsed(display.ratio_bar(Interval(value=1.5, low=1.4, high=1.6, n=9))).iter("path"))[-1]
    assert float(bar.attrib["d"].removeprefix("M").split()[0]) > 80


def test_a_run_shows_its_gates_points_and_place(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, **sample_records.manifest_fields())
    said = words(run._repr_html_())
    assert str(run.path) in said
    assert "n=1" in said
    assert "FAILS" in words(manifest()._repr_html_())
    (run.path / "manifest.json").write_text("{")
    assert RunFolder(run.path)._repr_html_() is None
    assert repr(run).startswith("RunFolder(")


def test_a_device_shows_its_limits_and_every_device_its_state(pocl: Device) -> None:
    assert "compute units" in words(pocl._repr_html_())
    listed = rx.list_devices()
    said = words(listed._repr_html_())
    assert all(info.selector in said for info in listed)
    assert "usable" in said
    assert isinstance(listed, list)
    assert repr(pocl).startswith("Device(")


def test_ops_and_templates_show_each_macro() -> None:
    for spec in rx.ops.specs():
        assert all(template.name in words(spec._repr_html_()) for template in spec.templates)
        for template in spec.templates:
            said = words(template._repr_html_())
            assert all(name in said for name in template.default)
            assert all(constraint.reason in said for constraint in template.constraints)


def test_a_kernel_shows_its_arguments_where_the_driver_kept_them(pocl: Device) -> None:
    source = "__kernel void f(__global const float *a, __local int *tmp, const float x) { tmp[0] = (int)(a[0] * x); }"
    kept = rx.compile.load_source(pocl, source, "f", ["-cl-kernel-arg-info"], where="test")
    assert "global const float*" in words(kept._repr_html_())
    assert [(one.name, one.space, one.is_const) for one in kept.parameters or ()] == [
        ("a", "global", True),
        ("tmp", "local", False),
        ("x", "private", False),
    ]
    bare = rx.compile.load_source(pocl, source, "f", where="test")
    assert bare.parameters is None
    assert "test:f" in words(bare._repr_html_())


def test_numbers_have_fitting_units() -> None:
    assert display.quantity(1234567, "ns") == "1.235 ms"
    assert display.quantity(0, "ns") == "0 ns"
    assert display.quantity(3 << 30, "bytes") == "3 GiB"
    assert display.quantity(None, "ns") == "–"
    assert display.quantity(2.5, "GB/s") == "2.5 GB/s"
