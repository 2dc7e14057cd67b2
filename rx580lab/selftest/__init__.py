"""Does this driver and this card compute right? Every op and template against its oracle, and soak.

``run_selftest(device)`` is what ``rx580lab selftest`` runs. ``python -m rx580lab.selftest.sanitize`` runs the same
cases, the small ones, under the Oclgrind simulator, which sees out-of-bounds accesses, races and uninitialized reads.
"""

from rx580lab.selftest.case import Case, Suite, cases, prepare, suite
from rx580lab.selftest.check import check_case
from rx580lab.selftest.report import OpLine, SelftestReport, Soak
from rx580lab.selftest.run import run_selftest

__all__ = [
    "Case",
    "OpLine",
    "SelftestReport",
    "Soak",
    "Suite",
    "cases",
    "check_case",
    "prepare",
    "run_selftest",
    "suite",
]
