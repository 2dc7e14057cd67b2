"""Trains our Fashion-MNIST classifier, with numpy alone: ``python -m rx580lab.models.train_fashion_mnist``.

Three epochs of AdamW with a one-cycle learning rate, batch norms folded into the convolutions at the end; writes the
ONNX file and the slice of test pictures that are committed. Everything random comes from one seed. Arrays are
(batch, height, width, channels) in here, so that a 1x1 convolution is one matrix product.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from rx580lab.models.fashion_mnist import (
    CLASSES,
    DEBIAN_FOLDER,
    LAYERS,
    SLICE,
    Labelled,
    Layer,
    build,
    input_of,
    read_set,
    top_1,
)
from rx580lab.models.onnx_builder import folded_batch_norm

__all__ = ["Network", "main", "train"]

F32 = NDArray[np.float32]
SEED, EPOCHS, BATCH = 0, 3, 128
PEAK_RATE, WARM_SHARE, FIRST_RATE, LAST_RATE = 6e-3, 0.3, 6e-3 / 25, 6e-3 / 25e4
DECAY, BETA_1, BETA_2, TINY = 1e-2, 0.9, 0.999, 1e-8
NORM_EPSILON, NORM_MOMENTUM = 1e-5, 0.1
SLICE_PICTURES = 2000
ROLE = "classes of clothes (Fashion-MNIST)"


class Convolution:
    """One layer without its norm. ``forward`` keeps what ``backward`` needs; the weight is (kernel, kernel, in, out).

    A depthwise weight is (kernel, kernel, channels).
    """

    def __init__(self, layer: Layer, weight: F32) -> None:
        self.layer = layer
        self.weight = weight
        self.gradient: F32 = np.zeros_like(weight)
        self._input: F32 = np.empty(0, np.float32)

    def _windows(self, padded: F32) -> list[tuple[int, int, tuple[slice, ...]]]:
        """For each tap, where in the padded input the outputs' elements lie."""
        stride, kernel = self.layer.stride, self.layer.kernel
        rows = (padded.shape[1] - kernel) // stride + 1
        columns = (padded.shape[2] - kernel) // stride + 1
        return [
            (i, j, (slice(None), slice(i, i + stride * (rows - 1) + 1, stride),
                    slice(j, j + stride * (columns - 1) + 1, stride)))
            for i in range(kernel) for j in range(kernel)
        ]  # fmt: skip

    def forward(self, x: F32) -> F32:
        """(batch, height, width, in) -> (batch, height / stride, width / stride, out)."""
        border = self.layer.kernel // 2
        self._input = np.pad(x, ((0, 0), (border, border), (border, border), (0, 0))) if border else x
        if self.layer.depthwise:
            parts = [self._input[place] * self.weight[i, j] for i, j, place in self._windows(self._input)]
            total: F32 = parts[0]
            for part in parts[1:]:
                total += part
            return total
        made: F32 = self._columns() @ self.weight.reshape(-1, self.layer.n_out)
        return made

    def _columns(self) -> F32:
        """(batch, height, width, kernel * kernel * in): the inputs of each output."""
        kernel = self.layer.kernel
        if kernel == 1:
            return self._input
        windows = sliding_window_view(self._input, (kernel, kernel), axis=(1, 2))
        return np.ascontiguousarray(windows.transpose(0, 1, 2, 4, 5, 3)).reshape(*windows.shape[:3], -1)

    def backward(self, dy: F32, *, wanted: bool = True) -> F32:
        """The gradient of the input (of no use for the first layer, where it is not ``wanted``); keeps the weight's."""
        if self.layer.depthwise:
            dx = np.zeros_like(self._input)
            for i, j, place in self._windows(self._input):
                self.gradient[i, j] = np.einsum("nhwc,nhwc->c", self._input[place], dy)
                dx[place] += dy * self.weight[i, j]
            return dx[:, 1:-1, 1:-1]
        flat = dy.reshape(-1, self.layer.n_out)
        self.gradient[...] = (self._columns().reshape(len(flat), -1).T @ flat).reshape(self.weight.shape)
        if not wanted:
            return dy
        dx = flat @ self.weight.reshape(-1, self.layer.n_out).T
        whole: F32 = dx.reshape(self._input.shape)
        return whole


class Norm:
    """Batch norm with ReLU6 after it."""

    def __init__(self, channels: int) -> None:
        self.gamma, self.beta = np.ones(channels, np.float32), np.zeros(channels, np.float32)
        self.gamma_gradient, self.beta_gradient = np.zeros_like(self.gamma), np.zeros_like(self.gamma)
        self.mean, self.variance = np.zeros(channels, np.float32), np.ones(channels, np.float32)
        self._scaled: F32 = np.empty(0, np.float32)
        self._inverse: F32 = np.empty(0, np.float32)
        self._open: NDArray[np.bool_] = np.empty(0, np.bool_)

    def forward(self, x: F32) -> F32:
        """Of a batch, whose mean and variance also enter the running ones."""
        flat = x.reshape(-1, x.shape[-1])
        mean = flat.mean(axis=0)
        flat = flat - mean
        variance = np.einsum("ij,ij->j", flat, flat) / len(flat)
        self._inverse = 1 / np.sqrt(variance + np.float32(NORM_EPSILON))
        flat *= self._inverse
        self._scaled = flat
        self.mean += NORM_MOMENTUM * (mean - self.mean)
        self.variance += NORM_MOMENTUM * (variance * len(flat) / (len(flat) - 1) - self.variance)
        y = flat * self.gamma + self.beta
        self._open = (y > 0) & (y < 6)
        shut: F32 = np.clip(y, 0, 6).reshape(x.shape)
        return shut

    def backward(self, dy: F32) -> F32:
        """The gradient of the input; keeps those of gamma and beta."""
        flat = dy.reshape(self._scaled.shape) * self._open
        self.beta_gradient[...] = flat.sum(axis=0)
        self.gamma_gradient[...] = np.einsum("ij,ij->j", flat, self._scaled)
        flat -= self.beta_gradient / len(flat)
        flat -= self._scaled * (self.gamma_gradient / len(flat))
        flat *= self.gamma * self._inverse
        return flat.reshape(dy.shape)


class Network:
    """The classifier in training."""

    def __init__(self, random: np.random.Generator) -> None:
        self.blocks = [(Convolution(layer, _initial(layer, random)), Norm(layer.n_out)) for layer in LAYERS]
        width = LAYERS[-1].n_out
        bound = 1 / math.sqrt(width)
        self.linear = random.uniform(-bound, bound, (width, CLASSES)).astype(np.float32)
        self.bias = random.uniform(-bound, bound, CLASSES).astype(np.float32)
        self.linear_gradient, self.bias_gradient = np.zeros_like(self.linear), np.zeros_like(self.bias)

    def parameters(self) -> Iterator[tuple[F32, F32]]:
        """Each parameter with its gradient, in the same arrays at every call."""
        for convolution, norm in self.blocks:
            yield convolution.weight, convolution.gradient
            yield norm.gamma, norm.gamma_gradient
            yield norm.beta, norm.beta_gradient
        yield self.linear, self.linear_gradient
        yield self.bias, self.bias_gradient

    def step(self, image: F32, labels: NDArray[np.uint8]) -> float:
        """Fills the gradients for a batch (batch, height, width, 1); the mean cross entropy, in nats."""
        value = image
        for convolution, norm in self.blocks:
            value = norm.forward(convolution.forward(value))
        pooled = value.mean(axis=(1, 2))
        logits = pooled @ self.linear + self.bias
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        rows = np.arange(len(labels))
        loss = float(-np.log(np.maximum(shares[rows, labels], 1e-30)).mean())
        shares[rows, labels] -= 1
        shares /= len(labels)
        self.linear_gradient[...], self.bias_gradient[...] = pooled.T @ shares, shares.sum(axis=0)
        area = value.shape[1] * value.shape[2]
        gradient = np.broadcast_to(((shares @ self.linear.T) / area)[:, None, None], value.shape)
        for index in reversed(range(len(self.blocks))):
            convolution, norm = self.blocks[index]
            gradient = convolution.backward(norm.backward(gradient), wanted=index > 0)
        return loss

    def folded(self) -> dict[str, F32]:
        """The weights that ``fashion_mnist.build`` takes, with the running means and variances folded in."""
        weights: dict[str, F32] = {"linear.weight": self.linear.T.copy(), "linear.bias": self.bias}
        for convolution, norm in self.blocks:
            layer, weight = convolution.layer, convolution.weight
            outer = weight[..., None, :] if layer.depthwise else weight
            moments = (norm.gamma, norm.beta, norm.mean, norm.variance)
            folded, bias = folded_batch_norm(outer.transpose(3, 2, 0, 1), *moments, NORM_EPSILON)
            weights |= {f"{layer.name}.weight": folded, f"{layer.name}.bias": bias}
        return weights


def _initial(layer: Layer, random: np.random.Generator) -> F32:
    """Uniform within 1 / sqrt(fan in)."""
    n_out, n_in, kernel, _ = layer.shape
    bound = 1 / math.sqrt(n_in * kernel * kernel)
    shape = (kernel, kernel, n_out) if layer.depthwise else (kernel, kernel, n_in, n_out)
    return random.uniform(-bound, bound, shape).astype(np.float32)


def rate_at(step: int, n_steps: int) -> float:
    """The learning rate: up along half a cosine, then down along another."""
    top = WARM_SHARE * n_steps
    first, last, share = (FIRST_RATE, PEAK_RATE, step / top)
    if step > top:
        first, last, share = (PEAK_RATE, LAST_RATE, (step - top) / (n_steps - 1 - top))
    return last + (first - last) * (1 + math.cos(math.pi * share)) / 2


class AdamW:
    """Adam with decay apart from the gradient (I. Loshchilov and F. Hutter, 2017)."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.moments = [(np.zeros_like(one), np.zeros_like(one)) for one, _ in network.parameters()]
        self.n_steps = 0

    def step(self, rate: float) -> None:
        """Moves each parameter against its gradient."""
        self.n_steps += 1
        first, second = 1 - BETA_1**self.n_steps, 1 - BETA_2**self.n_steps
        for (parameter, gradient), (mean, square) in zip(self.network.parameters(), self.moments, strict=True):
            mean += (1 - BETA_1) * (gradient - mean)
            square += (1 - BETA_2) * (gradient * gradient - square)
            parameter *= 1 - rate * DECAY
            parameter -= rate * (mean / first) / (np.sqrt(square / second) + TINY)


def train(
    data: Labelled, *, epochs: int = EPOCHS, seed: int = SEED, say: Callable[[str], Any] = lambda _: None
) -> dict[str, F32]:
    """The folded weights after ``epochs`` over ``data``, in an order that ``seed`` decides."""
    random = np.random.default_rng(seed)
    network = Network(random)
    optimiser = AdamW(network)
    images = input_of(data.pictures).transpose(0, 2, 3, 1)
    per_epoch = len(images) // BATCH
    for epoch in range(epochs):
        order, losses = random.permutation(len(images)), []
        for index in range(per_epoch):
            chosen = order[index * BATCH : (index + 1) * BATCH]
            losses.append(network.step(images[chosen], data.labels[chosen]))
            optimiser.step(rate_at(epoch * per_epoch + index, epochs * per_epoch))
        say(f"epoch {epoch + 1}: loss {np.mean(losses):.4f}")
    return network.folded()


def main(arguments: list[str] | None = None) -> None:
    """Trains, writes the two files, says what the accuracy is by ONNX Runtime."""
    import importlib

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DEBIAN_FOLDER, help="the folder of the four -ubyte.gz files")
    parser.add_argument("--out", type=Path, default=SLICE.parent, help="where the two files are written")
    chosen = parser.parse_args(arguments)
    started = time.process_time()
    weights = train(read_set("train", chosen.data), say=_say)
    _say(f"trained in {time.process_time() - started:.0f} s of processor time")
    chosen.out.mkdir(parents=True, exist_ok=True)
    path = chosen.out / "fashion_mnist.onnx"
    metadata = {"source": "rx580lab.models.train_fashion_mnist", "licence": "MIT", "role": ROLE}
    path.write_bytes(build(weights, metadata).SerializeToString(deterministic=True))
    test = read_set("t10k", chosen.data)
    slice_ = Labelled(test.pictures[:SLICE_PICTURES], test.labels[:SLICE_PICTURES])
    np.savez_compressed(chosen.out / SLICE.name, pictures=slice_.pictures, labels=slice_.labels)
    session = importlib.import_module("onnxruntime").InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for name, held in (("all 10,000 test pictures", test), ("the slice", slice_)):
        share = top_1(lambda image: session.run(None, {"image": image})[0], held)
        _say(f"top-1 on {name}: {100 * share:.2f} %")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
