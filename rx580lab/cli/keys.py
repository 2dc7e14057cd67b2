"""Commands about the keys of the server."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from rx580lab.cli.common import app, reporting_errors

keys = typer.Typer(
    no_args_is_help=True, rich_markup_mode="rich", help="Make, list, rotate and revoke the server's keys."
)
app.add_typer(keys, name="keys")

KeysOption = Annotated[Path, typer.Option("--keys", help="The file of keys.")]
PepperOption = Annotated[
    Path | None,
    typer.Option("--pepper-file", help="The secret that keys are hashed with; by default in the state folder."),
]


@keys.command()
@reporting_errors
def create(
    role: Annotated[str, typer.Option(help="readonly, user or admin.")],
    file: KeysOption = Path("keys.jsonl"),
    pepper_file: PepperOption = None,
    label: Annotated[str, typer.Option(help="Whose it is, or what for.")] = "",
) -> None:
    """Make a key. It is printed once, alone on standard output, and never stored.

    Example: rx580lab keys create --role user --label "load test"
    """
    from rx580lab.serve.keys import make_key
    from rx580lab.serve.pepper import make_pepper
    from rx580lab.serve.roles import Role
    from rx580lab.serve.settings import Settings

    path = pepper_file or Settings.model_fields["pepper_file"].get_default(call_default_factory=True, validated_data={})
    key, record = make_key(make_pepper(path), Role[role.upper()], label=label)
    with file.open("a", encoding="utf-8") as stream:
        stream.write(record.model_dump_json() + "\n")
    sys.stdout.write(key + "\n")
