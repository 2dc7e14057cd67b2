"""What a model's own file, ``<name>/model.yml``, or a load request may say about how it is served."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from rx580lab.errors import ServeError
from rx580lab.serve.settings import Batching, Settings

__all__ = ["FILE", "Latest", "ModelSettings", "Specific", "chosen", "overridden", "read_model_settings"]

FILE = "model.yml"
LARGEST_FILE_BYTES = 64 << 10
Length = Annotated[int, Field(ge=1, le=1 << 20)]
Version = Annotated[int, Field(ge=0, le=999_999_999)]


class Latest(BaseModel):
    """Only the ``latest`` versions, this many."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    latest: int = Field(ge=1, le=1000)


class Specific(BaseModel):
    """Only these versions."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    specific: tuple[Version, ...] = Field(min_length=1, max_length=1000)


class ModelSettings(BaseModel):
    """How one model is served; what is left out is as the server's settings say."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_rows: int | None = Field(None, ge=1, le=4096, description="along the batch axis of one launch")
    max_delay_ms: float | None = Field(None, ge=0, le=1000, description="how long the first request waits for company")
    queue: int | None = Field(None, ge=1, le=65_536, description="requests that may wait; more get a 503")
    request_s: float | None = Field(None, gt=0, le=86_400, description="from arrival to the launch")
    version_policy: Literal["all"] | Latest | Specific = Field("all", description="which versions are loaded")
    lengths: dict[str, Length] = Field(
        default_factory=dict, description="symbolic axis (or `input.number of the axis`) -> its length at warm-up"
    )
    # YAML reads the word off as false.
    batching: Annotated[Literal["auto", "off"], BeforeValidator(lambda one: "off" if one is False else one)] = Field(
        "auto", description="off: requests never share a launch"
    )
    required: bool = Field(False, description="ready is false without it, and it is never unloaded for another")

    def batching_of(self, settings: Settings) -> Batching:
        """The server's, with what this model says otherwise."""
        own = {"max_rows": self.max_rows, "max_delay_ms": self.max_delay_ms, "queue": self.queue}
        return settings.batching.model_copy(update={name: one for name, one in own.items() if one is not None})


def read_model_settings(folder: Path) -> ModelSettings:
    """That of ``folder/model.yml``; the defaults where there is none. ServeError for a file that is wrong."""
    path = folder / FILE
    try:
        if not path.is_file():
            return ModelSettings()
        if path.stat().st_size > LARGEST_FILE_BYTES:
            raise ServeError(FILE, f"expected at most {LARGEST_FILE_BYTES} bytes, got {path.stat().st_size}")
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ServeError(FILE, f"expected a file that can be read: {type(error).__name__}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise ServeError(FILE, f"expected YAML: {str(error)[:200]}") from error
    return _checked(FILE, {} if found is None else found)


def overridden(base: ModelSettings, config: Mapping[str, Any] | str, name: str) -> ModelSettings:
    """``base`` with a load request's configuration over it: fields of ``ModelSettings``, or of the V2 protocol's own.

    Of the protocol's model configuration ``max_batch_size`` (0: requests never share a launch), ``version_policy`` and
    ``dynamic_batching.max_queue_delay_microseconds`` are heeded; what only describes the model is taken and ignored, so
    that a configuration which the server itself gave can come back. ServeError for anything else.
    """
    if isinstance(config, str):
        try:
            config = json.loads(config)
        except (ValueError, RecursionError) as error:
            raise ServeError("config", f"expected JSON: {str(error)[:200]}") from error
    if not isinstance(config, Mapping):
        raise ServeError("config", f"expected an object, got {type(config).__name__}")
    given = {field: value for field, value in config.items() if field not in _DESCRIBES}
    if config.get("name", name) != name:
        raise ServeError("config", "expected the name of the model that is loaded")
    if "max_batch_size" in given:
        most = given.pop("max_batch_size")
        given |= {"batching": "off"} if most == 0 else {"max_rows": most, "batching": "auto"}
    dynamic = given.pop("dynamic_batching", None)
    if isinstance(dynamic, Mapping) and "max_queue_delay_microseconds" in dynamic:
        given["max_delay_ms"] = _number(dynamic["max_queue_delay_microseconds"]) / 1000
    if isinstance(given.get("version_policy"), Mapping):
        given["version_policy"] = _policy(given["version_policy"])
    return _checked("config", {**base.model_dump(exclude_unset=True), **given})


def chosen(policy: Literal["all"] | Latest | Specific, versions: Iterable[str]) -> set[str]:
    """Of these versions the ones to load."""
    numbered = sorted(versions, key=int)
    if isinstance(policy, Latest):
        return set(numbered[-policy.latest :])
    if isinstance(policy, Specific):
        return {one for one in numbered if int(one) in policy.specific}
    return set(numbered)


# Fields of the protocol's model configuration that say what a model is; the file itself says it here.
_DESCRIBES = frozenset(
    {"name", "platform", "backend", "runtime", "input", "output", "default_model_filename", "instance_group",
     "parameters", "model_warmup", "optimization"}
)  # fmt: skip


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise ServeError("config", "expected a number as max_queue_delay_microseconds") from error


def _policy(given: Mapping[str, Any]) -> Any:
    """The protocol's ``{"latest": {"num_versions": 1}}`` as ours; what is ours already stays."""
    kind, value = next(iter(given.items()), ("", None))
    if len(given) != 1 or not isinstance(value, Mapping):
        return dict(given)
    if kind == "all":
        return "all"
    inside = {"latest": "num_versions", "specific": "versions"}.get(kind)
    return {kind: value.get(inside, 1)} if inside else dict(given)


def _checked(where: str, given: Any) -> ModelSettings:
    try:
        return ModelSettings.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))[:100]
        raise ServeError(where, f"{place or 'the whole'}: {first['msg'][:200]}") from None
