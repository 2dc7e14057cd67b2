"""How many requests a minute: by address before a key is verified, by the verified key after."""

from __future__ import annotations

import time

import limits
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from rx580lab.serve.call import Call
from rx580lab.serve.refusal import Refusal
from rx580lab.serve.settings import Limits

__all__ = ["Limiter"]


class Limiter:
    """Counts in units of a tenth of a request, so that the adaptive factor is a cost and the limit stays the key."""

    def __init__(self, settings: Limits) -> None:
        self.settings = settings
        self.factor = 1.0
        self._windows = SlidingWindowCounterRateLimiter(MemoryStorage())

    def admit_address(self, call: Call) -> None:
        """Refusal 429 where the address has used up what it may without a key, wrong keys included."""
        limit = self._limit(self.settings.public)
        if not self._windows.test(limit, "address", call.address, cost=self._cost()):
            raise self._refusal(limit, "address", call.address)

    def charge_failure(self, call: Call) -> None:
        """Counts a wrong key against the address."""
        self._windows.hit(self._limit(self.settings.public), "address", call.address, cost=self._cost())

    def charge(self, call: Call) -> None:
        """Counts an admitted request against its key, or its address without one. Refusal 429 where that is used up."""
        who = ("key", call.principal.key_id) if call.principal.key_id else ("address", call.address)
        role_limit: int = getattr(self.settings, call.principal.role.label)
        self._hit(self._limit(role_limit), *who)
        of_route = self.settings.routes.get(call.route.limit) if call.route else None
        if call.route and of_route is not None:
            self._hit(self._limit(of_route), *who, call.route.limit)

    def _hit(self, limit: limits.RateLimitItem, *names: str) -> None:
        if not self._windows.hit(limit, *names, cost=self._cost()):
            raise self._refusal(limit, *names)

    def _cost(self) -> int:
        return round(10 / self.factor)

    @staticmethod
    def _limit(per_minute: int) -> limits.RateLimitItem:
        return limits.RateLimitItemPerMinute(10 * per_minute)

    def _refusal(self, limit: limits.RateLimitItem, *names: str) -> Refusal:
        after_s = self._windows.get_window_stats(limit, *names).reset_time - time.time()
        return Refusal(429, "limits", f"expected at most {limit.amount // 10} requests a minute", retry_after_s=after_s)
