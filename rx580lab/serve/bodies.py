"""Bodies of requests: read once, decompressed within bounds, parsed once; and answers compressed for those who ask.

What is refused here is refused before it costs: a body that grows too much while it is decompressed, JSON of more
lists than anyone needs, names that come twice.
"""

from __future__ import annotations

import re
import zlib
from typing import Any

import orjson
from flask import Response, request

from rx580lab.serve.refusal import Refusal
from rx580lab.serve.settings import Caps

__all__ = ["Body", "check_names_differ", "compressed", "parsed", "read_body", "read_object"]

Body = bytes | bytearray

_WHERE = "body"
_MIB = 1 << 20
_PIECE = 1 << 16
_GZIP, _ZLIB, _RAW = 31, 15, -15
_TAKEN = frozenset({"application/json", "application/octet-stream"})
# What curl and others say when they are not told what they send. A page of another origin could send these without
# asking first, so that they are taken only where no page is at work.
_UNSAID = frozenset({"", "application/x-www-form-urlencoded"})
_STRINGS = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_MOST_ESCAPES = 1 << 17
_COMPRESS_FROM = 256  # bytes; below, nothing is gained


def read_body(caps: Caps) -> Body:
    """The whole body of this request, decompressed.

    Refusal 415 for content types and encodings that are not taken, 413 for more than ``caps`` allow, 400 for a damaged
    or cut stream.
    """
    # Straight from the environment: this is on the way of each inference, and parsed headers cost more than the rest.
    environ = request.environ
    kind = environ.get("CONTENT_TYPE", "")
    if kind not in _TAKEN:
        kind = request.mimetype
        if kind not in _TAKEN and (kind not in _UNSAID or "HTTP_ORIGIN" in environ):
            raise Refusal(
                415, _WHERE, "expected Content-Type application/json or application/octet-stream, got another"
            )
    encoding = environ.get("HTTP_CONTENT_ENCODING", "").strip().lower()
    if encoding not in ("", "identity", "gzip", "deflate"):
        raise Refusal(
            415, _WHERE, "expected Content-Encoding gzip, deflate or none, got another",
            headers={"Accept-Encoding": "gzip, deflate"},
        )  # fmt: skip
    data = _sent(caps)
    return data if encoding in ("", "identity") else _decompressed(data, encoding, caps)


def _sent(caps: Caps) -> bytes:
    """In one piece. The server below has the whole body by now, and says how long it is."""
    length = request.content_length
    if length is None:
        return request.get_data(cache=False)
    if length > caps.body_bytes:
        raise Refusal(413, _WHERE, f"expected a body of at most {caps.body_bytes} bytes, got {length}")
    data: bytes = request.environ["wsgi.input"].read(length)
    if len(data) < length:
        raise Refusal(400, _WHERE, f"expected a body of {length} bytes as declared, got {len(data)}")
    return data


def _decompressed(data: bytes, encoding: str, caps: Caps) -> bytearray:
    machine = zlib.decompressobj(_GZIP if encoding == "gzip" else _deflate_kind(data))
    made = bytearray()
    try:
        for place in range(0, len(data), _PIECE):
            if machine.eof:
                raise Refusal(400, _WHERE, f"expected one {encoding} stream, got more after its end")
            piece: bytes | memoryview = memoryview(data)[place : place + _PIECE]
            while piece:
                made += machine.decompress(piece, _MIB)
                piece = machine.unconsumed_tail
                _check_growth(len(made), min(place + _PIECE, len(data)) - len(piece), caps)
    except zlib.error:
        raise Refusal(400, _WHERE, f"expected a body of {encoding}, got something else or damaged data") from None
    if not machine.eof:
        raise Refusal(400, _WHERE, f"expected a whole {encoding} stream, got one that is cut short")
    if machine.unused_data:
        raise Refusal(400, _WHERE, f"expected one {encoding} stream, got more after its end")
    return made


def _deflate_kind(data: bytes) -> int:
    """RFC 9110 says zlib; some clients send the bare stream. The two bytes of zlib's header are a multiple of 31."""
    zlib_header = len(data) > 1 and data[0] & 0x0F == 8 and (data[0] << 8 | data[1]) % 31 == 0
    return _ZLIB if zlib_header else _RAW


def _check_growth(made: int, used: int, caps: Caps) -> None:
    if made > caps.decompressed_bytes:
        raise Refusal(413, _WHERE, f"expected at most {caps.decompressed_bytes} bytes after decompression, got more")
    if made > max(_MIB, caps.decompression_ratio * used):
        raise Refusal(413, _WHERE, f"expected a body that grows up to {caps.decompression_ratio:g} times, got more")


def parsed(body: Body, size: int, caps: Caps, hint: str = "") -> Any:
    """The JSON value of the first ``size`` bytes. ``hint`` is added to the refusal (400) of what is not JSON."""
    if size > caps.json_bytes:
        raise Refusal(
            413, _WHERE, f"expected at most {caps.json_bytes} bytes of JSON, got {size}; send tensors as bytes"
        )
    if size > _MIB and _parts(body, size) > caps.json_lists:
        raise Refusal(413, _WHERE, f"expected at most {caps.json_lists} lists, objects and texts in JSON, got more")
    try:
        return orjson.loads(memoryview(body)[:size] if size < len(body) else body)
    except orjson.JSONDecodeError as error:
        raise Refusal(400, _WHERE, f"expected JSON, got {error.msg} at byte {error.pos}{hint}") from None


def _parts(body: Body, size: int) -> int:
    """Lists, objects and texts, or more where texts hold such marks; each took three bytes and will take some 60."""
    return body.count(b"[", 0, size) + body.count(b"{", 0, size) + body.count(b'"', 0, size) // 2


def check_names_differ(body: Body, size: int, names: int) -> None:
    """Refusal 400 if an object in these bytes of JSON has a name twice. ``names``: how many the parser kept in all.

    The parser keeps the last of two, other parsers the first. Outside of text a colon stands after a name and nowhere
    else, so that counting them tells, mostly without a look at the text.
    """
    if body.count(b":", 0, size) == names:
        return
    if body.count(b"\\", 0, size) > _MOST_ESCAPES:
        raise Refusal(413, _WHERE, f"expected texts of at most {_MOST_ESCAPES} backslashes, got more")
    if _STRINGS.sub(b"", body[:size]).count(b":") != names:
        raise Refusal(400, _WHERE, "expected objects whose names differ and none among data, got a name twice")


def read_object(caps: Caps, *, large: bool = False) -> dict[str, Any]:
    """The JSON object of a request that may do without (then an empty one). Refusal 400 for other JSON.

    ``large``: as long as a body may be, since files are in it.
    """
    body = read_body(caps)
    if not body:
        return {}
    value = parsed(body, len(body), caps.model_copy(update={"json_bytes": caps.decompressed_bytes}) if large else caps)
    if type(value) is not dict:
        raise Refusal(400, _WHERE, "expected a JSON object, got something else")
    check_names_differ(body, len(body), _names_in(value, caps.json_depth))
    return value


def _names_in(value: Any, depth: int) -> int:
    """How many names all objects in it have; Refusal 400 for more levels than ``depth``."""
    if type(value) is dict:
        below, count = list(value.values()), len(value)
    elif type(value) is list:
        below, count = value, 0
    else:
        return 0
    if not depth:
        raise Refusal(400, _WHERE, "expected JSON of fewer levels, got more")
    return count + sum(_names_in(one, depth - 1) for one in below)


def compressed(response: Response) -> Response:
    """The answer as gzip or deflate, where the client asks for it and it is worth it."""
    response.headers["Vary"] = "Accept-Encoding"
    if not request.environ.get("HTTP_ACCEPT_ENCODING"):
        return response
    data = response.get_data()
    if len(data) < _COMPRESS_FROM:
        return response
    accepted = request.accept_encodings
    for encoding, wbits in (("gzip", _GZIP), ("deflate", _ZLIB)):
        if accepted.quality(encoding) > 0:
            machine = zlib.compressobj(1, zlib.DEFLATED, wbits)
            response.set_data(machine.compress(data) + machine.flush())
            response.headers["Content-Encoding"] = encoding
            return response
    return response
