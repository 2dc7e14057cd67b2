"""Run folders: ``<reports>/<kind>/<name>/<UTC>-<6 hex>/`` with ``manifest.json`` and ``points/<key>/``.

A run has a folder of its own, so concurrent runs share nothing. The manifest says ``running`` from the start and is
replaced atomically; if its process is gone, the run was killed, and reading says so.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rx580lab.errors import ResultError
from rx580lab.results.display import manifest_html
from rx580lab.results.files import atomic_write
from rx580lab.results.points import read_point, read_record, write_point
from rx580lab.results.process import host_name, is_alive, own_start
from rx580lab.results.records import Manifest

__all__ = [
    "MANIFEST_FILE",
    "RunFolder",
    "atomic_write",
    "read_point",
    "reports_root",
    "runs",
    "utc_now",
    "write_point",
]

MANIFEST_FILE = "manifest.json"
REPORTS_VARIABLE = "RX580LAB_REPORTS"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_RUN = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{6}")


def utc_now() -> str:
    """This moment in UTC, ISO 8601 with microseconds: the form of every ``started``, ``ended`` and ``at``."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def reports_root(asked: Path | None = None) -> Path:
    """Where runs are kept: what was asked for, else the environment's RX580LAB_REPORTS, else ``./reports``."""
    return asked or Path(os.environ.get(REPORTS_VARIABLE) or "reports")


class RunFolder:
    """One run on disk. ``path`` is its folder; ``manifest`` is read when first asked for."""

    def __init__(self, path: Path, manifest: Manifest | None = None) -> None:
        self.path = path
        self._manifest = manifest

    def __repr__(self) -> str:
        return f"RunFolder({str(self.path)!r})"

    def _repr_html_(self) -> str | None:
        try:
            return manifest_html(self.manifest, str(self.path))
        except ResultError:
            return None  # a run without a readable manifest is shown by its path

    @classmethod
    def create(cls, root: Path, **fields: Any) -> RunFolder:
        """Start a run below ``root``. ``fields`` are those of Manifest that the caller knows: kind, name, spec,
        spec_file, command, points and so on; run, status, pid, process_started, host and started are set here.

        The folder appears with its manifest in it, or not at all. Raises ResultError for a kind or name that is not
        ``[a-z0-9][a-z0-9_-]{0,63}``, and pydantic's ValidationError for wrong fields (a fault of the caller).
        """
        for key in ("kind", "name"):
            _check_name(key, fields.get(key))
        parent = root / fields["kind"] / fields["name"]
        parent.mkdir(parents=True, exist_ok=True)
        owner = {"pid": os.getpid(), "process_started": own_start(), "host": host_name()}
        while True:
            started = utc_now()
            run = f"{started[:19].replace('-', '').replace(':', '')}Z-{secrets.token_hex(3)}"
            manifest = Manifest(**{"run": run, "status": "running", "started": started, **owner, **fields})
            being_made = parent / f".{run}.{os.getpid()}"
            atomic_write(being_made / MANIFEST_FILE, _as_json(manifest))
            try:
                being_made.rename(parent / run)
            except OSError:
                # Two runs of one second drew the same 24 random bits; anything else is for the caller to see.
                (being_made / MANIFEST_FILE).unlink()
                being_made.rmdir()
                if (parent / run).exists():
                    continue
                raise
            return cls(parent / run, manifest)

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """An existing run. Raises ResultError if its manifest is missing, damaged or of another schema."""
        folder = cls(path)
        folder.reload()
        return folder

    @property
    def manifest(self) -> Manifest:
        """What the run says of itself; ``killed`` where it says running and its process is gone. May be changed and
        saved. Raises ResultError as ``open`` does.
        """
        return self._manifest if self._manifest is not None else self.reload()

    def reload(self) -> Manifest:
        """Read the manifest from disk again."""
        self._manifest = _judged(read_record(self.path / MANIFEST_FILE, Manifest))
        return self._manifest

    def save_manifest(self) -> None:
        """Replace manifest.json by what ``manifest`` holds now, atomically. Only the process that owns the run may."""
        atomic_write(self.path / MANIFEST_FILE, _as_json(self.manifest))

    def claim(self) -> None:
        """Make this process the owner of an unfinished run, in order to resume it: ``running`` again, saved.

        Raises ResultError if the run's process is still alive (or cannot be asked, being on another machine); of two
        processes that claim at once, one gets that error.
        """
        with _claim_lock(self.path):
            manifest = self.reload()
            mine = manifest.pid == os.getpid() and manifest.host == host_name()
            if manifest.status == "running" and not mine:
                raise ResultError(
                    str(self.path),
                    f"process {manifest.pid} on {manifest.host} is at work on this run; let it end first",
                )
            manifest.status, manifest.reason, manifest.ended = "running", None, None
            manifest.pid, manifest.process_started, manifest.host = os.getpid(), own_start(), host_name()
            self.save_manifest()

    def point_folder(self, key: str) -> Path:
        """The folder of one sweep point (it need not exist). Raises ResultError for a key that is no plain name."""
        _check_name("point key", key)
        return self.path / "points" / key


def runs(root: Path, kind: str | None = None, name: str | None = None) -> list[RunFolder]:
    """All runs below ``root``, newest first, unread: asking a damaged one for its manifest raises ResultError.

    ``kind`` and ``name`` narrow the search; a root that does not exist has no runs.
    """
    for key, value in (("kind", kind), ("name", name)):
        if value is not None:
            _check_name(key, value)
    found = [
        RunFolder(path)
        for path in root.glob(f"{kind or '*'}/{name or '*'}/*")
        if _RUN.fullmatch(path.name) and path.is_dir()
    ]
    return sorted(found, key=_age_key, reverse=True)


def _age_key(run: RunFolder) -> tuple[str, str, str]:
    # The name knows the second; the manifest knows the microsecond, unless it is damaged.
    try:
        started = run.manifest.started
    except ResultError:
        started = ""
    return run.path.name.split("-")[0], started, str(run.path)


def _judged(manifest: Manifest) -> Manifest:
    if manifest.status != "running":
        return manifest
    alive = is_alive(manifest.pid, manifest.process_started, manifest.host)
    if alive is None:
        manifest.reason = f"ran on {manifest.host}; whether it still does cannot be told from {host_name()}"
    elif not alive:
        manifest.status = "killed"
        manifest.reason = f"process {manifest.pid} ended without finishing the run"
        for entry in manifest.points:
            if entry.status == "running":
                entry.status = "killed"
                entry.error = entry.error or "the run's process ended while this point was measured"
    return manifest


def _as_json(manifest: Manifest) -> str:
    return manifest.model_dump_json(indent=1) + "\n"


def _check_name(what: str, name: Any) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ResultError("results", f"expected a {what} like [a-z0-9][a-z0-9_-]{{0,63}}, got {name!r}")


@contextmanager
def _claim_lock(path: Path) -> Iterator[None]:
    """Held only while a manifest changes hands; the system releases it when its holder dies."""
    with (path / ".claim").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
