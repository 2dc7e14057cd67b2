"""A server of a notebook's own: it starts, answers, says why not, and never outlives who started it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

import rx580lab as rx
from rx580lab.errors import ServeError
from rx580lab.experiment.server_process import ServerProcess
from rx580lab.models import export
from tests.tree import ROOT


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export("fashion-mnist", tmp_path_factory.mktemp("models")).parents[2]


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_it_answers_as_the_model_does_and_drains(models: Path) -> None:
    with ServerProcess.start(models, device="pocl") as server:
        server.wait_ready()
        assert not any(key in repr(server) for key in server.keys.values())
        assert set(server.keys) == {"readonly", "user", "admin"}
        x = np.random.default_rng(0).random((2, 1, 28, 28), dtype=np.float32)
        body = b'{"inputs": {"image": %s}}' % str(x.tolist()).encode()
        answer = server.call("/models/fashion-mnist/predict", body, role="user")
        assert answer.status == 200, answer.body
        expected = rx.load(next(models.glob("*/*/model.onnx")), "pocl").run({"image": x})["logits"]
        np.testing.assert_allclose(answer.body["outputs"]["logits"], expected, rtol=1e-5, atol=1e-6)
        assert server.call("/models").status == 401
        assert server.call("/models", key=server.keys["readonly"]).status == 200
        folder = server.keys_file.parent if server.keys_file else None
        assert server.stop() == 0
    assert not server.alive
    assert folder is not None
    assert not folder.exists()
    with pytest.raises(ServeError, match="exit status 0"):
        server.wait_ready()


def test_what_keeps_it_from_starting_is_said(models: Path, tmp_path: Path) -> None:
    with pytest.raises(ServeError, match="expected a file of keys"):
        ServerProcess.start(models, roles=(), keys_file=tmp_path / "none", pepper_file=tmp_path / "pepper")
    with pytest.raises(ServeError, match="loopback"):
        ServerProcess.start(models, roles=(), options=["--host", "0.0.0.0"])  # noqa: S104 - refused


def test_no_server_outlives_who_started_it(models: Path, tmp_path: Path) -> None:
    script = tmp_path / "notebook.py"
    script.write_text(
        "import time\n"
        "from rx580lab.experiment.server_process import ServerProcess\n"
        f"server = ServerProcess.start({str(models)!r}, device='pocl', roles=())\n"
        "print(server.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    command = [sys.executable, str(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as notebook:
        assert notebook.stdout is not None
        server = psutil.Process(int(notebook.stdout.readline()))
        notebook.kill()
    psutil.wait_procs([server], timeout=30)
    assert gone(server.pid)
