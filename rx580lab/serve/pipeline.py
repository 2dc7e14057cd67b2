"""What happens to every request, in this order: count, limit by address, authenticate, limit by key, authorize, handle.

And to every answer: headers, metrics, audit. Failures of any kind, Flask's own too, leave in the one JSON shape.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from typing import Any

import orjson
from flask import Flask, Response, current_app, g, request
from werkzeug.exceptions import HTTPException, SecurityError
from werkzeug.routing import RequestRedirect

from rx580lab.errors import LabError
from rx580lab.serve.authentication import OF_QUERY_KEYS, CredentialRefused, authenticate, unauthenticated
from rx580lab.serve.call import Call, Principal, current
from rx580lab.serve.headers import secure, tell_quota
from rx580lab.serve.metrics import METHODS
from rx580lab.serve.refusal import Refusal, body_of
from rx580lab.serve.roles import Role
from rx580lab.serve.service import Service, service

__all__ = ["install", "json_response"]

# Where a probe ends: no such path, no such method, not well-formed, no key.
_REFUSALS = frozenset({400, 401, 403, 404, 405, 422})
# Where a request may bring a key, as WSGI names it; the last is what was taken out of the URL.
_CREDENTIALS = ("HTTP_X_API_KEY", "HTTP_AUTHORIZATION", "rx580lab.credentials")


def json_response(value: Any, status: int = 200) -> Response:
    """An answer of JSON; arrays become nested lists."""
    return Response(orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY), status=status, mimetype="application/json")


def install(app: Flask) -> None:
    """Adds the steps to the application."""
    app.before_request(_admit)
    app.after_request(_finish)
    app.teardown_request(_leave)
    app.register_error_handler(Refusal, _refused)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _crashed)


def _admit() -> Response | None:
    serving = service()
    call = Call(request.remote_addr or "unknown", serving.routes.get(request.endpoint or ""))
    g.call = call
    in_hand: AbstractContextManager[None] = serving.lifecycle.request()
    in_hand.__enter__()
    g.in_hand = in_hand
    if serving.limiter is not None:
        serving.limiter.admit_address(call, keyed=any(name in request.environ for name in _CREDENTIALS))
    preflight = serving.cors.preflight(request)
    if preflight is None:
        _identify(serving, call)
    if serving.limiter is not None:
        serving.limiter.charge(call)
    if preflight is not None:
        return preflight
    _authorize(serving, call)
    if call.route is not None and call.route.queues:
        _take_place(serving, call)
    return None


def _take_place(serving: Service, call: Call) -> None:
    """Of those for requests that wait for the device; the thread that waits would be missed by health."""
    place: AbstractContextManager[None] = serving.lifecycle.slot()
    try:
        place.__enter__()
    except Refusal:
        serving.metrics.rejected.labels(call.model or "", "server full").inc()
        raise
    g.place = place


def _identify(serving: Service, call: Call) -> None:
    try:
        call.principal = principal = authenticate(request, serving.keys, serving.settings)
    except CredentialRefused as refusal:
        if serving.limiter is not None:
            serving.limiter.charge_failure(call)
        serving.metrics.auth_events.labels(refusal.outcome, refusal.method, "none").inc()
        if serving.audit is not None:
            serving.audit.event(
                "authentication refused", id=call.id, address=call.address, method=refusal.method, why=refusal.why,
                key=refusal.key_id,
            )  # fmt: skip
        raise
    if principal.key_id is not None:
        serving.metrics.auth_events.labels("ok", principal.method, principal.role.label).inc()
        if principal.method == "query" and serving.audit is not None:
            serving.audit.event("query key used", id=call.id, address=call.address, key=principal.key_id)


def _authorize(serving: Service, call: Call) -> None:
    """Deny by default: no route, no entry."""
    route, principal = call.route, call.principal
    if route is None:
        # A rule that was added beside the table has no role; and nothing here redirects, to a host that a client names.
        if request.url_rule is not None or isinstance(request.routing_exception, RequestRedirect):
            raise Refusal(404, "serve", "expected a path of this server")
        return  # Flask answers 404 or 405 to what no rule matches
    if route.role is Role.PUBLIC:
        return
    if serving.keys is not None and serving.keys.closed:
        raise Refusal(503, "keys", "expected keys to check with, got none that can be read", retry_after_s=10)
    if principal.role is Role.PUBLIC:
        serving.metrics.auth_events.labels("missing", "none", "none").inc()
        raise unauthenticated("expected a key in X-API-Key or Authorization: Bearer, got none")
    if principal.role < route.role:
        _count_forbidden(serving, principal)
        raise Refusal(403, "keys", f"expected a key of role {route.role.label}, got {principal.role.label}")
    # Not before: what somebody without a key calls a model may be anything, and gets into no log.
    call.model = (request.view_args or {}).get("model")
    if call.model is not None and not principal.may_use(call.model):
        _count_forbidden(serving, principal)
        raise Refusal(403, "keys", "expected a key for this model, got one for others")


def _count_forbidden(serving: Service, principal: Principal) -> None:
    serving.metrics.auth_events.labels("forbidden", principal.method, principal.role.label).inc()


def _refused(refusal: Refusal) -> Response:
    call = current()
    response = json_response(body_of(refusal.status, refusal.message, call.id if call else None), refusal.status)
    response.headers.update(refusal.headers)
    return response


def _http_error(error: HTTPException) -> Response:
    status = error.code or 500
    said = "expected a Host that this server is known by" if isinstance(error, SecurityError) else error.description
    response = _refused(Refusal(status, "serve", said or error.name))
    for name, value in error.get_headers():
        if name.lower() in {"allow", "retry-after"}:
            response.headers[name] = value
    return response


def _crashed(error: Exception) -> Response:
    call = current()
    identity = call.id if call else "unknown"
    if isinstance(error, LabError):
        service().metrics.rejected.labels(call.model or "" if call else "", "error").inc()
    current_app.logger.error("request %s failed", identity, exc_info=error)
    return _refused(Refusal(500, "serve", f"the server failed; its log tells more under {identity}"))


def _finish(response: Response) -> Response:
    serving, call = service(), current()
    secure(response, request)
    serving.cors.mark(request, response)
    if call is None:
        return response
    if call.quota is not None:
        tell_quota(response, *call.quota)
    response.headers["X-Request-ID"] = call.id
    if call.principal.method == "query":
        response.headers.update(OF_QUERY_KEYS)
    route = request.url_rule.rule if request.url_rule else "unknown"
    took_s = time.perf_counter() - call.started
    serving.metrics.requests.labels(request.method, route, response.status_code).inc()
    serving.metrics.seconds.labels(request.method, route).observe(took_s)
    if response.status_code in _REFUSALS:
        serving.metrics.note_refused(request.path, request.query_string.decode("latin-1"))
    told = response.status_code != 429 and (call.principal.key_id or response.status_code >= 400)
    if serving.audit is not None and told:
        # Words of the client's own get into no log: a method or a model that is none may be a misplaced secret.
        serving.audit.event(
            "request", id=call.id, method=request.method if request.method in METHODS else "other", route=route,
            status=response.status_code, key=call.principal.key_id, address=call.address,
            model=None if response.status_code == 404 else call.model, ms=round(took_s * 1e3, 3),
        )  # fmt: skip
    return response


def _leave(_error: BaseException | None) -> None:
    for name in ("place", "in_hand"):
        held: AbstractContextManager[None] | None = g.pop(name, None)
        if held is not None:
            held.__exit__(None, None, None)
