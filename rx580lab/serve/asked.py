"""An inference request of the V2 protocol: its JSON, held against a strict schema, and its tensors.

Shapes and types are held against what the model declares before a tensor is looked at, so that what cannot run costs
nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rx580lab.graph.inputs import TensorInfo
from rx580lab.serve.bodies import Body, check_names_differ, parsed
from rx580lab.serve.inference import Tensor
from rx580lab.serve.refusal import Refusal
from rx580lab.serve.settings import Caps
from rx580lab.serve.tensors import DATATYPES, datatype, from_bytes, from_json

__all__ = ["HEADER_LENGTH", "AskedInference", "Declared", "Wanted", "check_shape", "read_request", "shown"]

HEADER_LENGTH = "Inference-Header-Content-Length"
_WHERE = "infer"
_HINT = f"; where tensors follow the JSON as bytes, the header {HEADER_LENGTH} must give the length of the JSON"
# Clients of KServe repeat model and version in the body.
_REQUEST = frozenset({"id", "inputs", "outputs", "parameters", "model_name", "model_version"})
_INPUT = frozenset({"name", "shape", "datatype", "parameters", "data"})
_OUTPUT = frozenset({"name", "parameters"})
_SEQUENCE = ("sequence_id", "sequence_start", "sequence_end")
_LONGEST_ID = 1024
_LONGEST_NAME = 512
_LARGEST = (1 << 63) - 1
_MOST_CLASSES = 1000


@dataclass(frozen=True)
class Declared:
    """What a request is held against: the model's inputs and outputs, and the rows it takes."""

    name: str
    version: str
    inputs: Mapping[str, TensorInfo]
    outputs: Mapping[str, TensorInfo]
    rows: int


@dataclass(frozen=True)
class Wanted:
    """One output as it is asked for. ``classes``: the so many largest elements instead of all; 0 for all."""

    name: str
    binary: bool
    classes: int = 0


@dataclass(frozen=True)
class AskedInference:
    """What a body holds.

    Attributes:
        outputs: None where none are named, which asks for all. binary: whether those come as bytes.
        timeout_us: 0 for none. priority: 1 is first, 0 the default.
    """

    inputs: dict[str, Tensor]
    outputs: tuple[Wanted, ...] | None
    binary: bool
    id: str | None
    timeout_us: int
    priority: int


@dataclass
class _Reading:
    """Where in the raw tensors the next one begins, and how many names the JSON had so far."""

    body: Body
    place: int
    names: int = 0
    lengths: dict[str, tuple[int, str]] = field(default_factory=dict)


def shown(value: Any) -> str:
    """What a client sent, short enough for an answer."""
    if type(value) in (dict, list):
        return "an object" if type(value) is dict else "a list"
    text = ascii(value)
    return text if len(text) <= 64 else f"{text[:61]}..."


def read_request(body: Body, header_length: str | None, declared: Declared, caps: Caps) -> AskedInference:
    """The request. Refusal 400 for what the protocol or the model does not take, 413 for more than ``caps`` allow."""
    if not body:
        raise _bad("a JSON object with inputs", "an empty body")
    size = _header_size(header_length, len(body), caps)
    head = parsed(body, size, caps, "" if header_length else _HINT)
    reading = _Reading(body, size)
    _object(head, "the request", _REQUEST, reading)
    _same(head, "model_name", declared.name)
    _same(head, "model_version", declared.version)
    parameters = _parameters(head, "the request", reading)
    if any(parameters.get(name) for name in _SEQUENCE):
        raise Refusal(400, _WHERE, "expected no sequence_id, sequence_start or sequence_end: no model keeps a state")
    binary = _flag(parameters, "binary_data_output")
    described = _inputs(head, reading, declared, caps)
    outputs = _outputs(head, reading, declared, caps, binary)
    # Before any element is looked at, as it tells which of two lists of elements was meant.
    check_names_differ(body, size, reading.names)
    inputs = {one["name"]: _tensor(one, reading, declared.inputs[one["name"]]) for one in described}
    if reading.place != len(body):
        raise _bad(f"{reading.place - size} bytes of tensors after the JSON", str(len(body) - size))
    return AskedInference(
        inputs,
        outputs,
        binary,
        _identity(head),
        _whole(parameters, "timeout"),
        _whole(parameters, "priority"),
    )


def _bad(expected: str, got: str) -> Refusal:
    return Refusal(400, _WHERE, f"expected {expected}, got {got}")


def _header_size(text: str | None, size: int, caps: Caps) -> int:
    if text is None:
        return size
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise _bad(f"a number of bytes in {HEADER_LENGTH}", shown(text))
    length = int(text)
    if length > size:
        raise _bad(f"{HEADER_LENGTH} of at most the {size} bytes of the body", str(length))
    if length > caps.header_json_bytes:
        raise Refusal(413, _WHERE, f"expected a JSON header of at most {caps.header_json_bytes} bytes, got {length}")
    return length


def _object(value: Any, what: str, names: frozenset[str], reading: _Reading) -> None:
    if type(value) is not dict:
        raise _bad(f"{what} as a JSON object", shown(value))
    if not value.keys() <= names:
        unknown = shown(min(value.keys() - names))
        raise _bad(f"{what} with {', '.join(sorted(names))} only", unknown)
    reading.names += len(value)


def _parameters(owner: dict[str, Any], what: str, reading: _Reading) -> dict[str, Any]:
    """Those of the protocol and any others, which say nothing to this server; scalars all."""
    found = owner.get("parameters")
    if found is None:
        return {}
    if type(found) is not dict:
        raise _bad(f"parameters of {what} as a JSON object", shown(found))
    reading.names += len(found)
    for name, value in found.items():
        if type(value) in (dict, list):
            raise _bad(f"parameter {shown(name)} of {what} as text, a number or a truth value", shown(value))
        if name.startswith("shared_memory_"):
            raise Refusal(400, _WHERE, "expected tensors in the body, got a shared memory region; none is shared here")
    return found


def _flag(parameters: Mapping[str, Any], name: str, otherwise: bool = False) -> bool:
    value = parameters.get(name, otherwise)
    if type(value) is not bool:
        raise _bad(f"{name} as true or false", shown(value))
    return value


def _whole(parameters: Mapping[str, Any], name: str, largest: int = _LARGEST) -> int:
    value = parameters.get(name)
    if value is None:
        return 0
    if type(value) is not int or not 0 <= value <= largest:
        raise _bad(f"{name} as a whole number from 0 to {largest}", shown(value))
    return value


def _identity(head: dict[str, Any]) -> str | None:
    value = head.get("id")
    if value is not None and (type(value) is not str or len(value) > _LONGEST_ID):
        raise _bad(f"id as text of at most {_LONGEST_ID} characters", shown(value))
    return value


def _same(head: dict[str, Any], key: str, own: str) -> None:
    value = head.get(key)
    if value not in (None, "", own):
        raise _bad(f"{key} {own} as in the path", shown(value))


def _list(head: dict[str, Any], key: str, caps: Caps) -> list[Any]:
    found = head.get(key)
    if type(found) is not list:
        raise _bad(f"{key} as a list", "none" if found is None else shown(found))
    if len(found) > caps.tensors:
        raise Refusal(413, _WHERE, f"expected at most {caps.tensors} {key}, got {len(found)}")
    return found


def _name(one: dict[str, Any], what: str) -> str:
    name = one.get("name")
    if type(name) is not str or not 0 < len(name) <= _LONGEST_NAME:
        raise _bad(f"{what} with a name", shown(name))
    return name


def _inputs(head: dict[str, Any], reading: _Reading, declared: Declared, caps: Caps) -> list[dict[str, Any]]:
    """Their descriptions; each with its "size" in bytes, or None where its elements are in "data"."""
    found = []
    seen: set[str] = set()
    for n, one in enumerate(_list(head, "inputs", caps)):
        _object(one, f"inputs[{n}]", _INPUT, reading)
        name = _name(one, f"inputs[{n}]")
        if name in seen:
            raise _bad("inputs whose names differ", f"{shown(name)} twice")
        seen.add(name)
        info = declared.inputs.get(name)
        if info is None:
            raise _bad(f"inputs {', '.join(declared.inputs)} of {declared.name}", shown(name))
        kind, shape = one.get("datatype"), _shape(one, name, caps)
        if type(kind) is not str or kind not in DATATYPES:
            raise _bad(f"datatype of input {name} as one of {', '.join(DATATYPES)}", shown(kind))
        if kind != datatype(info.dtype):
            raise _bad(f"datatype {datatype(info.dtype)} for input {name} of {declared.name}", kind)
        check_shape(info, shape, reading.lengths, declared.rows)
        size = _parameters(one, f"input {name}", reading).get("binary_data_size")
        if (size is None) == (one.get("data") is None):
            raise _bad(f"data or parameters.binary_data_size for input {name}", "neither" if size is None else "both")
        if size is not None and (type(size) is not int or size < 0):
            raise _bad(f"binary_data_size of input {name} as a number of bytes", shown(size))
        found.append({"name": name, "kind": kind, "shape": shape, "size": size, "data": one.get("data")})
    missing = [name for name in declared.inputs if name not in seen]
    if missing:
        raise _bad(f"inputs {', '.join(declared.inputs)} of {declared.name}", f"none named {missing[0]}")
    return found


def _shape(one: dict[str, Any], name: str, caps: Caps) -> tuple[int, ...]:
    shape = one.get("shape")
    if type(shape) is not list:
        raise _bad(f"shape of input {name} as a list of lengths", shown(shape))
    if len(shape) > caps.rank:
        raise Refusal(413, _WHERE, f"expected at most {caps.rank} lengths in the shape of {name}, got {len(shape)}")
    for length in shape:
        if type(length) is not int or length < 0:
            raise _bad(f"lengths of input {name} as whole numbers from 0", shown(length))
        if length > caps.elements:
            raise Refusal(413, _WHERE, f"expected lengths up to {caps.elements} in {name}, got {length}")
    if math.prod(shape) > caps.elements:
        raise Refusal(413, _WHERE, f"expected at most {caps.elements} elements in {name}, got {math.prod(shape)}")
    return tuple(shape)


def check_shape(info: TensorInfo, shape: tuple[int, ...], lengths: dict[str, tuple[int, str]], rows: int) -> None:
    """Refusal 400 for a shape that is not the model's, 413 for more ``rows``.

    ``lengths``: of symbols so far, with the input they come from; they must agree over all inputs. The first axis
    counts rows where it is open.
    """
    if info.shape is None:
        return
    wanted = "[" + ",".join("?" if type(n) is not int else str(n) for n in info.shape) + "]"
    if len(shape) != len(info.shape) or any(
        type(n) is int and n != got for n, got in zip(info.shape, shape, strict=True)
    ):
        raise _bad(f"input {info.name} of shape {wanted}", str(list(shape)))
    for n, (length, got) in enumerate(zip(info.shape, shape, strict=True)):
        if type(length) is int:
            continue
        if n == 0 and got > rows:
            raise Refusal(413, _WHERE, f"expected at most {rows} rows in {info.name}, got {got}")
        if got == 0:
            raise _bad(f"input {info.name} of shape {wanted} with lengths from 1", str(list(shape)))
        if isinstance(length, str):
            first, where = lengths.setdefault(length, (got, info.name))
            if first != got:
                raise _bad(f"length {length} of {info.name} to be {first} as in {where}", str(got))


def _outputs(
    head: dict[str, Any], reading: _Reading, declared: Declared, caps: Caps, binary: bool
) -> tuple[Wanted, ...] | None:
    if head.get("outputs") is None:
        return None
    found: dict[str, Wanted] = {}
    for n, one in enumerate(_list(head, "outputs", caps)):
        _object(one, f"outputs[{n}]", _OUTPUT, reading)
        name = _name(one, f"outputs[{n}]")
        if name in found:
            raise _bad("outputs whose names differ", f"{shown(name)} twice")
        if name not in declared.outputs:
            raise _bad(f"outputs among {', '.join(declared.outputs)} of {declared.name}", shown(name))
        parameters = _parameters(one, f"output {name}", reading)
        classes = _whole(parameters, "classification", _MOST_CLASSES)
        found[name] = Wanted(name, _flag(parameters, "binary_data", binary), classes)
    return tuple(found.values()) or None


def _tensor(one: dict[str, Any], reading: _Reading, info: TensorInfo) -> Tensor:
    size = one["size"]
    if size is None:
        return from_json(one["data"], info.name, one["kind"], one["shape"])
    end = reading.place + size
    if end > len(reading.body):
        left = len(reading.body) - reading.place
        hint = _HINT if not left else ""
        raise _bad(f"{size} bytes of input {info.name} after the JSON", f"{left}{hint}")
    raw = memoryview(reading.body)[reading.place : end]
    reading.place = end
    return from_bytes(raw, info.name, one["kind"], one["shape"])
