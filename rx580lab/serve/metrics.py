"""What the server counts, for Prometheus. Names and labels are listed in ``NAMES`` by the registry itself."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

import rx580lab

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# Edges lie on objectives that people set, so that the share within one is exact.
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """One registry for one application: two in one process do not mix."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = self._counter("http_requests_total", "Requests answered", "method", "route", "code")
        self.seconds = self._histogram(
            "http_request_duration_seconds", "From arrival to answer", _SECONDS, "method", "route"
        )
        self.queue_seconds = self._histogram(
            "rx580_inference_queue_seconds", "Waiting for the launch", _SECONDS, "model"
        )
        self.compute_seconds = self._histogram("rx580_inference_compute_seconds", "On the device", _SECONDS, "model")
        self.batch_rows = self._histogram("rx580_inference_batch_size", "Rows in a launch", _ROWS, "model")
        self.queue_depth = self._gauge("rx580_inference_queue_depth", "Requests waiting", "model")
        self.queue_capacity = self._gauge("rx580_inference_queue_capacity", "Requests that may wait", "model")
        self.rejected = self._counter("rx580_inference_rejected_total", "Inferences refused", "model", "reason")
        self.model_ready = self._gauge("rx580_model_ready", "1 while it serves", "model", "version")
        self.load_failures = self._counter("rx580_model_load_failures_total", "Loads that failed", "model")
        self.auth_events = self._counter("rx580_auth_events_total", "Authentications", "outcome", "method", "role")
        self.ratelimit_factor = self._gauge("rx580_ratelimit_factor", "Share of the limits that is given now")
        self._gauge("rx580_build_info", "Always 1", "version").labels(rx580lab.__version__).set(1)

    def text(self) -> bytes:
        """All of it as Prometheus reads it."""
        return generate_latest(self.registry)

    def _counter(self, name: str, help_text: str, *labels: str) -> Counter:
        return Counter(name, help_text, labels, registry=self.registry)

    def _gauge(self, name: str, help_text: str, *labels: str) -> Gauge:
        return Gauge(name, help_text, labels, registry=self.registry)

    def _histogram(self, name: str, help_text: str, edges: Sequence[float], *labels: str) -> Histogram:
        return Histogram(name, help_text, labels, buckets=edges, registry=self.registry)
