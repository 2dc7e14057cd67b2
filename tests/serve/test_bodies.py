"""Bodies: what is decompressed stays within bounds, and names come once."""

from __future__ import annotations

import gzip
import json
import time
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, Response
from hypothesis import given, settings
from hypothesis import strategies as st

from rx580lab.serve.bodies import check_names_differ, compressed, parsed, read_body, read_object
from rx580lab.serve.refusal import Refusal
from rx580lab.serve.settings import Caps

APP = Flask(__name__)
MIB = 1 << 20
# 1029 to 1, the most that deflate can do.
BOMB = gzip.compress(bytes(200 * MIB))


def read(data: bytes, encoding: str = "", caps: Caps | None = None) -> bytes:
    headers = {"Content-Encoding": encoding} if encoding else {}
    with APP.test_request_context("/", method="POST", data=data, headers=headers):
        return bytes(read_body(caps or Caps()))


def attempt(call: Callable[[], Any]) -> Any:
    """What it returns, or the Refusal."""
    try:
        return call()
    except Refusal as refusal:
        return refusal


def refused(data: bytes, encoding: str, caps: Caps | None = None) -> Refusal:
    with pytest.raises(Refusal) as caught:
        read(data, encoding, caps)
    return caught.value


@given(st.binary(max_size=3000), st.sampled_from([("gzip", 31), ("deflate", 15), ("deflate", -15)]), st.integers(0, 9))
@settings(max_examples=100, deadline=None)
def test_round_trip(data: bytes, kind: tuple[str, int], level: int) -> None:
    encoding, wbits = kind
    assert read(zlib.compress(data, level, wbits), encoding) == data


@given(st.binary(max_size=300), st.sampled_from(["gzip", "deflate"]))
def test_any_bytes_are_a_stream_or_refused(data: bytes, encoding: str) -> None:
    found = attempt(lambda: read(data, encoding))
    assert not isinstance(found, Refusal) or found.status in (400, 413)


def test_a_large_body_is_read_whole() -> None:
    data = bytes(range(256)) * (12 * MIB // 256)
    random = zlib.compress(data, 1)
    assert read(random, "deflate", Caps(decompression_ratio=1000)) == data


@pytest.mark.parametrize("wbits", [31, 15, -15])
def test_a_bomb_is_refused_before_it_grows(wbits: int) -> None:
    bomb = BOMB if wbits == 31 else zlib.compress(bytes(200 * MIB), wbits=wbits)
    tracemalloc.start()
    started = time.process_time()
    refusal = refused(bomb, "gzip" if wbits == 31 else "deflate")
    took_s = time.process_time() - started
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert refusal.status == 413
    assert "200 times" in refusal.message
    assert took_s < 0.1
    assert peak < 8 * MIB


def test_what_grows_within_the_ratio_ends_at_the_cap() -> None:
    caps = Caps(decompressed_bytes=3 * MIB, decompression_ratio=5000)
    tracemalloc.start()
    assert "3145728" in refused(BOMB, "gzip", caps).message
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 9 * MIB


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_streams_are_whole_and_alone(encoding: str) -> None:
    wbits = 31 if encoding == "gzip" else 15
    whole = zlib.compress(b"x" * 1000, wbits=wbits)
    assert "cut short" in refused(whole[:-5], encoding).message
    assert "after its end" in refused(whole + b"x", encoding).message
    assert "after its end" in refused(whole + bytes(100_000), encoding).message
    assert "after its end" in refused(whole + whole, encoding).message
    damaged = bytearray(whole)
    damaged[-1] ^= 1  # of the checksum, or of the length
    assert "damaged" in refused(bytes(damaged), encoding).message
    assert refused(b"", encoding).status == 400


@pytest.mark.parametrize("encoding", ["br", "gzip, gzip", "gzip,deflate", "zstd", "x-gzip"])
def test_other_encodings(encoding: str) -> None:
    refusal = refused(b"", encoding)
    assert refusal.status == 415
    assert refusal.headers["Accept-Encoding"] == "gzip, deflate"


NAMES = st.text(st.sampled_from('ab:"\\{}é'), max_size=3)
TREES = st.recursive(
    st.none() | NAMES | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)


def names_in(value: Any) -> int:
    if isinstance(value, dict):
        return len(value) + sum(map(names_in, value.values()))
    return sum(map(names_in, value)) if isinstance(value, list) else 0


@given(st.dictionaries(NAMES, TREES, min_size=1, max_size=3), st.booleans(), st.booleans())
@settings(max_examples=200, deadline=None)
def test_names_that_come_twice_are_found(tree: dict[str, Any], twice: bool, plain: bool) -> None:
    text = json.dumps(tree, ensure_ascii=not plain)
    if twice:
        text = f"{{{json.dumps(next(iter(tree)))}: 1, {text[1:]}"
    body = text.encode()
    kept = names_in(parsed(body, len(body), Caps()))
    if twice:
        with pytest.raises(Refusal, match="twice"):
            check_names_differ(body, len(body), kept)
    else:
        check_names_differ(body, len(body), kept)


def test_much_structure_is_refused_before_it_is_parsed() -> None:
    lists = b"[" + b"[]," * (MIB // 2) + b"[]]"
    with pytest.raises(Refusal) as caught:
        parsed(lists, len(lists), Caps())
    assert caught.value.status == 413
    large = b"[" + b"0," * (9 * MIB) + b"0]"
    with pytest.raises(Refusal) as caught:
        parsed(large, len(large), Caps())
    assert caught.value.status == 413


def objects(text: bytes) -> dict[str, Any]:
    with APP.test_request_context("/", method="POST", data=text, content_type="application/json"):
        return read_object(Caps())


def test_small_objects() -> None:
    assert objects(b"") == {}
    assert objects(b'{"a": [{"b": 1}]}') == {"a": [{"b": 1}]}
    for text in (b"[]", b'"a"', b'{"a": 1, "a": 2}', b'{"a": ' + b"[" * 40 + b"]" * 40 + b"}", b"{"):
        with pytest.raises(Refusal) as caught:
            objects(text)
        assert caught.value.status == 400


def test_small_answers_stay_as_they_are() -> None:
    with APP.test_request_context("/", headers={"Accept-Encoding": "gzip"}):
        assert "Content-Encoding" not in compressed(Response(b"x" * 10)).headers
        answer = compressed(Response(b"x" * 1000))
        assert gzip.decompress(answer.get_data()) == b"x" * 1000
