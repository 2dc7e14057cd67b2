"""Two runs side by side: the order in which things are said, the words, the page, and what a baseline adds."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup
from rich.console import Console
from rich.text import Text

from rx580lab.errors import ResultError
from rx580lab.report import render_run
from rx580lab.report.compare import RunPair, compare_evidence, compare_with_baseline, render_compare
from rx580lab.report.terminal import comparison_table
from rx580lab.results.baseline import baseline_file, baseline_from, read_evidence, write_baseline
from rx580lab.results.folder import RunFolder
from rx580lab.results.records import Point, PointEntry
from tests.report import synthetic
from tests.report.test_page import HOSTILE, assert_self_contained
from tests.results.test_between import slowed


def one_run(root: Path, *, lab: float = 1.0, seed: int = 3, on: dict[str, Any] | None = None, **fields: Any) -> Path:
    """A run of two points, whose lab contestant takes ``lab`` times as long; ``on`` changes the environment."""
    rows: list[tuple[PointEntry, Point | None]] = []
    for key, size in (("a1", 512), ("a2", 1024)):
        point = slowed(synthetic.gemm_point(size, size, size, seed=seed + size), lab=lab)
        point.environment = synthetic.environment(**on or {})
        rows.append((synthetic.entry(key, params=point.params), point))
    return synthetic.write_run(root, rows, **fields)


def pair_of(a: Path, b: Path) -> RunPair:
    return compare_evidence(read_evidence(a), read_evidence(b))


def on_driver(version: str) -> dict[str, Any]:
    return {"device": {**synthetic.environment().device, "driver": version, "hash": version}}


def page_of(pair: RunPair, folder: Path) -> tuple[str, BeautifulSoup]:
    page = render_compare(pair, folder).read_text(encoding="utf-8")
    assert_self_contained(page)
    return page, BeautifulSoup(page, "html.parser")


def words(part: Any) -> str:
    return re.sub(r"\s+", " ", part.get_text(" ")).strip()


def in_terminal(pair: RunPair) -> str:
    console = Console(width=200, record=True, file=io.StringIO(), highlight=False)
    for part in comparison_table(pair):
        console.print(part, soft_wrap=isinstance(part, Text))
    return console.export_text()


def test_two_runs_of_one_commit_say_same(tmp_path: Path) -> None:
    pair = pair_of(one_run(tmp_path), one_run(tmp_path, seed=900))
    assert pair.summary == "B against A: SAME at 2 of 2 comparisons."
    assert pair.changes == ()
    page, _ = page_of(pair, tmp_path)
    assert "Nothing that was recorded differs" in page
    assert "Nothing that was recorded differs" in in_terminal(pair)


def test_a_planted_slow_down_says_slower_and_names_the_changed_kernels(tmp_path: Path) -> None:
    hashes = {"package": "c" * 64, "kernels": "9" * 64}
    pair = pair_of(one_run(tmp_path), one_run(tmp_path, lab=1.1, seed=900, hashes=hashes))
    assert pair.counts == {"SLOWER": 2}
    assert [(change.group, change.field) for change in pair.changes] == [("code", "the kernels")]
    _, soup = page_of(pair, tmp_path)
    assert "v-slower" in str(soup.header)
    first_row = soup.select("table.pairs tbody tr")[0]
    assert "SLOWER beyond-band" in words(first_row)
    assert "▼ SLOWER" in in_terminal(pair)


def test_two_drivers_are_said_first_and_get_no_verdict(tmp_path: Path) -> None:
    pair = pair_of(one_run(tmp_path, on=on_driver("6.0")), one_run(tmp_path, lab=2.0, on=on_driver("7.0"), seed=900))
    assert not pair.same_device
    assert pair.counts == {"AMBIGUOUS": 2}
    assert {row.reason.partition(":")[0] for _, row in pair.ours} == {"other-device"}
    _, soup = page_of(pair, tmp_path)
    shown = words(soup.body)
    assert shown.index("different devices or drivers") < shown.index("AMBIGUOUS")
    assert shown.index("Different devices or drivers.") < shown.index("device.driver") < shown.index("Verdict on B")
    assert "6.0" in words(soup.select("table.differences")[0])
    told = in_terminal(pair)
    assert told.index("DIFFERENT DEVICES OR DRIVERS") < told.index("device.driver") < told.index("AMBIGUOUS")


def test_lists_that_differ_show_only_what_the_other_lacks(tmp_path: Path) -> None:
    device = synthetic.environment().device
    more = {"device": {**device, "extensions": [*device["extensions"], "cl_khr_spir"]}}
    (change,) = pair_of(one_run(tmp_path), one_run(tmp_path, on=more)).changed("device")
    assert (change.a, change.b) == ("2, of which only here: none", "3, of which only here: cl_khr_spir")


def test_surroundings_and_commits_that_differ_are_listed_without_paths(tmp_path: Path) -> None:
    a = {"variables": {"PYOPENCL_HOME": "/srv/a/pyopencl", "OMP_NUM_THREADS": "1"}, "commit": "1" * 40, "dirty": False}
    b = {"variables": {"PYOPENCL_HOME": "/srv/b/pyopencl", "OMP_NUM_THREADS": "2"}, "commit": "2" * 40, "dirty": True}
    pair = pair_of(one_run(tmp_path, on=a), one_run(tmp_path, on=b))
    assert [(each.group, each.field, each.a, each.b, each.n_points) for each in pair.changes] == [
        ("code", "commit", "1" * 12, "2" * 12 + " with uncommitted changes", 2),
        ("other", "Environment variables: OMP_NUM_THREADS", "1", "2", 2),
    ]


def test_points_of_one_side_only_and_without_a_result_are_told(tmp_path: Path) -> None:
    pair = pair_of(one_run(tmp_path), synthetic.gemm_run(tmp_path))
    assert [point.label for point in pair.points] == ["512x512x512", "1024x1024x1024"]
    assert pair.only_b == ("gemm 2048×2048×2048, single precision",)
    _, soup = page_of(pair, tmp_path)
    assert "Only in B: gemm 2048×2048×2048" in words(soup.main)
    assert "B has 3 points without a result" in words(soup.main)
    assert "only in B: gemm 2048" in in_terminal(pair)


def test_json_holds_what_the_page_shows(tmp_path: Path) -> None:
    content = json.loads(json.dumps(pair_of(one_run(tmp_path), one_run(tmp_path, lab=1.2)).as_dict()))
    assert (content["same_device"], content["counts"]) == (True, {"SLOWER": 2})
    row = content["points"][0]["verdicts"][0]
    assert (row["contestant"], row["verdict"], row["quantity"]) == ("lab", "SLOWER", "time")
    assert row["ratio"]["low"] < row["ratio"]["value"] < row["ratio"]["high"]
    assert content["points"][0]["metrics"][0]["name"] == "gemm/lab/time/median_ns"


def test_other_experiments_and_empty_runs_are_refused(tmp_path: Path) -> None:
    gemm, softmax = one_run(tmp_path), one_run(tmp_path, name="softmax")
    lost = synthetic.write_run(tmp_path, [(synthetic.entry("a1", "timeout"), None)], status="failed")
    with pytest.raises(ResultError, match="runs of one experiment, got bench/gemm and bench/softmax"):
        pair_of(gemm, softmax)
    with pytest.raises(ResultError, match=r"B has no point that ended ok \(ended timeout\)"):
        pair_of(gemm, lost)


def test_the_page_lies_where_it_is_asked_for_and_links_to_the_reports(tmp_path: Path) -> None:
    a, b = one_run(tmp_path), one_run(tmp_path)
    render_run(a)
    render_run(b)
    pair = pair_of(a, b)
    for asked, expected in ((b, b / "compare.html"), (tmp_path / "x.html", tmp_path / "x.html")):
        path = render_compare(pair, asked)
        assert path == expected
        links = [str(link["href"]) for link in BeautifulSoup(path.read_text(), "html.parser").select(".sides a")]
        assert [(path.parent / link).resolve() for link in links] == [a / "report.html", b / "report.html"]


def hostile_pair(root: Path) -> RunPair:
    """Whatever a run or a baseline says of itself may be meant to run in the reader's browser."""
    paths = []
    for place in range(2):
        point = synthetic.gemm_point(512, 512, 512, seed=place)
        point.series[0].label = f"{HOSTILE}{place}"
        point.title, point.params = HOSTILE, {"shape": HOSTILE}
        point.metrics[HOSTILE] = point.metrics["gemm/lab/ratio"].model_copy(update={"unit": HOSTILE})
        point.environment = synthetic.environment(commit=f"{place}{HOSTILE}", variables={HOSTILE: f"{place}{HOSTILE}"})
        point.environment.device["driver"] = f"{place}{HOSTILE}"
        entry = synthetic.entry("a1", params={"shape": HOSTILE, "op": "gemm"})
        paths.append(synthetic.write_run(root, [(entry, point)], title=HOSTILE))
    return pair_of(*paths)


def test_hostile_strings_are_shown_and_never_obeyed(tmp_path: Path) -> None:
    pair = hostile_pair(tmp_path)
    page, soup = page_of(pair, tmp_path)
    assert HOSTILE not in page
    assert "<script>alert(1)</script>" in words(soup.h1)
    assert page.count("&lt;script&gt;alert(1)") >= 8
    assert "\x07" not in in_terminal(pair)


def test_a_later_run_is_compared_with_the_baseline_and_its_report_says_so(tmp_path: Path) -> None:
    reference = one_run(tmp_path)
    later = one_run(tmp_path, lab=1.1, seed=900)
    assert "Compared with the baseline" not in render_run(later).read_text(encoding="utf-8")
    write_baseline(tmp_path, baseline_from(RunFolder.open(reference)))
    page = render_run(later).read_text(encoding="utf-8")
    assert_self_contained(page)
    section = BeautifulSoup(page, "html.parser").select_one("#baseline")
    assert section is not None
    assert f"taken from run {reference.name} ; B is this run. B against A: SLOWER at 2 of 2" in words(section)
    own = BeautifulSoup(render_run(reference).read_text(encoding="utf-8"), "html.parser").select_one("#baseline")
    assert own is not None
    assert "This run is the baseline" in words(own)


def test_a_damaged_baseline_does_not_stop_a_report(tmp_path: Path) -> None:
    path = one_run(tmp_path)
    baseline_file(tmp_path, "gemm").parent.mkdir()
    baseline_file(tmp_path, "gemm").write_text("{", encoding="utf-8")
    found = compare_with_baseline(read_evidence(path), tmp_path)
    assert isinstance(found, str)
    assert "could not be compared with" in found
    assert "could not be compared with" in render_run(path).read_text(encoding="utf-8")
