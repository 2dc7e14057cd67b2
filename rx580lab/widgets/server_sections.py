"""Parts of the server's panel: its models, with load and unload, and its keys."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ipywidgets

from rx580lab.errors import LabError
from rx580lab.experiment.server_keys import list_keys, make_key, revoke_key
from rx580lab.experiment.server_process import Answer, ServerProcess
from rx580lab.widgets import html
from rx580lab.widgets.key_field import KeyField

__all__ = ["PANEL_LABEL", "KeysSection", "ModelsSection", "in_background", "said"]

PANEL_LABEL = "panel of a notebook"
# What a key of each role may do, as people would say it.
_ROLES = {
    "readonly: sees models and metrics": "readonly",
    "user: infers too": "user",
    "admin: loads and unloads too": "admin",
}


def in_background(work: Callable[[], None], name: str) -> None:
    """Runs ``work`` beside the notebook."""
    threading.Thread(target=work, daemon=True, name=f"rx580lab-{name}").start()


def said(answer: Answer) -> str:
    """Why the server refused, in its own words."""
    words = answer.body.get("error") if isinstance(answer.body, Mapping) else answer.body
    return f"the server answered {answer.status}: {str(words)[:500]}"


class ModelsSection:
    """``server``: the one that runs now, or None."""

    def __init__(self, server: Callable[[], ServerProcess | None]) -> None:
        self._server = server
        self._shown: list[Mapping[str, Any]] = []
        self._table = ipywidgets.HTML()
        self._state = ipywidgets.HTML()
        self._choice = ipywidgets.Dropdown(options=[], description="Model", tooltip="The model to load or unload")
        self._load = ipywidgets.Button(description="Load", tooltip="Load the model, or load it again from its files")
        self._unload = ipywidgets.Button(
            description="Unload", tooltip="Finish what waits for the model, then give its memory back"
        )
        buttons = ipywidgets.HBox([self._choice, self._load, self._unload]).add_class("rx-buttons")
        self.box = ipywidgets.VBox([self._table, buttons, self._state])
        self._load.on_click(lambda _: self._ask("load"))
        self._unload.on_click(lambda _: self._ask("unload"))
        self.enable(False)

    def enable(self, on: bool) -> None:
        """Whether there is a server to ask."""
        for control in (self._choice, self._load, self._unload):
            control.disabled = not on
        if not on:
            self._table.value = self._state.value = ""
            self._shown = []

    def refresh(self, server: ServerProcess) -> None:
        """Reads the states again. ServeError where no answer comes."""
        answer = server.call("/v2/repository/index", b"{}", role="admin")
        if answer.status != 200 or not isinstance(answer.body, list):
            self._state.value = html.state("Failed", said(answer), "bad")
            return
        if answer.body == self._shown:
            return
        self._shown = answer.body
        names = sorted({str(one["name"]) for one in self._shown})
        if list(self._choice.options) != names:
            kept = self._choice.value
            self._choice.options = names
            self._choice.value = kept if kept in names else (names[0] if names else None)
        rows = [
            [str(one["name"]), str(one.get("version", "")), _state_words(one), str(one.get("reason") or "")]
            for one in self._shown
        ]
        table = html.table("Models", ["name", "version", "state", "why not"], rows)
        self._table.value = table if rows else html.paragraph("The server knows no model.")

    def _ask(self, verb: str) -> None:
        server, name = self._server(), self._choice.value
        if server is None or name is None:
            return
        self._load.disabled = self._unload.disabled = True
        self._state.value = html.state(f"{verb.capitalize()}ing", str(name), "busy")
        in_background(lambda: self._carry_out(server, verb, str(name)), f"server-{verb}")

    def _carry_out(self, server: ServerProcess, verb: str, name: str) -> None:
        try:
            answer = server.call(
                f"/v2/repository/models/{name}/{verb}", b"{}", role="admin", timeout_s=600.0
            )  # fmt: skip
            if answer.status == 200:
                self._state.value = html.state(f"{verb.capitalize()}ed", name, "good")
            else:
                self._state.value = html.state(f"Not {verb}ed", f"{name}: {said(answer)}", "bad")
            self.refresh(server)
        except LabError as error:
            self._state.value = html.state(f"Not {verb}ed", f"{name}: {error.message}", "bad")
        finally:
            self._load.disabled = self._unload.disabled = self._server() is None


class KeysSection:
    """Of a server that runs with keys; an open one has none to show."""

    def __init__(self, server: Callable[[], ServerProcess | None]) -> None:
        self._server = server
        self._role = ipywidgets.Dropdown(
            options=list(_ROLES.items()), value="user", description="Role", tooltip="What the key may do"
        )
        self._label = ipywidgets.Text(description="Label", placeholder="whose it is", tooltip="Whose key it is")
        self._create = ipywidgets.Button(description="Create key", tooltip="Make a key; it is shown once")
        self._field = KeyField()
        self._table = ipywidgets.HTML()
        self._choice = ipywidgets.Dropdown(options=[], description="Key", tooltip="The key to revoke")
        self._revoke = ipywidgets.Button(description="Revoke", tooltip="End the key; whoever uses it is refused")
        self._state = ipywidgets.HTML()
        create = ipywidgets.HBox([self._role, self._label, self._create]).add_class("rx-buttons")
        revoke = ipywidgets.HBox([self._choice, self._revoke]).add_class("rx-buttons")
        self.box = ipywidgets.VBox([create, self._field, self._table, revoke, self._state])
        self._create.on_click(lambda _: self._begin(self._create_one, "key"))
        self._revoke.on_click(lambda _: self._begin(self._revoke_one, "revoke"))
        self.enable(None)

    def enable(self, server: ServerProcess | None) -> None:
        """Shows the keys of ``server``; none for None."""
        on = server is not None and server.keys_file is not None
        for control in (self._role, self._label, self._create, self._choice, self._revoke):
            control.disabled = not on
        if self._field.on_show and not on:
            self._field.hide()
        self._table.value = self._state.value = ""
        self._choice.options = []
        if server is not None and not on:
            self._table.value = html.paragraph("This server is open to everybody on this machine: it has no keys.")
        if on:
            self._begin(self._list, "keys")

    def _begin(self, work: Callable[[ServerProcess], None], name: str) -> None:
        server = self._server()
        if server is None or server.keys_file is None:
            return
        self._create.disabled = self._revoke.disabled = True

        def carry_out() -> None:
            try:
                work(server)
                self._list(server)
            except LabError as error:
                self._state.value = html.state("Failed", error.message, "bad")
            finally:
                self._create.disabled = self._revoke.disabled = self._server() is None

        in_background(carry_out, name)

    def _create_one(self, server: ServerProcess) -> None:
        assert server.keys_file is not None  # noqa: S101 - asked by the caller
        role = str(self._role.value)
        key = make_key(role, server.keys_file, server.pepper_file, label=str(self._label.value).strip())
        self._field.show(f"Key of role {role}", key)
        self._state.value = html.state("Created", "copy the key now: it is stored nowhere and not shown again", "good")

    def _revoke_one(self, server: ServerProcess) -> None:
        key_id = self._choice.value
        if server.keys_file is None or key_id is None:
            self._state.value = html.state("Refused", "there is no key to revoke", "bad")
            return
        revoke_key(str(key_id), server.keys_file)
        self._state.value = html.state("Revoked", f"{key_id}: the server refuses it within two seconds", "good")

    def _list(self, server: ServerProcess) -> None:
        if server.keys_file is None:
            return
        found = [one for one in list_keys(server.keys_file) if one.get("label") != PANEL_LABEL]
        self._table.value = html.paragraph("No keys yet, but the panel's own.")
        if found:
            self._table.value = html.table("Keys", ["id", "role", "state", "label", "ends"], _key_rows(found))
        active = {str(one["id"]): f"{one['id']}, {one['role']}, {one.get('label') or 'no label'}" for one in found
                  if one.get("state") == "active"}  # fmt: skip
        kept = self._choice.value
        self._choice.options = [(words, key_id) for key_id, words in active.items()]
        self._choice.value = kept if kept in active else next(iter(active), None)


def _key_rows(found: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    return [
        [str(one["id"]), str(one["role"]), str(one.get("state", "")), str(one.get("label") or ""),
         str(one.get("expires") or "never")]
        for one in found
    ]  # fmt: skip


def _state_words(one: Mapping[str, Any]) -> str:
    return {
        "READY": "ready", "LOADING": "loading", "UNLOADING": "unloading", "UNAVAILABLE": "not loaded",
    }.get(str(one.get("state")), str(one.get("state")))  # fmt: skip
