"""Commands about the keys of the server."""

from __future__ import annotations

import re
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from rx580lab.cli.common import JsonOption, app, print_json, reporting_errors, show
from rx580lab.errors import ServeError
from rx580lab.serve.places import default_keys_file, default_pepper_file

if TYPE_CHECKING:
    from rx580lab.serve.keys import KeyRecord

HELP = """Make, list, rotate and revoke the server's keys.

A key is shown once, when it is made, alone on standard output; the file holds only a hash of it. A server that runs
reads the file again within a second after it changed: what is revoked here is closed there.

[bold]readonly[/bold] sees models and metrics, [bold]user[/bold] infers too, [bold]admin[/bold] loads and unloads too.

Example: rx580lab keys create --role user --label "load test" --expires 30d > key.txt
"""

keys = typer.Typer(no_args_is_help=True, rich_markup_mode="rich", help=HELP)
app.add_typer(keys, name="keys")

KeysOption = Annotated[
    Path | None,
    typer.Option(
        "--keys", envvar="RX580LAB_SERVE_KEYS", show_envvar=True, show_default=False,
        help="The file of keys; by default keys.jsonl in your folder of configuration.",
    ),
]  # fmt: skip
PepperOption = Annotated[
    Path | None,
    typer.Option(
        "--pepper-file", envvar="RX580LAB_SERVE_PEPPER_FILE", show_envvar=True, show_default=False,
        help="The secret that keys are hashed with; by default in your folder of state. Made with the first key.",
    ),
]  # fmt: skip
IdArgument = Annotated[
    str, typer.Argument(metavar="ID", help="The key's id, as `rx580lab keys list` shows it, or how it begins.")
]
ExpiresOption = Annotated[
    str | None, typer.Option(help="When it ends: 30d, 12h, 90m, or a time with its zone, 2027-01-31T12:00Z.")
]


@keys.command()
@reporting_errors
def create(
    role: Annotated[str, typer.Option(help="readonly, user or admin.")],
    label: Annotated[str, typer.Option(help="Whose it is, or what for; up to 100 letters.")] = "",
    expires: ExpiresOption = None,
    models: Annotated[
        str | None, typer.Option(help="Names of the only models that it reaches, by commas. Default: all.")
    ] = None,
    file: KeysOption = None,
    pepper_file: PepperOption = None,
) -> None:
    """Make a key. It is printed once, alone on standard output, and stored nowhere.

    Without --expires it holds until it is revoked.

    Examples:
      rx580lab keys create --role user

      rx580lab keys create --role readonly --label prometheus --expires 90d

      rx580lab keys create --role user --models fashion-mnist,resnet50 --keys keys.jsonl > key.txt
    """
    from rx580lab.serve import key_file
    from rx580lab.serve.keys import KEY_ROLES, make_key

    roles = {one.label: one for one in KEY_ROLES}
    if role.lower() not in roles:
        raise ServeError("keys", f"expected a role of {', '.join(roles)}, got {_shown(role)}")
    names = None if models is None else tuple(name.strip() for name in models.split(","))
    end = _end(expires)
    path = file or default_keys_file()
    pepper = _pepper_for(path, pepper_file or default_pepper_file())
    try:
        key, record = make_key(pepper, roles[role.lower()], label=label, expires=end, models=names)
    except ValueError as error:
        raise ServeError("keys", _complaint(error)) from error
    key_file.add(path, record)
    _hand_over(key, record, path)


@keys.command("list")
@reporting_errors
def list_keys(file: KeysOption = None, as_json: JsonOption = False) -> None:
    """List the keys: id, role, state, label, when made, when it ends, models. Neither keys nor hashes.

    Example: rx580lab keys list --json | jq '.[] | select(.state == "active")'
    """
    from rx580lab.serve.keys import read_keys

    path = file or default_keys_file()
    contents = read_keys(path)
    records = sorted(contents.records, key=lambda record: record.created)
    _say(f"{len(records)} keys in {path}")
    if contents.corrupt:
        lines = ", ".join(map(str, contents.corrupt[:20]))
        _say(f"{len(contents.corrupt)} lines are no keys and open nothing: {lines}")
    if as_json:
        print_json([_entry(record) for record in records])
        return
    table = Table(box=None, pad_edge=False)
    for title in ("id", "role", "state", "label", "created", "expires", "models"):
        table.add_column(title, overflow="fold", no_wrap=title in ("id", "role"))
    for record in records:
        state = f"{record.state()} by {record.replaced_by}" if record.replaced_by else record.state()
        expires = _minute(record.expires) if record.expires else "never"
        reach = "all" if record.models is None else ", ".join(record.models) or "none"
        row = (record.id, record.role, state, record.label, _minute(record.created), expires, reach)
        table.add_row(*(Text(cell) for cell in row))
    show([table])


@keys.command()
@reporting_errors
def rotate(
    key_id: IdArgument,
    grace: Annotated[
        str | None, typer.Option(help="How long the old key still holds: 24h, 7d. Default: it ends at once.")
    ] = None,
    expires: ExpiresOption = None,
    file: KeysOption = None,
    pepper_file: PepperOption = None,
) -> None:
    """Make a key with the role, models and label of another, which ends. Printed as by `create`.

    Without --expires it holds as long as the old one was made for.

    Example: rx580lab keys rotate Ab3dE6gH --grace 24h
    """
    from rx580lab.serve import key_file
    from rx580lab.serve.key_times import duration
    from rx580lab.serve.pepper import read_pepper

    try:
        holds = duration(grace) if grace is not None else None
    except ValueError as error:
        raise ServeError("keys", f"--grace: {error}, got {_shown(grace or '')}") from error
    path = file or default_keys_file()
    pepper = read_pepper(pepper_file or default_pepper_file())
    key, record, old = key_file.rotate(path, pepper, key_id, grace=holds, expires=_end(expires))
    until = f"holds until {_minute(old.expires)}" if holds is not None and old.expires else "holds no longer"
    _say(f"key {old.id} {until}")
    _hand_over(key, record, path)


@keys.command()
@reporting_errors
def revoke(key_id: IdArgument, file: KeysOption = None) -> None:
    """End a key at once. It stays in the list; there is no way back.

    Example: rx580lab keys revoke Ab3dE6gH
    """
    from rx580lab.serve import key_file

    path = file or default_keys_file()
    before, after = key_file.revoke(path, key_id)
    already = ", as it was before" if before.disabled else ""
    _say(f"key {after.id} ({after.role}{_label(after)}) in {path} is revoked{already}")


def _hand_over(key: str, record: KeyRecord, path: Path) -> None:
    end = f"until {_minute(record.expires)}" if record.expires else "until it is revoked"
    reach = "" if record.models is None else f", for {', '.join(record.models)} only"
    _say(f"key {record.id} of role {record.role}{_label(record)}{reach}, {end}, in {path}; it is shown this once")
    sys.stdout.write(key + "\n")
    sys.stdout.flush()


def _pepper_for(path: Path, pepper_file: Path) -> bytes:
    """The pepper; made with the first key of a file, never beside keys of another, lost one."""
    from rx580lab.serve.keys import read_keys
    from rx580lab.serve.pepper import make_pepper, mark_of, read_pepper
    from rx580lab.serve.private_files import FileMissing

    try:
        records = read_keys(path).records
    except FileMissing:
        records = ()
    pepper = read_pepper(pepper_file) if records else make_pepper(pepper_file)
    others = [record for record in records if record.in_force and record.pepper not in ("", mark_of(pepper))]
    if others:
        raise ServeError(
            str(path),
            f"expected keys of the pepper in {pepper_file}, got {len(others)} of another; --pepper-file names it",
        )
    return pepper


def _end(expires: str | None) -> datetime | None:
    from rx580lab.serve.key_times import expiry

    try:
        return None if expires is None else expiry(expires)
    except ValueError as error:
        raise ServeError("keys", f"--expires: {error}, got {_shown(expires or '')}") from error


def _entry(record: KeyRecord) -> dict[str, object]:
    whole = record.model_dump(
        mode="json", include={"id", "role", "label", "created", "expires", "models", "replaced_by"}
    )
    return {**whole, "state": record.state()}


def _complaint(error: ValueError) -> str:
    """What pydantic found, in one line, without what was given."""
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_input=False, include_url=False)[0]
    return f"--{first['loc'][0]}: {first['msg'].removeprefix('Value error, ')}"


def _label(record: KeyRecord) -> str:
    return f' "{record.label}"' if record.label else ""


def _minute(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M %z")


def _shown(text: str) -> str:
    # Somebody may have pasted a key in the wrong place.
    return text if re.fullmatch(r"[\w:+.-]{1,32}", text) and "rx580_" not in text else "something else"


def _say(text: str) -> None:
    show([Text(text)], stderr=True)
