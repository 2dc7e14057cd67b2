"""Who is asking, by network: which client an address stands for, and how many proxies in front may say another."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from rx580lab.serve.settings import Settings

__all__ = ["group_of", "trust"]

_WITH_PORT = re.compile(r"\[([^\]]+)\](?::\d+)?|([\d.]+):\d+")


def trust(app: Flask, settings: Settings) -> None:
    """Takes the client's address and scheme from as many proxies as are trusted, and host names that are known only.

    X-Forwarded-For counts from its end: the last proxy wrote the last address, and what a client wrote before that is
    nobody's word. With no proxy trusted, these headers do nothing at all. X-Forwarded-Host never counts.
    """
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=hops, x_proto=hops, x_host=0, x_port=0, x_prefix=0
        )
    if settings.trusted_hosts:
        app.config["TRUSTED_HOSTS"] = list(settings.trusted_hosts)


@lru_cache(4096)
def group_of(address: str) -> str:
    """What counts as one client: an IPv4 address, or the /64 network of an IPv6 one, which one client may own whole.

    A port is left out, as some proxies write it. Anything else (a proxy may say "unknown") counts as it reads, cut to
    64 characters.
    """
    with_port = _WITH_PORT.fullmatch(address)
    text = (with_port[1] or with_port[2]) if with_port else address
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return address[:64]
    if not isinstance(found, IPv6Address):
        return str(found)
    return str(found.ipv4_mapped or ip_network((found, 64), strict=False))
