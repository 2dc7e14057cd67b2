"""All settings of the server in one typed schema: flags over environment over file over defaults.

In a YAML file the names are those of the fields, nested as here; in the environment ``RX580LAB_SERVE_PORT`` is ``port``
and ``RX580LAB_SERVE_BATCHING__MAX_ROWS`` is ``batching.max_rows``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextvars import ContextVar
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from rx580lab.errors import ServeError
from rx580lab.serve.places import default_pepper_file
from rx580lab.serve.setting_sources import from_environment

__all__ = ["COMPLETE", "PREFIX", "Batching", "Caps", "Limits", "Settings", "Waiting", "is_loopback"]

MIB = 1 << 20
# Threads that no request for the device may take.
RESERVE = 8
Share = Annotated[float, Field(gt=0, le=1)]
PerMinute = Annotated[int, Field(ge=1, le=10_000_000)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]


# An origin as a browser sends it (RFC 6454): no path, no wildcard, lower case, and not the scheme's own port.
_ORIGIN = re.compile(
    r"(?!https:.*:443$|http:.*:80$)https?://(?:[a-z0-9-]+(?:\.[a-z0-9-]+)*|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?"
)
# A name with a dot in front stands for all below it.
_HOST = re.compile(r"\.?[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*|\[[0-9A-Fa-f:.]+\]")
PREFIX = "RX580LAB_SERVE_"
# Whether the environment has been read already, by whoever gives the values (``configuration``).
COMPLETE: ContextVar[bool] = ContextVar("settings_complete", default=False)


class _Environment(PydanticBaseSettingsSource):
    """``RX580LAB_SERVE_...``. ServeError where a name is unknown: a limit that is misspelled would not hold."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Part of the base class's interface; all values are read at once here."""
        return self().get(field_name), field_name, field.default_factory is None

    def __call__(self) -> dict[str, Any]:
        """All values, nested."""
        if COMPLETE.get():
            return {}
        given = from_environment(self.settings_cls, PREFIX, os.environ)
        if given.problems:
            raise ServeError("settings", "\n[settings] ".join(given.problems))
        return given.values


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Limits(_Group):
    """Requests a minute, by role and by class of route.

    A class that is listed holds beside the role's limit, and whichever is used up first refuses; on public routes it
    holds alone, so it may be larger. Every request counts as one. What was asked counts for 60 to 61 seconds.
    """

    public: PerMinute = Field(100, description="each address, before and without a key")
    readonly: PerMinute = Field(100, description="each key that may only look")
    user: PerMinute = Field(1_000, description="each key that may infer")
    admin: PerMinute = Field(10_000, description="each key that may load and unload")
    routes: dict[str, PerMinute] = Field(
        default={"health": 1_000, "metrics": 100, "models": 200, "load": 10, "unload": 20, "documents": 100},
        description="class of route -> requests a minute of one key, or of one address without one",
    )
    addresses: int = Field(100_000, ge=1024, description="clients counted one by one; more than these share counts")
    adaptive: bool = Field(True, description="give less than these while requests wait too long for the device")
    queue_wait_target_ms: float = Field(100.0, gt=0, description="what a request may wait before less is given")
    shared_store: SecretStr | None = Field(None, description="redis://... shares the limits between processes")
    store_timeout_s: float = Field(0.1, gt=0, le=5, description="for the shared store to answer, then it is lost")
    without_store: Share = Field(0.5, description="part of each limit that holds while the shared store is lost")


class Caps(_Group):
    """What one request may be; more is refused before it costs."""

    body_bytes: int = Field(32 * MIB, ge=1024, description="a body as it is sent")
    decompressed_bytes: int = Field(64 * MIB, ge=1024, description="a body after gzip or deflate")
    decompression_ratio: float = Field(200.0, ge=1, description="how many times larger than sent; above 1 MiB only")
    header_json_bytes: int = Field(1 * MIB, ge=1024, description="the JSON header before binary tensors")
    json_bytes: int = Field(16 * MIB, ge=1024, description="a body that is all JSON; tensors can come as bytes instead")
    json_lists: int = Field(1 << 18, ge=64, description="lists, objects and texts in JSON over 1 MiB")
    tensors: int = Field(64, ge=1, description="inputs or outputs named in one request")
    rank: int = Field(8, ge=1, le=32, description="dimensions of a tensor")
    elements: int = Field(1 << 26, ge=1, description="of one tensor")
    rows: int = Field(1024, ge=1, description="along the batch axis of one request")
    json_depth: int = Field(32, ge=2, description="lists and objects within each other")


class Batching(_Group):
    """How requests of one model share a launch; a model's own file may say otherwise."""

    max_rows: int = Field(32, ge=1, le=4096, description="along the batch axis of one launch")
    max_bytes: int = Field(64 * MIB, ge=1, description="of the inputs of one launch")
    max_delay_ms: float = Field(0.0, ge=0, le=1000, description="how long the first request waits for company")
    queue: int = Field(256, ge=1, le=65_536, description="requests that may wait for one model; more get a 503")


class Waiting(_Group):
    """How long things may take."""

    request_s: Seconds = Field(30.0, description="from arrival to the launch; the client may ask for less")
    receive_s: Seconds = Field(30.0, description="for a client to send a whole request")
    answer_s: Seconds = Field(300.0, description="for a client to read a whole answer")
    bytes_per_s: int = Field(128, ge=0, description="slower than this for 5 s, either way, and the connection is cut")
    idle_s: Seconds = Field(5.0, description="without a byte, then the connection is cut")
    drain_s: Seconds = Field(30.0, description="for requests in flight after SIGTERM")
    notice_s: float = Field(1.0, ge=0, le=600, description="between ready going false and the end of accepting")


class Settings(BaseSettings):
    """Everything that can be set. Nothing here is changed after the start."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True)

    models: Path = Field(description="the folder of models: DIR/NAME/VERSION/model.onnx")
    keys: Path | None = Field(None, description="the file of keys, as `rx580lab keys` writes it")
    pepper_file: Path = Field(
        default_factory=default_pepper_file,
        description="the secret that stored keys are hashed with; kept apart from them",
    )
    device: str | None = Field(None, description="as `rx580lab devices` shows it; none: the best one")
    host: str = Field("127.0.0.1", min_length=1, description="the address to bind; localhost: both of loopback's")
    port: int = Field(8000, ge=0, le=65_535, description="0: any free one")
    insecure_no_auth: bool = Field(False, description="serve without keys; on loopback only")
    query_keys: bool = Field(False, description="take readonly keys from ?api_key= of a GET too")
    trusted_proxies: int = Field(0, ge=0, le=8, description="proxies in front whose X-Forwarded-For counts")
    trusted_hosts: tuple[str, ...] = Field((), description="host names that requests may ask for; none: any")
    cors_origins: tuple[str, ...] = Field((), description="web origins whose pages may call; never *")
    memory_bytes: int | None = Field(None, ge=1, description="device memory for models; none: 80 % of the device's")
    load: bool = Field(True, description="load all models at the start; otherwise each when it is first asked for")
    required: tuple[str, ...] = Field((), description="models without which ready is false; none: all that loaded")
    manifest: bool = Field(False, description="load only what SHA256SUMS in the folder of models lists")
    uploads: bool = Field(False, description="let an admin's load request bring files of the model along")
    threads: int | None = Field(
        None, ge=RESERVE + 1, le=1024, description=f"none: two for each row of a batch, and {RESERVE} for the rest"
    )
    connections: int = Field(2000, ge=16, le=60_000, description="open at one time; the oldest idle ones give way")
    audit_file: Path | None = Field(None, description="where the audit log goes; none: standard error")
    bare: bool = Field(False, description="for the benchmark alone: no authentication, limits or audit; loopback only")
    limits: Limits = Field(Limits(), description="requests a minute")
    caps: Caps = Field(Caps(), description="what one request may be")
    batching: Batching = Field(Batching(), description="how requests share a launch")
    waiting: Waiting = Field(Waiting(), description="how long things may take")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What is given by name, then the environment, with names that are unknown refused."""
        del env_settings, dotenv_settings, file_secret_settings
        return init_settings, _Environment(settings_cls)

    @model_validator(mode="after")
    def _agrees(self) -> Settings:
        if problems := list(contradictions(self)):
            raise ServeError("settings", "\n[settings] ".join(problems))
        return self

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        return is_loopback(self.host)

    @property
    def n_threads(self) -> int:
        """Each waiting request holds one."""
        return self.threads or max(16, 2 * self.batching.max_rows) + RESERVE

    @property
    def places(self) -> int:
        """Requests that may wait for the device at one time; the other threads are for health and the like."""
        return self.n_threads - RESERVE


def is_loopback(host: str) -> bool:
    """Whether an address, or the name ``localhost``, is reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def contradictions(settings: Settings) -> Iterator[str]:
    """Settings that are right one by one, and cannot hold together."""
    for name in ("insecure_no_auth", "bare"):
        if getattr(settings, name) and not settings.loopback:
            yield f"expected a loopback host with {name}, got {settings.host}"
        if getattr(settings, name) and settings.trusted_proxies:
            yield f"expected no trusted_proxies with {name}, got {settings.trusted_proxies}"
    if settings.insecure_no_auth and settings.keys is not None:
        yield "expected either keys or insecure_no_auth, got both"
    for origin in settings.cors_origins:
        if not _ORIGIN.fullmatch(origin):
            yield f"expected cors_origins as https://name or https://name:port, got {origin[:80]!r}"
    for host in settings.trusted_hosts:
        if not _HOST.fullmatch(host):
            yield f"expected trusted_hosts as names without scheme and port, got {host[:80]!r}"
    caps = settings.caps
    if caps.decompressed_bytes < caps.body_bytes:
        yield (f"expected caps.decompressed_bytes of at least caps.body_bytes, {caps.body_bytes}, "
               f"got {caps.decompressed_bytes}")  # fmt: skip
    if settings.places < settings.batching.max_rows:
        yield (f"expected threads of at least batching.max_rows and {RESERVE} more, "
               f"{settings.batching.max_rows + RESERVE}, got {settings.n_threads}")  # fmt: skip
