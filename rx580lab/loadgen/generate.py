"""The loops themselves."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field

from rx580lab.errors import InputError
from rx580lab.loadgen.load import Caps, Check, Closed, Open, Outcome
from rx580lab.loadgen.wire import Answer, Connection, Request, Target

__all__ = ["Generator", "run", "run_here"]

_KEPT_REASONS = 10


class Generator:
    """``run`` again and again in one process of its own, which ends with the block::

    with Generator() as generator:
        generator.run(url, Closed(8), requests)
    """

    def __enter__(self) -> Generator:
        self._pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def run(
        self,
        url: str,
        load: Closed | Open,
        requests: Sequence[Request],
        *,
        check: Check | None = None,
        check_every: int = 1,
        own_host: bool = False,
        caps: Caps | None = None,
    ) -> Outcome:
        """As ``run_here``, there; ``check`` has to be one that pickle takes."""
        _checked(url, load, requests, own_host, caps)
        return self._pool.submit(
            run_here, url, load, requests, check=check, check_every=check_every, own_host=own_host, caps=caps
        ).result()


def run(
    url: str,
    load: Closed | Open,
    requests: Sequence[Request],
    *,
    check: Check | None = None,
    check_every: int = 1,
    own_host: bool = False,
    caps: Caps | None = None,
) -> Outcome:
    """As ``run_here``, in a process of its own; ``check`` has to be one that pickle takes."""
    with Generator() as generator:
        return generator.run(url, load, requests, check=check, check_every=check_every, own_host=own_host, caps=caps)


def run_here(
    url: str,
    load: Closed | Open,
    requests: Sequence[Request],
    *,
    check: Check | None = None,
    check_every: int = 1,
    own_host: bool = False,
    caps: Caps | None = None,
) -> Outcome:
    """Sends ``requests`` in turn, again from the first when they are all sent, and waits for the answers.

    Args:
        url: ``http://host:port`` of this machine; of another with ``own_host``, by which the caller says it is theirs.
        load: how many and when.
        requests: at least one.
        check: looks at answers of status 2xx.
        check_every: at one of so many.
        own_host: see ``url``.
        caps: what the load may be at most.

    Raises InputError for a load beyond its caps or a foreign host. What the server does is never an error: it is in the
    outcome.
    """
    target = _checked(url, load, requests, own_host, caps)
    wires = [one.wire(target.name) for one in requests]
    tally = _Tally(check, max(1, check_every))
    cpu = time.process_time()
    loop = _closed(target, load, wires, tally) if isinstance(load, Closed) else _open(target, load, wires, tally)
    # In a thread, since a notebook's own thread runs a loop already.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, loop).result()
    tally.outcome.cpu_s = time.process_time() - cpu
    return tally.outcome


def _checked(url: str, load: Closed | Open, requests: Sequence[Request], own_host: bool, caps: Caps | None) -> Target:
    if not requests or (isinstance(load, Open) and not load.arrivals):
        raise InputError("loadgen", "expected at least one request, got none")
    load.check(caps or Caps())
    return Target.of(url, own_host=own_host)


@dataclass
class _Tally:
    """Counts what comes."""

    check: Check | None
    check_every: int
    outcome: Outcome = field(default_factory=Outcome)

    def answered(self, which: int, answer: Answer, latency_s: float) -> None:
        outcome = self.outcome
        outcome.statuses[answer.status] = outcome.statuses.get(answer.status, 0) + 1
        if not 200 <= answer.status < 300:
            return
        outcome.latencies_s.append(latency_s)
        if self.check is not None and (len(outcome.latencies_s) - 1) % self.check_every == 0:
            outcome.n_checked += 1
            reason = self.check(which, answer)
            if reason is not None:
                outcome.n_wrong += 1
                if len(outcome.wrong) < _KEPT_REASONS:
                    outcome.wrong.append(reason)

    def lost(self, why: str) -> None:
        self.outcome.lost[why] = self.outcome.lost.get(why, 0) + 1

    async def one(self, connection: Connection, wires: Sequence[bytes], n: int, began: float, timeout_s: float) -> bool:
        """Sends request ``n``; ``began``: when it should have left. Whether the connection is still good."""
        which = n % len(wires)
        try:
            async with asyncio.timeout(began + timeout_s - time.perf_counter()):
                answer = await connection.exchange(wires[which])
        except TimeoutError:
            self.lost("no answer in time")
            return False
        except OSError as error:
            self.lost(str(error) or type(error).__name__)
            return False
        self.answered(which, answer, time.perf_counter() - began)
        return True


async def _closed(target: Target, load: Closed, wires: Sequence[bytes], tally: _Tally) -> None:
    began = time.perf_counter()
    end = began + load.seconds
    most = load.requests
    connections = [Connection(target) for _ in range(load.connections)]

    async def client(connection: Connection) -> None:
        while (now := time.perf_counter()) < end and (most is None or tally.outcome.intended < most):
            n = tally.outcome.intended
            tally.outcome.intended += 1
            if not await tally.one(connection, wires, n, now, load.timeout_s):
                await asyncio.sleep(0.01)  # a server that refuses connections is not asked in a loop without pause

    await asyncio.gather(*(client(one) for one in connections))
    tally.outcome.seconds = time.perf_counter() - began
    for one in connections:
        one.close()


async def _open(target: Target, load: Open, wires: Sequence[bytes], tally: _Tally) -> None:
    outcome = tally.outcome
    outcome.intended, outcome.intended_rate = len(load.arrivals), load.rate
    idle: list[Connection] = []
    free = asyncio.Semaphore(load.connections)
    last_sent = 0.0

    async def send(n: int, intended: float) -> None:
        nonlocal last_sent
        async with free:
            now = time.perf_counter()
            last_sent = max(last_sent, now)
            outcome.late += now - intended > load.late_s
            connection = idle.pop() if idle else Connection(target)
            good = await tally.one(connection, wires, n, intended, load.timeout_s)
            if good:
                idle.append(connection)
            else:
                connection.close()

    began = time.perf_counter() + 0.01
    sending = set()
    for n, offset in enumerate(load.arrivals):
        while (wait := began + offset - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        task = asyncio.create_task(send(n, began + offset))
        sending.add(task)
        task.add_done_callback(sending.discard)
    if sending:
        await asyncio.gather(*sending)
    outcome.seconds = time.perf_counter() - began
    lateness = max(0.0, last_sent - began - load.arrivals[-1])
    outcome.achieved_rate = load.rate / (1 + lateness * load.rate / len(load.arrivals))
    for one in idle:
        one.close()
