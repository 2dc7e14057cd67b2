"""Operates a panel as a person does, from its Python side: finds controls by what they are called, waits, reads."""

from __future__ import annotations

import html
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil

PATIENCE_S = 120.0


def controls(panel: Any) -> Iterator[Any]:
    yield panel
    for child in getattr(panel, "children", ()):
        yield from controls(child)


def control(panel: Any, description: str) -> Any:
    found = [each for each in controls(panel) if getattr(each, "description", None) == description]
    assert len(found) == 1, f"{description}: {len(found)} controls of that name"
    return found[0]


def source(panel: Any) -> str:
    """All HTML that the panel shows, as it is written."""
    return "\n".join(each.value for each in controls(panel) if type(each).__name__ == "HTML")


def text(panel: Any) -> str:
    """What a reader sees of it."""
    shown = re.sub(r"<style>.*?</style>", "", source(panel), flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", shown)).split())


def wait(until: Callable[[], bool], panel: Any) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not until():
        assert time.monotonic() < deadline, f"it never happened; the panel says: {text(panel)}"
        time.sleep(0.05)


def wait_for(panel: Any, words: str) -> None:
    wait(lambda: words in text(panel), panel)


def run_to_end(panel: Any, button: str) -> str:
    """Press a button that starts a child, wait until it has ended, and read the panel."""
    control(panel, button).click()
    ended(panel)
    return text(panel)


def ended(panel: Any) -> None:
    cancel = control(panel, "Cancel")
    wait(lambda: bool(cancel.disabled), panel)


def children_of(module: str) -> list[psutil.Process]:
    """Living processes below this one that run ``module`` or were started by it."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if process.status() != psutil.STATUS_ZOMBIE and module in " ".join(process.cmdline()):
                found += [process, *process.children(recursive=True)]
        except psutil.Error:
            continue
    return found
