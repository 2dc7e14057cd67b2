"""Commands about devices and kernels: what is here, whether it computes right, what an RX 580 would run."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console

import rx580lab
from rx580lab.cli.common import DeviceOption, JsonOption, LimitsOption, app, print_json, reporting_errors, show


@app.command()
@reporting_errors
def devices(
    as_json: JsonOption = False,
    probe: Annotated[bool, typer.Option(help="Build and run a small kernel on each, in a child process.")] = True,
) -> None:
    """List the OpenCL devices here, best first, and say why one is not usable.

    The first column is the name to give to --device. Exit status 1 if none is usable.

    Example: rx580lab devices --json
    """
    from rx580lab.device import list_devices

    found = list_devices(probe=probe)
    if as_json:
        print_json([info.as_dict() for info in found])
    else:
        from rx580lab.report.terminal import devices_table

        show(devices_table(found))
    if probe and not any(info.usable for info in found):
        raise typer.Exit(1)


@app.command()
@reporting_errors
def selftest(
    device: DeviceOption = None,
    limits: LimitsOption = None,
    op: Annotated[list[str] | None, typer.Option("--op", help="Only this op; may be given several times.")] = None,
    soak: Annotated[float, typer.Option(min=0, help="Then repeat for SECONDS on the warm device, bit for bit.")] = 0.0,
    as_json: JsonOption = False,
) -> None:
    """Run every op and template against its oracle on your driver.

    Sizes straddle the edges of tiles and groups and include large ones; guard values past the end show stray writes.
    --soak answers whether driver and memory compute right every time. Exit status 1 if anything is wrong.

    Example: rx580lab selftest --device "RX 580" --soak 600
    """
    from rx580lab.device import open_device
    from rx580lab.selftest import run_selftest

    opened = open_device(device, limits=limits)
    console = Console(stderr=True, highlight=False)
    with console.status(f"selftest on {opened.selector}") as status:
        report = run_selftest(opened, ops=op or None, soak_s=soak, progress=lambda line: status.update(str(line)))
    if as_json:
        print_json(report.as_dict())
    else:
        from rx580lab.report.terminal import selftest_table

        show(selftest_table(report))
    if not report.ok:
        raise typer.Exit(1)


@app.command()
@reporting_errors
def polaris(
    ops: Annotated[list[str] | None, typer.Argument(metavar="[OP]...", help="Only these ops; none means all.")] = None,
    template: Annotated[
        list[str] | None, typer.Option("--template", "-t", help="Only this template; may be given several times.")
    ] = None,
    isa: Annotated[bool, typer.Option("--isa", help="Print the assembly too, on standard output.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the code that an RX 580 (gfx803) would run of an op: registers, LDS, waves, instructions, hot loop.

    Clang compiles what the op's templates build, those for processors left out; nothing runs on a card. Exit status 1
    if a kernel has a call left over, a stack, an undefined symbol, scratch memory, v_fma_f32, or a whole integer
    multiplication in an innermost loop. Clang comes by pip install ziglang==0.13.0, which the dev extra holds.

    Example: rx580lab polaris gemm --template gpu
    """
    from rx580lab import polaris as gfx803
    from rx580lab.polaris.show import views_lines

    with Console(stderr=True, highlight=False).status("compiling for gfx803"):
        views = [one for op in ops or rx580lab.ops.NAMES for one in gfx803.view(op, template)]
    if as_json:
        print_json([one.as_dict() | ({"isa": one.isa} if isa else {}) for one in views])
    else:
        show(views_lines(views))
        if isa:
            sys.stdout.write("".join(f"\n{one.kernel}:\n{one.isa}\n" for one in views))
    if not all(one.ok for one in views):
        raise typer.Exit(1)
