"""A slider over the values of a macro: the browser's own range input, with a label.

ipywidgets' sliders carry no name that a screen reader could say; the native element does, and arrow keys, Home and
End work without any code.
"""

from __future__ import annotations

from collections.abc import Sequence

import anywidget
import traitlets

__all__ = ["ValueSlider"]

_ESM = """
function render({ model, el }) {
  el.classList.add("rx-slider");
  const label = document.createElement("label");
  const name = document.createElement("span");
  const input = document.createElement("input");
  const shown = document.createElement("output");
  input.type = "range"; input.min = 0; input.step = 1;
  // JupyterLab would take the arrow keys for moving among cells; it looks at the focused element first.
  input.setAttribute("data-lm-suppress-shortcuts", "true");
  label.append(name, input);
  el.append(label, shown);
  const draw = () => {
    const options = model.get("options");
    name.textContent = model.get("description");
    input.title = model.get("tooltip");
    input.disabled = model.get("disabled");
    input.max = options.length - 1;
    input.value = options.indexOf(model.get("value"));
    say();
  };
  const say = () => {
    const value = String(model.get("options")[Number(input.value)]);
    shown.textContent = value;
    input.setAttribute("aria-valuetext", value);
  };
  input.addEventListener("input", say);
  input.addEventListener("change", () => {
    model.set("value", model.get("options")[Number(input.value)]);
    model.save_changes();
  });
  for (const name of ["options", "value", "description", "tooltip", "disabled"]) model.on(`change:${name}`, draw);
  draw();
}
export default { render };
"""
_CSS = """
.rx-slider { display: flex; align-items: center; gap: 8px; color: var(--jp-ui-font-color1, #222); }
.rx-slider label { display: flex; align-items: center; gap: 8px; }
.rx-slider label span { display: inline-block; width: 9em; text-align: right; }
.rx-slider input { width: 16em; accent-color: var(--jp-brand-color1, #1976d2); }
.rx-slider output { min-width: 5em; font-variant-numeric: tabular-nums; }
"""


class ValueSlider(anywidget.AnyWidget):
    """A slider that takes one of ``options`` (whole numbers, in order); ``value`` changes when it is let go."""

    _esm = _ESM
    _css = _CSS
    options = traitlets.List(traitlets.Int()).tag(sync=True)
    value = traitlets.Int().tag(sync=True)
    description = traitlets.Unicode().tag(sync=True)
    tooltip = traitlets.Unicode().tag(sync=True)
    disabled = traitlets.Bool(False).tag(sync=True)

    def __init__(self, options: Sequence[int], value: int, description: str, tooltip: str = "") -> None:
        super().__init__(options=list(options), value=value, description=description, tooltip=tooltip)

    @traitlets.validate("value")
    def _one_of_the_options(self, proposal: dict[str, int]) -> int:
        if proposal["value"] not in self.options:
            allowed = ", ".join(map(str, self.options))
            raise traitlets.TraitError(f"expected {self.description} to be one of {allowed}, got {proposal['value']}")
        return proposal["value"]
