"""From flags, environment and a file to settings that hold together, with where each came from, and a check of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from rx580lab.device import open_device
from rx580lab.errors import LabError, ServeError
from rx580lab.serve.folder import check_folder
from rx580lab.serve.keys import Keys
from rx580lab.serve.pepper import read_pepper
from rx580lab.serve.places import default_keys_file
from rx580lab.serve.setting_sources import (
    Given,
    from_assignments,
    from_environment,
    from_file,
    is_secret,
    leaves,
    merged,
)
from rx580lab.serve.settings import COMPLETE, PREFIX, Settings
from rx580lab.serve.sockets import bind, room_for

__all__ = ["Configuration", "as_yaml", "configure", "problems_of"]

_SHOWN = 60


@dataclass(frozen=True)
class Configuration:
    """``places``: dotted name -> the flag, variable or file that set it; what is missing has its default."""

    settings: Settings
    places: Mapping[str, str]


def configure(
    flags: Mapping[str, tuple[str, Any]], assignments: Mapping[str, str] | None = None, file: Path | None = None
) -> Configuration:
    """Flags over environment over file over defaults. ServeError with all that is wrong, a line for each.

    Args:
        flags: setting -> (how the flag is written, its value).
        assignments: of ``--set``: dotted name -> text. They are flags too; one set by both is refused.
        file: YAML with the names of the settings.
    """
    by_flag = Given()
    for name, (flag, value) in flags.items():
        by_flag.put(name, value, flag)
    by_set = from_assignments(Settings, assignments or {}, "--set")
    by_set.problems += [
        f"expected {name} once, got {by_flag.places[name]} and --set"
        for name in by_set.places
        if name in by_flag.places
    ]
    by_file = Given() if file is None else from_file(Settings, file)
    given = merged(_mappings(), by_file, from_environment(Settings, PREFIX, os.environ), by_set, by_flag)
    problems = list(given.problems)
    token = COMPLETE.set(True)
    try:
        settings = Settings(**given.values)
    except ValidationError as error:
        problems += [_told(one, given.places) for one in error.errors(include_url=False)]
    except ServeError as error:
        problems.append(error.message)
    finally:
        COMPLETE.reset(token)
    if problems:
        raise ServeError("settings", "\n[settings] ".join(problems))
    return Configuration(settings, given.places)


def _mappings() -> Given:
    """Defaults of settings that are mappings: naming one entry leaves the others as they are."""
    given = Given()
    for name, field in leaves(Settings):
        if get_origin(field.annotation) is dict:
            given.put(name, field.get_default(), "")
    given.places.clear()
    return given


def _told(error: Any, places: Mapping[str, str]) -> str:
    name = ".".join(str(part) for part in error["loc"])
    place = next((places[one] for one in _and_owners(name) if one in places), "")
    if error["type"] == "missing":
        return f"expected {name}, got none; --{name.replace('_', '-')} or {PREFIX}{name.upper()} sets it"
    rest = str(error["msg"]).removeprefix("Input should be ").removeprefix("Value error, ")
    secret = any(is_secret(field) for one, field in leaves(Settings) if one in _and_owners(name))
    shown = "a value that is not shown" if secret else _short(error["input"])
    return f"expected {name} to be {rest}, got {shown}" + (f" ({place})" if place else "")


def _and_owners(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:n]) for n in range(len(parts), 0, -1)]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def as_yaml(configuration: Configuration) -> str:
    """All settings as a file that ``--config`` takes, secrets hidden, with where each came from beside it."""
    lines: list[str] = []
    _write(lines, configuration.settings.model_dump(mode="json"), Settings, configuration.places, "")
    return "".join(f"{line}\n" for line in lines)


def _write(
    lines: list[str], values: Mapping[str, Any], model: type[BaseModel], places: Mapping[str, str], before: str
) -> None:
    indent = "  " * before.count(".")
    for name, value in values.items():
        annotation = model.model_fields[name].annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            lines.append(f"{indent}{name}:")
            _write(lines, value, annotation, places, f"{before}{name}.")
            continue
        text = yaml.safe_dump(value, default_flow_style=True, width=1 << 20).removesuffix("...\n").strip()
        dotted = before + name
        own = {place for one, place in places.items() if one == dotted or one.startswith(f"{dotted}.")}
        lines.append(f"{indent}{name}: {text}  # {', '.join(sorted(own)) or 'default'}")


def problems_of(settings: Settings) -> Iterator[str]:
    """What would keep the server from serving as it is told, beyond settings that are wrong in themselves."""
    for check in (_models, _keys, _device, _audit, _address):
        if (why := _failing(check, settings)) is not None:
            yield why


def _failing(check: Callable[[Settings], None], settings: Settings) -> str | None:
    try:
        check(settings)
    except LabError as error:
        return str(error)
    return None


def _models(settings: Settings) -> None:
    check_folder(settings.models)
    if not any(settings.models.glob("*/*/model.onnx")):
        raise ServeError("models", f"expected NAME/VERSION/model.onnx in {settings.models}, got none")
    missing = [name for name in settings.required if not (settings.models / name).is_dir()]
    if missing:
        raise ServeError("models", f"expected the required models, got no {', '.join(missing)}")


def _keys(settings: Settings) -> None:
    if not (settings.insecure_no_auth or settings.bare):
        keys = Keys(settings.keys or default_keys_file(), read_pepper(settings.pepper_file))
        if keys.fault:  # it would start, but closed
            raise ServeError(str(keys.path), keys.fault)


def _device(settings: Settings) -> None:
    open_device(settings.device)


def _audit(settings: Settings) -> None:
    path = settings.audit_file
    if path is not None and not os.access(path if path.exists() else path.parent, os.W_OK):
        raise ServeError("audit", f"expected a file that can be written, got {path}")


def _address(settings: Settings) -> None:
    room_for(settings.connections)
    for one in bind(settings.host, settings.port):
        one.close()
