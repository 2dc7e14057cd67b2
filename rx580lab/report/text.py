"""Foreign text made safe to show: what escaping leaves alone, but a reader would be deceived by.

Parameters, errors and notes come from notebooks and drivers. Escaping is jinja2's and ``svg.tag``'s work; this module
makes control characters and direction overrides visible, and keeps file names to links inside the run folder.
"""

from __future__ import annotations

import re
from urllib.parse import quote

# C0 and C1 controls but tab and newline, the bidirectional overrides and isolates, the byte order mark, and lone
# surrogates, which UTF-8 cannot carry.
_HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
_ANSI = re.compile("\x1b\\[[0-9;?]*[ -/]*[@-~]")


def visible(value: str) -> str:
    """``value`` with terminal colours removed and every other hidden character written as <U+202E>."""
    plain = _ANSI.sub("", value.replace("\r\n", "\n"))
    return _HIDDEN.sub(lambda match: f"<U+{ord(match.group()):04X}>", plain)


def relative_link(*parts: str) -> str | None:
    """A percent-encoded relative URL from folder and file names; None when a part could leave the folder."""
    for part in parts:
        if part in ("", ".", "..") or "/" in part or "\\" in part or _HIDDEN.search(part):
            return None
    return "/".join(quote(part, safe="") for part in parts)


def scalar(value: object) -> str:
    """A parameter's value in words: yes/no for booleans, a dash for None, the text as it is otherwise."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)


def plural(number: int, noun: str, many: str | None = None) -> str:
    """``plural(2, "point")`` is "2 points"."""
    return f"{number} {noun if number == 1 else many or noun + 's'}"
