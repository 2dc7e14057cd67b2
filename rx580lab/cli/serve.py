"""The command that serves models."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from rx580lab.cli.common import app, reporting_errors, show
from rx580lab.errors import ServeError


def need_packages() -> None:
    """ServeError where the packages of the server are not installed."""
    if any(find_spec(name) is None for name in ("flask", "waitress", "structlog")):
        raise ServeError("serve", "expected the server's packages, got none; pip install 'rx580lab[serve]'")


@app.command()
@reporting_errors
def serve(
    models: Annotated[Path | None, typer.Option(help="The folder of models: DIR/NAME/VERSION/model.onnx.")] = None,
    keys: Annotated[
        Path | None, typer.Option(help="The file of keys, as `rx580lab keys` writes it; by default the user's own.")
    ] = None,
    pepper_file: Annotated[
        Path | None, typer.Option(help="The secret that keys are hashed with; by default in the state folder.")
    ] = None,
    device: Annotated[
        str | None, typer.Option("--device", "-d", help='By name, as `rx580lab devices` shows it: "pocl", "RX 580".')
    ] = None,
    host: Annotated[str | None, typer.Option(help="The address to bind: 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(help="The port to bind, 0 for any free one: 8000.")] = None,
    config: Annotated[Path | None, typer.Option(help="A YAML file of settings, named as --check prints them.")] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Any setting; may be given several times."),
    ] = None,
    log: Annotated[
        Path | None, typer.Option("--log", help="Where the audit log goes; standard error by default.")
    ] = None,
    query_keys: Annotated[
        bool, typer.Option("--query-keys", help="Take readonly keys from ?api_key= of a GET too; they end up in logs.")
    ] = False,
    insecure_no_auth: Annotated[
        bool, typer.Option("--insecure-no-auth", help="Serve without keys; on loopback only.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Serve nothing: check all settings, and print them and their sources.")
    ] = False,
) -> None:
    """Serve a folder of models over HTTP until SIGTERM or Ctrl+C; then finish what is in hand, and end.

    Settings come from flags, then variables (RX580LAB_SERVE_PORT, RX580LAB_SERVE_BATCHING__MAX_ROWS), then --config,
    then defaults. A name that is unknown is an error. --check prints them all as a file that --config takes.

    Exit status: 0 after a drain that cut nothing; 1 where it cannot start, or a request was cut; 130 after a second
    signal, which ends it at once.

    Examples:
    rx580lab keys create --role user --label laptop

    rx580lab serve --models models

    rx580lab serve --models models --insecure-no-auth --port 0

    rx580lab serve --config server.yml --set limits.user=5000 --set batching.max_delay_ms=2 --check
    """
    need_packages()
    from rx580lab.serve.configuration import configure

    given: dict[str, tuple[str, Any]] = {
        "models": ("--models", models),
        "keys": ("--keys", keys),
        "pepper_file": ("--pepper-file", pepper_file),
        "device": ("--device", device),
        "host": ("--host", host),
        "port": ("--port", port),
        "audit_file": ("--log", log),
        "query_keys": ("--query-keys", query_keys or None),
        "insecure_no_auth": ("--insecure-no-auth", insecure_no_auth or None),
    }
    flags = {name: (flag, value) for name, (flag, value) in given.items() if value is not None}
    configuration = configure(flags, dict(_assignment(text) for text in assignments or []), config)
    if check:
        _check(configuration)
        return
    from rx580lab.serve.server import serve as run

    raise typer.Exit(run(configuration.settings))


def _check(configuration: Any) -> None:
    from rx580lab.serve.configuration import as_yaml, problems_of

    sys.stdout.write(as_yaml(configuration))
    sys.stdout.flush()
    problems = list(problems_of(configuration.settings))
    show((Text(problem, "red") for problem in problems), stderr=True)
    if problems:
        raise typer.Exit(1)


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise typer.BadParameter(f"expected --set name=value, got {text!r}")
    return name.strip(), value
