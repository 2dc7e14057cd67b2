"""What a person needs to know when the server listens, and how the loading of the models goes."""

from __future__ import annotations

import sys
import threading
import time

from rx580lab.serve.roles import Role
from rx580lab.serve.service import Service

__all__ = ["greet"]

_LOOK_S = 0.2
_SETTLED = ("READY", "UNAVAILABLE")


def greet(serving: Service, url: str) -> None:
    """Writes to standard error, and follows the models in a thread of its own until each has loaded or failed."""
    settings = serving.settings
    versions = serving.repository.index()
    names = {one.name for one in versions}
    lines = [f"rx580lab serves on {url}", f"  models  {len(names)} ({len(versions)} versions) in {settings.models}"]
    if serving.keys is None:
        lines.append("  keys    none: whoever reaches this address may do everything")
        lines.append(f"  call    curl {url}/models")
    else:
        lines.append(f"  keys    {serving.keys.path}; `rx580lab keys create --role user` makes one")
        lines.append(f'  call    curl -H "X-API-Key: $KEY" {url}/models')
    page = next((route for route in serving.routes.values() if route.rule == "/docs"), None)
    if page is not None:
        who = "" if page.role is Role.PUBLIC else f", with a key of role {page.role.label}"
        lines.append(f"  docs    {url}/docs{who}")
    lines.append("  stop    Ctrl+C or SIGTERM: what is in hand is finished")
    if not settings.loopback:
        lines.append("  NO TLS  keys travel in clear here: put nginx or haproxy in front, and bind 127.0.0.1")
    _say("\n".join(lines))
    if settings.load:
        threading.Thread(target=_follow, args=(serving,), name="greeting", daemon=True).start()


def _follow(serving: Service) -> None:
    said: set[tuple[str, str]] = set()
    while not serving.lifecycle.draining:
        versions = serving.repository.index()
        for one in versions:
            settled = one.state in _SETTLED and one.reason != "not loaded"
            if settled and (one.name, one.version) not in said:
                said.add((one.name, one.version))
                how = "serves" if one.state == "READY" else f"does not serve: {one.reason}"
                _say(f"  {one.name} version {one.version} {how}")
        if len(said) >= len(versions):
            return
        time.sleep(_LOOK_S)


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
