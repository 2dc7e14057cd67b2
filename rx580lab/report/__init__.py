"""Run folders made readable: ``render_run`` writes one self-contained page per run, ``render_index`` the list of runs.

Pages load nothing and run nothing: a content policy forbids it, and every picture is inline SVG.
"""

from rx580lab.report.index import render_index
from rx580lab.report.page import render_run

__all__ = ["render_index", "render_run"]
