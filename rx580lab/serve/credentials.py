"""Takes keys out of the URL before anything can log it: the outermost layer of the application.

What it finds goes into ``environ["rx580lab.credentials"]``, where authentication takes or refuses it. Names of query
parameters that people use for credentials are taken, and whatever looks like a key of ours, under any name, in the path
and in the Referer too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, unquote_plus

__all__ = ["ENVIRON", "Found", "WithoutCredentials", "found_in"]

ENVIRON = "rx580lab.credentials"
PARAMETER = "api_key"
_NAMES = frozenset({PARAMETER, "api-key", "apikey", "x-api-key", "access_token", "authorization"})
# More lenient than the format: a key that was cut off or has a letter too many is still a secret.
_KEY = re.compile(r"rx580_[A-Za-z0-9]{8}_[A-Za-z0-9_-]+", re.IGNORECASE)
_MARK = "rx580_"
_HIDDEN = "hidden-key"
_URLS = ("REQUEST_URI", "RAW_URI")

StartResponse = Callable[..., Any]
Application = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]


@dataclass(frozen=True)
class Found:
    """``values``: of the parameter ``api_key``, decoded. ``elsewhere``: whether a credential came in another place."""

    values: tuple[str, ...] = ()
    elsewhere: bool = False


class WithoutCredentials:
    """The application, which sees no key in a URL. ServeError is not its business: it never refuses."""

    def __init__(self, application: Application) -> None:
        self.application = application

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """As WSGI has it."""
        # Whoever sends this name as a header gets it prefixed by HTTP_; here only this layer writes it.
        query = environ.get("QUERY_STRING", "")
        path = environ.get("PATH_INFO", "")
        if query or _MARK in path.lower() or "%" in path or "HTTP_REFERER" in environ:
            _strip(environ, query, path)
        return self.application(environ, start_response)


def found_in(environ: dict[str, Any]) -> Found | None:
    """What the URL held; None for nothing."""
    found: Found | None = environ.get(ENVIRON)
    return found


def _strip(environ: dict[str, Any], query: str, path: str) -> None:
    values: list[str] = []
    elsewhere = False
    kept = []
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        name = unquote_plus(name).strip().casefold()
        if name == PARAMETER:
            values.append(unquote_plus(value))
        elif name in _NAMES or _holds_key(pair):
            elsewhere = True
        else:
            kept.append(pair)
    in_path = _holds_key(path)
    if in_path:
        environ["PATH_INFO"] = _without_key(path)
    if len(kept) != query.count("&") + 1 or in_path:
        environ["QUERY_STRING"] = "&".join(kept)
        tail = f"?{environ['QUERY_STRING']}" if environ["QUERY_STRING"] else ""
        for url in _URLS:
            if url in environ:
                environ[url] = _without_key(str(environ[url]).partition("?")[0]) + tail
        environ[ENVIRON] = Found(tuple(values), elsewhere or in_path)
    referer = environ.get("HTTP_REFERER")
    if referer and ("?" in referer or _holds_key(referer)):
        environ["HTTP_REFERER"] = _without_key(referer.partition("?")[0])


def _holds_key(text: str) -> bool:
    return _KEY.search(unquote(text)) is not None or _KEY.search(unquote(unquote(text))) is not None


def _without_key(text: str) -> str:
    """``text`` with what looks like a key replaced; decoded first where the key is encoded."""
    while _holds_key(text):
        shown = text if _KEY.search(text) else unquote(text)
        text = _KEY.sub(_HIDDEN, shown)
    return text
