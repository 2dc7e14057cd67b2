"""Figures over many runs: what is joined, where it changed, what is named as the cause, and how it is drawn."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bs4 import BeautifulSoup
from rich.console import Console
from rich.text import Text

from rx580lab.errors import ResultError
from rx580lab.report.history import History, find_experiment, load_history, render_history
from rx580lab.report.terminal import history_table
from rx580lab.results.records import Metric, Point
from tests.report import synthetic
from tests.report.test_page import HOSTILE, assert_self_contained

TIME = "gemm/lab/time/median_ns"


@pytest.fixture(scope="module")
def template() -> Point:
    return synthetic.gemm_point(64, 64, 64)


def add_run(root: Path, template: Point, value: float, *, on: dict[str, Any] | None = None, **fields: Any) -> Path:
    point = template.model_copy(deep=True)
    point.environment = synthetic.environment(**on or {})
    point.metrics = {
        TIME: Metric(value=value, low=value * 0.99, high=value * 1.01, unit="ns", higher_is_better=False),
        "gemm/openblas/time/median_ns": Metric(value=5e5, unit="ns", higher_is_better=False),
        "gemm/lab/error/worst_share": Metric(value=0.1, unit="1", higher_is_better=False),
    }
    return synthetic.write_run(root, [(synthetic.entry("a1"), point)], **fields)


@pytest.fixture(scope="module")
def slowed(tmp_path_factory: pytest.TempPathFactory, template: Point) -> tuple[Path, list[Path]]:
    """16 runs; from the ninth on another commit, with a figure 10 % worse."""
    root = tmp_path_factory.mktemp("reports")
    rng = np.random.default_rng(5)
    paths = []
    for place in range(16):
        value = 1e6 * (1.1 if place >= 8 else 1.0) * float(np.exp(rng.normal(0, 0.004)))
        commit = ("a" if place < 8 else "b") * 40
        started = f"2026-11-24T{place:02}:00:00.000000Z"
        paths.append(add_run(root, template, value, on={"commit": commit}, started=started))
    return root, paths


def shown(history: History) -> str:
    console = Console(width=220, record=True, file=io.StringIO(), highlight=False)
    for part in history_table(history):
        console.print(part, soft_wrap=isinstance(part, Text))
    return console.export_text()


def words(part: Any) -> str:
    return re.sub(r"\s+", " ", part.get_text(" ")).strip()


def test_a_change_is_found_with_the_commit_that_made_it(slowed: tuple[Path, list[Path]]) -> None:
    root, paths = slowed
    history = load_history(root, "bench", "gemm")
    (track,) = history.tracks
    assert (track.metric, len(track.readings)) == (TIME, 16), "oldest first, our own times only"
    (turn,) = track.turns
    assert (turn.change.index, turn.better, turn.after.run) == (8, False, paths[8].name)
    assert turn.change.shift == pytest.approx(0.1, abs=0.01)
    assert turn.cause == f"commit: {'a' * 12} → {'b' * 12}"
    assert track.spark.startswith("▁")
    assert track.spark.endswith(("▇", "█"))
    told = shown(history)
    assert "▼ worse" in told
    assert f"from run {paths[8].name} on" in told
    assert f"commit: {'a' * 12} → {'b' * 12}" in told
    content = json.loads(json.dumps(history.as_dict()))
    assert content["series"][0]["changes"][0]["what_changed"][0]["field"] == "commit"
    assert len(content["series"][0]["runs"]) == 16


def test_the_page_shows_the_change_first_then_the_picture(slowed: tuple[Path, list[Path]]) -> None:
    root, paths = slowed
    (paths[8] / "report.html").write_text("x", encoding="utf-8")
    path = render_history(root, load_history(root, "bench", "gemm"))
    assert path == root / "bench/gemm/history.html"
    page = path.read_text(encoding="utf-8")
    assert_self_contained(page)
    soup = BeautifulSoup(page, "html.parser")
    row = soup.select_one("#changes tbody tr")
    assert row is not None
    assert "▼ worse 998 µs → 1.10 ms +10.3" in words(row)
    assert f"{paths[8].name}/report.html" in [link["href"] for link in row.select("a")]
    (picture,) = soup.select("figure svg")
    assert len(picture.select(".turn")) == 1
    assert len(picture.select(".level")) == 2
    assert len(picture.select(".whisker")) == 16


def test_a_page_elsewhere_links_to_nothing_beside_it(slowed: tuple[Path, list[Path]], tmp_path: Path) -> None:
    root, _ = slowed
    path = render_history(root, load_history(root, "bench", "gemm"), tmp_path / "h.html")
    assert path == tmp_path / "h.html"
    assert not BeautifulSoup(path.read_text(), "html.parser").select("main a, header a")


def test_a_metric_may_be_asked_for_by_a_part_of_its_name(slowed: tuple[Path, list[Path]]) -> None:
    root, _ = slowed
    names = [track.metric for track in load_history(root, "bench", "gemm", metric="median_ns").tracks]
    assert names == [TIME, "gemm/openblas/time/median_ns"]
    with pytest.raises(ResultError, match="worst_share"):
        load_history(root, "bench", "gemm", metric="nothing of the kind")


def test_what_cannot_be_compared_is_not_joined(tmp_path: Path, template: Point) -> None:
    card = {"device": {**synthetic.environment().device, "name": "polaris10", "device_class": "gpu"}}
    driver = {"device": {**synthetic.environment().device, "driver": "PoCL 7.0"}}
    add_run(tmp_path, template, 1e6)
    add_run(tmp_path, template, 1e6, on=driver)
    add_run(tmp_path, template, 2e5, on=card)
    add_run(tmp_path, template, 3e6, ci=True)
    history = load_history(tmp_path, "bench", "gemm")
    assert sorted(len(track.readings) for track in history.tracks) == [1, 1, 2], "a driver may change along the way"
    assert "fewer than 14 runs" in history.summary
    page = render_history(tmp_path, history).read_text(encoding="utf-8")
    assert "too few runs" in page


def test_unreadable_runs_are_named_and_failed_points_left_out(tmp_path: Path, template: Point) -> None:
    add_run(tmp_path, template, 1e6)
    broken = add_run(tmp_path, template, 1e6)
    (broken / "manifest.json").write_text("{", encoding="utf-8")
    synthetic.write_run(tmp_path, [(synthetic.entry("a1", "failed"), template)], status="failed")
    history = load_history(tmp_path, "bench", "gemm")
    assert [len(track.readings) for track in history.tracks] == [1]
    assert history.unreadable[0][0] == broken.name
    assert broken.name in shown(history)


def test_an_experiment_is_found_by_its_name(tmp_path: Path, template: Point) -> None:
    add_run(tmp_path, template, 1e6)
    add_run(tmp_path, template, 1e6, kind="load")
    add_run(tmp_path, template, 1e6, name="softmax")
    assert find_experiment(tmp_path, "bench/gemm") == ("bench", "gemm")
    assert find_experiment(tmp_path, "softmax") == ("bench", "softmax")
    assert find_experiment(tmp_path, "experiments/load/gemm") == ("load", "gemm")
    for name in ("gemm", "gem", ""):
        with pytest.raises(ResultError, match="bench/gemm, bench/softmax, load/gemm"):
            find_experiment(tmp_path, name)
    with pytest.raises(ResultError, match="`rx580lab run` makes one"):
        load_history(tmp_path, "bench", "copy")


def test_hostile_strings_are_shown_and_never_obeyed(tmp_path: Path, template: Point) -> None:
    add_run(tmp_path, template, 1e6, title=HOSTILE, question=HOSTILE)
    history = load_history(tmp_path, "bench", "gemm")
    page = render_history(tmp_path, history).read_text(encoding="utf-8")
    assert_self_contained(page)
    assert HOSTILE not in page
    assert "<script>alert(1)</script>" in words(BeautifulSoup(page, "html.parser").h1)
