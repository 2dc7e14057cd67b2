from __future__ import annotations

from pathlib import Path

import pytest

from rx580lab.errors import ResultError
from rx580lab.report.text import relative_link, visible
from rx580lab.report.view import RunView, differences, flat, headline, load_run, point_labels
from rx580lab.results.records import Metric, Scalar
from tests.report import synthetic


def test_points_are_labelled_by_what_varies() -> None:
    fixed: dict[str, Scalar] = {"op": "gemm", "threads": 1}
    assert point_labels([{**fixed, "shape": "1x2x3"}, {**fixed, "shape": "4x5x6"}]) == ["1x2x3", "4x5x6"]
    assert point_labels([{**fixed, "n": 1}, {**fixed, "n": 2}]) == ["n 1", "n 2"]
    assert point_labels([{"op": "a", "n": 1}, {"op": "b", "n": 2}]) == ["op a, n 1", "op b, n 2"]
    assert point_labels([{**fixed, "shape": "1x2x3"}]) == ["gemm 1x2x3"]
    assert point_labels([{"threads": 1}]) == ["the only point"]
    assert point_labels([{}, {}]) == ["point 1", "point 2"]


def test_environment_differences_name_the_field_and_who_has_which_value() -> None:
    first, second = synthetic.environment(), synthetic.environment(variables={"POCL_AFFINITY": "0"}, dirty=True)
    found = {item.field: item.values for item in differences([("a", first), ("b", second), ("c", first)])}
    assert found["Code: uncommitted changes"] == {"no": ["a", "c"], "yes": ["b"]}
    assert found["Environment variables: POCL_AFFINITY"] == {"1": ["a", "c"], "0": ["b"]}
    assert found["Environment variables: OPENBLAS_NUM_THREADS"] == {"1": ["a", "c"], "absent": ["b"]}
    assert differences([("a", first), ("b", synthetic.environment())]) == []


def test_nested_values_become_dotted_names_with_units_for_bytes() -> None:
    found = flat({"limits": {"memory_bytes": 2**33, "lds_bytes": None}, "extensions": ["b", "a"], "pools": [{"n": 1}]})
    assert found == {
        "limits.memory_bytes": "8.00\u00a0GiB",
        "limits.lds_bytes": "–",
        "extensions": "b, a",
        "pools.0.n": "1",
    }


def card(tmp_path: Path, *devices: dict[str, object]) -> tuple[str, str]:
    rows = []
    for place, device in enumerate(devices):
        point = synthetic.gemm_point(8, 8, 8 + place)
        point.environment = synthetic.environment(device=device)
        rows.append((synthetic.entry(f"p{place}", params=point.params), point))
    return load_run(synthetic.write_run(tmp_path, list(rows))).card


def test_a_cpu_is_never_passed_off_as_a_card(tmp_path: Path) -> None:
    pocl: dict[str, object] = {"device_class": "cpu", "platform": "Portable Computing Language", "name": "EPYC"}
    radeon: dict[str, object] = {"device_class": "gpu", "platform": "rusticl", "name": "polaris10", "board": "RX 580"}
    kind, words = card(tmp_path / "a", pocl)
    assert kind == "cpu"
    assert words.startswith("PoCL on CPU: not an RX 580; nothing here was measured on a card")
    assert card(tmp_path / "b", radeon) == ("gpu", "Measured on RX 580 (polaris10).")
    kind, words = card(tmp_path / "c", radeon, pocl)
    assert kind == "cpu"
    assert "at 1 of 2 points" in words
    assert card(tmp_path / "d")[0] == "unknown"
    limits = {"memory_bytes": 2**33, "lds_bytes": None}
    held = card(tmp_path / "f", {**pocl, "device": "pthread-EPYC", "emulated_limits": limits})[1]
    assert held.endswith("pthread-EPYC. It was held to limits that are not its own: memory_bytes 8.00\u00a0GiB.")
    assert (
        "not an RX 580" in card(tmp_path / "e", {"device_class": "cpu", "platform": "rusticl", "name": "llvmpipe"})[1]
    )


def test_files_are_hashed_again_and_a_change_is_said(tmp_path: Path) -> None:
    point = synthetic.gemm_point(8, 8, 8)
    entry = synthetic.entry("a1")
    entry.files["gone.csv"] = "0" * 64
    entry.files["../../etc/passwd"] = "0" * 64
    path = synthetic.write_run(tmp_path, [(entry, point)])
    (path / "points/a1/executed.ipynb").write_text("{}", encoding="utf-8")
    states = {file.name: (file.state, file.link) for file in load_run(path).points[0].files}
    assert states["point.json"] == ("unchanged", "points/a1/point.json")
    assert states["executed.ipynb"][0] == "changed since it was recorded"
    assert states["gone.csv"] == ("missing", None)
    assert states["../../etc/passwd"] == ("not a plain file name", None)


def test_a_missing_record_is_a_problem_only_where_the_point_ended_ok(tmp_path: Path) -> None:
    rows = [(synthetic.entry("a1"), None), (synthetic.entry("a2", "failed", error="boom"), None)]
    view = load_run(synthetic.write_run(tmp_path, list(rows)))
    assert "missing" in (view.points[0].problem or "")
    assert view.points[1].problem is None
    with pytest.raises(ResultError):
        load_run(tmp_path)


def test_checks_that_a_point_lists_as_its_own_and_with_its_roofs_count_once(tmp_path: Path) -> None:
    point = synthetic.gemm_point(8, 8, 8)
    point.checks = [roof.check for roof in point.roofs]
    assert len(load_run(synthetic.write_run(tmp_path, [(synthetic.entry("a1"), point)])).checks) == 3


def test_counts_put_the_worst_first_and_contestants_keep_their_looks(tmp_path: Path) -> None:
    view: RunView = load_run(synthetic.gemm_run(tmp_path))
    assert view.counts == {"failed": 1, "killed": 1, "pending": 1, "ok": 3}
    assert view.looks == {"lab": 0, "openblas": 1, "plain": 2}
    assert [(point.label, check.contestant) for point, check in view.failed_checks] == [("4096x16x4096", "lab")]
    # Three contestants and three roofs at each of four points.
    assert len(view.checks) == 24


def test_the_headline_is_the_worst_figure_of_the_first_speed_gate(tmp_path: Path) -> None:
    view = load_run(synthetic.gemm_run(tmp_path))
    points = {each.entry.key: each.point for each in view.points if each.point}
    found = headline(view.manifest, points)
    assert found is not None
    assert found[:2] == ("gemm/lab/ratio", "a3")
    view.manifest.gates = []
    assert headline(view.manifest, {}) is None
    time = Metric(value=1.0, unit="ns", higher_is_better=False)
    for key, point in points.items():
        point.metrics = {"time/median_ns": time.model_copy(update={"value": {"a2": 9.0}.get(key, 1.0)})}
    worst = headline(view.manifest, points)
    assert worst is not None
    assert worst[1] == "a2"


@pytest.mark.parametrize("part", ["", ".", "..", "a/b", "a\\b", "a\x00b"])
def test_links_never_leave_the_run_folder(part: str) -> None:
    assert relative_link("points", part) is None


def test_links_are_encoded_and_hidden_characters_become_visible() -> None:
    assert relative_link("points", 'javascript:"x') == "points/javascript%3A%22x"
    assert visible("a\x1b[31mred\x1b[0m\u202eb\x00\nc") == "ared<U+202E>b<U+0000>\nc"
