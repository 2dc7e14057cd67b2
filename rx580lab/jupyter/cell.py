"""What stands behind ``%%opencl``: its first line understood, its kernels built, errors told by its own lines."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from rx580lab.compile import Kernel, expanded_source, load_sources
from rx580lab.device import Device
from rx580lab.errors import BuildError, InputError

__all__ = ["CellOptions", "CellSource", "build_cell", "parse_line"]

NAME = "cell"
# Arguments are converted to the types that the kernel declares, so the driver must keep them.
BUILD_OPTIONS = ("-cl-kernel-arg-info",)
_PLACE = re.compile(rf'"?(?<![\w.]){NAME}"?(?::|, line )(?P<line>\d+)(?::(?P<column>\d+))?:?\s*')


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError("%%opencl", f"{message}; %opencl lists what it takes")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        raise InputError("%%opencl", message or f"ended with {status}")


@dataclass
class CellOptions:
    """The first line of a cell. Values are Python expressions in the notebook's names, unless said otherwise."""

    kernel: str | None = None
    bench: bool = False
    args: list[str] = field(default_factory=list)
    oracle: str | None = None
    tolerance: str | None = None
    out: str | None = None
    global_size: list[str] = field(default_factory=list)
    local_size: list[str] = field(default_factory=list)
    against: str | None = None
    samples: int = 30
    time_limit: float = 60.0
    device: str | None = None
    define: list[str] = field(default_factory=list)
    option: list[str] = field(default_factory=list)
    goes_wrong: bool = False
    help: bool = False


def _parser() -> _Parser:
    parser = _Parser(
        prog="%%opencl",
        add_help=False,
        description="Builds the cell's OpenCL C; each kernel goes by its name in the notebook.",
        epilog="Values are Python expressions without blanks, or quoted: --global n//4 --args x y 2.5",
    )
    add = parser.add_argument
    add("kernel", nargs="?", help="the kernel to time, where the cell has several")
    add("--bench", action="store_true", help="check it against an oracle and time it, in a process of its own")
    add("--args", nargs="+", default=[], metavar="VALUE", help="one per argument: arrays, numbers, bytes of __local")
    add("--oracle", metavar="NAME", help="a function of the arguments without the output; gives what is right")
    add("--tolerance", metavar="VALUE", help="largest absolute error; else NAME_tolerance(...), else 1e-5 of a value")
    add("--out", metavar="NAME", help="the kernel's argument that it writes, where more than one is not const")
    add("--global", dest="global_size", nargs="+", default=[], metavar="N", help="work-items; else the output's size")
    add("--local", dest="local_size", nargs="+", default=[], metavar="N", help="work-items of a group")
    add("--against", metavar="NAME", help="race it with a kernel that was benched before; its own name: as it was")
    add("--samples", type=int, default=30, metavar="N", help="samples to take (30)")
    add("--time-limit", type=float, default=60.0, metavar="S", help="then the process is ended (60 s)")
    add("--device", metavar="VALUE", help="a Device; else the notebook's device, else the best one here")
    add("-D", dest="define", action="append", default=[], metavar="NAME=VALUE", help="a macro; VALUE is an expression")
    add("--option", action="append", default=[], metavar="TEXT", help="an option of the compiler: --option=-w")
    add("--goes-wrong", action="store_true", help="it is meant to: the error is shown, not raised; none is an error")
    add("-h", "--help", action="store_true", help="show this text")
    return parser


def parse_line(line: str) -> CellOptions:
    """The options of a cell's first line. InputError where it cannot be understood."""
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise InputError("%%opencl", f"expected a line whose quotes close, got {line!r}: {error}") from error
    return _parser().parse_args(words, namespace=CellOptions())


def usage() -> str:
    """The text of ``%%opencl --help``."""
    return _parser().format_help()


@dataclass(frozen=True)
class CellSource:
    """A cell as written and as the compiler gets it."""

    written: str
    text: str
    options: tuple[str, ...]


def build_cell(
    device: Device, body: str, macros: Mapping[str, int | float | str], options: tuple[str, ...]
) -> tuple[CellSource, dict[str, Kernel]]:
    """The kernels of a cell by name. BuildError quotes the cell's lines; the line with ``%%opencl`` is number 1."""
    source = CellSource(body, expanded_source(body, NAME, macros, first_line=2), (*BUILD_OPTIONS, *options))
    try:
        kernels = load_sources(device, source.text, source.options, where=NAME)
    except BuildError as error:
        raise BuildError(NAME, f"did not build for {device.selector}", explained(error.log, body)) from error
    if not kernels:
        raise BuildError(NAME, "expected at least one __kernel function, got none")
    return source, kernels


def explained(log: str, body: str) -> str:
    """The compiler's messages, each with the line of the cell that it is about and a mark below the place."""
    written = ["", *body.splitlines()]
    lines: list[str] = []
    for message in log.splitlines():
        place = _PLACE.search(message)
        if place is None:
            lines.append(message)
            continue
        number, column = int(place["line"]), int(place["column"] or 0)
        said = f"{message[: place.start()]}{message[place.end() :]}".strip()
        where = f"line {number}, column {column}" if column else f"line {number}"
        lines.append(f"{where}: {said}")
        if 1 < number <= len(written) and not any(line.startswith(f"{number:>5} |") for line in lines[-3:]):
            quoted = written[number - 1].expandtabs(1)
            lines.append(f"{number:>5} | {quoted}")
            if column:
                lines.append(f"      | {' ' * (column - 1)}^")
    return "\n".join(lines)


def signature(kernel: Kernel) -> str:
    """A kernel's name and its arguments, as far as the driver kept them."""
    name = kernel.name.partition(":")[2]
    found = kernel.parameters
    if found is None:
        return f"{name}(...)"
    spaces = {"private": ""}
    words = [
        f"{spaces.get(one.space, one.space)} {'const ' if one.is_const else ''}{one.type_name} {one.name}".strip()
        for one in found
    ]
    return f"{name}({', '.join(words)})"


def macros_of(definitions: list[str], evaluate: Any) -> dict[str, int | float | str]:
    """``NAME=VALUE`` words as macros; a bare NAME is 1."""
    found: dict[str, int | float | str] = {}
    for word in definitions:
        name, equals, value = word.partition("=")
        found[name] = evaluate(value) if equals else 1
    return found
