"""The folder of models, ``<name>/<version>/model.onnx``: what is there, what is loaded, what answers."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rx580lab.device import Device
from rx580lab.errors import LabError, ServeError
from rx580lab.serve.audit import Audit
from rx580lab.serve.folder import Found, Uploads, check_folder, labels_of, scan
from rx580lab.serve.loading import Loader
from rx580lab.serve.metrics import Metrics
from rx580lab.serve.model_settings import ModelSettings, chosen, overridden, read_model_settings
from rx580lab.serve.refusal import Refusal, without_paths
from rx580lab.serve.room import NoRoom, Room
from rx580lab.serve.served import EVICTED, Served, State
from rx580lab.serve.settings import Settings

__all__ = ["Repository", "Served", "State"]

UNLOADED = "unloaded"
LEFT_OUT = "the version policy leaves it out"
_LOG = logging.getLogger("rx580lab.serve")


@dataclass
class _Work:
    """A load or unload of one model. ``joins``: whether others who ask for the same may wait for it instead."""

    joins: bool
    ended: threading.Event = field(default_factory=threading.Event)
    error: Refusal | None = None


@dataclass(frozen=True)
class _Source:
    """Where a model comes from. ``root``: the folder of models, or that of an upload."""

    root: Path
    settings: ModelSettings
    uploaded: bool


class Repository:
    """Threads may share it. Loads and unloads of one model wait for each other; inference waits for neither.

    ``observe_wait`` is told how long each request waited for its launch, in seconds.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        *,
        audit: Audit | None = None,
        observe_wait: Callable[[float], None] | None = None,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._audit = audit
        self._lock = threading.RLock()
        self._one_load = threading.Lock()
        self._first_pass = threading.Event()
        self._served: dict[str, dict[str, Served]] = {}
        self._sources: dict[str, _Source] = {}
        self._work: dict[str, _Work] = {}
        self._demands: dict[tuple[str, str], threading.Event] = {}
        self._uploads = Uploads()
        self._room = Room(settings.memory_bytes, self._evict_one)
        self._loader = Loader(settings, metrics, self._room, observe_wait)
        check_folder(settings.models)
        self.scan()

    @property
    def device(self) -> Device:
        """The one that all models share."""
        return self._loader.device

    @property
    def budget_bytes(self) -> int:
        """Device memory that all models together may take."""
        return self._room.budget_bytes(self.device)

    def scan(self) -> None:
        """Looks into the folder again; what is there for the first time is known, but not loaded."""
        found = scan(self._settings.models)
        with self._lock:
            for one in found:
                source = self._sources.get(one.name)
                if source is None or not source.uploaded:
                    self._know(one)
            for name, versions in list(self._served.items()):
                for version, served in list(versions.items()):
                    if served.running is None and name not in self._work and not served.path.exists():
                        del versions[version]
                if not versions:
                    del self._served[name]

    def index(self) -> list[Served]:
        """All versions of all models, by name and number."""
        with self._lock:
            every = [one for versions in self._served.values() for one in versions.values()]
        return sorted(every, key=lambda one: (one.name, int(one.version)))

    def knows(self, name: str) -> bool:
        """Whether a model has that name."""
        return name in self._served

    def find(self, name: str, version: str | None = None) -> Served:
        """That version, or the highest that is ready. Refusal 404 if there is none."""
        with self._lock:
            versions = self._served.get(name, {})
            if version is not None:
                found = versions.get(version)
            elif len(versions) < 2:
                found = next(iter(versions.values()), None)
            else:
                ranks = {one: (one.state == "READY", one.on_demand, one.chosen) for one in versions.values()}
                found = max(ranks, key=lambda one: (ranks[one], int(one.version)))
        if found is None:
            asked = f"version {version[:16]} of {name[:64]}" if version else name[:64]
            raise Refusal(404, "models", f"expected a model of this server, got {asked}")
        return found

    def load_in_background(self) -> None:
        """Starts ``load_all`` in a thread of its own."""
        threading.Thread(target=self.load_all, name="load", daemon=True).start()

    def load_all(self) -> None:
        """Loads every model (where the settings say on demand: required ones); one that fails is reported.

        What finds no room beside those before it is loaded when it is asked for.
        """
        try:
            for name in sorted(self._served):
                if self._settings.load or self._is_required(name):
                    with suppress(Refusal), self._alone(name, joins=True) as joined:  # told by ``_failed``
                        if not joined:
                            self._load_name(name, self._source(name, None), evicts=False)
                else:
                    self._offer(name)
        finally:
            self._first_pass.set()

    def load(
        self, name: str, config: Mapping[str, Any] | str | None = None, files: Mapping[str, bytes] | None = None
    ) -> None:
        """Loads all chosen versions of a model, or loads them again: what serves goes on until the fresh one can.

        Who asks for what is being loaded already joins that. ``config``: a JSON object over the model's own file, until
        the next load. ``files``: ``{"1/model.onnx": bytes}`` to serve instead of what is in the folder.

        Raises:
            Refusal: 404 if there is none of that name; 400 with the reason if a version does not load, or for a wrong
                configuration; 403 for files where the settings allow none.
        """
        if files is not None and (not self._settings.uploads or self._settings.manifest):
            raise Refusal(403, name, "this server takes no files of models: its settings do not allow it")
        if files is None:
            self.scan()
            self.find(name)
        with self._alone(name, joins=config is None and files is None) as joined:
            if joined:
                return
            if files is None:
                self._load_name(name, self._source(name, config))
            else:
                self._load_files(name, config, files)

    def unload(self, name: str, dependents: bool = False) -> None:  # noqa: ARG002 - no model here depends on another
        """Serves what waits, then gives the memory back. Refusal 404 if there is none of that name."""
        self.find(name)
        with self._alone(name, joins=False):
            for served in list(self._served.get(name, {}).values()):
                self._unload(served, UNLOADED)

    def ready(self) -> bool:
        """Whether the first pass of loading ended and a version of every required model serves.

        Where none is required: whether anything serves, or would if it were asked for or loaded again.
        """
        if not self._first_pass.is_set():
            return False
        with self._lock:
            names = {*self._settings.required, *(n for n, one in self._sources.items() if one.settings.required)}
            if names:
                return all(any(one.state == "READY" for one in self._served.get(n, {}).values()) for n in names)
            every = self.index()
        return not every or any(one.state == "READY" or one.on_demand or one.reason == UNLOADED for one in every)

    def _know(self, found: Found) -> None:
        versions = self._served.setdefault(found.name, {})
        if found.version not in versions:
            wait_s = self._settings.waiting.request_s
            versions[found.version] = Served(found.name, found.version, found.path, self._demanded, wait_s)

    def _is_required(self, name: str) -> bool:
        try:
            return name in self._settings.required or self._source(name, None).settings.required
        except Refusal:
            return False

    def _offer(self, name: str) -> None:
        """Nothing is loaded until it is asked for."""
        try:
            self._sources[name] = source = self._source(name, None)
        except Refusal:
            return  # the reason is told by now
        wanted = chosen(source.settings.version_policy, self._served[name])
        for version, served in self._served[name].items():
            served.chosen = version in wanted
            reason = "not loaded until it is asked for" if served.chosen else LEFT_OUT
            served.failed(reason, on_demand=served.chosen)

    def _source(self, name: str, config: Mapping[str, Any] | str | None) -> _Source:
        """What a load of this name takes from the folder. Refusal 400 for a wrong file or configuration."""
        try:
            own = read_model_settings(self._settings.models / name)
            if config is not None:
                own = overridden(own, config, name)
        except ServeError as error:
            if config is None:
                for served in self._served.get(name, {}).values():
                    self._failed(served, f"[{error.where}] {error.message}")
            raise Refusal(400, name, f"[{error.where}] {error.message}") from error
        return _Source(self._settings.models, own, uploaded=False)

    @contextmanager
    def _alone(self, name: str, *, joins: bool) -> Iterator[bool]:
        """Nobody else loads or unloads this model meanwhile. True: another did just that, and this one waited."""
        mine = _Work(joins)
        while (other := self._begun(name, mine)) is not mine:
            other.ended.wait()
            if joins and other.joins:
                if other.error is not None:
                    raise Refusal(other.error.status, other.error.where, other.error.message)
                yield True
                return
        try:
            yield False
        except Refusal as refusal:
            mine.error = refusal
            raise
        finally:
            with self._lock:
                del self._work[name]
            mine.ended.set()

    def _begun(self, name: str, work: _Work) -> _Work:
        with self._lock:
            return self._work.setdefault(name, work)

    def _load_files(self, name: str, config: Mapping[str, Any] | str | None, files: Mapping[str, bytes]) -> None:
        root = self._uploads.write(name, {key.removeprefix("file:"): data for key, data in files.items()})
        before = self._sources.get(name)
        try:
            own = overridden(ModelSettings(), config or {}, name)
            with self._lock:
                for found in scan(root):
                    self._know(found)
            self._load_name(name, _Source(root, own, uploaded=True))
        except BaseException as error:
            shutil.rmtree(root, ignore_errors=True)
            if before is not None:
                self._sources[name] = before
            else:
                self._sources.pop(name, None)
            if isinstance(error, ServeError) and not isinstance(error, Refusal):
                raise Refusal(400, name, f"[{error.where}] {error.message}") from error
            raise
        if before is not None and before.uploaded:
            shutil.rmtree(before.root, ignore_errors=True)

    def _load_name(self, name: str, source: _Source, *, evicts: bool = True) -> None:
        paths = {found.version: found for found in scan(source.root) if found.name == name}
        wanted = chosen(source.settings.version_policy, paths)
        self._sources[name] = source
        reasons = []
        for version, found in sorted(paths.items(), key=lambda one: int(one[0])):
            served = self._served[name][version]
            if version in wanted:
                served.chosen = True
                reason = self._load(served, found.path, source, evicts=evicts)
                reasons += [f"version {version}: {reason}"] if reason else []
        if reasons:
            raise Refusal(400, name, f"the model did not load: {'; '.join(reasons)}")
        if not wanted:
            raise Refusal(400, name, "the version policy leaves no version of this model")
        # Only now: what served before goes on where a load fails.
        for version, served in list(self._served[name].items()):
            if version not in wanted:
                served.chosen = False
                self._unload(served, LEFT_OUT)

    def _load(self, served: Served, path: Path, source: _Source, *, evicts: bool = True) -> str:
        """Why it did not load; "" if it did."""
        with self._one_load:
            served.begin()
            try:
                running = self._loader.make(served, path, source.settings, uploaded=source.uploaded, evicts=evicts)
            except NoRoom as error:
                return self._failed(served, error.message, on_demand=True)
            except LabError as error:
                return self._failed(served, error.message)
            except Exception as error:  # noqa: BLE001 - whatever a file does to its reader, the other models serve
                _LOG.exception("loading model %s, version %s", served.name, served.version)
                return self._failed(served, f"the loader failed: {type(error).__name__}")
            before = served.replace(running, labels_of(path, source.root))
        if before is not None:
            before.batcher.close()
            before.free(self._loader.turns)
        self._metrics.model_ready.labels(served.name, served.version).set(1)
        self._tell("model loaded", served)
        return ""

    def _failed(self, served: Served, message: str, *, on_demand: bool = False) -> str:
        reason = without_paths(message)[:1000]
        served.failed(reason, on_demand=on_demand)
        self._metrics.load_failures.labels(served.name).inc()
        _LOG.warning("model %s, version %s did not load: %s", served.name, served.version, reason)
        self._tell("model failed", served, why=reason)
        return reason

    def _unload(self, served: Served, reason: str) -> None:
        if served.unload(reason, self._loader.turns):
            self._metrics.model_ready.labels(served.name, served.version).set(0)
            self._tell("model unloaded", served, why=reason)

    def _evict_one(self) -> bool:
        for served in sorted(self.index(), key=lambda one: one.last_used):
            source = self._sources.get(served.name)
            pinned = served.name in self._settings.required or (source is not None and source.settings.required)
            if served.running is not None and not pinned and served.evict(self._loader.turns):
                self._metrics.model_ready.labels(served.name, served.version).set(0)
                self._tell("model unloaded", served, why=EVICTED)
                return True
        return False

    def _demanded(self, served: Served) -> threading.Event:
        """Has it loaded in the background; the event of the end of that."""
        key = (served.name, served.version)
        with self._lock:
            ended = self._demands.get(key)
            if ended is None:
                ended = self._demands[key] = threading.Event()
                threading.Thread(target=self._load_demanded, args=(served, ended), name="load", daemon=True).start()
        return ended

    def _load_demanded(self, served: Served, ended: threading.Event) -> None:
        try:
            with self._alone(served.name, joins=False):
                if served.running is None and served.on_demand:
                    source = self._sources.get(served.name) or self._source(served.name, None)
                    self._sources[served.name] = source
                    self._load(served, served.path, source)
        except Refusal:
            pass  # told by ``_failed``
        finally:
            with self._lock:
                del self._demands[served.name, served.version]
            ended.set()

    def _tell(self, event: str, served: Served, **fields: Any) -> None:
        if self._audit is not None:
            self._audit.event(event, model=served.name, version=served.version, **fields)
