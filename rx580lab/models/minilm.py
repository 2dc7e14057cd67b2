"""all-MiniLM-L6-v2, a BERT of six layers, as ONNX from its safetensors, without torch or transformers.

Attention, GELU and layer norm are written as the chains of plain operators that exporters write, so that what fuses
theirs fuses these (J. Devlin et al., "BERT", 2018; W. Wang et al., "MiniLM", 2020).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from rx580lab.models.onnx_builder import OnnxBuilder, tensor_of

__all__ = ["build", "pooled"]

LAYERS, WIDTH, HEADS, INNER = 6, 384, 12, 1536
HEAD_SIZE = WIDTH // HEADS
TOKENS, VOCABULARY, KINDS = 512, 30522, 2
EPSILON = 1e-12
# Added to the score of a padded place: exp() of it is 0 in float32, whatever the score.
MASKED = -10000.0


class _Network:
    """Adds BERT's parts to a graph."""

    def __init__(self, tensors: Mapping[str, NDArray[Any]], where: str) -> None:
        self.tensors = tensors
        self.where = where
        self.graph = OnnxBuilder("all-MiniLM-L6-v2")

    def weight(self, name: str, *shape: int) -> str:
        return self.graph.constant(name, tensor_of(self.tensors, name, self.where, shape))

    def dense(self, value: str, name: str, n_in: int, n_out: int) -> str:
        """A linear layer x W^T + b; the checkpoint holds W (out, in), MatMul wants (in, out)."""
        weight = tensor_of(self.tensors, f"{name}.weight", self.where, (n_out, n_in))
        product = self.graph.node("MatMul", [value, self.graph.constant(f"{name}.weight", weight.T)], f"{name}.product")
        return self.graph.node("Add", [product, self.weight(f"{name}.bias", n_out)], name)

    def layer_norm(self, value: str, name: str, output: str | None = None) -> str:
        inputs = [value, self.weight(f"{name}.weight", WIDTH), self.weight(f"{name}.bias", WIDTH)]
        return self.graph.node("LayerNormalization", inputs, output or name, axis=-1, epsilon=EPSILON)

    def gelu(self, value: str, name: str) -> str:
        """The exact GELU, x (1 + erf(x / sqrt 2)) / 2."""
        graph = self.graph
        scaled = graph.node("Div", [value, graph.constant("sqrt_two", math.sqrt(2))], f"{name}.scaled")
        erf = graph.node("Erf", [scaled], f"{name}.erf")
        above = graph.node("Add", [erf, graph.constant("one", 1.0)], f"{name}.above")
        product = graph.node("Mul", [value, above], f"{name}.product")
        return graph.node("Mul", [product, graph.constant("half", 0.5)], name)

    def heads(self, value: str, name: str, order: list[int]) -> str:
        """(batch, tokens, WIDTH), projected and cut into heads, its axes then in ``order``."""
        shape = self.graph.constant("split_heads", [0, 0, HEADS, HEAD_SIZE], np.int64)
        cut = self.graph.node("Reshape", [self.dense(value, name, WIDTH, WIDTH), shape], f"{name}.heads")
        return self.graph.node("Transpose", [cut], f"{name}.by_head", perm=order)

    def attention(self, value: str, mask: str, name: str) -> str:
        graph = self.graph
        query = self.heads(value, f"{name}.self.query", [0, 2, 1, 3])
        key = self.heads(value, f"{name}.self.key", [0, 2, 3, 1])
        held = self.heads(value, f"{name}.self.value", [0, 2, 1, 3])
        scores = graph.node("MatMul", [query, key], f"{name}.self.products")
        scale = graph.constant("sqrt_head_size", math.sqrt(HEAD_SIZE))
        scores = graph.node("Div", [scores, scale], f"{name}.self.scores")
        scores = graph.node("Add", [scores, mask], f"{name}.self.masked")
        shares = graph.node("Softmax", [scores], f"{name}.self.shares", axis=-1)
        mixed = graph.node("MatMul", [shares, held], f"{name}.self.mixed")
        mixed = graph.node("Transpose", [mixed], f"{name}.self.by_token", perm=[0, 2, 1, 3])
        joined = graph.constant("join_heads", [0, 0, WIDTH], np.int64)
        mixed = graph.node("Reshape", [mixed, joined], f"{name}.self")
        return self.dense(mixed, f"{name}.output.dense", WIDTH, WIDTH)

    def layer(self, value: str, mask: str, name: str, output: str | None = None) -> str:
        attended = self.attention(value, mask, f"{name}.attention")
        attended = self.graph.node("Add", [attended, value], f"{name}.attention.residual")
        value = self.layer_norm(attended, f"{name}.attention.output.LayerNorm")
        inner = self.gelu(self.dense(value, f"{name}.intermediate.dense", WIDTH, INNER), f"{name}.intermediate.gelu")
        outer = self.dense(inner, f"{name}.output.dense", INNER, WIDTH)
        outer = self.graph.node("Add", [outer, value], f"{name}.residual")
        return self.layer_norm(outer, f"{name}.output.LayerNorm", output)

    def embeddings(self, tokens: str) -> str:
        """Word, place and kind of each token; every token is of the first kind, as in a single sentence."""
        graph, name = self.graph, "embeddings"
        words = self.weight(f"{name}.word_embeddings.weight", VOCABULARY, WIDTH)
        value = graph.node("Gather", [words, tokens], f"{name}.words", axis=0)
        kinds = tensor_of(self.tensors, f"{name}.token_type_embeddings.weight", self.where, (KINDS, WIDTH))
        value = graph.node("Add", [value, graph.constant(f"{name}.kind", kinds[0])], f"{name}.words_and_kind")
        count = graph.node("Shape", [tokens], f"{name}.n_tokens", start=1, end=2)
        table = self.weight(f"{name}.position_embeddings.weight", TOKENS, WIDTH)
        first = graph.constant("first", [0], np.int64)
        places = graph.node("Slice", [table, first, count, first], f"{name}.places")
        value = graph.node("Add", [value, places], f"{name}.sum")
        return self.layer_norm(value, f"{name}.LayerNorm")

    def mask(self, attended: str) -> str:
        """(batch, tokens) of 1 and 0 -> (batch, 1, 1, tokens) of 0 and ``MASKED``."""
        graph = self.graph
        axes = graph.constant("heads_and_queries", [1, 2], np.int64)
        wide = graph.node("Unsqueeze", [attended, axes], "mask.wide")
        real = graph.node("Cast", [wide], "mask.real", to=onnx.TensorProto.FLOAT)
        padded = graph.node("Sub", [graph.constant("one", 1.0), real], "mask.padded")
        return graph.node("Mul", [padded, graph.constant("masked", MASKED)], "mask")


def build(tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str], where: str) -> onnx.ModelProto:
    """The model of a checkpoint's tensors.

    In: ``input_ids`` and ``attention_mask`` (batch, tokens), int64, at most 512 tokens. Out: ``last_hidden_state``
    (batch, tokens, 384), float32; ``pooled`` makes the sentence's vector of it.

    Raises:
        ModelError: a tensor is missing or has another shape. ``where`` names the checkpoint.
    """
    network = _Network(tensors, where)
    graph = network.graph
    tokens = graph.input("input_ids", np.int64, ["batch", "tokens"])
    attended = graph.input("attention_mask", np.int64, ["batch", "tokens"])
    mask, value = network.mask(attended), network.embeddings(tokens)
    for index in range(LAYERS):
        output = "last_hidden_state" if index == LAYERS - 1 else None
        value = network.layer(value, mask, f"encoder.layer.{index}", output)
    return graph.model(
        {"last_hidden_state": (np.float32, ["batch", "tokens", WIDTH])},
        doc="all-MiniLM-L6-v2, a sentence encoder",
        metadata=metadata,
    )


def pooled(hidden: NDArray[np.float32], attention_mask: NDArray[np.int64]) -> NDArray[np.float32]:
    """The mean of each sentence's own tokens, of length 1: (batch, tokens, width), (batch, tokens) -> (batch, width).

    The scalar product of two of them is the cosine of the sentences.
    """
    weight = attention_mask.astype(np.float64)[..., None]
    mean = (hidden.astype(np.float64) * weight).sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-9)
    length = np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)
    return np.asarray(mean / length, np.float32)
