"""Pictures that a notebook shows as they are: no backend of matplotlib has to be switched on for them."""

from __future__ import annotations

import io

from matplotlib.figure import Figure

__all__ = ["Drawing"]

# Of the pictures that notebooks and their pages show: sharp enough for text at 100 % and light enough to send.
DOTS_PER_INCH = 110


class Drawing(Figure):
    """A figure of matplotlib that draws itself as PNG when it is a cell's result."""

    def __init__(self, width: float, height: float) -> None:
        super().__init__(figsize=(width, height), layout="constrained")

    def _repr_png_(self) -> bytes:
        stream = io.BytesIO()
        self.savefig(stream, format="png", dpi=DOTS_PER_INCH)
        return stream.getvalue()
