"""What the commands share: the application, their common options, how they print and how they fail.

Every error of ours ends with one line on standard error and exit status 1; wrong usage with 2. What a program would
read goes to standard output (``--json``), everything for people goes to standard error.
"""

from __future__ import annotations

import json
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


def reporting_errors(command: Callable[P, R]) -> Callable[P, R]:
    """``command``, whose errors of ours end in one line on standard error and exit status 1."""

    @wraps(command)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except LabError as error:
            _fail(error)

    return guarded


def print_json(value: Any) -> None:
    """One value on standard output, for programs."""
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


def show(parts: Iterable[RenderableType], *, stderr: bool = False) -> None:
    """Tables fit the terminal; lines are left to it, so that what they name can be copied whole."""
    for part in parts:
        Console(stderr=stderr, highlight=False, soft_wrap=isinstance(part, Text)).print(part)
