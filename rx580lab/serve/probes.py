"""What a refused request was after, as far as its address tells. Telemetry only: types and rules decide, not patterns.

Looked at only when a request has been refused already, so that the good ones pay nothing, and a false match costs
nobody anything but a count.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["KINDS", "kind_of"]

_MOST = 2048
# In this order; the first that matches names the request. Repetitions are bounded: the text is an attacker's.
_PATTERNS: Mapping[str, re.Pattern[str]] = {
    kind: re.compile(pattern, re.IGNORECASE)
    for kind, pattern in {
        "nul": r"\x00|%00",
        "traversal": r"\.\.(?:[/\\]|%2f|%5c|$)|%2e%2e|/etc/(?:passwd|shadow)|(?:file|php)://",
        "template": r"\{\{.{0,80}\}\}|\$\{.{0,80}\}|<%|#\{.{0,80}\}",
        "markup": r"<\s{0,8}(?:script|img|svg|iframe)|javascript:|\bon(?:error|load)\s{0,8}=",
        "sql": r"['\"]\s{0,8}(?:or|and)\b|\bunion\b.{1,40}\bselect\b|;\s{0,8}(?:drop|delete|insert)\b|\bsleep\(",
        "command": r"[;|`]\s{0,8}(?:cat|id|ls|curl|wget|sh|bash|nc)\b|\$\(",
        "scanner": r"/\.(?:git|env|svn|aws|ssh)\b|\.(?:php|aspx?|jsp|cgi)\b|/wp-|phpmyadmin|/actuator|/cgi-bin",
    }.items()
}
KINDS = tuple(_PATTERNS)


def kind_of(path: str, query: str) -> str | None:
    """One of ``KINDS``, or None. ``path`` is decoded once, ``query`` as it came; the first 2048 of each are read."""
    text = f"{path[:_MOST]}?{_plain(query[:_MOST])}"
    return next((kind for kind, pattern in _PATTERNS.items() if pattern.search(text)), None)


def _plain(query: str) -> str:
    # As much decoding as the patterns need; the escapes that they name stay.
    for escape, character in (("+", " "), ("%20", " "), ("%27", "'"), ("%22", '"'), ("%3c", "<"), ("%3C", "<"),
                              ("%3e", ">"), ("%3E", ">"), ("%7b", "{"), ("%7B", "{"), ("%7d", "}"), ("%7D", "}"),
                              ("%2f", "/"), ("%2F", "/"), ("%3b", ";"), ("%3B", ";"), ("%24", "$")):  # fmt: skip
        query = query.replace(escape, character)
    return query
