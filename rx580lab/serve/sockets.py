"""Addresses that the server listens on, and how many connections this process may hold."""

from __future__ import annotations

import errno
import logging
import resource
import socket
from collections.abc import Sequence

from rx580lab.errors import ServeError

__all__ = ["bind", "room_for", "url_of"]

_LOG = logging.getLogger("rx580lab.serve")
# Files that are no connections: models, logs, the device, bodies that were too large for memory.
_OTHER_FILES = 256


def bind(host: str, port: int) -> list[socket.socket]:
    """A socket for each address of ``host``, bound to one port and not yet listening. ServeError where there is none.

    ``localhost`` stands for both loopback addresses as a rule; one that this machine lacks is left out.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise ServeError("serve", f"expected the name or address of a host, got {host!r}: {error}") from error
    bound: list[socket.socket] = []
    why: OSError | None = None
    for family, kind, protocol, _, address in sorted(found, key=lambda one: one[0]):
        if family not in (socket.AF_INET, socket.AF_INET6):
            continue
        try:
            bound.append(_bound(family, kind, protocol, (str(address[0]), port, *address[2:])))
        except OSError as error:
            why = error
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                break
        else:
            port = bound[0].getsockname()[1]
    if why is not None and (not bound or why.errno in (errno.EADDRINUSE, errno.EACCES)):
        for one in bound:
            one.close()
        raise ServeError("serve", _why_not(host, port, why)) from why
    if not bound:
        raise ServeError("serve", f"expected a host with an IP address, got {host!r}")
    return bound


def _bound(family: int, kind: int, protocol: int, address: tuple[str | int, ...]) -> socket.socket:
    one = socket.socket(family, kind, protocol)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind(address)
    except OSError:
        one.close()
        raise
    one.setblocking(False)
    return one


def _why_not(host: str, port: int, why: OSError) -> str:
    if why.errno == errno.EADDRINUSE:
        return f"expected a free port, got {port} of {host}, which another process uses; --port 0 takes any free one"
    if why.errno == errno.EACCES:
        return f"expected a port that this user may take, got {port}; those below 1024 are the system's"
    return f"expected an address of this machine, got {host}: {why.strerror or why}"


def url_of(host: str, sockets: Sequence[socket.socket]) -> str:
    """Where to call; a name stays as it was given."""
    port = sockets[0].getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def room_for(connections: int) -> int:
    """How many connections this process may hold, after its limit on open files is raised as far as that takes.

    Each may have a large body and a large answer in files of their own, so three are asked for. Where the limit cannot
    be raised enough, fewer are allowed and a warning says so; ServeError where none are left.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 3 * connections + _OTHER_FILES
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
        except (OSError, ValueError) as error:
            _LOG.warning("the limit on open files stays at %d: %s", soft, error)
    if soft == resource.RLIM_INFINITY:
        return connections
    room = min(connections, soft - _OTHER_FILES)
    if room < min(connections, 16):
        raise ServeError("serve", f"expected a limit of {_OTHER_FILES + 16} open files or more, got {soft}; ulimit -n")
    if room < connections:
        _LOG.warning("%d connections instead of %d: the limit on open files is %d; ulimit -n", room, connections, soft)
    return room
