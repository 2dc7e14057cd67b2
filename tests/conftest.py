"""What every test shares: an environment of its own, and the PoCL device."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from rx580lab.device import Device

# Settings of the person who runs the suite would steer what is tested.
KEPT = {"RX580LAB_REQUIRE"}


@pytest.fixture(scope="session", autouse=True)
def own_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Runs and tuned entries go to a folder of this session. Binary caches stay: they are keyed by content."""
    root = tmp_path_factory.mktemp("environment")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("RX580LAB_") and name not in KEPT]:
            patch.delenv(name)
        patch.setenv("RX580LAB_REPORTS", str(root / "reports"))
        patch.setenv("RX580LAB_DATA", str(root / "data"))
        patch.setenv("MPLBACKEND", "Agg")
        yield root


@pytest.fixture(scope="session")
def pocl() -> Device:
    """The CPU device that pip brings: every machine has it."""
    import rx580lab as rx

    return rx.open_device("pocl")
