"""The command that takes a model apart: which steps its time goes to."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from rx580lab.cli.common import DeviceOption, JsonOption, app, print_json, reporting_errors, show

if TYPE_CHECKING:
    from rx580lab.graph import ModelPlan
    from rx580lab.results.records import StepTime


@app.command()
@reporting_errors
def profile(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A path that ends in .onnx, or a demo model's name.")],
    lengths: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=LENGTHS", help="Lengths of an input: x=1x3x640x640. May be repeated."),
    ] = None,
    device: DeviceOption = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often the whole model runs.")] = 20,
    steps: Annotated[int, typer.Option(min=1, help="How many steps are shown, the dearest first.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Show which steps of a model its time on the device goes to, and how near each comes to the device's roofs.

    Inputs are made by chance; a symbolic length that --set does not give is 1. Times are of kernels, by the device's
    own clock: what the host does between them is not in them.

    Example: rx580lab profile ppocrv4-det --set x=1x3x640x640
    """
    import rx580lab as rx
    from rx580lab.experiment.model_bench import example_inputs, find_model, parse_lengths

    opened = rx.open_device(device)
    protocol = rx.measure.Protocol(n_samples=rounds)
    with tempfile.TemporaryDirectory() as folder, Console(stderr=True, highlight=False).status("") as status:
        status.update("loading")
        loaded = rx.load(find_model(model, Path(folder)), opened)
        inputs = example_inputs(loaded.inputs, parse_lengths(" ".join(lengths or ()), loaded.inputs), seed=0)
        status.update("building kernels")
        loaded.run(inputs)
        plan = loaded.plan(inputs)
        status.update("measuring the device's roofs")
        roofs = rx.measure.measure_roofs(opened, protocol)
        status.update(f"running it {rounds} times")
        found = rx.measure.profile(plan.steps, opened, protocol, roofs)
    if as_json:
        print_json([one.model_dump() for one in found])
    else:
        show(_tables(found, plan, steps))


def _tables(found: list[StepTime], plan: ModelPlan, n_rows: int) -> list[RenderableType]:
    timed = sorted(((one.time_ns.value, one) for one in found if one.time_ns is not None), key=lambda pair: -pair[0])
    total = sum(ns for ns, _ in timed)
    table = Table(box=None, pad_edge=False)
    for title in ("step", "operator", "ops"):
        table.add_column(title, overflow="fold")
    for title in ("launches", "us", "of all", "MFLOP", "MB", "of the roof"):
        table.add_column(title, justify="right", no_wrap=True)
    for ns, one in timed[:n_rows]:
        roof = "" if one.roof_share is None else f"{one.roof_share:.0%} of {one.roof}"
        table.add_row(
            one.node, one.operator, ", ".join(one.ops), str(one.n_launches), f"{ns * 1e-3:.1f}", f"{ns / total:.1%}",
            f"{one.flop * 1e-6:.3g}", f"{one.bytes * 1e-6:.3g}", roof,
        )  # fmt: skip
    left = f", {len(timed) - n_rows} more steps not shown" if len(timed) > n_rows else ""
    words = (
        f"{total * 1e-6:.3f} ms in {sum(one.n_launches for one in found)} launches{left}; "
        f"arena of {plan.arena_bytes / 1e6:.2f} MB"
    )
    return [table, Text(words)]
