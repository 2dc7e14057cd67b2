"""A form field for a notebook parameter: its control by type, bounds and enum, and the text that ``--set`` gets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ipywidgets
import yaml

from rx580lab.experiment import Spec, spec_schema
from rx580lab.experiment.model import Declaration, Value
from rx580lab.experiment.parameters import NotebookParameter
from rx580lab.widgets import html

__all__ = ["ParameterField", "parameter_fields"]

_LARGEST_INT = 2**53
_LARGEST_FLOAT = 1e300


@dataclass(frozen=True)
class ParameterField:
    """One parameter in the form. ``swept``: its values at the points, where the spec gives more than one."""

    parameter: NotebookParameter
    control: Any
    initial: Any
    swept: str | None
    box: ipywidgets.VBox

    def override(self) -> str | None:
        """The text of ``--set``; None while the field says what the spec says."""
        value = self.control.value
        if value == self.initial:
            return None
        if isinstance(value, bool):
            return "true" if value else "false"
        if self.swept is not None:
            text = str(value).strip()
            return text or None
        return str(value)


def parameter_fields(spec: Spec) -> list[ParameterField]:
    """A field for every parameter that the spec's notebook declares, but the device, which has a control of its own."""
    points = [spec.effective(point) for point in spec.points()]
    fields = []
    for name, parameter in spec.parameters.items():
        if name == "device":
            continue
        entry = spec.model.params.get(name)
        bounds = entry if isinstance(entry, Declaration) else _protocol_bounds(name)
        values = list(dict.fromkeys(_text(point[name]) for point in points))
        swept = ", ".join(values) if len(values) > 1 else None
        control = _control(parameter, points[0][name], bounds, swept)
        box = ipywidgets.VBox([control, ipywidgets.HTML(html.paragraph(_about(parameter, bounds, swept), "rx-help"))])
        fields.append(ParameterField(parameter, control, control.value, swept, box))
    return fields


def _protocol_bounds(name: str) -> Declaration | None:
    """What the spec's schema says of a field of ``protocol``: bounds, choices, help."""
    properties = spec_schema()["$defs"]["Protocol"]["properties"]
    if name not in properties:
        return None
    rule: Mapping[str, Any] = {
        **properties[name],
        **next((part for part in properties[name].get("anyOf", []) if part.get("type") != "null"), {}),
    }
    return Declaration(
        min=rule.get("minimum", rule.get("exclusiveMinimum")),
        max=rule.get("maximum", rule.get("exclusiveMaximum")),
        enum=rule.get("enum"),
        help=properties[name].get("description"),
    )


def _control(parameter: NotebookParameter, value: Value, bounds: Declaration | None, swept: str | None) -> Any:
    common = {
        "description": parameter.name,
        "tooltip": parameter.help or parameter.name,
        "style": {"description_width": "10em"},
        "layout": ipywidgets.Layout(width="34em", max_width="100%"),
    }
    if swept is not None:
        return ipywidgets.Text(value="", placeholder=f"as swept: {swept}", **common)
    if bounds is not None and bounds.enum is not None and value in bounds.enum:
        return ipywidgets.Dropdown(options=list(bounds.enum), value=value, **common)
    if parameter.kind == "bool":
        return ipywidgets.Checkbox(value=bool(value), **common)
    if parameter.kind in ("int", "float"):
        return _number_control(parameter.kind, value, bounds, common)
    return ipywidgets.Text(value=_text(value), **common)


def _number_control(kind: str, value: Any, bounds: Declaration | None, common: dict[str, Any]) -> Any:
    low = bounds.min if bounds is not None else None
    high = bounds.max if bounds is not None else None
    if low is None and high is None:
        return (ipywidgets.IntText if kind == "int" else ipywidgets.FloatText)(value=value, **common)
    # Sliders of ipywidgets have no name for screen readers; a bounded number field has, and arrow keys step it too.
    if kind == "int":
        return ipywidgets.BoundedIntText(
            value=value, min=-_LARGEST_INT if low is None else int(low),
            max=_LARGEST_INT if high is None else int(high), **common,
        )  # fmt: skip
    return ipywidgets.BoundedFloatText(
        value=value, min=-_LARGEST_FLOAT if low is None else float(low),
        max=_LARGEST_FLOAT if high is None else float(high), **common,
    )  # fmt: skip


def _about(parameter: NotebookParameter, bounds: Declaration | None, swept: str | None) -> str:
    words = [parameter.annotation]
    if bounds is not None:
        unit = f" {bounds.unit}" if bounds.unit else ""
        words += [f"at least {bounds.min}{unit}"] if bounds.min is not None else []
        words += [f"at most {bounds.max}{unit}"] if bounds.max is not None else []
        words += [f"one of {', '.join(map(str, bounds.enum))}"] if bounds.enum is not None else []
    if swept is not None:
        words.append(f"swept over {swept}; one value holds for all points, [a, b] replaces the axis")
    about = (bounds.help if bounds is not None else None) or parameter.help
    return f"{', '.join(words)}. {about}" if about else f"{', '.join(words)}."


def _text(value: Value) -> str:
    """A value as ``--set`` takes it."""
    if isinstance(value, list):
        return str(yaml.safe_dump(value, default_flow_style=True, width=10_000)).strip()
    return "" if value is None else str(value)
