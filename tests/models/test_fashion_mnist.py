"""Our own classifier: the file that is committed, what it scores, and the data it was trained on."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from rx580lab.errors import ModelError
from rx580lab.models import export, fetch
from rx580lab.models.catalogue import find
from rx580lab.models.fashion_mnist import LABELS, SIDE, build, input_of, read_set, read_slice, top_1
from tests.models.sessions import onnxruntime_session


def committed() -> onnx.ModelProto:
    return onnx.load(fetch("fashion-mnist")["fashion_mnist.onnx"])


def test_the_committed_file_is_what_the_builder_makes_of_its_weights() -> None:
    model = committed()
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    built = build(weights, {item.key: item.value for item in model.metadata_props})
    assert built.graph == model.graph
    assert built.metadata_props == model.metadata_props
    assert sum(array.size for name, array in weights.items() if "." in name) == 18_106


def test_it_scores_what_the_catalogue_says() -> None:
    run = onnxruntime_session(fetch("fashion-mnist")["fashion_mnist.onnx"])
    data = read_slice()
    assert (data.pictures.shape, data.labels.shape) == ((2000, SIDE, SIDE), (2000,))
    share = top_1(run, data)
    assert f"{100 * share:.2f} % on the 2,000 that come along" in find("fashion-mnist").answer
    assert np.bincount(data.labels, minlength=10).min() > 150


def test_it_is_exported_with_its_labels(tmp_path: Path) -> None:
    path = export("fashion-mnist", tmp_path)
    assert path.read_bytes() == fetch("fashion-mnist")["fashion_mnist.onnx"].read_bytes()
    assert path.with_name("labels.txt").read_text().splitlines() == list(LABELS)


def test_inputs_are_centred() -> None:
    image = input_of(np.array([[[0, 255]]], np.uint8))
    assert (image.shape, image.dtype.name) == ((1, 1, 1, 2), "float32")
    np.testing.assert_allclose(image[0, 0, 0], [-0.286, 0.714], rtol=1e-6)


def test_a_weight_of_another_shape_is_refused() -> None:
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in committed().graph.initializer}
    with pytest.raises(ModelError, match=r"expected 'stem.bias' of shape \(24,\), got \(23,\)"):
        build(weights | {"stem.bias": np.zeros(23, np.float32)}, {})
    del weights["depth1.weight"]
    with pytest.raises(ModelError, match=r"expected a tensor 'depth1.weight'"):
        build(weights, {})


def write(folder: Path, pictures: NDArray[np.uint8], labels: NDArray[np.uint8]) -> None:
    for kind, array in (("images-idx3", pictures), ("labels-idx1", labels)):
        head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
        (folder / f"train-{kind}-ubyte.gz").write_bytes(gzip.compress(head + array.tobytes()))


def test_a_set_is_read(tmp_path: Path) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE)).astype(np.uint8)
    write(tmp_path, pictures, np.array([3, 1, 2], np.uint8))
    read = read_set("train", tmp_path)
    np.testing.assert_array_equal(read.pictures, pictures)
    assert read.labels.tolist() == [3, 1, 2]


def test_a_set_that_is_missing_or_damaged_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="the file is missing; on Debian: apt-get install dataset-fashion-mnist"):
        read_set("train", tmp_path)
    pictures = np.zeros((3, SIDE, SIDE), np.uint8)
    write(tmp_path, pictures, np.zeros(2, np.uint8))
    with pytest.raises(ModelError, match=r"pictures and \(n,\) labels, got \(3, 28, 28\) and \(2,\)"):
        read_set("train", tmp_path)
    whole = tmp_path / "train-images-idx3-ubyte.gz"
    data = gzip.decompress(whole.read_bytes())
    for damaged, message in (
        (b"no gzip", "expected a gzip file"),
        (whole.read_bytes()[:30], "expected a gzip file"),
        (gzip.compress(data[:-1]), r"expected elements of shape \(3, 28, 28\), got 2351"),
        (gzip.compress(b"\0\0\x0d\x03" + data[4:]), "begins with 00000d03"),
        (gzip.compress(b"\0\0"), "begins with 0000"),
        (gzip.compress(b"\0\0\x08\x03" + b"\xff" * 12), "got 0"),
    ):
        whole.write_bytes(damaged)
        with pytest.raises(ModelError, match=message):
            read_set("train", tmp_path)
