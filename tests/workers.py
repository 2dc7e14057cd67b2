"""How the tests are dealt out to the workers of ``make test``."""

from __future__ import annotations

from typing import Any

from xdist.scheduler import LoadFileScheduling

__all__ = ["ByFile", "rank"]

# Each test here stands for itself and takes seconds, or they are many: a worker that is free takes the next one.
APART = {
    "tests/graph/test_onnx_suite.py",
    "tests/selftest/test_run.py",
    "tests/selftest/test_sanitize.py",
    "tests/test_experiments.py",
    "tests/widgets/test_kernel_explorer.py",
}
# One worker has these for long: they come first, so that nobody waits for them at the end.
FIRST = ("tests/test_jupyterlab.py", "tests/experiment/test_runner.py")


class ByFile(LoadFileScheduling):  # type: ignore[misc]  # xdist is not typed
    """A file's tests stay together, since they share what its fixtures made, save in the files that stand ``APART``."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return nodeid if file in APART else file

    def remove_node(self, node: Any) -> str | None:
        """The test that ended its worker has failed: xdist would give it to one worker after another."""
        units = self.assigned_work[node].values()
        unfinished = [(unit, test) for unit in units for test, done in unit.items() if not done]
        fatal: str | None = None
        if unfinished:
            unit, fatal = unfinished[0]
            unit[fatal] = True
        super().remove_node(node)
        return fatal


def rank(nodeid: str) -> int:
    """Where a test stands in the queue: those of ``FIRST`` in that order, those ``APART`` last, to fill the gaps."""
    file = nodeid.split("::", 1)[0]
    return FIRST.index(file) if file in FIRST else len(FIRST) + (file in APART)
