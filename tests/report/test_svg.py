from __future__ import annotations

import math
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rx580lab.report import charts, svg
from rx580lab.report.roofline import roofline
from rx580lab.results.records import Achieved, Comparison, Interval
from tests.report import synthetic

HOSTILE = "<script>alert(1)</script>\"'&\x1b[31m\u202e"
LOOKS = {"lab": 0, "openblas": 1, "plain": 2}


def parsed(picture: str | None) -> ElementTree.Element:
    assert picture is not None
    return ElementTree.fromstring(picture)  # noqa: S314  written by ourselves just now


def of_class(root: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [element for element in root.iter() if name in element.get("class", "").split()]


def test_text_and_attributes_are_escaped_and_hidden_characters_shown() -> None:
    written = svg.tag("text", HOSTILE, class_=HOSTILE)
    root = parsed(written)
    assert "<script" not in written
    assert root.text == root.get("class") == "<script>alert(1)</script>\"'&<U+202E>"


def test_a_picture_names_itself_for_readers_who_do_not_see_it() -> None:
    root = parsed(svg.picture("key", 10, 20, HOSTILE, "what it shows"))
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == "key-t key-d"
    assert [(child.tag, child.get("id")) for child in root] == [("title", "key-t"), ("desc", "key-d")]


@settings(deadline=None, max_examples=200)
@given(st.floats(min_value=1e-6, max_value=1e9), st.floats(min_value=1.001, max_value=1e9), st.booleans())
def test_ticks_are_few_distinct_and_inside(low: float, factor: float, log: bool) -> None:
    scale = svg.Scale(low, low * factor, 0, 100, log=log)
    ticks = scale.ticks(6)
    assert 1 <= len(ticks) <= 8
    assert len(set(ticks)) == len(ticks)
    assert all(-1e-6 <= scale(tick) <= 100 + 1e-6 for tick in ticks)


def test_ticks_of_one_axis_have_the_same_decimals() -> None:
    assert [charts.tick_words(tick, [0.98, 1.0, 1.02]) for tick in (0.98, 1.0, 1.02)] == ["0.98", "1.00", "1.02"]
    assert [charts.tick_words(tick, [5e6, 1e7], 1e6) for tick in (5.0, 10.0)] == ["5", "10"]
    assert charts.tick_words(2e7, [2e7]) == "2.0\u202f×\u202f10⁷"


def test_scales_map_their_ends_and_keep_to_logarithms() -> None:
    assert svg.Scale(2, 4, 10, 30)(3) == 20
    assert svg.Scale(1, 100, 0, 10, log=True)(10) == pytest.approx(5)
    assert svg.padded([7.0], 0, 10)(7.0) == pytest.approx(5)


def test_distributions_draw_every_sample_and_mark_outliers_and_throttled_ones() -> None:
    item = synthetic.series("lab", "rx580lab", "lab", 4e6, 0.01, 3)
    item = item.model_copy(update={"throttled": [4, 5], "outliers": [2, *item.outliers]})
    root = parsed(charts.distributions("d", [item], LOOKS))
    drawn = [len(of_class(root, name)) for name in ("dot", "hollow", "cross")]
    beyond = [element for element in of_class(root, "fill") if element.tag == "path"]
    assert len(item.outliers) == 2
    assert sum(drawn) + len(beyond) == len(item.samples_ns)
    assert drawn[1:] == [1, 2]
    # The far outlier does not stretch the axis; it is an arrowhead, and words say where it is.
    assert len(beyond) == 1
    assert "1 beyond, up to 9." in "".join(root.itertext())


def test_distributions_use_one_logarithmic_axis_for_contestants_far_apart() -> None:
    both = [synthetic.series("lab", "a", "lab", 1e6, 0.01, 1), synthetic.series("plain", "b", "control", 4e7, 0.01, 2)]
    root = parsed(charts.distributions("d", both, LOOKS))
    assert "logarithmic" in "".join(root.itertext())
    assert charts.distributions("d", [], LOOKS) is None


def test_long_sessions_are_thinned_but_keep_their_labelled_samples() -> None:
    item = synthetic.series("lab", "rx580lab", "lab", 4e6, 0.01, 3, n=5000)
    root = parsed(charts.distributions("d", [item], LOOKS))
    shown = sum(len(of_class(root, name)) for name in ("dot", "hollow"))
    assert shown + 1 <= charts.MOST_DOTS + len(item.outliers) + 1
    assert item.outliers


def test_warmup_is_drawn_against_the_final_median_and_long_ones_are_binned() -> None:
    item = synthetic.series("lab", "rx580lab", "lab", 4e6, 0.001, 3)
    slow = item.model_copy(update={"warmup_ns": [8e6] * 50_000, "warmup_settled": False})
    root = parsed(charts.warmup_trace("w", [slow], LOOKS))
    (trace,) = of_class(root, "trace")
    assert trace.get("d", "").count("L") < 120
    assert "50000 calls, did not settle" in root.findtext("desc", "")
    assert charts.warmup_trace("w", [item.model_copy(update={"warmup_ns": []})], LOOKS) is None


def achieved(name: str, gflop_s: float, intensity: float, share: float = 0.5) -> Achieved:
    return Achieved(
        contestant=name,
        gflop_s=synthetic.rate(gflop_s) if gflop_s else Interval(value=0, low=0, high=0, n=9),
        gb_s=synthetic.rate(12.0),
        flop_per_byte=intensity,
        roof="triad",
        roof_share=share,
        above_roof=share > 1,
    )


def test_roofline_has_a_line_per_roof_and_a_labelled_mark_per_contestant() -> None:
    labels = {"lab": "rx580lab", "openblas": "OpenBLAS"}
    points = [achieved("lab", 60, 85, 0.91), achieved("openblas", 61, 85, 1.2)]
    root = parsed(roofline("r", synthetic.roofs(), points, LOOKS, labels))
    assert len(of_class(root, "roof")) == 3
    words = [text.text or "" for text in of_class(root, "label")]
    assert any(text.startswith("lab 91") for text in words)
    assert any("(above roof)" in text for text in words)
    heights = sorted(float(text.get("y", "0")) for text in of_class(root, "label"))
    assert heights[1] - heights[0] >= 15


def test_a_bandwidth_roof_bends_where_it_meets_the_peak() -> None:
    root = parsed(roofline("r", synthetic.roofs(), [], LOOKS, {}))
    copy, _, peak = (element.get("d", "") for element in of_class(root, "roof"))
    end_of_copy = float(copy.split(",")[-1])
    assert end_of_copy == pytest.approx(float(peak.split(",")[-1]), abs=0.1)


def test_work_without_arithmetic_is_drawn_as_shares_of_its_bandwidth_roof() -> None:
    root = parsed(roofline("r", synthetic.roofs(), [achieved("lab", 0, 0, 0.85)], LOOKS, {"lab": "copy"}))
    assert len(of_class(root, "bar")) == 1
    assert "85.0" in root.findtext("desc", "")
    assert roofline("r", [], [achieved("lab", 1, 1)], LOOKS, {}) is None


def comparison(value: float) -> Comparison:
    return Comparison(
        contestant="lab",
        baseline="openblas",
        ratio=synthetic.rate(value),
        verdict="SAME",
        reason="within-band",
        min_effect=0.02,
        noise_floor=0.05,
    )


def test_ratios_share_one_scale_even_about_1_and_far_ones_become_arrowheads() -> None:
    near, far = comparison(1.08), comparison(0.1)
    scale = charts.ratio_scale([near, far])
    assert scale is not None
    assert scale.low * scale.high == pytest.approx(1)
    assert 1.09 < scale.high < 2
    assert charts.ratio_scale([]) is None
    only_far = charts.ratio_scale([far])
    assert only_far is not None
    assert only_far.low < 0.1
    marks = [of_class(parsed(charts.ratio_mark("m", item, scale, 0)), "fill")[0].tag for item in (near, far)]
    assert marks == ["circle", "path"]


def test_the_stripe_of_no_effect_is_as_wide_as_the_noise_floor_where_that_is_wider() -> None:
    scale = charts.ratio_scale([comparison(1.08)])
    assert scale is not None
    (stripe,) = of_class(parsed(charts.ratio_mark("m", comparison(1.08), scale, 0)), "same")
    assert float(stripe.get("width", "0")) == pytest.approx(scale(1.05) - scale(1 / 1.05), abs=0.02)


def test_a_sparkline_needs_two_runs_and_ends_at_the_newest() -> None:
    assert charts.sparkline("s", [synthetic.rate(1.0)], "t", "ratio") is None
    root = parsed(charts.sparkline("s", [synthetic.rate(value) for value in (1.0, 1.1, 0.9)], "t", "ratio"))
    (dot,) = root.findall("circle")
    (trace,) = of_class(root, "trace")
    assert trace.get("d", "").endswith(f"{dot.get('cx')},{dot.get('cy')}")
    assert root.findtext("desc") == "3 runs, from 1.00× to 0.900×"
    assert math.isclose(float(dot.get("cx", "0")), 154)
