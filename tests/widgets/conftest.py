from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """An experiment of the tests' own: one parameter of each kind, one cell that does as it is told."""
    from tests.experiment.conftest import BODY, PARAMETERS, RECORD, write_notebook

    write_notebook(tmp_path / "notebooks" / "toy.ipynb", PARAMETERS, BODY, RECORD)
    spec = tmp_path / "experiments" / "bench" / "toy.yml"
    spec.parent.mkdir(parents=True)
    spec.write_text(
        f"""\
schema_version: 1
name: toy
title: A toy <script>alert(1)</script>
question: Does the form work?
notebook: ../../notebooks/toy.ipynb
params:
  folder: "{tmp_path}"
  behaviour: {{type: str, enum: [ok, wait, raise, die, wrong], default: ok}}
  scale: {{type: float, min: 0.5, max: 2.0, unit: m, help: how large}}
sweep:
  size: [4, 8]
""",
        encoding="utf-8",
    )
    return spec
