"""Rates and quantiles from two readings of a server's counters."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rx580lab.serve.metrics import SECONDS, Metrics
from rx580lab.widgets.server_figures import figures, quantile, read

INFER = "/v2/models/<model:model>/infer"


def answered(metrics: Metrics, route: str, seconds: float, code: int = 200, method: str = "POST") -> None:
    metrics.requests.labels(method, route, code).inc()
    metrics.seconds.labels(method, route).observe(seconds)


def test_only_inferences_between_the_readings_count() -> None:
    metrics = Metrics()
    answered(metrics, INFER, 9.0)
    older = read(metrics.text().decode(), 10.0)
    for _ in range(90):
        answered(metrics, INFER, 0.004)
    for _ in range(8):
        answered(metrics, "/models/<model:model>/predict", 0.2)
    for _ in range(2):
        answered(metrics, INFER, 0.2, 503)
        answered(metrics, "/metrics", 3.0, method="GET")
        answered(metrics, "/v2/repository/models/<model:model>/load", 3.0)
    for _ in range(10):
        metrics.batch_rows.labels("m").observe(7)
        metrics.queue_seconds.labels("m").observe(0.25)
    metrics.queue_depth.labels("m").set(3)
    metrics.queue_depth.labels("n").set(2)
    now = figures(older, read(metrics.text().decode(), 15.0))
    assert (now.rate, now.refused, now.seconds) == (20.0, 0.4, 5.0)
    assert now.p50 is not None
    assert (now.p50.low, now.p50.high) == (0.0025, 0.005)
    assert now.p99 is not None
    assert (now.p99.low, now.p99.high) == (0.1, 0.25)
    assert (now.rows, now.wait_s, now.depth, now.in_flight) == (7.0, 0.25, 5.0, 0.0)


def test_without_a_count_nothing_is_made_up() -> None:
    reading = read(Metrics().text().decode(), 1.0)
    now = figures(reading, reading)
    assert (now.rate, now.p50, now.p99, now.rows, now.wait_s, now.depth) == (0.0, None, None, None, None, None)


def test_a_server_that_began_anew_counts_from_zero() -> None:
    before, after = Metrics(), Metrics()
    for _ in range(50):
        answered(before, INFER, 0.004)
    for _ in range(6):
        answered(after, INFER, 0.004)
    now = figures(read(before.text().decode(), 0.0), read(after.text().decode(), 2.0))
    assert now.rate == 3.0


@given(st.lists(st.floats(1e-5, 20.0), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.99]))
def test_the_true_quantile_lies_in_the_bucket_that_is_told(took: list[float], share: float) -> None:
    buckets = {edge: float(sum(one <= edge for one in took)) for edge in (*SECONDS, math.inf)}
    found = quantile(buckets, share)
    assert found is not None
    true = sorted(took)[max(math.ceil(share * len(took)) - 1, 0)]
    assert found.low <= true <= found.high
    assert found.low <= found.estimate <= found.high


@pytest.mark.parametrize("text", ["", "no metrics at all\n", '# HELP x y\nx{a="b" 1\n'])
def test_what_is_no_metrics_reads_as_nothing(text: str) -> None:
    assert read(text, 0.0).samples == {}


def test_labels_with_quotes_and_commas_are_read() -> None:
    found = read('x{a="b,\\"c\\"",le="+Inf"} 2.5\n', 0.0).samples["x"]
    assert found == [({"a": 'b,\\"c\\"', "le": "+Inf"}, 2.5)]
