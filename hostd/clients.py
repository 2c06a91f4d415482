"""Who asks for what: names and roles of the control endpoint's clients, and a bound on how much they ask.

A client on this machine is an operator unless it says `hello` as an observer; one elsewhere observes,
whatever it says, as long as nothing proves who it is. Refuses floods, never a stop.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from hostd.bus import Peer
from hostd.states import Role

MOST_CLIENTS = 1000
BURST, A_SECOND = 100.0, 50.0
"""So much may be asked for at once, and in the long run a second, by one client."""
OBSERVERS_MAY = ("hello", "snapshot", "config.get", "mark", "stim.stop")
NEVER_BUSY = ("stim.stop",)


@dataclass(slots=True)
class _Client:
    role: Role
    name: str
    left: float
    at_ns: int


class Clients:
    """Remembers the newest MOST_CLIENTS connections. `clock` is monotonic nanoseconds."""

    def __init__(self, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._clock = clock
        self._known: OrderedDict[bytes, _Client] = OrderedDict()

    def greet(self, peer: Peer, name: str, role: Role) -> Role:
        """Take down how a client calls itself; the role that it has."""
        client = self._of(peer)
        client.name = " ".join(name.split())[:64]
        client.role = role if peer.here else "observer"
        return client.role

    def role(self, peer: Peer) -> Role:
        """What a client may do."""
        return self._of(peer).role

    def actor(self, peer: Peer, said: str = "") -> str:
        """Who a client is in the record: the name given with the request or with `hello`, and from where."""
        name = " ".join(said.split())[:64] or self._of(peer).name
        return f"{name or self._of(peer).role}@{peer.address or 'unknown'}"

    def refusal(self, peer: Peer, command: str) -> tuple[str, str] | None:
        """(code, text) when a client may not ask for `command` now."""
        client = self._of(peer)
        if client.role == "observer" and command not in OBSERVERS_MAY:
            return "not_allowed", f"observers may not {command}; ask at the box itself"
        if command in NEVER_BUSY:
            return None
        now_ns = self._clock()
        earned = max(now_ns - client.at_ns, 0) / 1e9 * A_SECOND
        client.left, client.at_ns = min(client.left + earned, BURST), now_ns
        if client.left < 1:
            return "busy", f"more than {A_SECOND:g} requests a second; ask again a little later"
        client.left -= 1
        return None

    def _of(self, peer: Peer) -> _Client:
        client = self._known.get(peer.identity)
        if client is None:
            role: Role = "operator" if peer.here else "observer"
            client = self._known[peer.identity] = _Client(role, "", BURST, self._clock())
            if len(self._known) > MOST_CLIENTS:
                self._known.popitem(last=False)
        self._known.move_to_end(peer.identity)
        return client
