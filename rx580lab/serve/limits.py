"""How many requests a minute: by address before a key is verified, by the verified key after.

Nothing unverified is ever counted by: a key that is not right counts against the address that sent it. An address that
is used up gets no key looked at. A class of route that is listed in the settings holds beside the role's limit; on
public routes it stands in its place, so that health may be asked more often than other things.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from rx580lab.serve.addresses import group_of
from rx580lab.serve.call import Call
from rx580lab.serve.metrics import Metrics
from rx580lab.serve.refusal import Refusal
from rx580lab.serve.roles import Role
from rx580lab.serve.routing import Route
from rx580lab.serve.settings import Limits
from rx580lab.serve.shared_windows import RedisWindows, SharedWindows
from rx580lab.serve.windows import Answer, Charge, MemoryWindows

__all__ = ["Limiter", "Pressure"]

UNITS = 10  # of a request at a factor of 1: the limit stays as it is, and the cost follows the factor


class Pressure:
    """The adaptive factor: down by 0.3 of itself while requests wait over ``target_s`` for the device, up by 0.05 else.

    At most one step a second, by the mean wait in it; seconds in which nothing waited count as good ones.
    Source: additive increase, multiplicative decrease, as TCP shares a link.
    """

    def __init__(self, target_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._target_s = target_s
        self._clock = clock
        self._lock = threading.Lock()
        self._stepped = clock()
        self._waited_s = 0.0
        self._waits = 0
        self._factor = 1.0

    def observe(self, wait_s: float) -> None:
        """One request's wait for its launch."""
        with self._lock:
            self._step()
            self._waited_s += wait_s
            self._waits += 1

    @property
    def factor(self) -> float:
        """Between 0.1 and 1: the share of the limits that is given now."""
        if self._waits or self._factor < 1.0:
            with self._lock:
                self._step()
        return self._factor

    def _step(self) -> None:
        seconds = int(self._clock() - self._stepped)
        if seconds < 1:
            return
        if self._waits and self._waited_s / self._waits > self._target_s:
            self._factor = max(0.1, self._factor * 0.7)
            seconds -= 1
        self._factor = min(1.0, self._factor + 0.05 * seconds)
        self._stepped = self._clock()
        self._waited_s, self._waits = 0.0, 0


@dataclass(frozen=True)
class _Rule:
    """The limits of one role on one route: (name, units, whether the adaptive factor counts) each."""

    limits: tuple[tuple[str, int, bool], ...]


class Limiter:
    """``audit``: takes an event and its fields. ``clock``: seconds, for tests."""

    def __init__(
        self,
        settings: Limits,
        metrics: Metrics,
        audit: Callable[..., None] = lambda _event, **_fields: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.pressure = Pressure(settings.queue_wait_target_ms / 1000, clock)
        self._audit = audit
        self._metrics = metrics
        self._clock = clock
        self._rules: dict[tuple[Role, str], _Rule] = {}
        self._told: dict[str, float] = {}
        self._own = MemoryWindows(settings.addresses, clock)
        self._windows: MemoryWindows | SharedWindows = self._own
        metrics.ratelimit_factor.set_function(lambda: self.factor)
        if settings.shared_store is not None:
            self._share(settings.shared_store.get_secret_value())

    @property
    def factor(self) -> float:
        """The share of the limits that is given now; 1 where they do not adapt."""
        return self.pressure.factor if self.settings.adaptive else 1.0

    def observe_wait(self, seconds: float) -> None:
        """What one request waited for its launch."""
        self.pressure.observe(seconds)

    def admit_address(self, call: Call, *, keyed: bool = True) -> None:
        """Refusal 429 where the address has used up what it may without a key, wrong keys included.

        ``keyed``: whether the request brings a credential. One to a public route without any is held to the limit of
        the route's class alone, by ``charge``.
        """
        if not keyed and call.route is not None and self._stands_alone(call.route):
            return
        charge = Charge(f"address {group_of(call.address)}", UNITS * self.settings.public, UNITS)
        answer = self._windows.peek((charge,))
        if not answer.admitted:
            raise self._refusal(call, (charge,), answer, "address")

    def charge_failure(self, call: Call) -> None:
        """Counts a wrong key against the address."""
        self._windows.record((Charge(f"address {group_of(call.address)}", UNITS * self.settings.public, UNITS),))

    def charge(self, call: Call) -> None:
        """Counts a request against its verified key, or its address without one. Refusal 429 where that is used up."""
        key_id = call.principal.key_id
        who = f"key {key_id}" if key_id else f"address {group_of(call.address)}"
        dear = UNITS if self.factor == 1.0 else round(UNITS / self.factor)
        charges = [
            Charge(f"{who}{name}", units, dear if adapts else UNITS)
            for name, units, adapts in self._rule(call.principal.role, call.route).limits
        ]
        answer = self._windows.acquire(charges)
        if not answer.admitted:
            raise self._refusal(call, charges, answer, "key" if key_id else "address")
        limit = charges[answer.place]
        call.quota = (limit.units // UNITS, answer.left // limit.cost)

    def close(self) -> None:
        """Ends what belongs to a shared store."""
        if isinstance(self._windows, SharedWindows):
            self._windows.close()

    def _stands_alone(self, route: Route) -> bool:
        return route.role is Role.PUBLIC and route.limit in self.settings.routes

    def _rule(self, role: Role, route: Route | None) -> _Rule:
        place = (role, route.name if route else "")
        rule = self._rules.get(place)
        if rule is None:
            rule = self._rules[place] = self._make_rule(role, route)
        return rule

    def _make_rule(self, role: Role, route: Route | None) -> _Rule:
        own: int = getattr(self.settings, role.label)
        # An open server's clients are admins without a key: their count is not that of wrong keys.
        of_role = ("" if role is Role.PUBLIC else f" {role.label}", UNITS * own, True)
        listed = self.settings.routes.get(route.limit) if route else None
        if route is None or listed is None:
            return _Rule((of_role,))
        # While the device is behind, work for it costs more; what an operator does then (look, unload) does not.
        of_class = (f" {route.limit}", UNITS * listed, route.queues)
        return _Rule((of_class,) if self._stands_alone(route) else (of_role, of_class))

    def _refusal(self, call: Call, charges: tuple[Charge, ...] | list[Charge], answer: Answer, kind: str) -> Refusal:
        limit = charges[answer.place]
        call.quota = (limit.units // UNITS, 0)
        self._tell(call, limit, kind)
        message = f"expected at most {limit.units // UNITS} requests a minute of this {kind}, got more"
        return Refusal(429, "limits", message, retry_after_s=answer.after_s)

    def _tell(self, call: Call, limit: Charge, kind: str) -> None:
        """Audits a limit that is hit once a minute, since whoever hits one may do so a thousand times a second."""
        now = self._clock()
        if now - self._told.get(limit.who, now - 60) < 60:
            return
        if len(self._told) >= 10_000:
            self._told.clear()
        self._told[limit.who] = now
        self._audit(
            "limit hit", id=call.id, address=call.address, key=call.principal.key_id, by=kind,
            role=call.principal.role.label, route=call.route.rule if call.route else None,
            per_minute=limit.units // UNITS, status=429,
        )  # fmt: skip

    def _share(self, url: str) -> None:
        store = RedisWindows(url, self.settings.store_timeout_s)
        up, losses = self._metrics.ratelimit_store_up, self._metrics.ratelimit_store_losses

        def changed(is_up: bool, why: str) -> None:
            up.set(int(is_up))
            if not is_up:
                losses.inc()
            self._audit("limits store back" if is_up else "limits store lost", why=why or None)

        shared = SharedWindows(self._own, store, self.settings.without_store, changed)
        shared.probe()
        self._windows = shared
