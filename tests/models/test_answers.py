"""Each demo model's known answer, as ONNX Runtime gives it for the file that we export."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import skimage

from rx580lab.errors import InputError
from rx580lab.models.catalogue import MODELS
from rx580lab.models.minilm import pooled
from rx580lab.models.preprocess import classifier_input, file_type_input, probabilities
from rx580lab.models.tokens import encode
from tests.models.sessions import exported, onnxruntime_answer

CLASSES = {"chelsea": (285, 0.404), "coffee": (967, 0.942), "rocket": (657, 0.317)}
SENTENCES = ("a cat sits on the mat", "the feline rests upon a rug", "quantum chromodynamics")


def test_the_classifier_names_the_pictures() -> None:
    pictures = np.concatenate([classifier_input(getattr(skimage.data, name)()) for name in CLASSES])
    shares = probabilities(onnxruntime_answer("efficientnet-lite0", {"image": pictures}))
    assert shares.argmax(axis=1).tolist() == [index for index, _ in CLASSES.values()]
    np.testing.assert_allclose(shares.max(axis=1), [share for _, share in CLASSES.values()], atol=2e-3)
    labels = exported("efficientnet-lite0").with_name("labels.txt").read_text().splitlines()
    assert [labels[index] for index, _ in CLASSES.values()] == ["Egyptian Mau", "espresso", "missile"]


def test_the_classifier_is_its_94_nodes() -> None:
    model = onnx.load(exported("efficientnet-lite0"))
    kinds = [node.op_type for node in model.graph.node]
    counts = {"Conv": 49, "Clip": 33, "Add": 9, "GlobalAveragePool": 1, "Reshape": 1, "Gemm": 1}
    assert {kind: kinds.count(kind) for kind in kinds} == counts
    assert sum(int(np.prod(tensor.dims)) for tensor in model.graph.initializer) == 4_631_004
    assert {item.key for item in model.metadata_props} == {"source", "licence", "role"}
    assert (model.opset_import[0].version, model.producer_name) == (17, "rx580lab")


def embedded(*sentences: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    tokens = encode(sentences, exported("minilm").with_name("tokenizer.json"))
    return pooled(onnxruntime_answer("minilm", tokens), tokens["attention_mask"])


def test_the_encoder_puts_like_sentences_near_padded_or_not() -> None:
    vectors = embedded(*SENTENCES)
    np.testing.assert_allclose(vectors[0] @ vectors[1:].T, [0.5321, -0.0086], atol=1e-4)
    alone = np.concatenate([embedded(sentence) for sentence in SENTENCES])
    np.testing.assert_allclose(vectors, alone, atol=1e-6)
    filled = embedded(*SENTENCES, "and a much longer sentence beside them, which all the others are padded to")
    np.testing.assert_allclose(vectors, filled[:3], atol=1e-6)


def test_a_long_sentence_is_not_cut() -> None:
    tokenizer = exported("minilm").with_name("tokenizer.json")
    assert encode(["cat " * 400], tokenizer)["input_ids"].shape == (1, 402)
    with pytest.raises(InputError, match="at most 512 tokens a sentence, got 602: 'cat cat"):
        encode(["cat " * 600], tokenizer)


def test_silence_is_no_speech() -> None:
    inputs = {
        "input": np.zeros((1, 576), np.float32),
        "sr": np.array(16000),
        "state": np.zeros((2, 1, 128), np.float32),
    }
    np.testing.assert_allclose(onnxruntime_answer("silero-vad", inputs), [[0.00166979]], rtol=1e-4)


def test_a_program_is_told_by_its_bytes() -> None:
    programs = {"elf": Path(sys.executable).resolve().read_bytes(), "python": Path(__file__).read_bytes()}
    labels = exported("magika").with_name("labels.txt").read_text().splitlines()
    for kind, data in programs.items():
        (shares,) = onnxruntime_answer("magika", {"bytes": file_type_input(data)})
        assert (labels[int(shares.argmax())], shares.max() > 0.99) == (kind, True)


def test_files_of_others_are_exported_as_they_are() -> None:
    for name in ("ppocrv4-det", "ppocrv4-rec", "ppocrv2-cls", "silero-vad", "magika"):
        assert exported(name).stat().st_size == MODELS[name].files[0].n_bytes
        assert exported(name).parts[-3:] == (name, "1", "model.onnx")
