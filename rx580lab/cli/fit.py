"""The command that says whether a model fits a device's memory."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from rx580lab.cli.common import JsonOption, app, print_json, reporting_errors, show
from rx580lab.errors import InputError

UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}


@app.command()
@reporting_errors
def fit(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A path that ends in .onnx, or a demo model's name.")],
    memory: Annotated[
        str | None, typer.Option(metavar="BYTES", help="Memory of the device: 4GiB. Default: an RX 580's 8 GiB.")
    ] = None,
    largest: Annotated[
        str | None, typer.Option(metavar="BYTES", help="Largest single array: 1GiB. Default: an RX 580's 3.95 GiB.")
    ] = None,
    lengths: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=LENGTHS", help="Lengths of an input: x=1x3x640x640. May be repeated."),
    ] = None,
    cpu: Annotated[bool, typer.Option("--cpu", help="For a processor, whose arrays are laid out otherwise.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Say whether a model fits a device's memory: weights, what it computes, the largest array, against limits.

    No device is opened: values are placed as a run places them. What ops need for themselves while they run comes on
    top. A symbolic length that --set does not give is 1. Exit status 1 if it does not fit.

    Example: rx580lab fit ppocrv4-det --memory 4GiB --set x=1x3x640x640
    """
    import rx580lab as rx
    from rx580lab.experiment.model_bench import find_model, parse_lengths

    card = rx.LIMITS["rx580"]
    limits = (card.memory_bytes if memory is None else parse_bytes(memory), largest and parse_bytes(largest))
    with tempfile.TemporaryDirectory() as folder:
        path = find_model(model, Path(folder))
        given = parse_lengths(" ".join(lengths), rx.load(path).inputs) if lengths else {}
        found = rx.graph.fit(
            path,
            given,
            memory_bytes=limits[0],
            allocation_bytes=limits[1] or card.allocation_bytes,
            device_class="cpu" if cpu else "gpu",
        )
    if as_json:
        print_json({**found.as_dict(), "path": model})
    else:
        heading, *rows = found.rows()
        table = Table(box=None, pad_edge=False)
        for title in heading:
            table.add_column(title, justify="left" if title in ("", "verdict") else "right", no_wrap=True)
        for row in rows:
            table.add_row(*row)
        show([Text(found.title.replace(str(path), model)), table, *map(Text, found.notes())])
    if not found.fits:
        raise typer.Exit(1)


def parse_bytes(text: str) -> int:
    """``"4GiB"``, ``"512 MB"``, ``"1000000"`` -> bytes. InputError for anything else, and for less than 1."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmg]i?)?b?\s*", text, re.IGNORECASE)
    n_bytes = int(float(found[1]) * UNITS[(found[2] or "").lower()]) if found else 0
    if n_bytes < 1:
        raise InputError("fit", f"expected a number of bytes such as 4GiB or 512MB, got {text!r}")
    return n_bytes
