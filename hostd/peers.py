"""Who is at the other end of a connection: the address that it came from, the key that it proved, and what
these allow.

A connection is on the cart when it comes from this machine: from loopback, or from an address that is this
machine's own. Who cannot be told is elsewhere. Refuses to believe anything that a client says about itself.
"""

import socket
from dataclasses import dataclass
from typing import Literal

KeyRole = Literal["observer", "technologist", "engineer"]
KEY_ROLES: tuple[KeyRole, ...] = ("observer", "technologist", "engineer")
READ_RAW: tuple[KeyRole, ...] = ("technologist", "engineer")


@dataclass(frozen=True, slots=True)
class Key:
    """A client's public key (Z85, 40 characters), its name and what it is for."""

    name: str
    role: KeyRole
    public: str


UNKNOWN_KEY = Key("unknown key", "observer", "")
"""Of a connection that was let in with a key which is no longer there."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Who asks: a connection, the address that it came from ("" when the transport does not say), and its key
    (None where no keys are used)."""

    identity: bytes
    address: str
    key: Key | None = None

    @property
    def here(self) -> bool:
        """Whether it is on this machine."""
        return is_loopback(self.address) or is_own(self.address)


LOCAL = Peer(b"", "127.0.0.1")


def is_loopback(address: str) -> bool:
    """Whether `address`, of a connection, is a loopback address."""
    return address == "::1" or address.startswith(("127.", "::ffff:127."))


def is_own(address: str) -> bool:
    """Whether `address`, of a connection, is one that this machine has now."""
    if not address:
        return False
    address = address.removeprefix("::ffff:")
    # The way to an address of one's own begins at that address, to any other it does not. Nothing is sent.
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, 9))
        except (OSError, UnicodeError):
            return False
        return str(probe.getsockname()[0]) == address
