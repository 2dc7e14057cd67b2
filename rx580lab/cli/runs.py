"""Commands about experiments: run them, draw their reports, compare what they found."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from rx580lab.cli.common import (
    DeviceOption,
    JsonOption,
    OutputOption,
    ReportsOption,
    app,
    print_json,
    reporting_errors,
    show,
)


@app.command()
@reporting_errors
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
        print_json({"path": str(outcome.path), "ok": outcome.ok, "status": outcome.status, "reason": outcome.reason})
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
@reporting_errors
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
        print_json([str(page) for page in pages])
    else:
        sys.stdout.write("".join(f"{page}\n" for page in pages))


@app.command()
@reporting_errors
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
        print_json({**pair.as_dict(), "page": str(page)})
    else:
        show(comparison_table(pair), stderr=True)
        sys.stdout.write(f"{page}\n")


@app.command()
@reporting_errors
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
        print_json({**found.as_dict(), "page": str(page)})
    else:
        show(history_table(found), stderr=True)
        sys.stdout.write(f"{page}\n")


@app.command()
@reporting_errors
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
        print_json({"path": str(path), "run": made.run, "points": len(made.points), "forced": made.forced})
    else:
        sys.stdout.write(f"{path}\n")
