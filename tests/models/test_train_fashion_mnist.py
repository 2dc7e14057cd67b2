"""The training: its gradients, its schedule, and that it learns the same each time."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from rx580lab.models import train_fashion_mnist
from rx580lab.models.fashion_mnist import Labelled, build, read_slice, top_1
from rx580lab.models.train_fashion_mnist import Network, rate_at, train
from tests.models.sessions import onnxruntime_session


def test_gradients_are_differences_of_the_loss() -> None:
    random = np.random.default_rng(3)
    network: Any = Network(random)
    # In float64, so that differences can be small; a shift opens and shuts some of the ReLU6.
    for convolution, norm in network.blocks:
        convolution.weight = convolution.weight.astype(float)
        convolution.gradient = convolution.gradient.astype(float)
        norm.gamma, norm.beta = norm.gamma.astype(float), random.normal(1, 2, norm.beta.shape)
        norm.gamma_gradient = norm.gamma.copy()
        norm.beta_gradient = norm.beta.copy()
    network.linear, network.bias = network.linear.astype(float), network.bias.astype(float)
    network.linear_gradient, network.bias_gradient = network.linear.copy(), network.bias.copy()
    image = random.normal(size=(4, 28, 28, 1))
    labels = np.array([1, 5, 5, 9], np.uint8)
    network.step(image, labels)
    parameters = [(parameter, gradient.copy()) for parameter, gradient in network.parameters()]
    assert len(parameters) == 23
    for parameter, gradient in parameters:
        place = tuple(random.integers(0, n) for n in parameter.shape)
        kept, losses = parameter[place], []
        for shift in (1e-6, -1e-6):
            parameter[place] = kept + shift
            losses.append(network.step(image, labels))
        parameter[place] = kept
        assert gradient[place] == pytest.approx((losses[0] - losses[1]) / 2e-6, rel=1e-3, abs=1e-7)


def test_the_rate_rises_and_falls() -> None:
    rates = [rate_at(step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(6e-3 / 25)
    assert max(rates) == rates[30] == pytest.approx(6e-3)
    assert rates[-1] == pytest.approx(6e-3 / 25e4)
    assert all((a < b) == (index < 30) for index, (a, b) in enumerate(pairwise(rates)))


def test_it_learns_and_what_is_folded_has_learnt_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """From 300 pictures, in a few small steps; means and variances then have to follow more quickly."""
    monkeypatch.setattr(train_fashion_mnist, "BATCH", 20)
    monkeypatch.setattr(train_fashion_mnist, "NORM_MOMENTUM", 0.3)
    whole = read_slice()
    said: list[str] = []
    weights = train(Labelled(whole.pictures[:300], whole.labels[:300]), epochs=3, say=said.append)
    assert [line.split(":")[0] for line in said] == ["epoch 1", "epoch 2", "epoch 3"]
    assert float(said[2].split()[-1]) < 0.6 * float(said[0].split()[-1])
    run = onnxruntime_session(build(weights, {}).SerializeToString())
    assert top_1(run, Labelled(whole.pictures[300:], whole.labels[300:])) > 0.5


def test_it_learns_the_same_again() -> None:
    whole = read_slice()
    data = Labelled(whole.pictures[:128], whole.labels[:128])
    again = train(data, epochs=2)
    assert all(np.array_equal(array, again[name]) for name, array in train(data, epochs=2).items())
    other = train(data, epochs=2, seed=1)
    assert not np.array_equal(other["stem.weight"], again["stem.weight"])
