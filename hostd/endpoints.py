"""The four endpoints of the bus: `--bus tcp://HOST:PORT` names the first, the others follow."""

import re
import socket
from dataclasses import dataclass

from hostd.errors import UsageError
from hostd.peers import is_loopback

DEFAULT_BUS = "tcp://127.0.0.1:5750"
DEFAULT_HTTP = "127.0.0.1:5780"
_HOST = r"[A-Za-z0-9][A-Za-z0-9._-]*"  # no wildcard: clients of ours connect to the same name


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Addresses of the bus: events (XPUB), control (ROUTER), traces (XPUB), raw (XPUB)."""

    events: str
    control: str
    traces: str
    raw: str


def parse_bus(bus: str) -> Endpoints:
    """Endpoints for `tcp://HOST:PORT`. Raises UsageError for any other form."""
    match = re.fullmatch(rf"tcp://({_HOST}|\[[0-9a-fA-F:]+\]):([0-9]{{1,5}})", bus)
    if match is None or not 1 <= int(match[2]) <= 65532:
        raise UsageError(f"--bus {bus!r} is not an endpoint; write tcp://HOST:PORT, e.g. {DEFAULT_BUS}")
    host, port = match[1], int(match[2])
    return Endpoints(*(f"tcp://{host}:{port + k}" for k in range(4)))


def is_ipv6(address: str) -> bool:
    """Whether a socket must speak IPv6 for `address`; a name is looked up in IPv4 alone, at both ends."""
    return "[" in address


def bus_host(bus: str) -> str:
    """The name or address in `bus`. Raises UsageError."""
    return parse_bus(bus).events.removeprefix("tcp://").rpartition(":")[0].strip("[]")


def must_have_keys(bus: str) -> None:
    """Raises UsageError unless `bus` is an address that only this machine can reach."""
    host = bus_host(bus)
    if not only_here(host):
        raise UsageError(
            f"--bus {bus}: {host} is open to other machines, which need keys: make them with evokd keys and "
            "give --keys DIR, or stay on 127.0.0.1"
        )


def only_here(host: str) -> bool:
    """Whether nobody but this machine can reach what listens at `host`."""
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        found = set()
    return bool(found) and all(map(is_loopback, found))


def parse_http(http: str) -> tuple[str, int]:
    """(host, port) for `HOST:PORT`. Raises UsageError for any other form."""
    match = re.fullmatch(rf"({_HOST}):([0-9]{{1,5}})", http)
    if match is None or not 0 <= int(match[2]) <= 65535:
        raise UsageError(f"--http {http!r} is not an address; write HOST:PORT, e.g. {DEFAULT_HTTP}, or off")
    return match[1], int(match[2])
