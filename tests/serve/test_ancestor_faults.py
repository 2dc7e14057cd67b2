"""Each fault of the ancestor's server, named after it, and shown to be absent from ours.

Source: the list of its faults that this project keeps (API, roles, limits, headers and validation, metrics, batching).
Where a fault can only be seen on a socket, a real server with a small cap on bodies answers.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rx580lab.errors import ServeError
from rx580lab.serve.key_file import add
from rx580lab.serve.keys import FORMAT, make_key, read_keys
from rx580lab.serve.roles import Role
from rx580lab.serve.settings import Settings
from tests.serve.application import UNLIMITED, application
from tests.serve.conftest import UNLIMITED as UNLIMITED_VARIABLES
from tests.serve.raw import exchange
from tests.serve.running import Running, start

CAP_BYTES = 1 << 20


@pytest.fixture(scope="module")
def own(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server whose models these tests load and unload."""
    variables = {**UNLIMITED_VARIABLES, "RX580LAB_SERVE_CAPS__BODY_BYTES": str(CAP_BYTES)}
    running = start(models, tmp_path_factory.mktemp("own"), variables=variables)
    running.wait_ready()
    yield running
    assert running.stop() == 0


def image(seed: int) -> list[Any]:
    found: list[Any] = np.random.default_rng(seed).random((1, 1, 28, 28), dtype=np.float32).tolist()
    return found


def predict(server: Running, inputs: dict[str, Any], role: str = "user") -> tuple[int, Any]:
    body = json.dumps({"inputs": inputs}).encode()
    return server.send("POST", "/models/fashion-mnist/predict", body, role=role)[:2]


class TestApi:
    def test_metrics_and_a_model_have_no_check(self, server: Running) -> None:
        for path in ("/metrics", "/models/fashion-mnist", "/models", "/v2/models/fashion-mnist"):
            assert server.get(path)[0] == 401, path
            assert server.get(path, "readonly")[0] == 200, path

    def test_the_check_of_roles_is_a_coroutine_that_nobody_awaits(self, server: Running) -> None:
        assert predict(server, {"image": image(0)}, "readonly")[0] == 403
        assert predict(server, {"image": image(0)}, "user")[0] == 200
        for role in ("readonly", "user"):
            assert server.send("POST", "/v2/repository/models/absent/load", b"{}", role=role)[0] == 403
        assert server.send("POST", "/v2/repository/models/absent/load", b"{}", role="admin")[0] == 404

    @pytest.mark.parametrize("module", ["authentication", "keys", "limits", "headers", "audit"])
    def test_open_when_the_security_import_fails(self, module: str) -> None:
        program = f"import sys; sys.modules['rx580lab.serve.{module}'] = None; from rx580lab.serve import create_app"
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert done.returncode != 0
        assert "ModuleNotFoundError" in done.stderr

    def test_middleware_added_after_the_start(self, tmp_path: Path) -> None:
        with application(tmp_path) as made:
            first = made.client.get("/v2")
            assert first.status_code == 401
            assert "Content-Security-Policy" in first.headers
            assert made.metric('http_requests_total{code="401",method="GET",route="/v2"}') == 1

    def test_an_engine_built_with_wrong_arguments_is_always_503(self, own: Running) -> None:
        status, answer = predict(own, {"image": image(1)})
        assert (status, np.shape(answer["outputs"]["logits"])) == (200, (1, 10))

    def test_load_is_called_by_wrong_names(self, own: Running) -> None:
        for action, state in (("unload", "UNAVAILABLE"), ("load", "READY")):
            path = f"/v2/repository/models/fashion-mnist/{action}"
            assert own.send("POST", path, b"{}", role="admin")[0] == 200
            listed = own.send("POST", "/v2/repository/index", b"", role="readonly")[1]
            assert {one["state"] for one in listed} == {state}

    def test_failures_are_answered_200_with_success_false(self, own: Running) -> None:
        for status, path, body in (
            (404, "/v2/repository/models/absent/load", b"{}"), (404, "/v2/repository/models/absent/unload", b"{}"),
            (404, "/models/absent/predict", b'{"inputs": {"x": [1]}}'), (404, "/v2/models/absent/infer", b"{}"),
            (400, "/v2/models/fashion-mnist/infer", b"{"), (405, "/models/load", b"{}"),
        ):  # fmt: skip
            got, answer, _ = own.send("POST", path, body, role="admin")
            assert got == status, (path, answer)
            assert "success" not in answer
            assert answer["error"]

    def test_a_failed_inference_is_a_success_with_null_output(self, own: Running) -> None:
        for inputs in ({"image": [[1.0]]}, {"picture": image(0)}, {}, {"image": image(0), "more": image(0)},
                       {"image": None}, {"image": "text"}):  # fmt: skip
            status, answer = predict(own, inputs)
            assert status in {400, 422}, (inputs.keys(), status)
            assert "outputs" not in answer
            assert answer["error"]

    def test_any_path_is_opened(self, own: Running) -> None:
        for name in ("../../etc/passwd", "..%2f..%2fpasswd", "%2e%2e", ".", "..", "/etc/passwd", "a/../b", "..\\x",
                     "%00", "fashion-mnist%00", "file:%2f%2f%2fetc%2fpasswd"):  # fmt: skip
            raw = f"POST /v2/repository/models/{name}/load HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n"
            answer = exchange(own, f"{raw}X-API-Key: {own.keys['admin']}\r\n\r\n".encode())
            assert answer.status in {400, 404}, (name, answer.status)
            assert b"root:" not in answer.body
        body = json.dumps({"parameters": {"model_path": "/etc/passwd"}}).encode()
        assert own.send("POST", "/v2/repository/models/passwd/load", body, role="admin")[0] in {400, 404}


class TestRoles:
    def test_keys_are_stored_in_plain_text(self, tmp_path: Path) -> None:
        with application(tmp_path) as made:
            stored = b"".join(one.read_bytes() for one in tmp_path.iterdir() if one.is_file()).decode()
            for key in made.keys.values():
                match = FORMAT.fullmatch(key)
                assert match is not None
                assert match[2] not in stored

    def test_authentication_off_makes_everybody_admin(self, tmp_path: Path) -> None:
        with application(tmp_path, make_keys=False, keys=None, insecure_no_auth=True) as made:
            assert made.client.post("/v2/repository/models/m/load").status_code == 403
            assert made.client.get("/v2").status_code == 200

    def test_without_keys_a_temporary_admin_key_is_logged(
        self, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "nowhere"))
        with (
            pytest.raises(ServeError, match="expected a file of keys, got none"),
            application(tmp_path, make_keys=False, keys=None),
        ):
            raise AssertionError("it started")
        written = "".join(capfd.readouterr())
        assert "rx580_" not in written
        assert not (tmp_path / "nowhere").exists()

    def test_an_expiry_that_cannot_be_read_never_comes(self, tmp_path: Path) -> None:
        with application(tmp_path) as made:
            file = tmp_path / "keys.jsonl"
            key, record = make_key(bytes.fromhex((tmp_path / "pepper").read_text()), Role.USER)
            add(file, record)
            file.write_text(re.sub(rf'("id":"{record.id}".*?"expires":)null', r'\1"next week"', file.read_text()))
            assert read_keys(file).corrupt == (4,)
            assert made.serving.keys is not None
            made.serving.keys._next_look_s = 0.0
            assert made.get("/v2", X_API_Key=key).status_code == 401
            assert made.get("/v2", "user").status_code == 200

    def test_keys_are_compared_by_equality(self) -> None:
        """What compares is watched in ``test_keys.py``; here, that nothing else in the package compares secrets."""
        import rx580lab.serve as package

        sources = {path.name: path.read_text() for path in Path(package.__path__[0]).rglob("*.py")}
        assert "hmac.compare_digest(" in sources["keys.py"]
        compared = re.compile(r"(secret|digest|hash|api_key)\w*\s*(==|!=)|(==|!=)\s*\w*(secret|digest|hash|api_key)")
        assert [name for name, text in sources.items() if compared.search(text)] == []

    def test_readonly_guards_nothing(self, server: Running) -> None:
        assert server.get("/models")[0] == 401
        assert server.get("/models", "readonly")[0] == 200


class TestLimits:
    @pytest.mark.parametrize(("role", "most"), [(None, 3), ("readonly", 4), ("user", 6), ("admin", 9)])
    def test_decorators_are_never_applied_and_all_roles_get_the_same(
        self, tmp_path: Path, role: str | None, most: int
    ) -> None:
        limits = {"public": 3, "readonly": 4, "user": 6, "admin": 9, "routes": {}, "adaptive": False}
        with application(tmp_path, limits=limits) as made:
            path = "/v2" if role else "/health"
            statuses = [made.get(path, role).status_code for _ in range(12)]
        assert statuses == [200] * most + [429] * (12 - most)

    def test_the_limits_are_those_that_are_promised(self) -> None:
        limits = Settings.model_fields["limits"].default
        assert (limits.public, limits.readonly, limits.user, limits.admin) == (100, 100, 1_000, 10_000)

    def test_rotating_false_keys_gets_round_the_limit(self, tmp_path: Path) -> None:
        limits = {**UNLIMITED, "public": 5, "adaptive": False}
        with application(tmp_path, limits=limits) as made:
            statuses = [
                made.get("/v2", X_API_Key=make_key(bytes(32), Role.USER)[0]).status_code for _ in range(12)
            ]  # fmt: skip
        assert set(statuses[:5]) == {401}
        assert set(statuses[6:]) == {429}

    def test_keys_with_one_beginning_share_a_bucket(self, tmp_path: Path) -> None:
        limits = {**UNLIMITED, "user": 3, "adaptive": False}
        extra = {name: {"role": Role.USER} for name in ("one", "two")}
        with application(tmp_path, extra, limits=limits) as made:
            for name in ("one", "two"):
                statuses = [made.get("/v2", name).status_code for _ in range(4)]
                assert statuses == [200, 200, 200, 429]

    def test_one_reset_clears_everyone(self, tmp_path: Path) -> None:
        limits = {**UNLIMITED, "user": 2, "adaptive": False}
        with application(tmp_path, {"another": {"role": Role.USER}}, limits=limits) as made:
            for _ in range(3):
                made.get("/v2", "user")
            for _ in range(2):
                made.get("/v2", "another")
            made.get("/v2", X_API_Key="wrong")
            assert made.get("/v2", "user").status_code == 429
            assert [one for one in made.app.url_map.iter_rules() if "reset" in one.rule] == []

    def test_the_answers_429_413_and_400_are_500(self, tmp_path: Path, own: Running) -> None:
        with application(tmp_path, limits={**UNLIMITED, "user": 1, "adaptive": False}) as made:
            made.get("/v2", "user")
            limited = made.get("/v2", "user")
        assert (limited.status_code, limited.json["code"]) == (429, "rate_limited")
        assert int(limited.headers["Retry-After"]) >= 1
        path = "/v2/models/fashion-mnist/infer"
        large = own.send("POST", path, b" " * (CAP_BYTES + 2), role="user")
        assert (large[0], large[1]["code"]) == (413, "too_large")
        wrong = own.send("POST", path, b"{", role="user")
        assert (wrong[0], wrong[1]["code"]) == (400, "bad_request")

    def test_limited_paths_do_not_exist(self, tmp_path: Path) -> None:
        with application(tmp_path) as made:
            used = {route.limit for route in made.serving.routes.values()}
        assert set(Settings.model_fields["limits"].default.routes) <= used


class TestHeadersAndValidation:
    def test_cors_is_a_star_with_credentials(self, server: Running, tmp_path: Path) -> None:
        for method in ("GET", "OPTIONS"):
            headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
            answered = server.send(method, "/v2", headers=headers)[2]
            assert [name for name in answered if name.lower().startswith("access-control-allow")] == []
        with pytest.raises(Exception, match=r"(?s)origin"), application(tmp_path, cors_origins=("*",)):
            raise AssertionError("it started with any origin")

    def test_only_query_strings_are_validated(self, own: Running) -> None:
        for body in (b"[]", b'{"inputs": 1}', b'{"inputs": {"image": {"$ne": 1}}}', b'{"inputs": {}, "admin": true}',
                     b'{"inputs": {"image": [NaN]}}', b"[" * 5000, b"\xff"):  # fmt: skip
            status, answer, _ = own.send("POST", "/models/fashion-mnist/predict", body, role="user")
            assert status in {400, 422}, (body[:40], status, answer)

    def test_innocent_text_is_taken_for_an_attack(self, own: Running) -> None:
        for query in ("q=a--b", "q=c%23d", "q=it%27s+or+not", "q=select+one+from+many", "q=%3Cscript%3E", "q=1%3D1"):
            assert own.get(f"/health?{query}")[0] == 200, query

    def test_the_cap_trusts_the_content_length(self, own: Running) -> None:
        """A body in chunks declares no length at all."""
        head = "POST /v2/models/fashion-mnist/infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
        chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        n_chunks = CAP_BYTES // 0x10000 + 2
        request = f"{head}X-API-Key: {own.keys['user']}\r\n\r\n".encode() + chunk * n_chunks + b"0\r\n\r\n"
        with suppress(ConnectionError):  # cut off while we were still sending
            assert exchange(own, request).status == 413
        assert own.get("/health")[0] == 200

    def test_there_is_no_check_for_traversal(self, own: Running) -> None:
        for path in ("/models/..%2f..%2fetc", "/v2/models/%2e%2e/ready", "/../../etc/passwd", "/docs/../../etc/passwd",
                     "/docs/%2e%2e/%2e%2e/pepper", "/v2/models/a%2fb"):  # fmt: skip
            raw = f"GET {path} HTTP/1.1\r\nHost: x\r\nX-API-Key: {own.keys['admin']}\r\n\r\n"
            assert exchange(own, raw.encode()).status in {400, 404}, path

    def test_headers_are_missing_from_errors(self, own: Running) -> None:
        for method, path, role in (("GET", "/health", None), ("GET", "/models", None), ("GET", "/nothing", "user"),
                                   ("DELETE", "/v2", "user"), ("POST", "/v2/models/x/infer", "user")):  # fmt: skip
            headers = own.send(method, path, role=role)[2]
            assert headers["X-Content-Type-Options"] == "nosniff", path
            assert headers["X-Frame-Options"] == "DENY"
            assert "default-src 'none'" in headers["Content-Security-Policy"]


class TestMetricsAndBatching:
    def test_memory_of_the_device_is_a_constant(self, own: Running) -> None:
        """Of the ancestor's 350 and 7650 MB nothing; what we tell changes as models come and go."""

        def told() -> dict[str, str]:
            text = own.get("/metrics", "readonly")[1]
            return dict(re.findall(r"^(rx580_\w*memory\w*(?:\{[^}]*\})?) (\S+)$", text, re.MULTILINE))

        loaded = told()
        assert loaded, "no metric of memory"
        assert not {350e6, 7650e6, 350 * 2**20, 7650 * 2**20} & {float(value) for value in loaded.values()}
        own.send("POST", "/v2/repository/models/fashion-mnist/unload", b"{}", role="admin")
        unloaded = told()
        own.send("POST", "/v2/repository/models/fashion-mnist/load", b"{}", role="admin")
        assert unloaded != loaded

    def test_each_scrape_blocks_for_100_ms(self, own: Running) -> None:
        def scrape_s() -> float:
            began = time.perf_counter()
            assert own.get("/metrics", "readonly")[0] == 200
            return time.perf_counter() - began

        assert min(scrape_s() for _ in range(10)) < 0.1

    def test_the_batcher_sleeps_and_answers_zeros(self, own: Running) -> None:
        answers = [predict(own, {"image": image(seed)})[1]["outputs"]["logits"] for seed in (1, 2, 1)]
        assert np.any(answers[0])
        assert not np.allclose(answers[0], answers[1])
        np.testing.assert_allclose(answers[0], answers[2], rtol=1e-5)

    def test_unloading_deadlocks_on_its_own_lock(self, own: Running) -> None:
        path = "/v2/repository/models/fashion-mnist"
        for action in ("unload", "unload", "load", "load"):
            assert own.send("POST", f"{path}/{action}", b"{}", role="admin", timeout_s=20)[0] == 200, action
        assert predict(own, {"image": image(3)})[0] == 200
