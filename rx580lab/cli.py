"""The command ``rx580lab``: look at devices, check them, run experiments, draw reports.

Every error of ours ends with one line on standard error and exit status 1; wrong usage with 2. What a program would
read goes to standard output (``--json``), everything for people goes to standard error.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, NoReturn, ParamSpec, TypeVar

import typer
from rich.console import Console, RenderableType
from rich.text import Text

import rx580lab
from rx580lab.errors import LabError

P = ParamSpec("P")
R = TypeVar("R")

HELP = """Benchmarks, checks and reports for OpenCL devices, made for the RX 580 (Polaris, gfx803).

Start with [bold]rx580lab devices[/bold] (what is here), [bold]rx580lab selftest[/bold] (does it compute right) and
[bold]rx580lab run bench/quickstart[/bold] (how quick is it). Nothing here has been measured on a card yet.
"""

app = typer.Typer(
    name="rx580lab", help=HELP, no_args_is_help=True, add_completion=False, rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]}, pretty_exceptions_enable=False,
)  # fmt: skip

DeviceOption = Annotated[
    str | None,
    typer.Option(
        "--device", "-d", envvar="RX580LAB_DEVICE", show_envvar=True,
        help='Device by name, as `rx580lab devices` shows it: "pocl", "RX 580". Default: the best one here.',
    ),
]  # fmt: skip
LimitsOption = Annotated[
    str | None,
    typer.Option(envvar="RX580LAB_LIMITS", show_envvar=True, help='"rx580" holds the device to that card\'s limits.'),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on standard output, for programs.")]
ReportsOption = Annotated[
    Path | None,
    typer.Option("--reports", envvar="RX580LAB_REPORTS", show_envvar=True, help="Where runs are kept: ./reports."),
]
OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", help="Where the page goes: an .html file, or a folder for it.")
]


def _fail(error: LabError) -> NoReturn:
    Console(stderr=True, highlight=False, soft_wrap=True).print(Text(f"rx580lab: {error}", style="red"))
    raise typer.Exit(1)


def _reporting_errors(command: Callable[P, R]) -> Callable[P, R]:
    @wraps(command)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except LabError as error:
            _fail(error)

    return guarded


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, sort_keys=True) + "\n")


def _version(asked: bool) -> None:
    if asked:
        sys.stdout.write(f"rx580lab {rx580lab.__version__}\n")
        raise typer.Exit


@app.callback()
def main_options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of every command."""
    del version


@app.command()
@_reporting_errors
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
        _print_json([info.as_dict() for info in found])
    else:
        from rx580lab.report.terminal import devices_table

        _show(devices_table(found))
    if probe and not any(info.usable for info in found):
        raise typer.Exit(1)


def _show(parts: Iterable[RenderableType], *, stderr: bool = False) -> None:
    """Tables fit the terminal; lines are left to it, so that what they name can be copied whole."""
    for part in parts:
        Console(stderr=stderr, highlight=False, soft_wrap=isinstance(part, Text)).print(part)


@app.command()
@_reporting_errors
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
        _print_json(report.as_dict())
    else:
        from rx580lab.report.terminal import selftest_table

        _show(selftest_table(report))
    if not report.ok:
        raise typer.Exit(1)


@app.command()
@_reporting_errors
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
        _print_json([one.as_dict() | ({"isa": one.isa} if isa else {}) for one in views])
    else:
        _show(views_lines(views))
        if isa:
            sys.stdout.write("".join(f"\n{one.kernel}:\n{one.isa}\n" for one in views))
    if not all(one.ok for one in views):
        raise typer.Exit(1)


@app.command()
@_reporting_errors
def run(
    spec: Annotated[str, typer.Argument(metavar="SPEC", help="A YAML file, or a shipped experiment: bench/gemm.")],
    assignments: Annotated[
        list[str] | None, typer.Option("--set", metavar="K=V", help="Set a parameter; may be given several times.")
    ] = None,
    device: DeviceOption = None,
    ci: Annotated[
        bool, typer.Option("--ci", help="The small version; speed gates are reported, not enforced.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an unfinished run; it is an error if none.")
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="A new run, even where a killed one could be resumed.")
    ] = False,
    reports: ReportsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run an experiment; the last line of standard output is the run's folder.

    The specification is checked before anything starts. Without --resume or --fresh, a run of the same specification,
    code and device that was killed is resumed, and otherwise a new one begins. Exit status 1 if a cell, an oracle or
    a gate fails.

    Example: rx580lab run bench/gemm --set shape=512x512x512 --device pocl
    """
    from rx580lab.experiment import run_spec
    from rx580lab.experiment.grammar import leave_out_iri_grammar
    from rx580lab.experiment.places import find_experiment
    from rx580lab.experiment.progress import LiveProgress

    leave_out_iri_grammar()
    if resume and fresh:
        raise typer.BadParameter("expected --resume or --fresh, got both")
    overrides = dict(_assignment(text) for text in assignments or [])
    with LiveProgress() as progress:
        outcome = run_spec(
            find_experiment(spec), device=device, overrides=overrides, ci=ci,
            mode="resume" if resume else "fresh" if fresh else "new", reports=reports, progress=progress,
        )  # fmt: skip
    if as_json:
        _print_json({"path": str(outcome.path), "ok": outcome.ok, "status": outcome.status, "reason": outcome.reason})
    else:
        sys.stdout.write(f"{outcome.path}\n")
    if not outcome.ok:
        raise typer.Exit(1)


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise typer.BadParameter(f"expected --set name=value, got {text!r}")
    return name, value


@app.command()
@_reporting_errors
def report(
    folders: Annotated[
        list[Path] | None, typer.Argument(metavar="[RUN]...", help="Run folders; none means all of --reports.")
    ] = None,
    reports: ReportsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Draw the pages of runs again, and the index of all runs.

    Example: rx580lab report reports/bench/gemm/20261124T101500Z-1a2b3c
    """
    from rx580lab.report import render_index, render_run
    from rx580lab.results import reports_root, runs

    root = reports_root(reports)
    chosen = [folder.resolve() for folder in folders] if folders else [found.path for found in runs(root)]
    pages = [render_run(folder) for folder in chosen]
    pages.append(render_index(root))
    if as_json:
        _print_json([str(page) for page in pages])
    else:
        sys.stdout.write("".join(f"{page}\n" for page in pages))


@app.command()
@_reporting_errors
def compare(
    first: Annotated[
        Path, typer.Argument(metavar="A", help="A run folder, or a baseline's .json file: the older one.")
    ],
    second: Annotated[Path, typer.Argument(metavar="B", help="A run folder or baseline of the same experiment.")],
    output: OutputOption = None,
    min_effect: Annotated[
        float, typer.Option(min=0, help="The least relative change between runs that counts.")
    ] = 0.05,
    as_json: JsonOption = False,
) -> None:
    """Compare two runs of one experiment: what differs about them first, then every figure with a verdict on B.

    The page compare.html is written into B's run folder (or beside A if B is a baseline), or to --output. Different
    devices or drivers get no verdict. Exit status 0 whatever the verdicts are.

    Example: rx580lab compare reports/baseline/gemm.json reports/bench/gemm/20261124T101500Z-1a2b3c
    """
    from rx580lab.report.compare import compare_evidence, render_compare
    from rx580lab.report.terminal import comparison_table
    from rx580lab.results.baseline import read_evidence

    a, b = read_evidence(first), read_evidence(second)
    pair = compare_evidence(a, b, min_effect=min_effect)
    beside = next((side.path for side in (b, a) if not side.is_baseline), second.parent)
    page = render_compare(pair, output or beside)
    if as_json:
        _print_json({**pair.as_dict(), "page": str(page)})
    else:
        _show(comparison_table(pair), stderr=True)
        sys.stdout.write(f"{page}\n")


@app.command()
@_reporting_errors
def history(
    experiment: Annotated[
        str, typer.Argument(metavar="EXPERIMENT", help="As in the reports folder: bench/gemm, gemm.")
    ],
    metric: Annotated[
        str | None, typer.Option(help="Metrics whose name contains this; default: our own times.")
    ] = None,
    output: OutputOption = None,
    reports: ReportsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Follow an experiment's figures over all its runs, and say where a level changed and what changed with it.

    The page history.html is written beside the runs, or to --output.

    Example: rx580lab history bench/gemm --metric speed_ratio
    """
    from rx580lab.report.history import find_experiment, load_history, render_history
    from rx580lab.report.terminal import history_table
    from rx580lab.results import reports_root

    root = reports_root(reports)
    found = load_history(root, *find_experiment(root, experiment), metric=metric)
    page = render_history(root, found, output)
    if as_json:
        _print_json({**found.as_dict(), "page": str(page)})
    else:
        _show(history_table(found), stderr=True)
        sys.stdout.write(f"{page}\n")


@app.command()
@_reporting_errors
def baseline(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="The run folder that was looked at and found good.")],
    force: Annotated[
        bool, typer.Option("--force", help="Take it although it failed, was killed or is of CI size.")
    ] = False,
    reports: ReportsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a run the baseline of its experiment: reports/baseline/<experiment>.json, to be committed.

    It holds metrics, samples and environment, and no path of this machine. Every later run of the experiment is
    compared with it, and its report says how it stands.

    Example: rx580lab baseline reports/bench/gemm/20261124T101500Z-1a2b3c
    """
    from rx580lab.results import RunFolder, reports_root
    from rx580lab.results.baseline import baseline_from, write_baseline

    made = baseline_from(RunFolder.open(folder), force=force)
    path = write_baseline(reports_root(reports), made, force=force)
    if made.forced:
        Console(stderr=True, highlight=False, soft_wrap=True).print(
            Text(f"taken all the same: {made.forced}", "yellow")
        )
    if as_json:
        _print_json({"path": str(path), "run": made.run, "points": len(made.points), "forced": made.forced})
    else:
        sys.stdout.write(f"{path}\n")


def main() -> None:
    """Entry point of the installed command."""
    # A closed pipe (`rx580lab devices | head`) ends us quietly, as it does other commands.
    try:
        app()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
