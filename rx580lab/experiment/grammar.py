"""A second of imports that a process of our own can do without."""

from __future__ import annotations

import sys

__all__ = ["leave_out_iri_grammar"]


def leave_out_iri_grammar() -> None:
    """For a process that is ours alone, before nbformat comes in.

    With rfc3987-syntax installed, as JupyterLab's server brings it, jsonschema compiles a grammar of IRIs when it is
    imported: 1.1 s of CPU time for each point of an experiment. No schema of a notebook asks for an IRI.
    """
    # Its import now fails, which jsonschema takes for "not installed".
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
