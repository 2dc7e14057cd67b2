"""Counts of the last minute that several processes share through Redis, and what holds while it is lost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from rx580lab.errors import ServeError
from rx580lab.serve.windows import SPAN_S, Answer, Charge, MemoryWindows

__all__ = ["RedisWindows", "SharedWindows", "StoreLost"]

PREFIX = "rx580lab:limits:"
_PROBE_S = 1.0

# KEYS: the windows. ARGV: "acquire" or "record" or "peek", the span, then units and cost of each. A window is a hash of
# second -> units. Answers {admitted, place, left, milliseconds until enough is free}, as MemoryWindows does; the clock
# is the store's, so that processes on different machines agree.
_SCRIPT = """
local time = redis.call('TIME')
local second = tonumber(time[1])
local now = second + tonumber(time[2]) / 1e6
local what, span = ARGV[1], tonumber(ARGV[2])
local place, least, left = 0, 2, 0
for i = 1, #KEYS do
  local units, cost = tonumber(ARGV[2 * i + 1]), tonumber(ARGV[2 * i + 2])
  local pairs = redis.call('HGETALL', KEYS[i])
  local total, live = 0, {}
  for j = 1, #pairs, 2 do
    local begun = tonumber(pairs[j])
    if begun <= second - span then
      redis.call('HDEL', KEYS[i], pairs[j])
    else
      total = total + tonumber(pairs[j + 1])
      live[#live + 1] = {begun, tonumber(pairs[j + 1])}
    end
  end
  local rest = units - total - cost
  if rest < 0 and what ~= 'record' then
    table.sort(live, function(a, b) return a[1] < b[1] end)
    local needed, after = -rest, span
    for _, one in ipairs(live) do
      needed = needed - one[2]
      if needed <= 0 then after = one[1] + span - now break end
    end
    return {0, i - 1, 0, math.ceil(after * 1000)}
  end
  if rest / units < least then
    place, least, left = i - 1, rest / units, rest
  end
end
if what ~= 'peek' then
  for i = 1, #KEYS do
    redis.call('HINCRBY', KEYS[i], second, ARGV[2 * i + 2])
    redis.call('EXPIRE', KEYS[i], span)
  end
end
return {1, place, left, 0}
"""


class StoreLost(Exception):
    """The store did not answer, or not as it should. The message is the kind of failure, never an address."""


class RedisWindows:
    """As ``MemoryWindows``, in a Redis of version 5 or later; every call is one round trip and may raise StoreLost.

    ``timeout_s``: for a connection and for an answer; nothing is tried twice.
    """

    def __init__(self, url: str, timeout_s: float) -> None:
        once = Retry(NoBackoff(), 0)
        try:
            self._client: Any = redis.Redis.from_url(
                url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, retry=once
            )
        except ValueError as error:
            raise ServeError("limits.shared_store", "expected redis://, rediss:// or unix://, got another") from error
        self._script: Any = self._client.register_script(_SCRIPT)

    def acquire(self, charges: Sequence[Charge]) -> Answer:
        """Charges all if all limits hold, and none otherwise."""
        return self._call("acquire", charges)

    def peek(self, charges: Sequence[Charge]) -> Answer:
        """Whether ``acquire`` would admit."""
        return self._call("peek", charges)

    def record(self, charges: Sequence[Charge]) -> None:
        """Charges all, whatever the limits say."""
        self._call("record", charges)

    def close(self) -> None:
        """Ends the connections."""
        self._client.close()

    def _call(self, what: str, charges: Sequence[Charge]) -> Answer:
        numbers = [number for charge in charges for number in (charge.units, charge.cost)]
        try:
            admitted, place, left, after_ms = self._script(
                [PREFIX + charge.who for charge in charges], [what, SPAN_S, *numbers]
            )
        except (redis.RedisError, OSError, ValueError, TypeError) as error:
            raise StoreLost(type(error).__name__) from error
        return Answer(bool(admitted), place, left, after_ms / 1000)


class SharedWindows:
    """Redis while it answers; otherwise this process's own counts, at a higher cost, so that limits are stricter.

    The own counts run along at all times: what was used before a loss stays used, and a store that lost its counts
    admits nobody beyond what this process has seen. A lost store costs the requests in hand one timeout; then only a
    thread of its own asks for it, once a second, until it is back.

    ``stricter``: that part of each limit holds without the store. ``changed``: called with (up, why) once per change.
    """

    def __init__(
        self, own: MemoryWindows, store: RedisWindows, stricter: float, changed: Callable[[bool, str], None]
    ) -> None:
        self._own = own
        self._store = store
        self._stricter = stricter
        self._changed = changed
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self.up = True

    def acquire(self, charges: Sequence[Charge]) -> Answer:
        """Charges all if all limits hold, and none otherwise."""
        if self.up:
            here = self._own.peek(charges)
            if not here.admitted:
                return here
            try:
                answer = self._store.acquire(charges)
            except StoreLost as error:
                self._lose(error)
            else:
                if answer.admitted:
                    self._own.record(charges)
                return answer
        return self._own.acquire(self._dearer(charges))

    def peek(self, charges: Sequence[Charge]) -> Answer:
        """Whether ``acquire`` would admit."""
        if self.up:
            here = self._own.peek(charges)
            if not here.admitted:
                return here
            try:
                return self._store.peek(charges)
            except StoreLost as error:
                self._lose(error)
        return self._own.peek(self._dearer(charges))

    def record(self, charges: Sequence[Charge]) -> None:
        """Charges all, whatever the limits say."""
        if self.up:
            try:
                self._store.record(charges)
            except StoreLost as error:
                self._lose(error)
        self._own.record(charges if self.up else self._dearer(charges))

    def probe(self) -> bool:
        """Asks the store whether it works, which sets ``up``."""
        try:
            self._store.acquire([Charge("probe", SPAN_S * 1000, 1)])
        except StoreLost as error:
            self._lose(error)
            return False
        with self._lock:
            back, self.up = not self.up, True
        if back:
            self._changed(True, "")
        return True

    def close(self) -> None:
        """Ends the probes and the connections."""
        self._closed.set()
        self._store.close()

    def _dearer(self, charges: Sequence[Charge]) -> list[Charge]:
        return [Charge(one.who, one.units, round(one.cost / self._stricter)) for one in charges]

    def _lose(self, error: StoreLost) -> None:
        with self._lock:
            lost, self.up = self.up, False
        if lost:
            threading.Thread(target=self._ask_again, name="limits-store", daemon=True).start()
            self._changed(False, str(error))

    def _ask_again(self) -> None:
        while not self._closed.wait(_PROBE_S):
            if self.probe():
                return
