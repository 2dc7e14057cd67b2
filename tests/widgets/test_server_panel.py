"""The server's panel, operated as a person does, with real servers."""

from __future__ import annotations

import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ipywidgets
import numpy as np
import psutil
import pytest

import rx580lab as rx
from rx580lab.experiment.server_keys import list_keys
from rx580lab.experiment.server_process import ServerProcess
from rx580lab.models import export
from rx580lab.widgets.key_field import KeyField
from tests.widgets.operate import children_of, control, controls, source, text, wait, wait_for

MODULE = "rx580lab.experiment.server_child"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export("fashion-mnist", tmp_path_factory.mktemp("models")).parents[2]


@pytest.fixture
def panel(models: Path) -> Iterator[Any]:
    made = rx.widgets.server(models, device="pocl")
    yield made
    if not control(made, "Stop").disabled:
        control(made, "Stop").click()
        wait(lambda: bool(control(made, "Stop").disabled and not control(made, "Start").disabled), made)


def url(panel: Any) -> str:
    """As the panel's link tells it."""
    return text(panel).split("Open its documentation")[1].split()[0]


def predict(address: str, key: str | None) -> tuple[int, Any]:
    x = np.random.default_rng(1).random((2, 1, 28, 28), dtype=np.float32)
    headers = {"Content-Type": "application/json", **({"X-API-Key": key} if key else {})}
    body = json.dumps({"inputs": {"image": x.tolist()}}).encode()
    request = urllib.request.Request(f"{address}/models/fashion-mnist/predict", body, headers)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - loopback
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def watch_keys(panel: Any, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """What is sent to the page to be shown."""
    (field,) = [each for each in controls(panel) if isinstance(each, KeyField)]
    sent: list[dict[str, str]] = []
    monkeypatch.setattr(field, "send", sent.append)
    return sent


def test_a_server_from_start_to_stop(panel: Any, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {"rx-panel", "rx-server"} <= set(panel._dom_classes)
    assert "Ready" in text(panel)
    shown = watch_keys(panel, monkeypatch)
    control(panel, "Start").click()
    wait_for(panel, "Serving : at http://127.0.0.1:")
    assert f'href="{url(panel)}/docs"' in source(panel)
    wait_for(panel, "fashion-mnist 1 ready")

    # A key is made, shown once, and works; without one nobody gets in.
    assert predict(url(panel), None)[0] == 401
    control(panel, "Role").value = "user"
    control(panel, "Label").value = "<b>mine</b>"
    control(panel, "Create key").click()
    wait_for(panel, "copy the key now")
    (message,) = [each for each in shown if each["kind"] == "show"]
    key = message["key"]
    assert key not in source(panel)
    assert "<b>mine" not in source(panel)
    wait(lambda: predict(url(panel), key)[0] == 200, panel)
    x = np.random.default_rng(1).random((2, 1, 28, 28), dtype=np.float32)
    expected = rx.load(next(models.glob("*/*/model.onnx")), "pocl").run({"image": x})["logits"]
    np.testing.assert_allclose(predict(url(panel), key)[1]["outputs"]["logits"], expected, rtol=1e-5, atol=1e-6)

    # What was sent is counted: rate, latency, rows.
    wait(lambda: "latency, p99 about" in text(panel), panel)
    wait_for(panel, "rows in a launch, mean 2.0")
    assert "device memory in use" in text(panel)
    assert "card's temperature" not in text(panel)

    # Unload and load, as the panel's admin.
    control(panel, "Unload").click()
    wait_for(panel, "Unloaded : fashion-mnist")
    wait_for(panel, "fashion-mnist 1 not loaded")
    assert predict(url(panel), key)[0] == 503
    control(panel, "Load").click()
    wait_for(panel, "Loaded : fashion-mnist")
    assert predict(url(panel), key)[0] == 200

    # A revoked key is refused.
    wait(lambda: bool(control(panel, "Key").options) and not control(panel, "Revoke").disabled, panel)
    control(panel, "Revoke").click()
    wait_for(panel, "Revoked")
    address = url(panel)
    wait(lambda: predict(address, key)[0] == 401, panel)

    (process,) = [one for one in children_of(MODULE) if MODULE in " ".join(one.cmdline())][:1]
    control(panel, "Stop").click()
    wait_for(panel, "Stopped : everything in hand was finished")
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    assert control(panel, "Load").disabled
    assert control(panel, "Create key").disabled
    assert any(each["kind"] == "hide" for each in shown), "a key on show goes with its server"
    assert not control(panel, "Start").disabled


def test_a_file_of_keys_stays_and_the_panels_own_key_does_not(models: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("RX580LAB_SERVE_PEPPER_FILE", str(tmp_path / "pepper"))
    file = tmp_path / "keys.jsonl"
    panel = rx.widgets.server(models, device="pocl", keys=file)
    control(panel, "Start").click()
    wait_for(panel, "Serving")
    (own,) = list_keys(file)
    assert (own["role"], own["state"]) == ("admin", "active")
    assert own["expires"] is not None
    wait_for(panel, "No keys yet, but the panel's own")
    control(panel, "Stop").click()
    wait_for(panel, "Stopped")
    wait(lambda: list_keys(file)[0]["state"] != "active", panel)


def test_an_open_server_has_no_keys_and_a_crash_is_told(models: Path) -> None:
    panel = rx.widgets.server(models, device="pocl")
    control(panel, "Access").value = "open to this machine"
    control(panel, "Start").click()
    wait_for(panel, "Serving")
    assert "open to everybody on this machine" in text(panel)
    assert control(panel, "Create key").disabled
    assert predict(url(panel), None)[0] == 200
    psutil.Process(children_of(MODULE)[0].pid).kill()
    wait_for(panel, "Ended : by itself, with exit status -9")
    assert not control(panel, "Start").disabled


def test_a_model_that_does_not_load_is_told(models: Path, tmp_path: Path) -> None:
    shutil.copytree(models, tmp_path / "models")
    broken = tmp_path / "models/broken/1/model.onnx"
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"no model")
    panel = rx.widgets.server(tmp_path / "models", device="pocl")
    control(panel, "Start").click()
    wait_for(panel, "broken 1 not loaded")
    control(panel, "Model").value = "broken"
    control(panel, "Load").click()
    wait_for(panel, "Not loaded : broken: the server answered 4")
    assert str(tmp_path) not in text(panel).split("Not loaded : broken")[1]
    control(panel, "Stop").click()
    wait_for(panel, "Stopped")


@pytest.mark.parametrize(
    ("folder", "words"),
    [("", "expected a folder of models, got none"), ("no/such", "which is no folder"), (".", "nothing of that kind")],
)
def test_a_wrong_folder_starts_nothing(folder: str, words: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    panel = rx.widgets.server(folder)
    control(panel, "Start").click()
    assert "Refused" in text(panel)
    assert words in text(panel)
    assert children_of(MODULE) == []


def test_a_port_that_is_taken_is_told(models: Path) -> None:
    with ServerProcess.start(models, device="pocl", roles=()) as taken:
        panel = rx.widgets.server(models, device="pocl")
        control(panel, "Port").value = int(taken.url.rsplit(":", 1)[1])
        control(panel, "Access").value = "open to this machine"
        control(panel, "Start").click()
        wait_for(panel, "Failed")
        assert "expected a free port" in text(panel)
        assert not control(panel, "Start").disabled


def test_a_running_server_is_watched_and_stopped(models: Path) -> None:
    with ServerProcess.start(models, device="pocl") as running:
        running.wait_ready()
        panel = rx.widgets.server(running=running)
        wait_for(panel, "Serving")
        assert control(panel, "Start").disabled
        control(panel, "Stop").click()
        wait_for(panel, "Stopped")
        assert not running.alive


def test_a_server_that_is_stopped_from_elsewhere_is_told(models: Path) -> None:
    with ServerProcess.start(models, device="pocl") as running:
        panel = rx.widgets.server(running=running)
        running.wait_ready()
        assert running.stop() == 0
        wait_for(panel, "Ended : it was stopped from elsewhere")
        assert not control(panel, "Start").disabled


def test_closing_the_panel_ends_its_server(models: Path) -> None:
    running = ServerProcess.start(models, device="pocl", roles=())
    panel = rx.widgets.server(running=running)
    wait_for(panel, "Serving")
    panel.close()
    assert running.process.wait(60) == 0
    running.stop()


def test_every_control_has_a_name_and_says_what_it_does() -> None:
    panel = rx.widgets.server()
    named = [each for each in controls(panel) if hasattr(each, "description") and type(each).__name__ != "HTML"]
    assert len(named) >= 14
    for each in named:
        assert each.description, each
        assert each.tooltip, each.description
    assert isinstance(control(panel, "Live"), ipywidgets.ToggleButton)
