"""Damaged models: the same by the same number, none does harm, and harm would be seen."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
import yaml
from onnx import TensorProto

import rx580lab as rx
from rx580lab.errors import ExperimentError
from rx580lab.experiment.mutant_process import Watch
from rx580lab.experiment.mutant_seeds import CASES, SEEDS, seeds
from rx580lab.experiment.mutants import PLANTED_FILE, make_mutant
from rx580lab.experiment.mutated_models import mutated_models, try_mutants
from rx580lab.experiment.small_models import SMALL_MODELS, WEIGHTS_BYTES, WEIGHTS_FILE, small_model
from tests.graph.oracle import onnxruntime_outputs
from tests.tree import ROOT


@pytest.mark.parametrize("name", SMALL_MODELS)
def test_a_small_model_is_sound_and_runs(name: str, tmp_path: Path, pocl: rx.Device) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(small_model(name).SerializeToString())
    (tmp_path / WEIGHTS_FILE).write_bytes(np.linspace(-1, 1, WEIGHTS_BYTES // 4, dtype="<f4").tobytes())
    onnx.checker.check_model(str(path), full_check=True)
    model = rx.load(path, pocl)
    rng = np.random.default_rng(0)
    inputs = {}
    for key, info in model.inputs.items():
        shape = [n if isinstance(n, int) else 3 for n in info.shape or ()]
        values = rng.integers(0, 9, shape) if info.dtype.kind == "i" else rng.normal(size=shape)
        inputs[key] = np.asarray(values).astype(info.dtype)
    expected = onnxruntime_outputs(path, inputs)
    for key, got in model.run(inputs).items():
        np.testing.assert_allclose(got, expected[key], rtol=1e-4, atol=1e-5)


def test_a_mutant_is_made_again_by_its_number() -> None:
    model = small_model("encoder")
    before = model.SerializeToString()
    mutants = [make_mutant(model, 3, index) for index in range(60)]
    assert mutants == [make_mutant(model, 3, index) for index in range(60)]
    assert make_mutant(model, 4, 7) != mutants[7]
    assert model.SerializeToString() == before
    assert sum(one.data == before for one in mutants) <= 3
    assert all(one.faults for one in mutants)
    assert len({fault for one in mutants for fault in one.faults}) > 15


@pytest.mark.parametrize("name", SMALL_MODELS)
def test_no_damaged_model_does_harm(name: str, pocl: rx.Device) -> None:
    found = try_mutants(small_model(name), device=pocl.selector, n_mutants=22, seed=8)
    assert [str(one) for one in found if one.outcome == "wrong"] == []
    counts = Counter(one.outcome for one in found)
    assert counts["refused"] >= 5
    assert counts["ran"] >= 1


def test_a_run_is_a_point_with_its_check(pocl: rx.Device) -> None:
    point = mutated_models("beside", device=pocl, n_mutants=12, seed=1)
    assert all(check.ok for check in point.checks)
    values = {name: metric.value for name, metric in point.metrics.items()}
    assert values["mutants/n_files"] == 12
    assert values["mutants/n_ran"] + values["mutants/n_refused"] == 12
    assert any("external data" in note for note in mutated_models("beside", device=pocl, n_mutants=30).notes)


def test_cases_of_onnx_and_a_trained_network_are_tried_too(pocl: rx.Device) -> None:
    point = mutated_models("cases", device=pocl, n_mutants=15)
    assert all(check.ok for check in point.checks)
    assert point.metrics["mutants/n_files"].value == 15
    assert list(seeds("cases")) == list(CASES)
    assert len(seeds("fashion-mnist")["fashion-mnist"].graph.node) > 5
    with pytest.raises(ExperimentError, match=r"expected one of convolutions, .*, got 'clothes'"):
        seeds("clothes")


def long_to_fold() -> onnx.ModelProto:
    """A thousand operators on a constant: many ticks of the clock that limits a file, in every mutant that loads."""
    model = small_model("beside")
    graph = model.graph
    names = ["folded/0", *(f"folded/{k}" for k in range(1, 1001))]
    graph.initializer.append(onnx.numpy_helper.from_array(np.ones(4, np.float32), names[0]))
    graph.node.extend(onnx.helper.make_node("Neg", [one], [two]) for one, two in itertools.pairwise(names))
    return model


def test_what_takes_too_long_ends_and_is_wrong(pocl: rx.Device) -> None:
    found = try_mutants(long_to_fold(), device=pocl.selector, n_mutants=4, seed=8, seconds=1e-4)
    wrong = [one for one in found if one.outcome == "wrong"]
    assert len(found) == 4
    assert wrong
    assert "the process ended with status -27" in wrong[0].error  # SIGPROF
    assert "mutant_process.py" in wrong[0].error, "the log says where it was"


def test_a_model_that_does_not_run_is_no_experiment(pocl: rx.Device) -> None:
    model = small_model("beside")
    model.graph.node[0].op_type = "NoSuchOperator"
    with pytest.raises(ExperimentError, match=r"expected the whole model to run, got ModelError: .*NoSuchOperator"):
        try_mutants(model, device=pocl.selector, n_mutants=3)


WATCHED = """
import sys
from pathlib import Path
from rx580lab.experiment.mutant_process import Watch
watch = Watch(Path(sys.argv[1]))
for stage, act in (("load", lambda: open(sys.argv[2]).close()), ("run", lambda: open(sys.argv[2]).close()),
                   ("load", lambda: open(sys.argv[1] + "/own").close()), ("load", lambda: eval("1")),
                   ("load", lambda: open("/etc/hostname").close()), ("run", lambda: open("/etc/hostname").close())):
    watch.stage = stage
    act()
    watch.stage = ""
    print(watch.seen)
    watch.seen.clear()
"""


def test_what_is_opened_outside_is_seen(tmp_path: Path) -> None:
    assert Watch.__doc__
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "own").write_bytes(b"")
    planted = tmp_path / PLANTED_FILE
    planted.write_bytes(b"")
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, str(folder), str(planted)], check=True, capture_output=True, text=True
    )
    opened = f"['opened {planted.resolve()}']"
    host = f"['opened {Path('/etc/hostname').resolve()}']"
    assert done.stdout.splitlines() == [opened, opened, "[]", "['did compile', 'did exec']", host, "[]"]


def test_a_mutant_may_ask_for_the_planted_file() -> None:
    model = small_model("beside")
    asked = [make_mutant(model, 0, index).data.count(PLANTED_FILE.encode()) for index in range(200)]
    assert sum(n > 0 for n in asked) >= 5
    assert all(one.data_location == TensorProto.EXTERNAL for one in model.graph.initializer)


def test_the_experiment_tries_two_thousand() -> None:
    spec = yaml.safe_load((ROOT / "experiments/bench/mutated_models.yml").read_text(encoding="utf-8"))
    assert sorted(point["name"] for point in spec["sweep"]) == sorted(SEEDS)
    assert sum(point["n_mutants"] for point in spec["sweep"]) >= 2000
