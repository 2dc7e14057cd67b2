"""ONNX files as others, and enemies, write them."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from rx580lab.errors import ModelError
from rx580lab.formats import onnx_file
from rx580lab.formats.onnx_file import NUMPY_DTYPES, OnnxFile, dtype_of, read_model, tensor

DTYPES = sorted(NUMPY_DTYPES)


def model(*initializers: TensorProto) -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"], name="only")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])],
        list(initializers),
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])


def written(folder: Path, data: bytes | onnx.ModelProto, name: str = "m.onnx") -> Path:
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.SerializeToString())
    return path


@pytest.fixture
def file(tmp_path: Path) -> OnnxFile:
    """A model in a folder of its own, with a neighbour that is no business of it."""
    (tmp_path / "model").mkdir()
    (tmp_path / "secret").write_bytes(b"s" * 64)
    return read_model(written(tmp_path / "model", model()))


def refused(proto: TensorProto, file: OnnxFile) -> str:
    with pytest.raises(ModelError) as caught:
        tensor(proto, file, f"{file.path}: node 'n' (Constant)")
    assert caught.value.where.startswith(f"{file.path}: node 'n' (Constant)")
    return caught.value.message


def test_a_sound_file_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, model())
    read = read_model(path)
    assert read.proto == model()
    assert (read.path, read.folder, read.n_bytes) == (path, tmp_path.resolve(), path.stat().st_size)
    assert read_model(str(path)).proto == read.proto


def part(tag: bytes, body: bytes) -> bytes:
    """A message within another, as Protobuf writes it."""
    n, length = len(body), b""
    while n > 0x7F:
        length, n = length + bytes([0x80 | n & 0x7F]), n >> 7
    return tag + length + bytes([n]) + body


def outcome(of: Callable[[], Any]) -> tuple[str, Any]:
    try:
        return "", of()
    except ModelError as error:
        return error.where, None


def bad_files(folder: Path) -> Iterator[tuple[Path, str]]:
    whole = model().SerializeToString()
    yield folder, "it is a folder"
    yield folder / "none.onnx", "No such file"
    yield folder / "a\0b", "null byte"
    yield written(folder, b"", "empty.onnx"), "the file is empty"
    yield written(folder, whole[:-3], "cut.onnx"), "truncated, damaged or no ONNX file"
    yield written(folder, b"PK\x03\x04 a zip", "zip.onnx"), "truncated, damaged or no ONNX file"
    yield written(folder, b"# a text of somebody\n" * 9, "text.onnx"), "no ONNX file"
    yield written(folder, onnx.ModelProto(ir_version=8), "hollow.onnx"), "expected a graph in it, got none"
    yield written(folder, whole.replace(b"only", b"o\xff\xfey"), "latin.onnx"), "expected UTF-8 as 'name' of a part"
    os.mkfifo(folder / "pipe.onnx")
    yield folder / "pipe.onnx", "it is no regular file"
    (folder / "loop.onnx").symlink_to(folder / "loop.onnx")
    yield folder / "loop.onnx", "symbolic links"


def test_each_kind_of_bad_file_gets_one_error_with_its_name(tmp_path: Path) -> None:
    for path, cause in bad_files(tmp_path):
        with pytest.raises(ModelError) as caught:
            read_model(path)
        assert cause in caught.value.message, path
        assert caught.value.where == str(path)


def test_every_truncation_is_refused_or_read(tmp_path: Path) -> None:
    whole = model(numpy_helper.from_array(np.arange(6.0).reshape(2, 3), "w")).SerializeToString()
    path = tmp_path / "m.onnx"
    n_read = 0
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        where, read = outcome(lambda: read_model(path))
        assert where in ("", str(path))
        n_read += read is not None
    assert n_read <= 2  # cuts between the graph and what stands after it; the importer misses the operator sets


def test_a_file_beyond_protobufs_limit_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "sparse.onnx"
    with path.open("wb") as stream:
        stream.truncate(1 << 40)  # takes no room
    with pytest.raises(ModelError, match=r"expected at most 2,147,483,647 bytes, got 1,099,511,627,776"):
        read_model(path)


def test_a_file_larger_than_free_memory_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, model())
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=10))
    with pytest.raises(ModelError, match="expected at most the 10 bytes of memory that are free"):
        read_model(path)


def test_millions_of_empty_parts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="expected a model of at most 800,000 parts"):
        read_model(written(tmp_path, part(b"\x3a", b"\x0a\x00" * 900_000)))


def test_millions_of_empty_texts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="expected a model of at most 800,000 parts"):
        read_model(written(tmp_path, part(b"\x3a", part(b"\x0a", b"\x0a\x00" * 900_000) * 2)))


def test_branches_nested_without_end_are_refused_by_the_parser(tmp_path: Path) -> None:
    graph = b""
    for _ in range(2000):  # a graph in an attribute in a node in a graph ...
        for tag in (b"\x32", b"\x2a", b"\x0a"):
            graph = part(tag, graph)
    with pytest.raises(ModelError, match="truncated, damaged"):
        read_model(written(tmp_path, part(b"\x3a", graph)))


@pytest.mark.parametrize("number", DTYPES, ids=TensorProto.DataType.Name)
@pytest.mark.parametrize("raw", [True, False], ids=["raw", "typed"])
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_tensors_come_back_as_they_were_made(number: int, raw: bool, data: st.DataObject) -> None:
    dtype = NUMPY_DTYPES[number]
    shape = tuple(data.draw(st.lists(st.integers(0, 3), max_size=3)))
    bits = data.draw(st.binary(min_size=128 * dtype.itemsize, max_size=128 * dtype.itemsize))
    stored = np.frombuffer(bits, np.uint8).reshape(-1, dtype.itemsize)[: int(np.prod(shape))]
    wanted = (stored[:, 0] % 2 == 1).reshape(shape) if dtype == np.bool_ else stored.copy().view(dtype).reshape(shape)
    proto = numpy_helper.from_array(wanted, "t") if raw else typed(wanted, number)
    assert proto.HasField("raw_data") is raw
    found = tensor(proto, OnnxFile(Path("m"), Path("/nowhere"), onnx.ModelProto(), 0), "here")
    assert found.dtype == dtype
    assert found.dtype.isnative
    assert found.shape == shape
    if raw or dtype.kind != "f":
        assert found.tobytes() == np.ascontiguousarray(wanted).tobytes()
    else:  # Python's floats, by which the message is filled here, make signalling NaNs quiet ones
        np.testing.assert_array_equal(found, wanted)
    assert found.flags.c_contiguous
    assert not found.flags.writeable


def typed(values: np.ndarray[Any, Any], number: int) -> TensorProto:
    proto = TensorProto(data_type=number, dims=values.shape)
    flat = values.view(np.uint16) if values.dtype == np.float16 else values
    fields = {np.float32: "float_data", np.float64: "double_data", np.int64: "int64_data"}
    field = fields.get(values.dtype.type, "uint64_data" if values.dtype in (np.uint32, np.uint64) else "int32_data")
    getattr(proto, field).extend((flat.astype(np.int32) if flat.dtype == np.bool_ else flat).ravel().tolist())
    return proto


@settings(max_examples=300, deadline=None)
@given(
    number=st.integers(-1, 40),
    dims=st.lists(st.one_of(st.integers(0, 4), st.integers(-(1 << 63), (1 << 63) - 1)), max_size=5),
    raw=st.binary(max_size=40),
    int32=st.lists(st.integers(-(1 << 31), (1 << 31) - 1), max_size=3),
    floats=st.lists(st.floats(width=32), max_size=3),
    location=st.sampled_from([0, 1]),
    entries=st.lists(
        st.tuples(
            st.sampled_from(["location", "offset", "length", "checksum", ""]),
            st.one_of(st.sampled_from(["w.bin", "..", "/etc/hostname", "0", "-1", "1e3", "9" * 5000, "²"]), st.text()),
        ),
        max_size=4,
    ),
)
def test_any_message_gives_a_tensor_or_a_clear_error(**fields: Any) -> None:
    proto = TensorProto(data_type=fields["number"], dims=fields["dims"], int32_data=fields["int32"])
    proto.float_data.extend(fields["floats"])
    proto.raw_data = fields["raw"]
    proto.data_location = fields["location"]
    for key, value in fields["entries"]:
        proto.external_data.add(key=key, value=value)
    where, found = outcome(lambda: tensor(proto, OnnxFile(Path("m"), Path("/nowhere"), onnx.ModelProto(), 0), "here"))
    assert where in ("", "here")
    held = len(fields["raw"]) + 4 * len(fields["int32"]) + 4 * len(fields["floats"])
    assert found is None or found.nbytes <= held


@pytest.mark.parametrize(
    ("fields", "cause"),
    [
        ({"data_type": TensorProto.BFLOAT16, "dims": [1], "raw_data": b"ab"}, "got BFLOAT16"),
        ({"data_type": TensorProto.STRING, "dims": [1], "string_data": [b"a"]}, "got STRING"),
        ({"data_type": TensorProto.INT4, "dims": [2], "raw_data": b"a"}, "got INT4"),
        ({"data_type": TensorProto.FLOAT8E4M3FN, "dims": [1], "raw_data": b"a"}, "got FLOAT8E4M3FN"),
        ({"data_type": TensorProto.COMPLEX64, "dims": [0]}, "got COMPLEX64"),
        ({"data_type": 77, "dims": [0]}, "got type number 77"),
        ({"dims": [0]}, "got UNDEFINED"),
        ({"data_type": 1, "dims": [-1]}, "expected lengths of 0 or more, got (-1,)"),
        ({"data_type": 1, "dims": [1 << 40, 1 << 40], "raw_data": b"abcd"}, "expected lengths that fit 64 bits"),
        ({"data_type": 1, "dims": [0, 1 << 40, 1 << 40]}, "expected lengths that fit 64 bits"),
        ({"data_type": 1, "dims": [1 << 40], "raw_data": b"abcd"}, "expected 4,398,046,511,104 bytes of float32"),
        ({"data_type": 1, "dims": [1 << 40], "float_data": [1]}, "expected 1,099,511,627,776 elements in float_data"),
        ({"data_type": 1, "dims": [1] * 40, "raw_data": b"abcd"}, "expected at most 32 axes, got 40"),
        ({"data_type": 1, "dims": [1]}, "expected 4 bytes of float32 (1,), got 0"),
        ({"data_type": 1, "dims": [1], "int32_data": [1]}, "expected elements of float32, got data in int32_data"),
        ({"data_type": 1, "dims": [1], "raw_data": b"abcd", "float_data": [1]}, "got float_data and raw_data"),
        ({"data_type": 1, "dims": [1], "int32_data": [1], "float_data": [1]}, "expected its data once"),
        ({"data_type": 3, "dims": [2], "int32_data": [1, 300]}, "expected elements of int8, got 300"),
        ({"data_type": 10, "dims": [1], "int32_data": [-1]}, "expected elements of uint16, got -1"),
        ({"data_type": 1, "dims": [1], "raw_data": b"abcd", "segment": {"begin": 0}}, "segments are not supported"),
    ],
)
def test_what_does_not_fit_is_refused(file: OnnxFile, fields: dict[str, Any], cause: str) -> None:
    assert cause in refused(TensorProto(**fields), file)


def test_the_message_names_the_tensor(file: OnnxFile) -> None:
    with pytest.raises(ModelError) as caught:
        tensor(TensorProto(name="w1", data_type=1, dims=[3]), file, "m.onnx")
    assert str(caught.value) == "[m.onnx: tensor 'w1'] expected 12 bytes of float32 (3,), got 0"


def test_dtypes_are_those_of_onnx() -> None:
    for number in DTYPES:
        assert dtype_of(number, "x") == helper.tensor_dtype_to_np_dtype(number)
    with pytest.raises(ModelError, match=r"\[x\] expected elements of bool, .*, got FLOAT4E2M1"):
        dtype_of(TensorProto.FLOAT4E2M1, "x")


def external(n: int, **entries: str) -> TensorProto:
    proto = TensorProto(name="w", data_type=TensorProto.UINT8, dims=[n], data_location=TensorProto.EXTERNAL)
    for key, value in entries.items():
        proto.external_data.add(key=key, value=value)
    return proto


def test_external_data_are_read_by_their_range(file: OnnxFile) -> None:
    (file.folder / "data").mkdir()
    (file.folder / "data" / "w.bin").write_bytes(bytes(range(100)))
    (file.folder / "link.bin").symlink_to("data/w.bin")
    for location in ("data/w.bin", "./data/../data/w.bin", "link.bin"):
        found = tensor(external(4, location=location, offset="10", length="4"), file, "here")
        assert found.tolist() == [10, 11, 12, 13]
        assert not found.flags.writeable
    assert tensor(external(100, location="link.bin"), file, "here").tolist() == list(range(100))
    assert tensor(external(0, location="link.bin", offset="100"), file, "here").size == 0
    wide = TensorProto(data_type=TensorProto.INT16, dims=[2, 1], data_location=TensorProto.EXTERNAL)
    wide.external_data.add(key="location", value="link.bin")
    assert tensor(wide, file, "here").tolist() == [[0x100], [0x302]]


def test_external_data_as_onnx_saves_them_are_read(tmp_path: Path) -> None:
    weights = np.random.default_rng(3).normal(size=(40, 50)).astype(np.float32)
    path = tmp_path / "m.onnx"
    onnx.save(model(numpy_helper.from_array(weights, "w")), path, save_as_external_data=True, size_threshold=0)
    read = read_model(path)
    assert read.proto.graph.initializer[0].data_location == TensorProto.EXTERNAL
    assert np.array_equal(tensor(read.proto.graph.initializer[0], read, "here"), weights)


OUTSIDE = {
    "../secret": "leads out",
    "data/../../secret": "leads out",
    "link": "leads out",
    "folder/secret": "leads out",
    "..": "leads out",
    "absolute": "the absolute path",
    ".": "it is a folder",
    "": "expected the name of a file",
    "a\0b": "expected the name of a file",
    "loop": "cannot be found|Too many levels|symbolic links",
    "pipe": "it is no regular file",
    "none.bin": "No such file",
    "x" * 5000: "name too long",
}


@pytest.mark.parametrize("location", OUTSIDE, ids=lambda text: repr(text[:20]))
def test_nothing_outside_the_folder_is_opened(file: OnnxFile, location: str) -> None:
    secret = file.folder.parent / "secret"
    (file.folder / "link").symlink_to("../secret")
    (file.folder / "folder").symlink_to("..")
    (file.folder / "loop").symlink_to("loop")
    os.mkfifo(file.folder / "pipe")
    cause = OUTSIDE[location]
    location = str(secret) if location == "absolute" else location
    opened = watch()
    message = refused(external(4, location=location), file)
    assert any(one.lower() in message.lower() for one in cause.split("|")), message
    assert [name for name in opened() if str(secret) in str(Path(name).resolve())] == []


_watched: list[str] = []
_watching = threading.local()


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and getattr(_watching, "on", False) and isinstance(arguments[0], str):
        _watched.append(arguments[0])


sys.addaudithook(_note)  # for good: Python has no way to take one away


def watch() -> Any:
    """Notes which files this thread opens from now on; call what it returns for the names."""
    _watched.clear()
    _watching.on = True

    def stop() -> list[str]:
        _watching.on = False
        return list(_watched)

    return stop


def test_the_watch_sees_what_is_opened(file: OnnxFile) -> None:
    (file.folder / "w.bin").write_bytes(b"abcd")
    opened = watch()
    tensor(external(4, location="w.bin"), file, "here")
    assert str(file.folder / "w.bin") in opened()


@pytest.mark.parametrize(
    ("entries", "cause"),
    [
        ({"offset": "97", "length": "4"}, "expected bytes 97 to 101 of 'w.bin', got a file of 100"),
        ({"offset": "9" * 18}, "got a file of 100"),
        ({"offset": "9" * 5000}, "expected a number of bytes as 'offset'"),
        ({"offset": "-4"}, "expected a number of bytes as 'offset' of its external data, got '-4'"),
        ({"offset": "²"}, "expected a number of bytes as 'offset'"),
        ({"length": "1e2"}, "expected a number of bytes as 'length'"),
        ({"length": "5"}, "expected 4 bytes of external data, got a length of 5"),
    ],
)
def test_a_range_that_does_not_fit_is_refused(file: OnnxFile, entries: dict[str, str], cause: str) -> None:
    (file.folder / "w.bin").write_bytes(bytes(100))
    assert cause in refused(external(4, location="w.bin", **entries), file)


def test_contradictions_of_external_data_are_refused(file: OnnxFile) -> None:
    (file.folder / "w.bin").write_bytes(bytes(100))
    twice = external(4, location="w.bin")
    twice.external_data.add(key="location", value="w.bin")
    assert "expected 'location' of its external data once" in refused(twice, file)
    both = external(4, location="w.bin")
    both.raw_data = b"abcd"
    assert "got data in this one as well" in refused(both, file)
    huge = external(1 << 50, location="sparse.bin")
    with (file.folder / "sparse.bin").open("wb") as stream:
        stream.truncate(1 << 43)
    assert "got a file of 8,796,093,022,208" in refused(huge, file)
    assert "of memory that are free" in refused(external(1 << 42, location="sparse.bin"), file)


def test_a_range_is_read_once_and_overlapping_ones_have_an_end(file: OnnxFile) -> None:
    (file.folder / "w.bin").write_bytes(bytes(100))
    for _ in range(9):
        tensor(external(100, location="w.bin"), file, "here")
    assert len(file.ranges) == 1
    for offset in range(1, 4):
        tensor(external(90, location="w.bin", offset=str(offset)), file, "here")
    assert "expected ranges of 'w.bin' that do not overlap so much" in refused(
        external(90, location="w.bin", offset="5"), file
    )


def test_a_file_that_shrinks_while_it_is_read_is_refused(file: OnnxFile, monkeypatch: pytest.MonkeyPatch) -> None:
    path = file.folder / "w.bin"
    path.write_bytes(bytes(100))
    monkeypatch.setattr(onnx_file, "_check_memory", lambda *_: path.write_bytes(b"ab"))
    assert "expected 100 bytes of external data, got 2" in refused(external(100, location="w.bin"), file)
