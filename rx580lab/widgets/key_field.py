"""A key on show: read it, copy it, hide it. It is sent to the page once and is no part of the widget's state.

State of widgets can be saved into a notebook; a key must not travel that way.
"""

from __future__ import annotations

from typing import Any

import anywidget
import traitlets

__all__ = ["KeyField"]

_ESM = """
function render({ model, el }) {
  el.classList.add("rx-key");
  el.setAttribute("role", "group");
  const label = document.createElement("label");
  const name = document.createElement("span");
  const input = document.createElement("input");
  const copy = document.createElement("button");
  const hide = document.createElement("button");
  const said = document.createElement("span");
  input.readOnly = true; input.spellcheck = false; input.autocomplete = "off";
  said.setAttribute("role", "status");
  for (const [button, text] of [[copy, "Copy key"], [hide, "Hide key"]]) {
    button.type = "button"; button.textContent = text; button.className = "jupyter-widgets jupyter-button";
    button.setAttribute("data-lm-suppress-shortcuts", "true");
  }
  input.setAttribute("data-lm-suppress-shortcuts", "true");
  label.append(name, input);
  el.append(label, copy, hide, said);
  const clear = () => { input.value = ""; el.hidden = true; el.style.display = "none"; };
  copy.addEventListener("click", async () => {
    input.select();
    try { await navigator.clipboard.writeText(input.value); said.textContent = "Copied."; }
    catch (_) { said.textContent = "The browser does not let the page copy: press Ctrl+C."; }
  });
  hide.addEventListener("click", () => { clear(); model.send({ kind: "hidden" }); });
  model.on("msg:custom", (message) => {
    if (message.kind === "show") {
      name.textContent = message.name; input.value = message.key; said.textContent = "";
      el.hidden = false; el.style.display = "";
    } else if (message.kind === "hide") clear();
  });
  clear();
}
export default { render };
"""
_CSS = """
.rx-key { display: flex; align-items: center; gap: 8px; flex-wrap: wrap; color: var(--jp-ui-font-color1, #222); }
.rx-key label { display: flex; align-items: center; gap: 8px; }
.rx-key input { width: 40em; max-width: 100%; font-family: var(--jp-code-font-family, monospace);
  background: var(--jp-layout-color1, #fff); color: var(--jp-ui-font-color1, #222); }
.rx-key button { width: auto; padding: 0 12px; }
"""


class KeyField(anywidget.AnyWidget):
    """Shows nothing until ``show``. ``on_show`` says whether one is on show."""

    _esm = _ESM
    _css = _CSS
    on_show = traitlets.Bool(False)

    def __init__(self) -> None:
        super().__init__()
        self.on_msg(self._told)

    def show(self, name: str, key: str) -> None:
        """Puts a key on show, in the place of an earlier one."""
        self.on_show = True
        self.send({"kind": "show", "name": name, "key": key})

    def hide(self) -> None:
        """Takes it away."""
        self.on_show = False
        self.send({"kind": "hide"})

    def _told(self, _widget: Any, content: dict[str, Any], _buffers: Any) -> None:
        if content.get("kind") == "hidden":
            self.on_show = False
