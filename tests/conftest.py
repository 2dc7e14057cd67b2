"""What every test shares: an environment of its own, the PoCL device, a browser."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.chromium import running_chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from rx580lab.device import Device

# Settings of the person who runs the suite would steer what is tested.
KEPT = {"RX580LAB_REQUIRE"}


def pytest_configure(config: pytest.Config) -> None:
    """Runs, tuned entries and the timing lock go to a folder of this process, before any test or notebook cell.

    No fixture: cells of notebooks know none. What is timed here is of no interest, so it waits for no benchmark of this
    machine, nor for another worker. Binary caches stay where they are: they are keyed by content.
    """
    patch = pytest.MonkeyPatch()
    # pytest's own folders stay where they are kept after a failure.
    patch.setenv("PYTEST_DEBUG_TEMPROOT", os.environ.get("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir()))
    root = Path(tempfile.mkdtemp(prefix="rx580lab-", dir=os.environ["PYTEST_DEBUG_TEMPROOT"]))
    for name in [name for name in os.environ if name.startswith("RX580LAB_") and name not in KEPT]:
        patch.delenv(name)
    patch.setenv("RX580LAB_REPORTS", str(root / "reports"))
    patch.setenv("RX580LAB_DATA", str(root / "data"))
    patch.setenv("TMPDIR", str(root))
    patch.setattr(tempfile, "tempdir", str(root))
    patch.setenv("MPLBACKEND", "Agg")
    config.add_cleanup(lambda: shutil.rmtree(root, ignore_errors=True))
    config.add_cleanup(patch.undo)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """``--dist=loadfile``, which `make test` uses, in this suite's own way."""
    if config.getoption("dist") != "loadfile":
        return None
    from tests.workers import ByFile

    config.option.loadscopereorder = False  # the order is that of the items below
    return ByFile(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In a worker, the order in which tests are handed out; by hand they run as they are written."""
    if hasattr(config, "workerinput"):
        from tests.workers import rank

        items.sort(key=lambda item: rank(item.nodeid))


@pytest.fixture(scope="session")
def pocl() -> Device:
    """The CPU device that pip brings: every machine has it."""
    import rx580lab as rx

    return rx.open_device("pocl")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Not for longer than a module: while it runs, nothing else in this process can run an event loop."""
    with running_chromium() as chromium:
        yield chromium
