"""From a file to a model at work: checked, read, given room, warmed up, with a queue in front of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from rx580lab.device import Device, open_device
from rx580lab.errors import ServeError
from rx580lab.graph.model import KEPT_PLANS, Model, load
from rx580lab.serve.batcher import Batcher, Policy
from rx580lab.serve.launches import Launches, row_counts
from rx580lab.serve.manifest import Manifest
from rx580lab.serve.metrics import Metrics
from rx580lab.serve.model_settings import FILE, ModelSettings
from rx580lab.serve.room import Room, needed
from rx580lab.serve.served import Running, Served
from rx580lab.serve.settings import Settings
from rx580lab.serve.turns import Turns
from rx580lab.serve.warmup import only_rows_are_open, warm_up

__all__ = ["Loader"]


class Loader:
    """Makes ``Running`` models on the one device that they share, which is opened when it is first asked for."""

    def __init__(
        self, settings: Settings, metrics: Metrics, room: Room, observe_wait: Callable[[float], None] | None
    ) -> None:
        self.turns = Turns()
        self._settings = settings
        self._metrics = metrics
        self._room = room
        self._observe_wait = observe_wait
        self._lock = threading.Lock()
        self._device: Device | None = None

    @property
    def device(self) -> Device:
        """That of all models; the device's errors where it cannot be opened."""
        with self._lock:
            if self._device is None:
                self._device = open_device(self._settings.device)
                self._metrics.watch(self._device)
            return self._device

    def make(self, served: Served, path: Path, own: ModelSettings, *, uploaded: bool, evicts: bool) -> Running:
        """The model of a file at work, in the place of ``served``.

        ``uploaded``: whether the file came with a request rather than from the folder of models. ``evicts``: whether
        idle models may give way.

        Raises:
            ServeError: the manifest does not have it so, or it never fits the memory. NoRoom: it does not fit now.
            LabError: the model's or the device's.
        """
        if not uploaded:
            self._check(path)
        batching = own.batching_of(self._settings)
        counts = row_counts(batching.max_rows)
        model = load(path, self.device, kept_plans=len(counts) + KEPT_PLANS)
        budget = self._room.budget_bytes(self.device)
        need, most = needed(model, own, batching.max_rows, self.device, budget)
        self._room.make(self.device, need, evicts=evicts)
        try:
            return self._warmed(served, path, own, model, most, evicts=evicts)
        except BaseException:
            self._free(model)
            raise

    def _warmed(
        self, served: Served, path: Path, own: ModelSettings, model: Model, most: int, *, evicts: bool
    ) -> Running:
        warm = warm_up(model, own.lengths, most, self.turns, batching=own.batching == "auto")
        self._room.make(self.device, 0, evicts=evicts)  # packed weights came on top of the estimate
        batching = own.batching_of(self._settings)
        launches = Launches(model.run, warm.costs, max_bytes=batching.max_bytes, learns=only_rows_are_open(model))
        policy = Policy(
            batching.queue,
            batching.max_bytes,
            batching.max_delay_ms / 1e3,
            own.request_s or self._settings.waiting.request_s,
        )
        batcher = Batcher(
            served.name, launches, policy, self._metrics, version=served.version, turns=self.turns,
            tallies=served.tallies, observe_wait=self._observe_wait,
        )  # fmt: skip
        max_rows = batching.max_rows if launches.batches else 0
        return Running(path, model, launches, batcher, own, max_rows, warm.reason)

    def _free(self, model: Model) -> None:
        with self.turns:
            model.release()
            self.device.trim()

    def _check(self, path: Path) -> None:
        """Refuses what lies outside of the folder, and what the manifest has not, where the settings ask for one."""
        root = self._settings.models
        # Links may lead from one place of the folder to another, and nowhere else.
        if not path.resolve().is_relative_to(root.resolve()):
            raise ServeError("models", "expected a file inside the folder of models, got a link out of it")
        if not path.is_file():
            raise ServeError("models", f"expected {path.name} to be a file")
        if self._settings.manifest:
            manifest = Manifest(root)
            manifest.check(path.parent)
            own = path.parent.parent / FILE
            if own.exists():
                manifest.check_file(own)
