"""Element types: what goes in comes out, and nothing else goes in."""

from __future__ import annotations

from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rx580lab.serve.refusal import Refusal
from rx580lab.serve.tensors import DATATYPES, datatype, from_bytes, from_json, strings_to_bytes
from tests.serve.protocol_models import NUMBERS
from tests.serve.test_bodies import attempt

KINDS = st.sampled_from(NUMBERS)
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, max_side=4)


def arrays(kind: str, **elements: Any) -> st.SearchStrategy[np.ndarray[Any, Any]]:
    floats = {"allow_nan": False, "allow_infinity": False} if kind.startswith("FP") else {}
    return hnp.arrays(DATATYPES[kind], SHAPES, elements={**floats, **elements})


@given(st.data(), KINDS, st.booleans())
@settings(max_examples=150, deadline=None)
def test_json_round_trip(data: st.DataObject, kind: str, nested: bool) -> None:
    x = data.draw(arrays(kind))
    made = x if nested and x.ndim else x.reshape(-1)
    sent = orjson.loads(orjson.dumps(made, option=orjson.OPT_SERIALIZE_NUMPY))
    found = from_json(sent, "x", kind, x.shape)
    assert found.dtype == x.dtype
    np.testing.assert_array_equal(found, x)


@given(st.data(), KINDS, st.integers(0, 8))
@settings(max_examples=150, deadline=None)
def test_bytes_round_trip_at_any_offset(data: st.DataObject, kind: str, offset: int) -> None:
    x = data.draw(hnp.arrays(DATATYPES[kind], SHAPES))
    body = bytes(offset) + x.tobytes()
    found = from_bytes(memoryview(body)[offset:], "x", kind, x.shape)
    assert found.tobytes() == x.tobytes()
    assert found.shape == x.shape
    assert not found.flags.writeable
    assert not x.size or np.shares_memory(found, np.frombuffer(body, np.uint8))


@given(st.lists(st.binary(max_size=9), max_size=9))
def test_strings_round_trip(strings: list[bytes]) -> None:
    found = from_bytes(memoryview(strings_to_bytes(strings)), "x", "BYTES", (len(strings),))
    assert found.tolist() == strings
    assert datatype(found.dtype) == "BYTES"


@given(st.binary(max_size=40), st.integers(0, 6))
def test_any_bytes_are_strings_or_refused(raw: bytes, n: int) -> None:
    found = attempt(lambda: from_bytes(memoryview(raw), "x", "BYTES", (n,)))
    assert found.status == 400 if isinstance(found, Refusal) else strings_to_bytes(found.tolist()) == raw


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=2)
)


@given(VALUES, st.sampled_from(sorted(DATATYPES)), SHAPES)
@settings(max_examples=300, deadline=None)
def test_any_json_is_a_tensor_or_refused(value: Any, kind: str, shape: tuple[int, ...]) -> None:
    found = attempt(lambda: from_json(value, "x", kind, shape))
    if isinstance(found, Refusal):
        assert found.status == 400
    else:
        assert found.shape == shape
        assert found.dtype == DATATYPES[kind]


@pytest.mark.parametrize(
    ("kind", "element"),
    [
        ("FP32", True),
        ("INT32", True),
        ("UINT8", False),
        ("BOOL", 1),
        ("BOOL", "true"),
        ("INT64", 1.0),
        ("INT64", 2**63),
        ("UINT64", -1),
        ("UINT64", float(2**64)),
        ("INT8", 128),
        ("UINT8", 256),
        ("FP32", 1e39),
        ("FP16", 65520.0),
        ("FP64", "1"),
        ("FP64", None),
        ("FP32", [1.0]),
        ("FP32", {}),
        ("BYTES", 1),
        ("BYTES", None),
    ],
)
def test_other_elements_are_refused(kind: str, element: Any) -> None:
    ordinary: Any = {"BOOL": True, "BYTES": "a"}.get(kind, 1)
    for data in ([element], [ordinary, element], [[ordinary], [element]]):
        with pytest.raises(Refusal) as caught:
            from_json(data, "x", kind, (1,) if len(data) == 1 else (2, 1))
        assert caught.value.status == 400
        assert "x" in caught.value.message


def test_whole_numbers_are_taken_for_floats_and_extremes_fit() -> None:
    assert from_json([1, 2], "x", "FP16", (2,)).tolist() == [1.0, 2.0]
    for kind in NUMBERS:
        if "INT" in kind:
            bounds = np.iinfo(DATATYPES[kind])
            assert from_json([bounds.min, bounds.max], "x", kind, (2,)).tolist() == [bounds.min, bounds.max]


def test_bytes_that_are_no_truth_value_are_refused() -> None:
    with pytest.raises(Refusal, match="0 and 1"):
        from_bytes(memoryview(b"\x00\x02"), "x", "BOOL", (2,))


def test_sizes_are_counted_without_wrapping() -> None:
    with pytest.raises(Refusal, match=str(2**66)):
        from_bytes(memoryview(b""), "x", "FP32", (2**32, 2**32))
