"""The command that serves models."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from rx580lab.cli.common import DeviceOption, app, reporting_errors
from rx580lab.errors import ServeError


def need_packages() -> None:
    """ServeError where the packages of the server are not installed."""
    if any(find_spec(name) is None for name in ("flask", "waitress", "limits", "structlog")):
        raise ServeError("serve", "expected the server's packages, got none; pip install 'rx580lab[serve]'")


@app.command()
@reporting_errors
def serve(
    models: Annotated[Path, typer.Option(help="The folder of models: DIR/NAME/VERSION/model.onnx.")],
    keys: Annotated[Path | None, typer.Option(help="The file of keys, as `rx580lab keys` writes it.")] = None,
    device: DeviceOption = None,
    host: Annotated[str, typer.Option(help="The address to bind.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to bind; 0 for any free one.")] = 8000,
    insecure_no_auth: Annotated[
        bool, typer.Option("--insecure-no-auth", help="Serve without keys; on loopback only.")
    ] = False,
) -> None:
    """Serve a folder of models over HTTP until it is told to stop.

    Example: rx580lab serve --models models --keys keys.jsonl
    """
    need_packages()
    from rx580lab.serve.server import serve as run
    from rx580lab.serve.settings import Settings

    raise typer.Exit(
        run(Settings(models=models, keys=keys, device=device, host=host, port=port, insecure_no_auth=insecure_no_auth))
    )
