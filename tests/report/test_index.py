from __future__ import annotations

import re
from pathlib import Path

import pytest
from bs4 import BeautifulSoup, Tag

from rx580lab.report import render_index, render_run
from rx580lab.results.records import Metric
from tests.report import synthetic
from tests.report.test_page import HOSTILE, assert_self_contained, hostile_run


def one_run(root: Path, value: float, **fields: object) -> Path:
    point = synthetic.gemm_point(64, 64, 64)
    point.metrics = {
        "gemm/lab/ratio": Metric(value=value, low=value - 0.01, high=value + 0.01, unit="ratio", higher_is_better=True)
    }
    device = fields.pop("on", None)
    if device is not None:
        point.environment = synthetic.environment(device={"hash": device, "name": device, "device_class": "gpu"})
    gates = [synthetic.gate("gemm/lab/ratio", "a1", 0.9, value)]
    return synthetic.write_run(root, [(synthetic.entry("a1"), point)], gates=gates, **fields)


def index(root: Path) -> tuple[str, BeautifulSoup]:
    path = render_index(root)
    assert path == root / "index.html"
    page = path.read_text(encoding="utf-8")
    assert_self_contained(page)
    return page, BeautifulSoup(page, "html.parser")


def rows(soup: BeautifulSoup | Tag) -> list[str]:
    return [re.sub(r"\s+", " ", row.get_text(" ")).strip() for row in soup.select("tbody tr")]


def test_runs_are_grouped_by_experiment_newest_first_with_headline_and_link(tmp_path: Path) -> None:
    old, new = one_run(tmp_path, 0.97), one_run(tmp_path, 1.02)
    one_run(tmp_path, 1.5, name="softmax", title="Softmax")
    render_run(new)
    _, soup = index(tmp_path)
    assert [heading.get_text() for heading in soup.select("h2")] == ["Softmax", "Matrix product against OpenBLAS"]
    (gemm,) = [section for section in soup.select("section") if "Matrix product" in section.get_text()]
    first, second = rows(gemm)
    assert "✓ ok" in first
    assert "1.02× (1.01 to 1.03)" in first
    assert "at gemm 512x512x512" in first
    assert first.endswith("1 of 1 1 of 1")
    assert "0.970×" in second
    assert "no page yet" in second
    links = [str(link["href"]) for link in gemm.select("a")]
    assert links == ["bench/gemm/history.html", f"bench/gemm/{new.name}/report.html"]
    assert_self_contained((tmp_path / links[0]).read_text(encoding="utf-8"))
    assert (tmp_path / f"bench/gemm/{new.name}/report.html").is_file()
    assert old.name not in str(gemm.select("a"))


def test_a_sparkline_joins_only_runs_that_can_be_compared(tmp_path: Path) -> None:
    for value in (0.97, 0.99):
        one_run(tmp_path, value)
    one_run(tmp_path, 5.0, on="another card")
    one_run(tmp_path, 6.0, ci=True)
    one_run(tmp_path, 1.02)
    _, soup = index(tmp_path)
    (spark,) = soup.select("svg.spark")
    assert "3 runs, from 0.970× to 1.02×" in spark.get_text(" ")


def test_failed_killed_and_damaged_runs_are_listed_with_their_reason(tmp_path: Path) -> None:
    synthetic.gemm_run(tmp_path)
    broken = one_run(tmp_path, 1.0)
    (broken / "manifest.json").write_text("{", encoding="utf-8")
    lost = synthetic.write_run(tmp_path, [(synthetic.entry("a1"), None)], status="killed", reason="process 7 ended")
    _, soup = index(tmp_path)
    found = rows(soup)
    assert any("✗ failed" in row and "3 of 6 3 of 4 oracle: rx580lab" in row for row in found)
    assert any("✗ unreadable" in row and broken.name in row for row in found)
    assert any("■ killed" in row and "process 7 ended" in row and "not recorded" in row for row in found)
    assert lost.is_dir()


def test_a_cpu_is_marked_as_no_card(tmp_path: Path) -> None:
    one_run(tmp_path, 1.0)
    one_run(tmp_path, 1.0, on="polaris10")
    on_card, on_cpu = rows(index(tmp_path)[1])
    assert "CPU, not a card" in on_cpu
    assert "not a card" not in on_card


def test_hostile_titles_are_shown_and_never_obeyed(tmp_path: Path) -> None:
    render_run(hostile_run(tmp_path))
    page, soup = index(tmp_path)
    assert soup.h2 is not None
    assert "<script>alert(1)</script>" in soup.h2.get_text()
    assert HOSTILE not in page


@pytest.mark.parametrize("exists", [True, False])
def test_an_empty_root_says_so(tmp_path: Path, exists: bool) -> None:
    root = tmp_path / "reports"
    if exists:
        root.mkdir()
    assert "No run is here yet." in index(root)[0]


def test_runs_can_be_filtered_by_what_tells_them_apart(tmp_path: Path) -> None:
    one_run(tmp_path, 1.0, on="polaris10")
    one_run(tmp_path, 1.0, name="softmax")
    synthetic.write_run(tmp_path, [(synthetic.entry("a1"), None)], status="killed", reason="process 7 ended")
    _, soup = index(tmp_path)
    shown = {
        fieldset.legend.get_text(): [
            re.sub(r"\s+", " ", option.get_text(" ")).strip() for option in fieldset.select(".option")
        ]
        for fieldset in soup.select("fieldset")
        if fieldset.legend
    }
    assert shown == {
        "Experiment": ["all 3", "bench/gemm 2", "bench/softmax 1"],
        "Status": ["all 3", "ok 2", "killed 1"],
        "Device": ["all 3", "not recorded 1", "polaris10 1", "cpu-znver3-AMD EPYC Processor 1"],
    }
    assert [str(radio["id"]) for radio in soup.select("input[checked]")] == [
        "f-experiment-all",
        "f-status-all",
        "f-device-all",
    ]
    (killed,) = soup.select("tr.s-killed")
    assert "process 7 ended" in killed.get_text()


def test_one_experiment_on_one_device_needs_no_filter(tmp_path: Path) -> None:
    one_run(tmp_path, 1.0)
    _, soup = index(tmp_path)
    assert not soup.select("fieldset, input")


def test_one_run_has_no_history(tmp_path: Path) -> None:
    one_run(tmp_path, 1.0)
    _, soup = index(tmp_path)
    assert not soup.select("a[href$='history.html']")
    assert not (tmp_path / "bench/gemm/history.html").exists()
