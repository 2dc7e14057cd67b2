"""What the server counts: a known sequence of requests on a real server, and bounds whatever clients send."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Counter
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

from rx580lab.serve.metrics import OTHER, Metrics
from rx580lab.serve.probes import KINDS, kind_of
from tests.serve.running import Running, start

INFER = "/v2/models/<model:model>/infer"
NAMES = {
    "http_requests", "http_request_duration_seconds", "http_requests_in_flight", "http_connections",
    "rx580_inference_queue_seconds", "rx580_inference_compute_seconds", "rx580_inference_batch_size",
    "rx580_inference_queue_depth", "rx580_inference_queue_capacity", "rx580_inference_rejected", "rx580_model_ready",
    "rx580_model_load_failures", "rx580_auth_events", "rx580_security_probe", "rx580_ratelimit_factor",
    "rx580_build_info", "rx580_device_memory_used_bytes", "rx580_device_memory_limit_bytes",
    "process_resident_memory_bytes", "process_cpu_seconds", "process_open_fds", "process_start_time_seconds",
    "process_threads",
}  # fmt: skip

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(text: str) -> Samples:
    """(name, labels) -> value, with the library's own extra series left out."""
    return {
        (one.name, frozenset(one.labels.items())): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
        if not one.name.endswith("_created")
    }


def value(found: Samples, name: str, **labels: str) -> float | None:
    return found.get((name, frozenset(labels.items())))


def scraped(server: Running) -> Samples:
    status, text, headers = server.get("/metrics", role="readonly")
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return samples(text)


def infer_body(rows: int) -> bytes:
    x = np.random.default_rng(0).random((rows, 1, 28, 28), dtype=np.float32)
    tensor = {"name": "image", "shape": x.shape, "datatype": "FP32", "data": x.ravel().tolist()}
    return json.dumps({"inputs": [tensor]}).encode()


@pytest.fixture(scope="module")
def own(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server that nobody else counts on, with a model that does not load."""
    folder = tmp_path_factory.mktemp("counted")
    (folder / "models").mkdir()
    shutil.copytree(models / "fashion-mnist", folder / "models/fashion-mnist")
    broken = folder / "models/broken/1/model.onnx"
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"no model")
    limits = {"RX580LAB_SERVE_LIMITS__PUBLIC": "100000", "RX580LAB_SERVE_LIMITS__READONLY": "100000"}
    routes = {"RX580LAB_SERVE_LIMITS__ROUTES": '{"health": 100000}', "RX580LAB_SERVE_REQUIRED": '["fashion-mnist"]'}
    running = start(folder / "models", folder, variables={**limits, **routes})
    running.wait_ready()
    yield running
    running.stop()


def test_a_known_sequence_is_counted_exactly(own: Running) -> None:
    before = scraped(own)
    for rows in (1, 3, 3):
        status, answer, _ = own.send("POST", "/v2/models/fashion-mnist/infer", infer_body(rows), role="user")
        assert status == 200, answer
    assert own.send("POST", "/v2/models/fashion-mnist/infer", b"{}", role="readonly")[0] == 403
    assert own.get("/models")[0] == 401
    assert own.send("GET", "/models", headers={"X-API-Key": "rx580_aaaaaaaa_" + "x" * 43})[0] == 401
    assert own.get("/nothing/here", role="user")[0] == 404
    assert own.get("/v2/..%2f..%2fetc/passwd", role="user")[0] == 404
    after = scraped(own)

    def grew(name: str, **labels: str) -> float:
        return (value(after, name, **labels) or 0) - (value(before, name, **labels) or 0)

    assert grew("http_requests_total", method="POST", route=INFER, code="200") == 3
    assert grew("http_requests_total", method="POST", route=INFER, code="403") == 1
    assert grew("http_requests_total", method="GET", route="/models", code="401") == 2
    assert grew("http_requests_total", method="GET", route="unknown", code="404") == 2
    assert grew("http_request_duration_seconds_count", method="POST", route=INFER) == 4
    assert grew("rx580_inference_batch_size_sum", model="fashion-mnist") == 7
    assert grew("rx580_inference_batch_size_count", model="fashion-mnist") == 3
    assert grew("rx580_inference_batch_size_bucket", model="fashion-mnist", le="1.0") == 1
    assert grew("rx580_inference_queue_seconds_count", model="fashion-mnist") == 3
    assert grew("rx580_inference_compute_seconds_count", model="fashion-mnist") == 3
    assert grew("rx580_inference_compute_seconds_sum", model="fashion-mnist") > 0
    assert grew("rx580_security_probe_total", kind="traversal") == 1
    assert {
        kind: grew("rx580_security_probe_total", kind=kind) for kind in set(KINDS) - {"traversal"}
    } == dict.fromkeys(set(KINDS) - {"traversal"}, 0.0)
    assert sum(v for (name, _), v in after.items() if name == "rx580_auth_events_total") > sum(
        v for (name, _), v in before.items() if name == "rx580_auth_events_total"
    )
    assert grew("process_cpu_seconds_total") > 0


def test_names_are_those_that_rules_and_dashboards_use(own: Running) -> None:
    text = own.get("/metrics", role="readonly")[1]
    families = {one.name: one for one in text_string_to_metric_families(text)}
    assert sorted(NAMES - set(families)) == []
    assert [name for name, one in families.items() if not one.documentation] == []


def test_states_are_as_they_are(own: Running) -> None:
    found = scraped(own)
    assert value(found, "rx580_model_ready", model="fashion-mnist", version="2") == 1
    assert value(found, "rx580_model_load_failures_total", model="broken") == 1
    assert value(found, "rx580_inference_queue_capacity", model="fashion-mnist") == 2 * 256  # of both versions
    assert value(found, "rx580_inference_queue_depth", model="fashion-mnist") == 0
    assert value(found, "rx580_ratelimit_factor") == 1
    assert value(found, "http_requests_in_flight") == 1  # the scrape itself
    assert (value(found, "http_connections") or 0) >= 1
    assert (value(found, "process_threads") or 0) > 4
    held = value(found, "rx580_device_memory_used_bytes") or 0
    whole = value(found, "rx580_device_memory_limit_bytes") or 0
    assert 100_000 < held < whole
    (build,) = [dict(labels) for name, labels in found if name == "rx580_build_info"]
    assert build["device"].startswith("pocl/")
    assert build["driver"]
    # A processor has no card: nothing is told of one.
    assert [name for name, _ in found if name.startswith("rx580_card_")] == []


def test_openmetrics_is_answered_to_who_asks_for_it(own: Running) -> None:
    asked = {"Accept": "application/openmetrics-text; version=1.0.0"}
    status, text, headers = own.send("GET", "/metrics", role="readonly", headers=asked)
    assert status == 200
    assert headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert {"http_requests", "rx580_build_info"} <= {one.name for one in openmetrics_families(text)}


def test_a_scrape_is_cheap_and_made_up_requests_make_no_series(own: Running) -> None:
    scraped(own)
    before = {key for key in scraped(own) if key[0] == "http_requests_total"}
    for place in range(40):
        own.send(f"MADEUP{place}", f"/no/such/{place}", role="user")
        own.send("GET", f"/models/no-such-model-{place}", role="user")
        own.send("POST", f"/v2/models/no-such-model-{place}/infer", infer_body(1), role="user")
    after = scraped(own)
    fresh = {key for key in after if key[0] == "http_requests_total"} - before
    assert {dict(labels)["method"] for _, labels in fresh} <= {"GET", "POST", OTHER}
    assert len(fresh) <= 5
    assert [labels for _, labels in after if "no-such-model" in dict(labels).get("model", "")] == []


def test_a_scrape_costs_little() -> None:
    """With 30 routes and 20 models, all of whose series exist: CPU time, which a busy machine does not stretch."""
    metrics = Metrics()
    for number in range(30):
        for method in ("GET", "POST"):
            metrics.requests.labels(method, f"/route/{number}", 200).inc()
            metrics.seconds.labels(method, f"/route/{number}").observe(0.01)
    for number in range(20):
        for family in (metrics.queue_seconds, metrics.compute_seconds, metrics.batch_rows):
            family.labels(f"model-{number}").observe(1)
    metrics.text()
    n = 10
    started = time.process_time()
    for _ in range(n):
        metrics.text()
    each_ms = (time.process_time() - started) / n * 1e3
    assert each_ms < 60, f"{each_ms:.1f} ms"  # about 20 here; three times that, for a slower processor


def test_counting_a_request_costs_little() -> None:
    metrics = Metrics()

    def one() -> None:
        metrics.requests.labels("POST", INFER, 200).inc()
        metrics.seconds.labels("POST", INFER).observe(0.004)
        metrics.queue_seconds.labels("m").observe(0.001)
        metrics.compute_seconds.labels("m").observe(0.002)
        metrics.batch_rows.labels("m").observe(4)
        metrics.auth_events.labels("ok", "header", "user").inc()

    one()
    n = 5000
    started = time.process_time()
    for _ in range(n):
        one()
    each_us = (time.process_time() - started) / n * 1e6
    assert each_us < 45, f"{each_us:.1f} µs"  # the promise is 15; a slower processor may take three times that


words = st.text(max_size=300)


@given(st.lists(st.tuples(words, words, st.one_of(st.integers(), words)), max_size=200))
def test_whatever_is_sent_the_series_are_bounded(sent: list[tuple[str, str, int | str]]) -> None:
    metrics = Metrics()
    metrics.is_model = {"a", "b"}.__contains__
    for method, name, code in sent:
        metrics.requests.labels(method, "/models", code).inc()
        metrics.rejected.labels(name, "queue full").inc()
        metrics.model_ready.labels(name, code).set(1)
        metrics.note_refused(method, name)
    assert len(metrics.rejected._children) <= 3, "values that were refused are not kept either"
    found = samples(metrics.text().decode())
    counted = {labels: v for (name, labels), v in found.items() if name == "http_requests_total"}
    assert sum(counted.values()) == len(sent), "nothing is lost"
    for labels in map(dict, counted):
        assert labels["method"] in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", OTHER}
        assert labels["code"] == OTHER or (len(labels["code"]) == 3 and labels["code"].isdigit())
    models = {dict(labels)["model"] for name, labels in found if name == "rx580_inference_rejected_total"}
    assert models <= {"a", "b", OTHER}


def test_past_the_most_all_share_one_series() -> None:
    metrics = Metrics()
    for number in range(400):
        metrics.queue_seconds.labels(f"model-{number}").observe(0.001)
    found = samples(metrics.text().decode())
    counts = [v for (name, _), v in found.items() if name == "rx580_inference_queue_seconds_count"]
    assert sum(counts) == 400
    assert len(counts) <= 257


def test_a_model_that_comes_later_is_counted_by_its_name() -> None:
    metrics = Metrics()
    known: set[str] = set()
    metrics.is_model = known.__contains__
    metrics.load_failures.labels("late").inc()
    known.add("late")
    metrics.load_failures.labels("late").inc(2)
    found = samples(metrics.text().decode())
    assert value(found, "rx580_model_load_failures_total", model=OTHER) == 1
    assert value(found, "rx580_model_load_failures_total", model="late") == 2


def test_children_are_those_of_the_library() -> None:
    metrics = Metrics()
    child = metrics.requests.labels("GET", "/x", 200)
    assert isinstance(child, Counter)
    assert metrics.requests.labels("GET", "/x", "200") is metrics.requests.labels("GET", "/x", "200")
    child.inc()
    metrics.requests.labels("GET", "/x", "200").inc()
    assert value(samples(metrics.text().decode()), "http_requests_total", method="GET", route="/x", code="200") == 2


@pytest.mark.parametrize(
    ("path", "query", "kind"),
    [
        ("/models/../../etc/passwd", "", "traversal"),
        ("/models/%2e%2e%2fx", "", "traversal"),
        ("/models/x", "q=' OR 1=1--", "sql"),
        ("/models/x", "q=%27%20or%201=1", "sql"),
        ("/models/<script>alert(1)</script>", "", "markup"),
        ("/models/x", "q=%3Cscript%3E", "markup"),
        ("/models/{{7*7}}", "", "template"),
        ("/models/a\x00b", "", "nul"),
        ("/models/x", "q=%00", "nul"),
        ("/wp-login.php", "", "scanner"),
        ("/.env", "", "scanner"),
        ("/models/x;cat /etc/hosts", "", "command"),
        ("/models/fashion-mnist", "", None),
        ("/models/no-such.model_2", "version=2", None),
        ("/metrics", "name=select", None),
    ],
)
def test_kinds_of_probes(path: str, query: str, kind: str | None) -> None:
    assert kind_of(path, query) == kind


def test_reading_a_probe_is_cheap_whatever_it_is() -> None:
    started = time.process_time()
    for text in ("'" * 100_000, "{{" * 50_000, "union " * 20_000, "<" + " " * 100_000, "${" * 50_000):
        kind_of(text, text)
    assert time.process_time() - started < 0.5
