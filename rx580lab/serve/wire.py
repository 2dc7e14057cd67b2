"""How requests are read off a connection: waitress' parser, held to RFC 9112 and to bounds on what reading may cost.

waitress 3.0 reads chunked bodies in time that grows with the square of a line and with the number of chunks, takes
requests that a proxy in front may read in another way (both lengths given, chunks in HTTP/1.0), and tells a client that
waits for "100 Continue" to send a body that it will refuse. Here none of these holds.
"""

from __future__ import annotations

import re
from typing import Any

from waitress.adjustments import Adjustments
from waitress.parser import HTTPRequestParser
from waitress.receiver import ChunkedReceiver
from waitress.utilities import Error

__all__ = ["Chunks", "Fault", "Request"]

_HEXADECIMAL = re.compile(rb"[0-9A-Fa-f]{1,16}")
# A line of a chunked body: a size and an extension, which nobody uses; and all trailers together.
_LINE = 256
_TRAILERS = 4096
# So many chunks may be of any size; those after them hold this many bytes on average.
_CHUNKS = 1024
_MEAN_BYTES = 1024


class Fault(Error):
    """Why a request cannot be read: ``code`` is the answer's status, ``body`` its message, which repeats no input."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Chunks:
    """A body in chunks (RFC 9112 section 7.1), of at most ``cap`` bytes, decoded into ``buffer`` as it comes."""

    def __init__(self, buffer: Any, cap: int) -> None:
        self.completed = False
        self.error: Fault | None = None
        self._buffer = buffer
        self._cap = cap
        self._held = b""
        self._left = 0
        self._length = 0
        self._n_chunks = 0
        self._after_chunk = False
        self._last = False
        self._trailers = 0

    def __len__(self) -> int:
        return self._length

    def getfile(self) -> Any:
        """The decoded body, to be read."""
        return self._buffer.getfile()

    def getbuf(self) -> Any:
        """What the body is decoded into."""
        return self._buffer

    def received(self, data: bytes) -> int:
        """Takes the next bytes off the connection; returns how many of them belong to this body."""
        n_held = len(self._held)
        text = self._held + data if n_held else data
        place, end = 0, len(text)
        while place < end and not self.completed and self.error is None:
            if self._left:
                size = min(self._left, end - place)
                self._buffer.append(text[place : place + size])
                place += size
                self._left -= size
                self._after_chunk = not self._left
                continue
            stop = text.find(b"\r\n", place, place + _LINE)
            if stop < 0:
                if end - place >= _LINE:
                    self.error = Fault(400, f"expected lines of at most {_LINE} bytes in a chunked body")
                break
            self._line(text[place:stop])
            place = stop + 2
        self._held = b"" if self.completed else text[place:]
        return place - n_held if self.completed else len(data)

    def _line(self, line: bytes) -> None:
        if self._after_chunk:
            self._after_chunk = False
            if line:
                self.error = Fault(400, "expected a line's end after each chunk")
        elif self._last:
            self._trailers += len(line) + 2
            self.completed = not line
            if self._trailers > _TRAILERS:
                self.error = Fault(400, f"expected at most {_TRAILERS} bytes of trailers")
        else:
            self._begin(line)

    def _begin(self, line: bytes) -> None:
        size = line.partition(b";")[0].strip(b" \t")
        if not _HEXADECIMAL.fullmatch(size):
            self.error = Fault(400, "expected the size of each chunk as hexadecimal digits")
            return
        self._left = int(size, 16)
        self._last = not self._left
        self._length += self._left
        self._n_chunks += 1
        if self._length > self._cap:
            self.error = Fault(413, _too_large(self._cap))
        elif self._length < _MEAN_BYTES * (self._n_chunks - _CHUNKS):
            self.error = Fault(400, f"expected chunks of {_MEAN_BYTES} bytes on average, got smaller ones")


class Request(HTTPRequestParser):
    """One request as it comes; ``error`` says why it cannot be served. ``cap``: bytes of its body, without framing."""

    error: Any
    body_rcv: Any

    def __init__(self, adjustments: Adjustments, cap: int) -> None:
        super().__init__(adjustments)
        self._cap = cap

    def received(self, data: bytes) -> int:
        """Takes the next bytes; returns how many of them belong to this request."""
        consumed: int = super().received(data)
        if self.error is not None:
            # Nobody is told to go on sending what is refused.
            self.completed, self.expect_continue = True, False
        return consumed

    def parse_header(self, header_plus: bytes) -> None:
        """Adds what waitress leaves open."""
        super().parse_header(header_plus)
        self.error = self._fault()
        if isinstance(self.body_rcv, ChunkedReceiver):
            self.body_rcv = Chunks(self.body_rcv.getbuf(), self._cap)

    def _fault(self) -> Fault | None:
        headers = self.headers
        if self.version not in ("1.0", "1.1"):
            return Fault(505, "expected HTTP/1.1 or HTTP/1.0")
        if self.version == "1.0" and "TRANSFER_ENCODING" in headers:
            return Fault(400, "expected no Transfer-Encoding in HTTP/1.0")
        if self.version == "1.1" and "HOST" not in headers:
            return Fault(400, "expected a Host header")
        if "," in headers.get("HOST", ""):
            return Fault(400, "expected one Host header")
        if self.chunked and "CONTENT_LENGTH" in headers:
            return Fault(400, "expected either Content-Length or Transfer-Encoding, got both")
        if self.content_length > self._cap:
            return Fault(413, _too_large(self._cap))
        return None


def _too_large(cap: int) -> str:
    return f"expected a body of at most {cap} bytes, got a larger one"
