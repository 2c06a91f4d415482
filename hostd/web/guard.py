"""Which requests the gateway answers: where they come from, and under which name they ask for it. Pure.

A page of somebody else's must not be able to open our socket: its origin is not ours, and a name of its own
that it points at this machine (DNS rebinding) is none that we answer to. Refuses to trust anything else that
a browser says.
"""

import ipaddress
import socket
from collections.abc import Collection
from urllib.parse import urlsplit

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    ),
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


def own_names() -> frozenset[str]:
    """The names that this machine has for itself."""
    name = socket.gethostname().lower()
    short = name.split(".", 1)[0]
    return frozenset({"localhost", name, short, f"{short}.local"})


def known_host(host: str, names: Collection[str]) -> bool:
    """Whether a `Host` header names us: an address, which nobody can rebind, or one of `names`."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name in names
    return True


def same_origin(origin: str | None, host: str) -> bool:
    """Whether a request's `Origin`, where it has one (a browser's always has), is the page that we serve."""
    return origin is None or (
        origin.startswith(("http://", "https://")) and urlsplit(origin).netloc.lower() == host.lower()
    )
