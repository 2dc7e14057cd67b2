from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from rx580lab.errors import ResultError
from rx580lab.report import render_run
from rx580lab.report.page import run_page
from rx580lab.report.style import POLICY, metric_unit, moment, sentence
from rx580lab.report.view import load_run
from rx580lab.results.folder import RunFolder
from rx580lab.results.records import Manifest
from tests.report import synthetic
from tests.report.synthetic import gemm_point

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'`{{7*7}}${7} \u202eevil\u202c العربية \x07"


def soup_of(page: str) -> BeautifulSoup:
    return BeautifulSoup(page, "html.parser")


def words(page: str) -> str:
    return re.sub(r"\s+", " ", soup_of(page).get_text(" "))


def assert_self_contained(page: str) -> None:
    """One document that loads nothing: links are relative, images are data, styles are inline, no script at all."""
    soup = soup_of(page)
    assert "http://" not in page
    assert "https://" not in page
    assert "@import" not in page
    assert "url(" not in page
    assert not soup.find_all(["script", "iframe", "object", "embed", "form", "base", "img"])
    for element in soup.find_all(True):
        assert not [name for name in element.attrs if name.startswith("on") or name in ("src", "srcset", "style")]
        target = str(element.attrs.get("href", "#"))
        assert target.startswith(("#", "data:,")) or re.fullmatch(r"[A-Za-z0-9_.%/-]+", target), target
    (policy,) = soup.find_all("meta", attrs={"http-equiv": "Content-Security-Policy"})
    assert policy["content"] == POLICY
    assert "default-src 'none'" in POLICY
    assert page.index("Content-Security-Policy") < page.index("<style>")


@pytest.fixture(scope="module")
def gemm_page(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = synthetic.gemm_run(tmp_path_factory.mktemp("reports"))
    report = render_run(path)
    assert report == path / "report.html"
    return report.read_text(encoding="utf-8")


def test_the_page_is_self_contained(gemm_page: str) -> None:
    assert_self_contained(gemm_page)
    assert len(gemm_page) < 400_000


def test_the_verdict_comes_first(gemm_page: str) -> None:
    text = words(gemm_page)
    order = [
        "✗ failed oracle: rx580lab gemm_cpu at 4096x16x4096 gave values that are not finite.",
        "PoCL on CPU: not an RX 580; nothing here was measured on a card",
        "23 of 24 outputs",
        "rx580lab gemm_cpu against OpenBLAS 0.3.30: FASTER at 1, SAME at 2, SLOWER at 1 of 4 points; 0.9",
        "Comparisons.",
        "How near the lab's own kernels come",
        "Gates.",
        "Oracles.",
        "Wrong results.",
        "Time per call",
        "Roofline",
        "Warm-up",
        "Correctness.",
        "Fields that differ between points.",
        "no amdgpu card under /sys/class/drm",
        "rx580lab run experiments/bench/gemm.yml --device pocl",
        "How to read this page",
    ]
    places = [text.find(each) for each in order]
    assert -1 not in places, order[places.index(-1)]
    assert places == sorted(places)


def test_each_comparison_has_ratio_interval_verdict_and_reason(gemm_page: str) -> None:
    table = soup_of(gemm_page).select_one("table.verdicts")
    assert table is not None
    rows = table.select("tbody tr")
    assert len(rows) == 8
    first = re.sub(r"\s+", " ", rows[0].get_text(" "))
    assert re.search(r"1\.0\d× \(1\.0\d+ to 1\.0\d+\).* FASTER beyond-band: the 95", first)
    assert rows[0].select_one("svg[role=img] desc") is not None


def test_standings_give_the_rate_that_the_roof_limits(tmp_path: Path) -> None:
    bound_by = {"a1": gemm_point(512, 512, 512), "a2": gemm_point(1, 4096, 1)}
    rows = [(synthetic.entry(key, params=point.params), point) for key, point in bound_by.items()]
    text = words(run_page(load_run(synthetic.write_run(tmp_path, list(rows)))))
    standings = text[text.index("How near the lab's own kernels") : text.index("Oracles.")]
    assert re.search(r"512x512x512 rx580lab gemm_cpu 6\d\.\d GFLOP/s \(.*? of fma_peak fma_peak 1x4096x1", standings)
    assert re.search(r"1x4096x1 rx580lab gemm_cpu \d+ (GB|MB|TB)/s .* of triad triad", standings)


def test_gates_say_met_or_missed_and_whether_enforced(tmp_path: Path) -> None:
    point = synthetic.gemm_point(64, 64, 64)
    gates = [
        synthetic.gate("gemm/lab/ratio", "a1", 0.5, 1.01),
        synthetic.gate("gemm/lab/ratio", "a1", 2.0, 1.01, enforced=False),
        synthetic.gate("gemm/lost", "elsewhere", 2.0, None),
    ]
    path = synthetic.write_run(tmp_path, [(synthetic.entry("a1"), point)], gates=gates)
    text = words(run_page(load_run(path)))
    assert "≥ 0.500× 1.01× ✓ met yes" in text
    assert "≥ 2.00× 1.01× ✗ missed no, reported only" in text
    assert "elsewhere ≥ 2.00 – ✗ missed yes has no value" in text


def test_a_point_shows_clock_noise_floor_work_and_who_did_not_take_part(gemm_page: str) -> None:
    article = soup_of(gemm_page).select_one("#point-1")
    assert article is not None
    text = re.sub(r"\s+", " ", article.get_text(" "))
    assert "Clock process CPU time : one thread on a CPU device" in text.replace("time:", "time :")
    assert "1.3 % is the smallest change worth believing here" in text
    assert "at least 3.00 MiB moved, 268 MFLOP computed" in text
    assert "clblast did not take part libclblast.so.1 is not installed" in text
    assert "30 1 outlier 26, settled" in text
    assert "Oracle: numpy float64 matmul" in text
    assert "Tolerance: 2 K u (|A| |B|)" in text
    assert [figure.get_text() for figure in article.select("figure h4")] == ["Time per call", "Roofline", "Warm-up"]


def test_raw_data_is_listed_with_its_hash_and_the_notebook_is_linked(gemm_page: str, tmp_path: Path) -> None:
    path = synthetic.gemm_run(tmp_path)
    page = render_run(path).read_text(encoding="utf-8")
    recorded = json.loads((path / "manifest.json").read_text(encoding="utf-8"))["points"][0]["files"]
    assert set(recorded) == {"executed.ipynb", "point.json", "samples.csv.gz"}
    for name, sha in recorded.items():
        assert f'href="points/a1/{name}"' in page
        assert f"sha256 {sha}" in page
    assert 'href="points/a1/executed.html"' in page
    assert 'href="points/a1/executed-code.html"' in page
    for link in soup_of(page).select("a[href]"):
        target = str(link["href"])
        if not target.startswith("#"):
            assert (path / target).exists(), target
    assert "unchanged" in gemm_page


def test_points_that_did_not_end_ok_say_why(gemm_page: str) -> None:
    soup = soup_of(gemm_page)
    killed, pending = soup.select_one("#point-5"), soup.select_one("#point-6")
    assert killed is not None
    assert "the wall limit of 900 s passed" in killed.get_text()
    assert "■ killed" in re.sub(r"\s+", " ", killed.get_text(" "))
    assert pending is not None
    assert "left no measurements" in pending.get_text()
    assert "the run ended before this point's turn" in words(gemm_page)


@pytest.mark.parametrize("status", ["running", "ok", "failed", "killed"])
def test_runs_in_every_state_are_rendered(tmp_path: Path, status: str) -> None:
    states = ["pending", "running", "ok", "failed", "timeout", "killed", "invalid"]
    rows = [(synthetic.entry(f"p{place}", state), None) for place, state in enumerate(states)]
    path = synthetic.write_run(tmp_path, list(rows), status=status, ended=None)
    page = render_run(path).read_text(encoding="utf-8")
    assert_self_contained(page)
    assert f">{status}" in page.replace("</span> ", "</span>").replace("</span>", ">")
    assert "No point recorded its device" in page
    assert "No point recorded its environment" in page


def test_a_run_whose_process_is_gone_is_shown_as_killed(tmp_path: Path) -> None:
    path = synthetic.write_run(tmp_path, [(synthetic.entry("a1", "running"), None)], status="running", ended=None)
    manifest = synthetic.wide_json(path / "manifest.json")
    manifest["process_started"] = 1.0
    (path / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    text = words(render_run(path).read_text(encoding="utf-8"))
    assert "■ killed process" in text
    assert "ended without finishing the run" in text


def test_a_run_without_points_and_a_point_without_anything_are_rendered(tmp_path: Path) -> None:
    assert "The run has no points." in words(run_page(load_run(synthetic.write_run(tmp_path, []))))
    point = synthetic.gemm_point(8, 8, 8)
    bare = point.model_copy(
        update={
            "series": [],
            "checks": [],
            "comparisons": [],
            "achieved": [],
            "roofs": [],
            "metrics": {},
            "noise_floor": None,
            "work": None,
            "sensors_before": None,
            "sensors_after": None,
        }
    )
    text = words(run_page(load_run(synthetic.write_run(tmp_path, [(synthetic.entry("a1"), bare)]))))
    assert "No contestant was compared" in text
    assert "nothing was checked" in text


def test_times_without_a_check_are_called_worthless(tmp_path: Path) -> None:
    point = synthetic.gemm_point(8, 8, 8).model_copy(update={"checks": []})
    text = words(run_page(load_run(synthetic.write_run(tmp_path, [(synthetic.entry("a1"), point)]))))
    assert "No output was checked at this point" in text


def test_a_damaged_record_is_said_and_does_not_stop_the_page(tmp_path: Path) -> None:
    path = synthetic.gemm_run(tmp_path)
    (path / "points/a1/samples.csv.gz").write_bytes(b"not gzip")
    (path / "points/a2/executed.ipynb").write_text("{ cut off", encoding="utf-8")
    text = words(render_run(path).read_text(encoding="utf-8"))
    assert "The record of this point cannot be read." in text
    assert "changed since it was recorded" in text
    assert "executed.ipynb cannot be shown (NotJSONError" in text


def test_a_folder_without_a_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultError):
        render_run(tmp_path)


def hostile_run(root: Path) -> Path:
    point = synthetic.gemm_point(64, 64, 64)
    point = point.model_copy(
        update={
            "title": HOSTILE,
            "params": {"op": HOSTILE, HOSTILE: HOSTILE},
            "notes": [HOSTILE],
            "unavailable": {HOSTILE: HOSTILE},
            "metrics": {HOSTILE: point.metrics["gemm/lab/ratio"].model_copy(update={"unit": HOSTILE})},
            "environment": synthetic.environment(
                device={"name": HOSTILE, HOSTILE: [HOSTILE]}, variables={HOSTILE: HOSTILE}, missing={HOSTILE: HOSTILE}
            ),
            "series": [each.model_copy(update={"label": HOSTILE, "clock_reason": HOSTILE}) for each in point.series],
            "checks": [each.model_copy(update={"oracle": HOSTILE, "tolerance": HOSTILE}) for each in point.checks],
            "comparisons": [each.model_copy(update={"reason": HOSTILE}) for each in point.comparisons],
            "roofs": [each.model_copy(update={"name": HOSTILE, "detail": HOSTILE}) for each in point.roofs],
        }
    )
    entry = synthetic.entry("a1", "failed", params=point.params, error=HOSTILE, error_type=HOSTILE)
    entry.files[HOSTILE] = HOSTILE
    return synthetic.write_run(
        root,
        [(entry, point)],
        name="hostile",
        title=HOSTILE,
        question=HOSTILE,
        reason=HOSTILE,
        status="failed",
        command=HOSTILE,
        spec={HOSTILE: HOSTILE},
        spec_file=HOSTILE,
        hashes={HOSTILE: HOSTILE},
        device=HOSTILE,
        gates=[synthetic.gate(HOSTILE, HOSTILE, 1.0, 2.0, reason=HOSTILE)],
    )


def test_hostile_text_is_shown_and_never_obeyed(tmp_path: Path) -> None:
    page = render_run(hostile_run(tmp_path)).read_text(encoding="utf-8")
    assert_self_contained(page)
    assert "\u202e" not in page
    assert "\x07" not in page
    assert "49" not in soup_of(page).h1.get_text()  # type: ignore[union-attr]
    assert "<U+202E>evil" in soup_of(page).h1.get_text()  # type: ignore[union-attr]
    # Text that may run from right to left is isolated from what stands around it.
    assert page.count("<bdi>") > 30


def test_headings_tables_and_pictures_are_made_for_screen_readers(gemm_page: str) -> None:
    soup = soup_of(gemm_page)
    assert soup.html is not None
    assert soup.html["lang"] == "en"
    assert len(soup.find_all("h1")) == 1
    levels = [int(heading.name[1]) for heading in soup.find_all(re.compile(r"^h[1-6]$"))]
    assert all(after - before <= 1 for before, after in pairwise(levels))
    for table in soup.select("table:not(.fields)"):
        assert table.caption is not None
        assert all(th.get("scope") for th in table.find_all("th"))
    for picture in soup.select("svg"):
        named = picture.get("role") == "img" and picture.find("title") and picture.find("desc")
        assert named or picture.get("aria-hidden") == "true"
    for box in soup.select(".scroll"):
        assert box["tabindex"] == "0"
        assert box["aria-label"]
    ids = [element["id"] for element in soup.select("[id]")]
    assert len(ids) == len(set(ids))
    for link in soup.select("a[href^='#']"):
        assert str(link["href"])[1:] in ids


def test_the_page_is_replaced_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = synthetic.gemm_run(tmp_path)
    report = path / "report.html"
    report.write_text("the page before", encoding="utf-8")
    before = report.stat().st_ino
    render_run(path)
    assert report.stat().st_ino != before
    assert {each.name for each in path.iterdir()} == {"manifest.json", "points", "report.html"}


def test_rendering_leaves_the_manifest_alone(tmp_path: Path) -> None:
    path = synthetic.gemm_run(tmp_path)
    before = (path / "manifest.json").read_bytes()
    render_run(path)
    assert (path / "manifest.json").read_bytes() == before
    assert isinstance(RunFolder.open(path).manifest, Manifest)


def test_numbers_without_a_unit_are_ratios_or_shares_by_their_name() -> None:
    assert metric_unit("gemm/lab/vs/openblas/speed_ratio", "1") == "ratio"
    assert metric_unit("gemm/lab/error/worst_share", "1") == "share"
    assert metric_unit("gemm/noise/effect", "1") == "1"
    assert metric_unit("x/ratio", "ns") == "ns"


def test_moments_and_sentences() -> None:
    assert moment("2026-11-24T10:27:28.123456Z") == "2026-11-24 10:27:28 UTC"
    assert moment("yesterday") == "yesterday"
    assert moment(None) == "–"
    assert sentence("numpy said so") == "numpy said so."
    assert sentence("why? ") == "why?"
