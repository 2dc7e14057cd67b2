from __future__ import annotations

import subprocess
import sys

CHECKED_WITHOUT = """
import sys
from rx580lab.experiment.grammar import leave_out_iri_grammar

leave_out_iri_grammar()
import nbformat

nbformat.validate(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 + 1")]))
try:
    nbformat.validate({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{"id": "a"}]})
except nbformat.ValidationError:
    print(sorted({"lark", "rfc3987_syntax.syntax_helpers"} & sys.modules.keys()))
"""


def test_notebooks_are_checked_without_it() -> None:
    done = subprocess.run([sys.executable, "-c", CHECKED_WITHOUT], capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("[]\n", "")
