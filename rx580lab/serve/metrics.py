"""What the server counts, for Prometheus and OpenMetrics.

Every family that takes labels is a ``Family``: whatever clients send, the number of its series is bounded, since a
method, path or name of their own invention would otherwise be a lever on the server's memory and on the monitoring.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.process_collector import ProcessCollector

from rx580lab.device import Device
from rx580lab.serve.probes import KINDS, kind_of
from rx580lab.serve.telemetry import DeviceCollector

__all__ = ["CONTENT_TYPE", "OTHER", "Family", "Metrics"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OTHER = "other"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_KEY_METHODS = frozenset({"header", "bearer", "query", "several", "none"})
# Edges lie on objectives that people set, so that the share within one is exact.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128)
_CODE = re.compile(r"[1-5]\d\d")
_VERSION = re.compile(r"\d{1,9}")
_WORDS = re.compile(r"[A-Za-z0-9][A-Za-z0-9_ .-]{0,63}")
_OF_MODEL = re.compile(rb'[{,]model="([^"]*)"')
_TASKS = Path("/proc/self/task")

M = TypeVar("M", bound=MetricWrapperBase)
Rule = Callable[[str], bool]


class Family(Generic[M]):
    """One metric with labels.

    A value that its label's rule refuses is counted as ``other``; past ``most`` series, all labels of a further one
    are. Children are kept by their values, since asking the library for one costs as much as counting.
    """

    def __init__(self, metric: M, rules: Sequence[Rule], most: int) -> None:
        self._metric = metric
        self._rules = tuple(rules)
        self._most = most
        self._children: dict[tuple[object, ...], M] = {}
        self._lock = threading.Lock()

    def labels(self, *values: object) -> M:
        """The child of these values, one for each label in order."""
        child = self._children.get(values)
        return child if child is not None else self._admitted(values)

    def _admitted(self, values: tuple[object, ...]) -> M:
        texts = tuple(str(value) for value in values)
        kept = tuple(text if rule(text) else OTHER for text, rule in zip(texts, self._rules, strict=True))
        with self._lock:
            if kept not in self._children and len(self._children) >= self._most:
                kept = (OTHER,) * len(kept)
            child = self._children.setdefault(kept, self._metric.labels(*kept))
            if kept == texts:
                self._children[values] = child  # by numbers as well as by their texts; both are bounded
        return child


def _words(text: str) -> bool:
    return _WORDS.fullmatch(text) is not None


class Metrics:
    """One registry for one application: two in one process do not mix.

    Attributes:
        is_model: whether a name is a model of this server; others are counted as ``other``.
        in_flight: to be given a function that tells the value at the scrape.
        telemetry: what the device and the card say; told the device by ``watch``.
    """

    def __init__(self, telemetry: DeviceCollector | None = None) -> None:
        self.registry = CollectorRegistry()
        self.is_model: Rule = _words
        self.requests = self._counter("http_requests_total", "Requests answered", "method", "route", "code")
        self.seconds = self._histogram(
            "http_request_duration_seconds", "From arrival to answer", SECONDS, "method", "route"
        )
        self.queue_seconds = self._histogram("rx580_inference_queue_seconds", "Wait for the launch", SECONDS, "model")
        self.compute_seconds = self._histogram("rx580_inference_compute_seconds", "On the device", SECONDS, "model")
        self.batch_rows = self._histogram("rx580_inference_batch_size", "Rows in a launch", ROWS, "model")
        self.queue_depth = self._gauge("rx580_inference_queue_depth", "Requests waiting", "model")
        self.queue_capacity = self._gauge("rx580_inference_queue_capacity", "Requests that may wait", "model")
        self.rejected = self._counter("rx580_inference_rejected_total", "Inferences refused", "model", "reason")
        self.model_ready = self._gauge("rx580_model_ready", "1 while it serves", "model", "version")
        self.load_failures = self._counter("rx580_model_load_failures_total", "Loads that failed", "model")
        self.auth_events = self._counter("rx580_auth_events_total", "Authentications", "outcome", "method", "role")
        self.key_file_fault = Gauge(
            "rx580_key_file_fault", "1 while the file of keys cannot be read", registry=self.registry
        )
        self.probes = self._counter("rx580_security_probe_total", "Refused requests that look like attacks", "kind")
        for kind in KINDS:
            self.probes.labels(kind)  # a rate needs the zero before the first one
        self.ratelimit_factor = Gauge(
            "rx580_ratelimit_factor", "Share of the limits that is given now", registry=self.registry
        )
        self.ratelimit_factor.set(1)
        self.ratelimit_store_up = Gauge(
            "rx580_ratelimit_store_up",
            "0 while the shared store of limits is lost; 1 where none is asked for",
            registry=self.registry,
        )
        self.ratelimit_store_up.set(1)
        self.ratelimit_store_losses = Counter(
            "rx580_ratelimit_store_losses_total",
            "Times that limits fell back to this process's own counts",
            registry=self.registry,
        )
        self.audit_dropped = Counter(
            "rx580_audit_dropped_total", "Audit lines that found no room or no file", registry=self.registry
        )
        self.in_flight = Gauge("http_requests_in_flight", "Requests in hand", registry=self.registry)
        threads = Gauge("process_threads", "Threads of the process, drivers' included", registry=self.registry)
        threads.set_function(_n_threads)
        ProcessCollector(registry=self.registry)
        self.telemetry = telemetry or DeviceCollector()
        self.registry.register(self.telemetry)

    def watch(self, device: Device) -> None:
        """Tells of this device from now on."""
        self.telemetry.device = device

    def watch_connections(self, count: Callable[[], int]) -> None:
        """Tells of open connections from now on; called once, by whoever accepts them."""
        Gauge("http_connections", "Connections that are open", registry=self.registry).set_function(count)

    def note_refused(self, path: str, query: str) -> None:
        """Counts a refused request that looks like an attack. It decides nothing: the request is refused already."""
        if (kind := kind_of(path, query)) is not None:
            self.probes.labels(kind).inc()

    def text(self) -> bytes:
        """All of it in Prometheus's text format."""
        return self.exposition("")[0]

    def exposition(self, accept: str, models: frozenset[str] | None = None) -> tuple[bytes, str]:
        """All of it, and its content type: OpenMetrics where an Accept header asks for that, else Prometheus's text.

        ``models``: leaves out the samples of all others; None for none.
        """
        encode, content_type = choose_encoder(accept)
        text = encode(self.registry)
        if models is not None:
            known = {name.encode() for name in models}
            lines = text.splitlines(keepends=True)
            text = b"".join(one for one in lines if (of := _OF_MODEL.search(one)) is None or of[1] in known)
        return text, content_type

    def _rules(self, labels: Sequence[str]) -> list[Rule]:
        known: Mapping[str, Rule] = {
            # How a request was made, or how its key came.
            "method": (_KEY_METHODS if "role" in labels else METHODS).__contains__,
            "code": lambda text: _CODE.fullmatch(text) is not None,
            "version": lambda text: _VERSION.fullmatch(text) is not None,
            "model": lambda text: self.is_model(text),
            "route": lambda text: len(text) <= 200,
        }
        return [known.get(label, _words) for label in labels]

    def _counter(self, name: str, help_text: str, *labels: str) -> Family[Counter]:
        return Family(Counter(name, help_text, labels, registry=self.registry), self._rules(labels), 2048)

    def _gauge(self, name: str, help_text: str, *labels: str) -> Family[Gauge]:
        return Family(Gauge(name, help_text, labels, registry=self.registry), self._rules(labels), 1024)

    def _histogram(self, name: str, help_text: str, edges: Sequence[float], *labels: str) -> Family[Histogram]:
        made = partial(Histogram, name, help_text, labels, buckets=edges, registry=self.registry)
        return Family(made(), self._rules(labels), 256)


def _n_threads() -> float:
    try:
        return sum(1 for _ in _TASKS.iterdir())
    except OSError:  # no such file system: Python's own threads are known
        return threading.active_count()
