"""HTML of the panels: every text escaped, colours by JupyterLab's own variables so that both themes can be read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import anywidget
import ipywidgets
from markupsafe import Markup, escape

__all__ = ["PanelFrame", "details", "paragraph", "preformatted", "state", "table", "title"]

# Palette of the report's pictures: told apart by the colour-blind, light first. Fallbacks stand where a front end has
# no JupyterLab variables.
_CSS = """
.rx-panel { border: 1px solid var(--jp-border-color1, #999); border-radius: 4px; padding: 10px 12px; gap: 8px;
  color: var(--jp-ui-font-color1, #222); background: var(--jp-layout-color1, #fff); overflow: visible; }
.rx-panel .widget-label, .rx-panel .widget-html-content, .rx-panel label, .rx-panel summary {
  color: var(--jp-ui-font-color1, #222); }
.rx-panel .widget-html-content { line-height: 1.45; width: 100%; }
.rx-panel .rx-title { font-size: 1.15em; font-weight: 600; margin: 0; }
.rx-panel .rx-note, .rx-panel .rx-help { color: var(--jp-ui-font-color1, #222); opacity: .88; }
.rx-panel p { margin: 0 0 .3em; }
.rx-panel .rx-state { padding: 3px 8px; border-left: 4px solid var(--jp-border-color0, #777);
  background: var(--jp-layout-color2, #eee); }
.rx-panel .rx-good { border-left-color: var(--jp-success-color1, #2e7d32); }
.rx-panel .rx-bad { border-left-color: var(--jp-error-color1, #c62828); }
.rx-panel .rx-busy { border-left-color: var(--jp-brand-color1, #1976d2); }
.rx-panel .rx-scroll { overflow-x: auto; }
.rx-panel table { border-collapse: collapse; margin: 2px 0 6px; font-variant-numeric: tabular-nums; }
.rx-panel caption { text-align: left; font-weight: 600; padding: 2px 0; color: var(--jp-ui-font-color1, #222); }
.rx-panel th, .rx-panel td { text-align: left; vertical-align: top; padding: 2px 12px 2px 0;
  border-bottom: 1px solid var(--jp-border-color2, #ccc); color: var(--jp-ui-font-color1, #222); }
.rx-panel th { font-weight: 600; }
.rx-panel pre { margin: 2px 0 6px; padding: 6px 8px; max-height: 22em; overflow: auto; white-space: pre-wrap;
  color: var(--jp-content-font-color1, #111); background: var(--jp-layout-color2, #eee);
  font-family: var(--jp-code-font-family, monospace); font-size: var(--jp-code-font-size, 13px); }
.rx-panel a { color: var(--jp-content-link-color, #1565c0); text-decoration: underline; }
.rx-panel summary { cursor: pointer; }
.rx-panel :focus-visible { outline: 2px solid var(--jp-brand-color1, #1976d2); outline-offset: 2px; }
.rx-panel input, .rx-panel select, .rx-panel textarea { color: var(--jp-ui-font-color1, #222); }
/* The menus' own arrow: ipywidgets paints a dark one, which the dark theme swallows. */
.rx-panel select:not([multiple]) { appearance: auto; background-image: none !important; padding-right: 4px; }
.rx-panel textarea { font-family: var(--jp-code-font-family, monospace); tab-size: 4; }
.rx-panel input::placeholder { color: var(--jp-ui-font-color1, #222); opacity: .75; }
.rx-panel .rx-buttons { gap: 6px; align-items: center; flex-wrap: wrap; }
.rx-panel svg.chart { display: block; width: 100%; max-width: 560px; height: auto; font-family: inherit; }
.rx-panel svg text { fill: var(--jp-ui-font-color1, #222); font-size: 13px; }
.rx-panel svg .halo { paint-order: stroke; stroke: var(--jp-layout-color1, #fff); stroke-width: 3.5px; }
.rx-panel svg .grid { stroke: var(--jp-border-color2, #ccc); stroke-width: 1; }
.rx-panel svg .roof { fill: none; stroke: var(--jp-ui-font-color1, #222); stroke-width: 1.6; }
.rx-panel svg .r1 { stroke-dasharray: 7 4; } .rx-panel svg .r2 { stroke-dasharray: 2 3; }
.rx-panel svg .r3 { stroke-dasharray: 9 3 2 3; }
.rx-panel svg .roofband { fill: var(--jp-ui-font-color1, #222); opacity: .12; }
.rx-panel svg .leader { fill: none; stroke: var(--jp-ui-font-color1, #222); stroke-width: .8; }
.rx-panel svg .whisker { stroke: var(--jp-brand-color1, #1976d2); stroke-width: 2.2; }
.rx-panel svg .fill, .rx-panel svg .bar { fill: var(--jp-brand-color1, #1976d2); }
"""

_LOOKS = {"good": "rx-good", "bad": "rx-bad", "busy": "rx-busy", "": ""}


# JupyterLab takes arrow keys, Enter and letters for its own commands unless the focused element says otherwise; menus
# and lists could not be operated by keyboard then.
_ESM = """
function render({ el }) {
  el.style.display = "none";
  const mark = (panel) => {
    for (const each of panel.querySelectorAll("select, input, button, summary, a, [tabindex]"))
      each.setAttribute("data-lm-suppress-shortcuts", "true");
  };
  let observer = null;
  const begin = (left) => {
    const panel = el.closest(".rx-panel");
    if (!panel) { if (left) requestAnimationFrame(() => begin(left - 1)); return; }
    mark(panel);
    observer = new MutationObserver(() => mark(panel));
    observer.observe(panel, { childList: true, subtree: true });
  };
  begin(600);
  return () => observer && observer.disconnect();
}
export default { render };
"""


class PanelFrame(anywidget.AnyWidget):
    """The first child of a panel: shows nothing, brings the panels' style, and leaves keys to the controls."""

    _esm = _ESM
    _css = _CSS


def title(words: str) -> ipywidgets.HTML:
    """A panel's heading."""
    return ipywidgets.HTML(Markup('<p class="rx-title" role="heading" aria-level="3">{}</p>').format(words))


def state(word: str, text: str = "", look: str = "") -> str:
    """Where the work stands: a word, then what it means. ``look`` (good, bad, busy) only repeats the word in colour."""
    rest = Markup(": {}").format(text) if text else ""
    return Markup('<p class="rx-state {}" role="status"><strong>{}</strong>{}</p>').format(_LOOKS[look], word, rest)


def paragraph(text: str, class_: str = "rx-note") -> str:
    """A line of text."""
    return Markup('<p class="{}">{}</p>').format(class_, text)


def preformatted(text: str, label: str) -> str:
    """A log, as it is; reachable by keyboard, since it scrolls."""
    return Markup('<pre tabindex="0" role="region" aria-label="{}">{}</pre>').format(label, text)


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table with a caption; its first column heads the rows. Cells are text, or Markup made here."""
    top = Markup("").join(Markup('<th scope="col">{}</th>').format(cell) for cell in head)
    body = Markup("").join(
        Markup('<tr><th scope="row">{}</th>{}</tr>').format(
            row[0], Markup("").join(Markup("<td>{}</td>").format(cell) for cell in row[1:])
        )
        for row in rows
    )
    return Markup(
        '<div class="rx-scroll" tabindex="0" role="region" aria-label="{0}"><table><caption>{0}</caption>'
        "<thead><tr>{1}</tr></thead><tbody>{2}</tbody></table></div>"
    ).format(caption, top, body)


def details(summary: str, *parts: str, is_open: bool = False) -> str:
    """Something to unfold: a native element, so the keyboard works. ``parts`` are escaped unless made here."""
    inside = Markup("").join(escape(part) for part in parts)
    return Markup("<details{}><summary>{}</summary>{}</details>").format(
        Markup(" open") if is_open else "", summary, inside
    )
