"""Who asks for what: names and rights of the control endpoint's clients, and a bound on how much they ask.

Rights come from the key and from the place: a technologist or engineer on the cart operates, elsewhere starts
no current; an observer looks. Without keys a client on this machine operates. A client may want less than it
has, never more. Refuses floods, never a stop.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hostd.control import COMMANDS, Code, Request, RequestError, error_reply, parse
from hostd.peers import UNKNOWN_KEY, Peer
from hostd.states import Role, barred

MOST_CLIENTS = 1000
BURST, A_SECOND = 100.0, 50.0
"""So much may be asked for at once, and in the long run a second, by one client: with keys, by one key."""
NEVER_BUSY = ("stim.stop",)
Refusal = tuple[Code, str]


@dataclass(slots=True)
class _Client:
    """What a connection said of itself."""

    wants: str = "operator"
    name: str = ""


@dataclass(slots=True)
class _Budget:
    """What may still be asked for, reckoned at `at_ns`; how much was too much since the last that was not."""

    left: float
    at_ns: int
    refused: int = 0


class Clients:
    """Remembers the newest MOST_CLIENTS connections. `clock` is monotonic nanoseconds."""

    def __init__(self, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._clock = clock
        self._known: OrderedDict[bytes, _Client] = OrderedDict()
        self._budgets: OrderedDict[tuple[bytes, bytes], _Budget] = OrderedDict()

    def greet(self, peer: Peer, name: str, wanted: str) -> Role:
        """Take down how a client calls itself, and whether it wants less than it may; the role that it has.

        A program that asks for somebody elsewhere (a gateway, for a browser) wants `remote`."""
        client = self._of(peer)
        client.name = " ".join(name.split())[:64]
        client.wants = wanted
        return self.role(peer)

    def name(self, peer: Peer) -> str:
        """How a client calls itself; "" when it has not said."""
        return self._of(peer).name

    def role(self, peer: Peer) -> Role:
        """What a client may do, by its key and its place."""
        wants = self._of(peer).wants
        if wants == "observer" or (peer.key.role == "observer" if peer.key else not peer.here):
            return "observer"
        return "operator" if peer.here and wants != "remote" else "remote"

    def may(self, peer: Peer) -> list[str]:
        """The commands that a client may ask for."""
        role = self.role(peer)
        return [command for command in COMMANDS if not barred(role, command)]

    def actor(self, peer: Peer, said: str = "") -> str:
        """Who a client is in the record: the name given with the request or with `hello`, its key, and from
        where."""
        name = " ".join(said.split())[:64] or self._of(peer).name
        if peer.key is not None:
            key = f"{peer.key.name} ({peer.key.role})"
            name = f"{name}, {key}" if name else key
        return f"{name or self.role(peer)}@{peer.address or 'unknown'}"

    def admit(self, body: bytes, answer: Callable[[dict[str, Any]], None], peer: Peer) -> Request | None:
        """The request in `body`; None when it may not be asked for, or is none, which is answered then."""
        try:
            request = parse(body)
        except RequestError as error:
            busy = self.too_much(peer)
            answer(error_reply(error.reply["id"], *busy) if busy else error.reply)
            return None
        if refusal := self.refusal(peer, request.command, request.args):
            answer(error_reply(request.id, *refusal))
            return None
        return request

    def refusal(self, peer: Peer, command: str, args: Mapping[str, object] | None = None) -> Refusal | None:
        """(code, text) when a client may not ask for `command` now."""
        if command in NEVER_BUSY:
            return None
        if (busy := self.too_much(peer)) is not None:
            return busy
        if peer.key is UNKNOWN_KEY:
            return "not_allowed", "this key is not known here any more; ask for another at the box"
        if bar := barred(self.role(peer), command):
            return "not_allowed", bar
        if (args or {}).get("phantom") and peer.key is not None and peer.key.role != "engineer":
            return "not_allowed", "only an engineer's key may say that no person is connected"
        return None

    def too_much(self, peer: Peer, of: bytes = b"") -> Refusal | None:
        """(code, text) when a client has asked too often, `of` its kind; else it has now asked once more."""
        budget, now_ns = self._budget(peer, of), self._clock()
        earned = max(now_ns - budget.at_ns, 0) / 1e9 * A_SECOND
        budget.left, budget.at_ns = min(budget.left + earned, BURST), now_ns
        if budget.left < 1:
            budget.refused += 1
            return "busy", f"more than {A_SECOND:g} requests a second; ask again a little later"
        budget.left -= 1
        return None

    def flooded(self, peer: Peer, of: bytes = b"") -> int:
        """How many in a row were too much."""
        return self._budget(peer, of).refused

    def calm(self, peer: Peer, of: bytes = b"") -> int:
        """The same when it has ended; it begins anew."""
        budget = self._budget(peer, of)
        refused, budget.refused = budget.refused, 0
        return refused

    def _of(self, peer: Peer) -> _Client:
        client = self._known.get(peer.identity)
        if client is None:
            client = self._known[peer.identity] = _Client()
            if len(self._known) > MOST_CLIENTS:
                self._known.popitem(last=False)
        self._known.move_to_end(peer.identity)
        return client

    def _budget(self, peer: Peer, of: bytes) -> _Budget:
        who = of, (peer.identity if peer.key is None else peer.key.public.encode())
        budget = self._budgets.get(who)
        if budget is None:
            budget = self._budgets[who] = _Budget(BURST, self._clock())
            if len(self._budgets) > MOST_CLIENTS:
                self._budgets.popitem(last=False)
        self._budgets.move_to_end(who)
        return budget
