"""How a key comes, which one holds, what a wrong one is told, and that no key in a URL gets anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from rx580lab.errors import ServeError
from rx580lab.serve import key_file
from rx580lab.serve.credentials import ENVIRON, WithoutCredentials
from rx580lab.serve.keys import make_key
from rx580lab.serve.roles import Role
from tests.serve.application import Application, application

SEEN = "/v2"  # readonly
WRONG = {"error": "expected a key that is known, in force and not revoked", "code": "unauthenticated"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    """With a key that has ended and one that was revoked. Tests only read."""
    extra: dict[str, dict[str, Any]] = {
        "expired": {"role": Role.ADMIN, "expires": datetime.now(UTC) - timedelta(days=1)},
        "revoked": {"role": Role.ADMIN},
    }
    folder = tmp_path_factory.mktemp("keys")
    with application(folder, extra) as made:
        key_file.revoke(folder / "keys.jsonl", made.keys["revoked"])
        assert made.serving.keys is not None
        made.serving.keys._next_look_s = 0.0
        yield made


@pytest.fixture(scope="module")
def with_query_keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    with application(tmp_path_factory.mktemp("query"), query_keys=True) as made:
        yield made


def told(answer: Any) -> dict[str, Any]:
    return {name: answer.json[name] for name in ("error", "code")}


def unlike(key: str) -> str:
    """The same id, another secret."""
    return key[:-1] + ("A" if key[-1] != "A" else "B")


@pytest.mark.parametrize("role", ["readonly", "user", "admin"])
@pytest.mark.parametrize("way", ["X-API-Key: {}", "Authorization: Bearer {}", "Authorization: bearer   {} "])
def test_a_key_comes_by_either_header(made: Application, role: str, way: str) -> None:
    name, _, value = way.format(made.keys[role]).partition(": ")
    assert made.client.get(SEEN, headers={name: value}).status_code == 200


def test_every_wrong_key_gets_the_same_answer(made: Application) -> None:
    wrong = [
        unlike(made.keys["admin"]), make_key(bytes(32), Role.ADMIN)[0], made.keys["expired"], made.keys["revoked"], "x",
        "A" * 58, "A" * 100_000, "\xff\xfe", "rx580_", made.keys["admin"] + "\t", made.keys["admin"].lower(),
    ]  # fmt: skip
    for key in [*wrong, ""]:
        answer = made.client.get(SEEN, headers={"X-API-Key": key})
        if key.strip() == made.keys["admin"]:
            continue  # HTTP takes blanks off a header's ends
        assert (answer.status_code, told(answer)) == (401, WRONG), key[:80]
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="rx580lab"'


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer ", "Basic YTpi", "Token abc", "Bearer a b", "Digest a=b, c=d"])
def test_a_malformed_authorization_is_a_401(made: Application, value: str) -> None:
    answer: Any = made.client.get(SEEN, headers={"Authorization": value})
    assert (answer.status_code, answer.json["code"]) == (401, "unauthenticated")
    assert "Bearer" in answer.headers["WWW-Authenticate"]


def test_a_wrong_key_is_refused_on_public_paths_too(made: Application) -> None:
    assert made.get("/health").status_code == 200
    assert made.get("/health", X_API_Key="wrong").status_code == 401


def test_two_different_credentials_are_a_400_and_the_same_twice_is_one(made: Application) -> None:
    user, admin = made.keys["user"], made.keys["admin"]
    for headers in (
        {"X-API-Key": user, "Authorization": f"Bearer {admin}"},
        {"X-API-Key": f"{user},{admin}"},  # as a server joins a header that came twice
        {"Authorization": f"Bearer {user}, Bearer {admin}"},
        {"X-API-Key": user, "Authorization": "Bearer wrong"},
    ):
        answer: Any = made.client.get(SEEN, headers=headers)
        assert (answer.status_code, answer.json["code"]) == (400, "bad_request"), headers
    both = {"X-API-Key": user, "Authorization": f"Bearer {user}"}
    assert made.client.get(SEEN, headers=both).status_code == 200


@given(
    st.text(st.characters(max_codepoint=255), max_size=400), st.sampled_from(["HTTP_X_API_KEY", "HTTP_AUTHORIZATION"])
)
def test_any_bytes_as_a_key_are_a_401_or_a_400(text: str, name: str) -> None:
    answer = SHARED[0].client.get(SEEN, environ_base={name: text})
    assert answer.status_code in {400, 401}
    assert answer.is_json


@given(st.text(max_size=200))
def test_any_path_and_query_get_json_and_no_redirect(text: str) -> None:
    for path, query in ((SEEN, text), ("/" + text, ""), (text, ""), (SEEN, "api_key=" + text)):
        raw = {"PATH_INFO": path.encode().decode("latin-1"), "QUERY_STRING": query.encode().decode("latin-1")}
        answer = SHARED[0].client.get(SEEN, environ_overrides=raw)
        assert answer.status_code in {200, 400, 401, 404}
        assert answer.is_json


SHARED: list[Application] = []


@pytest.fixture(autouse=True)
def _shared(made: Application) -> None:
    # Hypothesis wants no fixture that one test makes anew.
    SHARED[:] = [made]


@pytest.mark.parametrize(
    "query",
    ["api_key={}", "a=1&api_key={}&b=2", "API_KEY={}", "api%5Fkey={}", "apikey={}", "access_token={}", "other={}",
     "x={}&api_key=", "a;api_key={}"]
)  # fmt: skip
def test_a_key_in_the_url_is_refused_unechoed_and_counted(made: Application, query: str) -> None:
    counted = 'rx580_auth_events_total{method="query",outcome="in_url",role="none"}'
    before = made.metric(counted)
    key = made.keys["readonly"]
    answer = made.get(f"{SEEN}?{query.format(key)}")
    assert (answer.status_code, answer.json["code"]) == (400, "bad_request")
    assert key[-20:] not in answer.text
    assert "URL" in answer.json["error"]
    assert made.metric(counted) == before + 1


def test_a_key_in_the_path_is_refused_and_unechoed(made: Application) -> None:
    for path in ("/models/{}", "/v2/models/{}/infer", "/{}", "/a/%72x580{}"):
        key = made.keys["user"]
        answer = made.get(path.format(key if "%72" not in path else key[5:]), "admin")
        assert answer.status_code == 400
        assert key[15:] not in answer.text


def test_query_keys_are_for_get_and_readonly_alone(with_query_keys: Application) -> None:
    made = with_query_keys
    answer = made.get(f"{SEEN}?api_key={made.keys['readonly']}")
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Deprecation"] == "@1793491200"
    assert "Deprecation" not in made.get(SEEN, "readonly").headers
    for role in ("user", "admin"):
        refused = made.get(f"{SEEN}?api_key={made.keys[role]}")
        assert (refused.status_code, refused.json["code"]) == (403, "forbidden")
    posted = made.client.post(f"/v2/repository/index?api_key={made.keys['readonly']}")
    assert posted.status_code == 400
    assert made.client.head(f"{SEEN}?api_key={made.keys['readonly']}").status_code == 400
    assert made.get(f"{SEEN}?api_key=").status_code == 401
    assert made.get(f"{SEEN}?api_key={made.keys['readonly']}&api_key={made.keys['user']}").status_code == 400
    assert made.get(f"{SEEN}?api_key={made.keys['readonly']}", "user").status_code == 400
    assert made.get(f"{SEEN}?key2={made.keys['readonly']}").status_code == 400


def test_query_keys_leave_a_trace_in_the_audit_log(tmp_path: Path) -> None:
    with application(tmp_path, query_keys=True) as made:
        key = made.keys["readonly"]
        made.get(f"{SEEN}?api_key={key}")
        used = [event for event in made.events() if event["event"] == "query key used"]
    assert [event["key"] for event in used] == [key[6:14]]


def handed_on(environ: dict[str, Any]) -> dict[str, Any]:
    """What the application sees, and whatever logs behind the outermost layer."""
    seen: dict[str, Any] = {}

    def record(environ: dict[str, Any], _start: Any) -> list[bytes]:
        seen.update(environ)
        return []

    WithoutCredentials(record)(environ, None)  # type: ignore[arg-type]
    return seen


def test_what_may_be_logged_holds_no_key() -> None:
    key = make_key(bytes(32), Role.USER)[0]
    url = f"/v2?a=1&api_key={key}&b=%20"
    seen = handed_on({
        "PATH_INFO": "/v2", "QUERY_STRING": url.partition("?")[2], "REQUEST_URI": url, "RAW_URI": url,
        "HTTP_REFERER": f"http://127.0.0.1/docs?api_key={key}",
    })  # fmt: skip
    assert (seen["QUERY_STRING"], seen["REQUEST_URI"], seen["RAW_URI"]) == (
        "a=1&b=%20",
        "/v2?a=1&b=%20",
        "/v2?a=1&b=%20",
    )
    found = seen.pop(ENVIRON)
    assert found.values == (key,)
    assert key[15:] not in repr(seen)


def test_what_holds_no_key_is_handed_on_as_it_came() -> None:
    for query in ("", "a=1", "a=1&&b", "%zz&=&x=%ff", "verbose=1&next=/docs"):
        environ = {"PATH_INFO": "/v2/%x", "QUERY_STRING": query, "REQUEST_URI": f"/v2/%25x?{query}"}
        assert handed_on(dict(environ)) == environ


@given(st.text(max_size=80), st.text(max_size=80))
def test_a_key_never_passes_whatever_is_around_it(before: str, after: str) -> None:
    key = "rx580_Ab3dE6gH_" + "s3cr3t-_" * 5 + "abc"
    url = f"/{before}{key}{after}"
    seen = handed_on({"PATH_INFO": url, "QUERY_STRING": f"{before}={key}{after}", "REQUEST_URI": url})
    del seen[ENVIRON]
    assert "s3cr3t-_s3cr3t" not in repr(seen)


def test_the_audit_log_says_why_and_never_what(tmp_path: Path) -> None:
    extra = {"expired": {"role": Role.USER, "expires": datetime.now(UTC) - timedelta(days=1)}}
    with application(tmp_path, extra) as made:
        unknown = make_key(bytes(32), Role.USER)[0]
        for key in (unlike(made.keys["admin"]), unknown, made.keys["expired"], "x"):
            made.get(SEEN, X_API_Key=key)
        refused = [event for event in made.events() if event["event"] == "authentication refused"]
        expired = made.keys["expired"][6:14]
    assert [(event["why"], event.get("key")) for event in refused] == [
        ("wrong", None), ("wrong", None), ("expired", expired), ("malformed", None),
    ]  # fmt: skip


def test_outcomes_are_counted(tmp_path: Path) -> None:
    with application(tmp_path) as made:
        made.get(SEEN, "user")
        made.get(SEEN, Authorization=f"Bearer {made.keys['admin']}")
        made.get(SEEN)
        made.get(SEEN, X_API_Key="wrong")
        made.client.post("/v2/repository/models/m/load", headers={"X-API-Key": made.keys["user"]})
        for labels in (
            'method="header",outcome="ok",role="user"', 'method="bearer",outcome="ok",role="admin"',
            'method="none",outcome="missing",role="none"', 'method="header",outcome="refused",role="none"',
            'method="header",outcome="forbidden",role="user"',
        ):  # fmt: skip
            expected = 2 if 'ok",role="user' in labels else 1
            assert made.metric(f"rx580_auth_events_total{{{labels}}}") == expected, labels


def test_a_server_whose_keys_cannot_be_read_is_closed_not_open(tmp_path: Path) -> None:
    with application(tmp_path) as good:
        keys = good.keys
        content = (tmp_path / "keys.jsonl").read_bytes()
    (tmp_path / "keys.jsonl").write_bytes(b"\x00damaged\n")
    with application(tmp_path, make_keys=False) as made:
        made.keys.update(keys)
        assert made.get("/health").status_code == 200
        assert made.get("/health", "user").status_code == 200
        ready = made.get("/ready")
        assert (ready.status_code, ready.json["reason"]) == (503, "the file of keys cannot be read")
        for role in (None, "readonly", "user", "admin"):
            answer = made.get(SEEN, role)
            assert (answer.status_code, answer.json["code"]) == (503, "unavailable")
            assert answer.headers["Retry-After"]
            assert str(tmp_path) not in answer.text
        assert made.metric("rx580_key_file_fault") == 1
        (tmp_path / "keys.jsonl").write_bytes(content)
        assert made.serving.keys is not None
        made.serving.keys._next_look_s = 0.0
        assert made.get(SEEN, "readonly").status_code == 200
        assert made.get(SEEN).status_code == 401
        assert made.metric("rx580_key_file_fault") == 0
        assert [event["event"] for event in made.events() if "key" in event["event"]][-2:] == [
            "key file unreadable",
            "key file read",
        ]


def test_a_key_made_or_revoked_while_it_serves(tmp_path: Path) -> None:
    with application(tmp_path) as made:
        assert made.serving.keys is not None
        pepper = bytes.fromhex((tmp_path / "pepper").read_text())
        key, record = make_key(pepper, Role.READONLY)
        key_file.add(tmp_path / "keys.jsonl", record)
        key_file.revoke(tmp_path / "keys.jsonl", made.keys["admin"])
        made.serving.keys._next_look_s = 0.0
        assert made.get(SEEN, X_API_Key=key).status_code == 200
        assert made.get(SEEN, "admin").status_code == 401


def opened(folder: Path, **options: Any) -> FlaskClient:
    with application(folder, make_keys=False, **{"keys": None, **options}) as made:
        return made.client


@pytest.mark.parametrize("mode", ["insecure_no_auth", "bare"])
@pytest.mark.parametrize(
    "host",
    [".".join("0000"), "::", "192.168.1.7", "10.0.0.1", "example.org", "localhost.example.org",
     "127.0.0.1.example.org", "::ffff:192.168.1.7", "fe80::1", "0", "*"]
)  # fmt: skip
def test_open_on_loopback_only(tmp_path: Path, mode: str, host: str) -> None:
    with pytest.raises(ServeError, match="loopback"):
        opened(tmp_path, host=host, **{mode: True})


def test_localhost_that_leads_elsewhere_is_not_loopback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "socket.getaddrinfo", lambda *_: [(2, 1, 6, "", ("127.0.0.1", 0)), (2, 1, 6, "", ("10.1.2.3", 0))]
    )
    with pytest.raises(ServeError, match="loopback"):
        opened(tmp_path, host="localhost", insecure_no_auth=True)


def test_open_and_proxies_contradict_each_other(tmp_path: Path) -> None:
    with pytest.raises(ServeError, match="trusted_proxies"):
        opened(tmp_path, insecure_no_auth=True, trusted_proxies=1)


def test_open_and_keys_contradict_each_other(tmp_path: Path) -> None:
    with pytest.raises(ServeError, match="got both"):
        opened(tmp_path, insecure_no_auth=True, keys=tmp_path / "keys.jsonl")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_an_open_server_answers_this_machine_and_makes_nobody_admin(tmp_path: Path, host: str) -> None:
    client = opened(tmp_path, host=host, insecure_no_auth=True)
    assert client.get(SEEN).status_code == 200
    assert client.get(SEEN, headers={"Host": "[::1]:8000"}).status_code == 200
    assert client.post("/v2/repository/models/m/load").status_code == 403
    assert client.get(SEEN, headers={"Origin": "http://localhost:8888"}).status_code == 200


@pytest.mark.parametrize("mode", ["insecure_no_auth", "bare"])
@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example"}, {"Host": "127.0.0.1.evil.example"}, {"Origin": "http://evil.example"},
                {"Origin": "null"}, {"X-Forwarded-For": "127.0.0.1"}, {"Forwarded": "for=10.0.0.1"}]
)  # fmt: skip
def test_an_open_server_answers_no_page_and_no_proxy(tmp_path: Path, mode: str, headers: dict[str, str]) -> None:
    client = opened(tmp_path, **{mode: True})
    assert client.get(SEEN, headers=headers).status_code == 403


def test_an_open_server_that_others_reach_after_all_refuses_them(tmp_path: Path) -> None:
    client = opened(tmp_path, insecure_no_auth=True)
    for address in ("192.168.1.9", "", "unix:"):
        assert client.get(SEEN, environ_base={"REMOTE_ADDR": address}).status_code == 403


def test_no_keys_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    with pytest.raises(ServeError, match="keys create"):
        opened(tmp_path)
    with pytest.raises(ServeError, match="keys create"):
        opened(tmp_path, keys=tmp_path / "none.jsonl")
