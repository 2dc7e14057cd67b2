"""The environment of a measurement: whole, without secrets, with a reason for every gap."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from rx580lab.measure import environment, surroundings
from tests.measure.fake_time import fake_device


def test_environment_tells_host_packages_and_pools() -> None:
    np.ones((2, 2)) @ np.ones((2, 2))  # the BLAS is loaded
    found = environment(fake_device("gpu", pci_address="0000:01:00.0"))
    assert found.device == {"device": "fake", "pci_address": "0000:01:00.0"}
    assert {"numpy", "pyopencl", "rx580lab"} <= set(found.packages)
    assert found.host["n_cores"] >= 1
    assert found.host["python"].split()[1].startswith("3.")
    assert any(pool["internal_api"] == "openblas" for pool in found.libraries)
    assert all("/" not in pool["file"] for pool in found.libraries)
    json.dumps(found.model_dump(mode="json"))


def test_every_gap_has_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surroundings, "_PACKAGES", ("numpy", "no-such-package"))
    found = environment(None, sys=tmp_path, proc=tmp_path)
    gaps = {f"host.{name}" for name, value in found.host.items() if value is None}
    assert {"host.governor", "host.hypervisor"} <= gaps
    assert gaps <= set(found.missing)
    assert found.missing["packages.no-such-package"] == "not installed"
    assert found.missing["device"] == "no OpenCL device took part"
    assert all(found.missing.values())


def test_host_is_read_where_the_kernel_shows_it(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("model name\t: Ryzen 5 3600\nflags\t\t: fpu avx2\n")
    governor = tmp_path / "devices/system/cpu/cpu0/cpufreq/scaling_governor"
    governor.parent.mkdir(parents=True)
    governor.write_text("schedutil\n")
    found = environment(None, sys=tmp_path, proc=tmp_path)
    assert (found.host["cpu"], found.host["governor"], found.host["hypervisor"]) == ("Ryzen 5 3600", "schedutil", False)
    (tmp_path / "cpuinfo").write_text("flags\t\t: fpu hypervisor avx2\n")
    assert environment(None, sys=tmp_path, proc=tmp_path).host["hypervisor"] is True


def test_steering_variables_are_kept_and_secrets_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POCL_AFFINITY", "1")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    monkeypatch.setenv("RX580LAB_ADMIN_KEY", "do not show")
    monkeypatch.setenv("RX580LAB_TOKENS", "do not show")
    monkeypatch.setenv("HOME_OF_OMP_X", "irrelevant")
    monkeypatch.setenv("RX580LAB_POINT", "another file for each point")
    found = environment(None).variables
    assert "RX580LAB_POINT" not in found
    assert found["POCL_AFFINITY"] == "1"
    assert found["OPENBLAS_NUM_THREADS"] == "1"
    assert not {"RX580LAB_ADMIN_KEY", "RX580LAB_TOKENS", "HOME_OF_OMP_X", "PATH"} & set(found)
    assert "do not show" not in found.values()


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(
        ["git", *identity, "-C", str(folder), *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    package = tmp_path / "checkout" / "rx580lab"
    package.mkdir(parents=True)
    (package / "errors.py").write_text("x = 1\n")
    (package / "__init__.py").touch()
    git(package, "init", "-q", str(package.parent))
    monkeypatch.setattr(surroundings, "rx580lab", SimpleNamespace(__file__=str(package / "__init__.py")))
    return package


def test_commit_and_changes_of_the_checkout(checkout: Path) -> None:
    git(checkout, "add", ".")
    git(checkout, "commit", "-qm", "one")
    clean = environment(None)
    assert (clean.commit, clean.dirty) == (git(checkout, "rev-parse", "HEAD"), False)
    (checkout / "untracked").write_text("notes")
    assert environment(None).dirty is False
    (checkout / "errors.py").write_text("x = 2\n")
    assert environment(None).dirty is True


@pytest.mark.usefixtures("checkout")
def test_repository_that_does_not_track_the_package_is_not_ours() -> None:
    found = environment(None)  # nothing was added: as in a virtual environment inside someone's repository
    assert (found.commit, found.dirty) == (None, None)
    assert "installed package" in found.missing["commit"]


def test_git_that_is_not_there_is_a_reason(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(checkout))
    found = environment(None)
    assert found.commit is None
    assert "git is not there" in found.missing["commit"]
