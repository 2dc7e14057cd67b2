"""Sends HTTP requests to a server and times the answers; knows nothing of what serves them.

A closed loop (``Closed``) keeps a number of connections busy: it finds what a request costs and what a server can do,
but not what clients wait for, since a slow server slows the questions down. An open loop (``Open``) sends at times
chosen beforehand and counts from there, whatever the server does. ``run`` takes either, in a process of its own, so
that its processor time is not the caller's nor the server's; ``run_here`` does it in this one.

Source: Tene, "How NOT to Measure Latency" (coordinated omission); Schroeder et al., "Open Versus Closed", NSDI 2006.
"""

from __future__ import annotations

from rx580lab.loadgen.arrivals import constant, poisson
from rx580lab.loadgen.generate import Generator, run, run_here
from rx580lab.loadgen.load import Caps, Check, Closed, Open, Outcome
from rx580lab.loadgen.wire import Answer, Request

__all__ = [
    "Answer",
    "Caps",
    "Check",
    "Closed",
    "Generator",
    "Open",
    "Outcome",
    "Request",
    "constant",
    "poisson",
    "run",
    "run_here",
]
