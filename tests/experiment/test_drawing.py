"""A picture in a notebook is a picture, not the name of its class."""

from __future__ import annotations

from IPython.core.formatters import DisplayFormatter

from rx580lab.experiment.drawing import Drawing


def test_a_cell_shows_the_picture_without_a_backend() -> None:
    drawing = Drawing(2, 1)
    drawing.subplots().plot([1, 2])
    data, _ = DisplayFormatter().format(drawing)
    assert data["image/png"].startswith(b"\x89PNG")
