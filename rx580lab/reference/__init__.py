"""Oracles: what each op must compute, in numpy float64, and how far a float32 result may be from it.

``reference/<op>.py`` holds ``<op>(*arrays)`` and ``<op>_tolerance(*arrays)`` (absolute, per element) and ``ORACLE``,
one line that names the source. An oracle imports numpy and nothing that it judges.
"""

from rx580lab.reference.compare import Outcome, Sentinels, compare, is_sentinel, poison, sentinel_of

__all__ = ["Outcome", "Sentinels", "compare", "is_sentinel", "poison", "sentinel_of"]
