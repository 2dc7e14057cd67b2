"""The folder of models: what is loaded, what is refused with which reason, and what happens meanwhile."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rx580lab.errors import ServeError
from rx580lab.experiment.serving_models import write_mlp
from rx580lab.serve.inference import Inference, Result
from rx580lab.serve.refusal import Refusal
from rx580lab.serve.repository import Repository
from tests.serve import small_models
from tests.serve.machine import SOON_S, value_of
from tests.serve.repositories import Make, events, loaded, repositories

X = np.array([[1, 2, 3]], np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


@pytest.fixture
def make(folder: Path) -> Iterator[Make]:
    with repositories(folder) as make:
        yield make


def test_a_folder_that_is_not_there_is_no_server_of_nothing(folder: Path, make: Make) -> None:
    folder.rmdir()
    with pytest.raises(ServeError, match="expected a folder of NAME/VERSION"):
        make()


def factor_of(repository: Repository, name: str, version: str | None = None) -> float:
    """What the model ``scaled`` multiplies by."""
    result = repository.find(name, version).infer(Inference({"x": X}))
    return float(result.outputs["y"][0, 0])


def eventually(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + SOON_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


def test_a_model_that_does_not_load_says_why_and_the_rest_serves(folder: Path, make: Make) -> None:
    small_models.scaled(folder, "good")
    small_models.corrupt(folder, "bad")
    small_models.scaled(folder, "wrong")
    (folder / "wrong" / "model.yml").write_text("max_rowz: 3\n")
    repository = make()
    assert not repository.ready()
    loaded(repository)
    assert repository.ready()
    assert factor_of(repository, "good") == 2
    states = {one.name: (one.state, one.reason) for one in repository.index()}
    assert states["good"] == ("READY", "")
    assert states["bad"][0] == states["wrong"][0] == "UNAVAILABLE"
    assert "damaged" in states["bad"][1]
    assert states["wrong"][1] == "[model.yml] max_rowz: Extra inputs are not permitted"
    assert str(folder) not in str(states)
    for name in ("bad", "wrong"):
        assert value_of(repository._metrics, "rx580_model_load_failures_total", model=name) == 1
        with pytest.raises(Refusal) as refused:
            repository.find(name).infer(Inference({"x": X}))
        assert (refused.value.status, "Retry-After" in refused.value.headers) == (503, True)
    assert sorted(events(repository)) == [("model failed", "bad", "1"), ("model failed", "wrong", "1"),
                                          ("model loaded", "good", "1")]  # fmt: skip


def test_ready_waits_for_what_is_required_and_for_nothing_else(folder: Path, make: Make) -> None:
    small_models.scaled(folder, "good")
    small_models.corrupt(folder, "bad")
    assert loaded(make(required=("good",))).ready()
    assert not loaded(make(required=("good", "bad"))).ready()
    assert not loaded(make(required=("absent",))).ready()
    small_models.scaled(folder, "own")
    (folder / "own" / "model.yml").write_text("required: true\n")
    repository = loaded(make())
    assert repository.ready()
    repository.unload("own")
    assert not repository.ready()
    repository.unload("good")
    repository.load("own")
    assert repository.ready()


def test_a_server_that_can_serve_nothing_is_not_ready(folder: Path, make: Make) -> None:
    assert loaded(make()).ready()
    small_models.corrupt(folder, "bad")
    assert not loaded(make()).ready()


@pytest.mark.parametrize("name", ["..", ".", ".hidden", "a b", "a%2e", "x" * 65, "name\n"])
def test_odd_names_do_not_exist(folder: Path, make: Make, name: str) -> None:
    if name not in {".", ".."}:
        small_models.scaled(folder, name)
    small_models.scaled(folder, "good")
    repository = make(uploads=True)
    assert [one.name for one in repository.index()] == ["good"]
    for act in (repository.find, repository.load, repository.unload):
        with pytest.raises(Refusal) as refused:
            act(name)
        assert refused.value.status == 404
    with pytest.raises(Refusal) as refused:
        repository.load(name, files={"1/model.onnx": b""})
    assert refused.value.status == 400


@pytest.mark.parametrize("version", ["v1", "-1", "1234567890", "1.0", ""])
def test_odd_versions_do_not_exist(folder: Path, make: Make, version: str) -> None:
    if version:
        small_models.scaled(folder, "good")
        (folder / "good" / "1").rename(folder / "good" / version)
    assert make().index() == []


def test_a_link_out_of_the_folder_is_refused_and_one_inside_serves(folder: Path, make: Make) -> None:
    outside = small_models.scaled(folder.parent / "outside", "m")
    inside = small_models.scaled(folder, "inside")
    for name, target in (("file", outside), ("within", inside)):
        path = folder / name / "1" / "model.onnx"
        path.parent.mkdir(parents=True)
        path.symlink_to(target)
    (folder / "version").mkdir()
    (folder / "version" / "1").symlink_to(outside.parent)
    (folder / "name").symlink_to(outside.parent.parent)
    repository = loaded(make())
    assert {one.name: one.state for one in repository.index()} == {
        "file": "UNAVAILABLE", "version": "UNAVAILABLE", "name": "UNAVAILABLE", "inside": "READY", "within": "READY",
    }  # fmt: skip
    assert "link out of it" in repository.find("version").reason
    with pytest.raises(Refusal, match="link out of it"):
        repository.load("file")
    on_demand = loaded(make(load=False))
    for name in ("file", "version", "name"):
        with pytest.raises(Refusal):
            on_demand.find(name).infer(Inference({"x": X}))
        assert "link out of it" in on_demand.find(name).reason


def test_a_folder_in_the_place_of_a_model_is_told_and_the_rest_serves(folder: Path, make: Make) -> None:
    small_models.scaled(folder, "good")
    small_models.place(folder, "bad").mkdir(parents=True)
    repository = loaded(make())
    assert repository.find("good").state == "READY"
    assert "expected model.onnx to be a file" in repository.find("bad").reason


def test_labels_do_not_come_from_outside(folder: Path, make: Make) -> None:
    (folder.parent / "secret").write_text("hidden\n")
    for name in ("good", "bad"):
        small_models.scaled(folder, name)
    (folder / "good" / "1" / "labels.txt").write_text("a\nb\nc\n")
    (folder / "bad" / "1" / "labels.txt").symlink_to(folder.parent / "secret")
    repository = loaded(make())
    assert repository.find("good").labels == ("a", "b", "c")
    assert repository.find("bad").labels == ()


def test_with_a_manifest_only_what_it_lists_is_loaded(folder: Path, make: Make) -> None:
    def line(path: Path) -> str:
        return f"{hashlib.sha256(path.read_bytes()).hexdigest()}  ./{path.relative_to(folder)}\n"

    paths = {
        name: small_models.scaled(folder, name) for name in ("listed", "unlisted", "changed", "beside", "settings")
    }
    (folder / "settings" / "model.yml").write_text("max_rows: 4\n")
    (folder / "SHA256SUMS").write_text("".join(line(path) for name, path in paths.items() if name != "unlisted"))
    with paths["changed"].open("ab") as stream:
        stream.write(b"\0")
    (paths["beside"].parent / "labels.txt").write_text("a\n")
    repository = loaded(make(manifest=True))
    reasons = {one.name: one.reason for one in repository.index()}
    assert reasons["listed"] == ""
    assert "got no line for it" in reasons["unlisted"]
    assert "model.onnx of sha256" in reasons["changed"]
    assert "labels.txt to be listed" in reasons["beside"]
    assert "settings/model.yml to be listed" in reasons["settings"]
    (folder / "SHA256SUMS").unlink()
    assert "expected a file that can be read" in loaded(make(manifest=True)).find("listed").reason
    with pytest.raises(Refusal) as refused:
        make(manifest=True, uploads=True).load("listed", files={"1/model.onnx": b""})
    assert refused.value.status == 403


def test_versions_are_chosen_by_the_policy(folder: Path, make: Make) -> None:
    for version in (1, 2, 10):
        small_models.scaled(folder, "m", version, factor=version)
    (folder / "m" / "model.yml").write_text("version_policy: {latest: 2}\n")
    repository = loaded(make())
    assert {one.version: one.state for one in repository.index()} == {"1": "UNAVAILABLE", "2": "READY", "10": "READY"}
    assert [factor_of(repository, "m"), factor_of(repository, "m", "2")] == [10, 2]
    with pytest.raises(Refusal, match="version policy") as refused:
        factor_of(repository, "m", "1")
    assert refused.value.status == 404
    (folder / "m" / "model.yml").write_text("version_policy: {specific: [1]}\n")
    repository.load("m")
    assert factor_of(repository, "m") == 1
    assert repository.find("m", "10").state == "UNAVAILABLE"
    repository.load("m", {"version_policy": {"latest": {"num_versions": 1}}})
    assert factor_of(repository, "m") == 10
    with pytest.raises(Refusal, match="no version"):
        repository.load("m", {"version_policy": {"specific": [7]}})


def test_a_version_that_is_unknown_is_not_found(folder: Path, make: Make) -> None:
    small_models.scaled(folder, "m")
    repository = make()
    for name, version in (("m", "2"), ("m", "01"), ("n", None), ("n", "1")):
        with pytest.raises(Refusal) as refused:
            repository.find(name, version)
        assert refused.value.status == 404


def test_a_load_takes_what_lies_in_the_folder_now(folder: Path, make: Make) -> None:
    small_models.scaled(folder, "m", factor=2)
    repository = loaded(make())
    small_models.scaled(folder, "m", factor=3)
    small_models.scaled(folder, "later", factor=4)
    repository.load("m")
    repository.load("later")
    assert [factor_of(repository, "m"), factor_of(repository, "later")] == [3, 4]


def test_a_load_that_fails_leaves_what_serves(folder: Path, make: Make) -> None:
    small_models.scaled(folder, "m")
    repository = loaded(make())
    small_models.corrupt(folder, "m")
    with pytest.raises(Refusal, match="did not load") as refused:
        repository.load("m")
    assert refused.value.status == 400
    assert str(folder) not in refused.value.message
    assert repository.find("m").state == "READY"
    assert factor_of(repository, "m") == 2


def test_no_request_is_lost_while_a_model_is_loaded_again(folder: Path, make: Make) -> None:
    small_models.scaled(folder, "m")
    repository = loaded(make())
    stop = threading.Event()
    outcomes: list[object] = []

    def ask() -> None:
        while not stop.is_set():
            try:
                outcomes.append(factor_of(repository, "m"))
            except Exception as error:  # noqa: BLE001 - any is a failure of the test
                outcomes.append(error)

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for factor in (3, 4, 5):
        small_models.scaled(folder, "m", factor=factor)
        repository.load("m")
        assert factor_of(repository, "m") == factor
    stop.set()
    for thread in threads:
        thread.join(SOON_S)
    assert set(outcomes) == {2.0, 3.0, 4.0, 5.0}


def test_loads_of_one_model_at_once_are_one(folder: Path, make: Make) -> None:
    small_models.scaled(folder, "m")
    repository = make()
    with repository._one_load:
        threads = [threading.Thread(target=repository.load, args=("m",), daemon=True) for _ in range(5)]
        for thread in threads:
            thread.start()
        eventually(lambda: "m" in repository._work)
        time.sleep(0.05)
    for thread in threads:
        thread.join(SOON_S)
        assert not thread.is_alive()
    assert events(repository) == [("model loaded", "m", "1")]


def test_unload_serves_what_waits_and_gives_the_memory_back(folder: Path, make: Make) -> None:
    write_mlp(folder, "m", widths=(64, 512, 64))
    repository = loaded(make())
    served = repository.find("m")
    assert repository.device.bytes_in_use > 64 * 512 * 4
    x = np.ones((3, 64), np.float32)
    outcomes: list[object] = []
    with repository._loader.turns:
        threads = [
            threading.Thread(target=lambda: outcomes.append(served.infer(Inference({"x": x}))), daemon=True)
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        running = served.running
        assert running is not None
        eventually(lambda: running.batcher.waiting == 4)
        unloading = threading.Thread(target=repository.unload, args=("m",), daemon=True)
        unloading.start()
        eventually(lambda: served.state == "UNLOADING")
    for thread in (*threads, unloading):
        thread.join(SOON_S)
        assert not thread.is_alive()
    assert [type(one) for one in outcomes] == [Result] * 4
    assert repository.device.bytes_in_use == 0
    assert (served.state, served.reason, served.on_demand) == ("UNAVAILABLE", "unloaded", False)
    assert value_of(repository._metrics, "rx580_model_ready", model="m", version="1") == 0
    with pytest.raises(Refusal) as refused:
        served.infer(Inference({"x": x}))
    assert refused.value.status == 503
    repository.load("m")
    assert value_of(repository._metrics, "rx580_model_ready", model="m", version="1") == 1
