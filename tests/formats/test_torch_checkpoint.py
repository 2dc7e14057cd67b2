"""torch's legacy checkpoints: strides are honoured, sizes are checked, nothing is executed.

The checkpoints here are assembled from opcodes, since torch is not installed.
"""

from __future__ import annotations

import os
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rx580lab.errors import ModelError
from rx580lab.formats.torch_checkpoint import MAGIC, PROTOCOL, read_torch_checkpoint

SYSTEM = {"protocol_version": PROTOCOL, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def number(value: int) -> bytes:
    encoded = value.to_bytes(9, "little", signed=True)
    return b"\x8a" + bytes([len(encoded)]) + encoded


def numbers(values: tuple[int, ...]) -> bytes:
    return b"(" + b"".join(map(number, values)) + b"t"


def storage(key: str, n_elements: int, kind: str = "FloatStorage") -> bytes:
    return b"(" + text("storage") + f"ctorch\n{kind}\n".encode() + text(key) + text("cpu") + number(n_elements) + b"NtQ"


def tensor(held: bytes, shape: tuple[int, ...], strides: tuple[int, ...], offset: int = 0) -> bytes:
    arguments = held + number(offset) + numbers(shape) + numbers(strides) + b"\x89" + b"ccollections\nOrderedDict\n)R"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + arguments + b"tR"


def checkpoint(
    tensors: dict[str, bytes], storages: dict[str, bytes], count: int | None = None, tail: bytes = b""
) -> bytes:
    """A whole file. ``storages``: the elements' bytes by key, of four bytes each unless ``count`` says how many."""
    state = b"\x80\x02ccollections\nOrderedDict\n)R("
    state += b"".join(text(name) + built for name, built in tensors.items()) + b"u}" + text("_metadata") + b"Ns"
    heads = [pickle.dumps(value, protocol=2) for value in (MAGIC, PROTOCOL, SYSTEM)]
    data = b"".join(heads) + state + b"b." + pickle.dumps(list(storages), protocol=2)
    for held in storages.values():
        data += struct.pack("<q", len(held) // 4 if count is None else count) + held
    return data + tail


def read(data: bytes, folder: Path) -> dict[str, Any]:
    path = folder / "checkpoint.pth"
    path.write_bytes(data)
    return read_torch_checkpoint(path)


ELEMENTS = np.arange(12, dtype="<f4")


def test_strides_and_offsets_are_honoured(tmp_path: Path) -> None:
    held = storage("1", 12)
    tensors = {
        "plain": tensor(held, (3, 4), (4, 1)),
        "transposed": tensor(held, (4, 3), (1, 4)),
        "part": tensor(held, (2,), (5,), offset=1),
        "scalar": tensor(held, (), (), offset=7),
        "none": tensor(held, (0, 3), (3, 1)),
    }
    arrays = read(checkpoint(tensors, {"1": ELEMENTS.tobytes()}), tmp_path)
    assert list(arrays) == list(tensors)
    plain = ELEMENTS.reshape(3, 4)
    wanted = {"plain": plain, "transposed": plain.T, "part": ELEMENTS[[1, 6]], "scalar": ELEMENTS[7]}
    for name, values in wanted.items():
        np.testing.assert_array_equal(arrays[name], values, strict=isinstance(values, np.ndarray))
        assert arrays[name].flags.c_contiguous
        assert arrays[name].flags.writeable
    assert (arrays["none"].shape, arrays["scalar"].shape) == ((0, 3), ())


def test_storages_of_other_types(tmp_path: Path) -> None:
    values = np.array([1, -2], dtype="<i8")
    data = checkpoint({"n": tensor(storage("a", 2, "LongStorage"), (2,), (1,))}, {"a": values.tobytes()}, count=2)
    np.testing.assert_array_equal(read(data, tmp_path)["n"], values, strict=True)


class Planted:
    """What the pickle asks to be run when it is loaded the usual way."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


@pytest.mark.parametrize("place", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_planted_command_is_named_and_not_run(place: int, protocol: int, tmp_path: Path) -> None:
    target = tmp_path / "was-run"
    values: tuple[Any, ...] = (MAGIC, PROTOCOL, SYSTEM, {}, [])
    parts = [pickle.dumps(value, protocol=2) for value in values]
    parts[place] = pickle.dumps(Planted(f"touch {target}"), protocol=protocol)
    with pytest.raises(ModelError, match=r"system|opcode (STRING|UNICODE|FRAME|SHORT_BINUNICODE)"):
        read(b"".join(parts), tmp_path)
    assert not target.exists()
    pickle.loads(pickle.dumps(Planted(f"touch {target}"), protocol=protocol))  # noqa: S301 - the plant itself works
    assert target.exists()


VIEW = tensor(storage("1", 12), (12,), (1,))
HELD = {"1": ELEMENTS.tobytes()}


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"", "a pickle without an end"),
        (b"PK\x03\x04....", "got its zip format"),
        (pickle.dumps(7, protocol=2), "a magic number of 7"),
        (pickle.dumps(MAGIC, protocol=2) + pickle.dumps(1000, protocol=2), "a protocol of 1000"),
        (checkpoint({"t": VIEW}, HELD)[:-1], "storage '1' cut off"),
        (checkpoint({"t": VIEW}, HELD, tail=b"x"), "1 bytes after the last storage"),
        (checkpoint({"t": VIEW}, HELD, count=1 << 60), "another number of elements"),
        (checkpoint({"t": tensor(storage("1", 1 << 60), (1,), (1,))}, HELD), "storage '1' cut off"),
        (checkpoint({"t": tensor(storage("1", -1), (), ())}, HELD), "in a storage of -1 elements"),
        (checkpoint({"t": tensor(storage("1", 12), (13,), (1,))}, HELD), "shape \\(13,\\) .* storage of 12 elements"),
        (checkpoint({"t": tensor(storage("1", 12), (3, 4), (4, 2))}, HELD), "in a storage of 12 elements"),
        (checkpoint({"t": tensor(storage("1", 12), (1,), (1,), offset=12)}, HELD), "in a storage of 12 elements"),
        (checkpoint({"t": tensor(storage("1", 12), (1 << 40,), (0,))}, HELD), "in a storage of 12 elements"),
        (checkpoint({"t": tensor(storage("1", 12), (2,), (-1,), offset=1)}, HELD), "not from 0 to"),
        (checkpoint({"t": tensor(storage("1", 12), (2,), (1, 1))}, HELD), "1 dimensions with 2 strides"),
        (checkpoint({"t": tensor(storage("1", 12), (1,) * 65, (1,) * 65)}, HELD), "65 dimensions"),
        (checkpoint({"t": tensor(storage("2", 12), (12,), (1,))}, HELD), "list of storages"),
        (checkpoint({"t": VIEW, "u": tensor(storage("1", 6, "DoubleStorage"), (6,), (1,))}, HELD), "two types"),
        (checkpoint({"t": tensor(storage("1", 12, "BFloat16Storage"), (12,), (1,))}, HELD), "BFloat16Storage"),
        (checkpoint({"t": text("no tensor")}, HELD), "type str in place of a tensor"),
        (checkpoint({"t": b"h\x07"}, HELD), "recalls entry 7"),
        (checkpoint({"t": b"ctorch._utils\n_rebuild_tensor_v2\n)R"}, HELD), "not made of storage"),
        (checkpoint({"t": b"ccollections\nOrderedDict\n" + text("x") + b"\x85R"}, HELD), "OrderedDict with"),
        (checkpoint({"t": b"ctorch._utils\n_rebuild_tensor_v2\n}b"}, HELD), "sets attributes of torch._utils"),
        (checkpoint({"t": b"c__builtin__\neval\n" + text("1") + b"\x85R"}, HELD), "the global '__builtin__.eval'"),
        (checkpoint({"t": b"R"}, HELD), "takes more from the stack"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_with_its_cause(data: bytes, cause: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=rf"(?s)checkpoint.pth\] expected .*{cause}"):
        read(data, tmp_path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"none.pth\] expected a checkpoint"):
        read_torch_checkpoint(tmp_path / "none.pth")


@settings(max_examples=600, deadline=None)
@given(st.data())
def test_a_changed_file_gives_arrays_or_a_clear_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    whole = bytearray(checkpoint({"t": VIEW, "u": tensor(storage("1", 12), (3, 4), (4, 1))}, HELD))
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    whole = whole[: data.draw(st.integers(0, len(whole)) | st.just(len(whole)))]
    try:
        arrays = read(bytes(whole), tmp_path_factory.getbasetemp())
    except ModelError:  # any other error is a failure
        return
    assert all(isinstance(array, np.ndarray) and array.size <= 12 for array in arrays.values())
