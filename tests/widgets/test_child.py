from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

from rx580lab.widgets.child import Child, Ending
from tests.tree import ROOT

MODULE = "tests.widgets.stubborn"
VARIABLES = {"PYTHONPATH": str(ROOT)}


class Followed:
    """A child with all that it said."""

    def __init__(self, *acts: object, **settings: Any) -> None:
        self.events: list[dict[str, Any]] = []
        self.endings: list[Ending] = []
        self.child: Child | None = None
        self.child = Child(
            MODULE, {"acts": acts}, self._take, self.endings.append, variables=VARIABLES, **settings
        )  # fmt: skip

    def _take(self, event: dict[str, Any]) -> None:
        self.events.append(event)
        if event["kind"] == "cancel me" and self.child is not None:
            self.child.cancel()

    @property
    def kinds(self) -> list[str]:
        return [event["kind"] for event in self.events]

    def ending(self) -> Ending:
        assert self.child is not None
        assert self.child.join(60), f"it never ended; it said {self.kinds}"
        (ending,) = self.endings
        assert not psutil.pid_exists(self.child.pid)
        return ending


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_events_come_in_order_and_a_good_end_is_no_death() -> None:
    followed = Followed("one", "two", "three")
    ending = followed.ending()
    assert followed.kinds == ["one", "two", "three"]
    assert (ending.how, ending.code, ending.died) == ("ended", 0, None)


def test_a_bad_end_is_told_with_the_last_words() -> None:
    ending = Followed("one", "shout", "exit").ending()
    assert ending.died == "ended with exit status 3"
    assert ending.output == "the last words"


def test_cancel_ends_the_deaf_and_what_they_started() -> None:
    followed = Followed("deaf", "spawn", "cancel me", 600)
    assert followed.ending().how == "cancelled"
    assert gone(followed.events[0]["pid"])


def test_with_grace_it_may_put_its_things_in_order() -> None:
    followed = Followed("tidy", "cancel me", 600, grace_s=20.0)
    assert followed.ending().how == "cancelled"
    assert followed.endings[0].code == 0
    assert Followed("deaf", "cancel me", 600, grace_s=0.5).ending().code == -9


def test_the_limit_is_for_each_step_and_waiting_is_free() -> None:
    assert Followed("one", 600, limit_s=2.0).ending().how == "limit"
    # Longer than the limit in all, and longer while it waits, but no step is.
    assert Followed("waiting", 3.0, "go", 1.0, "on", 1.0, "on", limit_s=2.5).ending().how == "ended"


def test_no_child_outlives_the_notebook(tmp_path: Path) -> None:
    """The notebook's kernel is killed while a child is at work."""
    script = tmp_path / "notebook.py"
    script.write_text(
        "import time\n"
        "from rx580lab.widgets.child import Child\n"
        f"child = Child({MODULE!r}, {{'acts': ['up', 600]}}, lambda _: print(child.pid, flush=True), print,\n"
        f"              variables={VARIABLES!r})\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as notebook:
        assert notebook.stdout is not None
        child = psutil.Process(int(notebook.stdout.readline()))
        notebook.kill()
    assert psutil.wait_procs([child], timeout=30)[1] == [] or gone(child.pid)
