"""The answer to `hello`: who is asked, what he may, what there is; and the promise to be heard of.

Lives in the serving thread. Decides nothing about the case.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from hostd import control, wire
from hostd.clients import Clients
from hostd.control import Request, error_reply, ok_reply
from hostd.link_watch import LinkWatch
from hostd.peers import Peer


@dataclass(frozen=True, slots=True)
class Greeting:
    """Of one start of a box; `tests` are names and sites."""

    boot: str
    case_id: str
    source: str
    endpoints: Mapping[str, str]
    tests: Mapping[str, str]
    clients: Clients
    links: LinkWatch

    def greet(self, request: Request, answer: Callable[[dict[str, Any]], None], peer: Peer) -> None:
        """Answer `hello` of a peer."""
        role = self.clients.greet(peer, request.args["name"], request.args["role"])
        watch_s, mirror = request.args["watch_s"], request.args["mirror"]
        now_ns = time.monotonic_ns()
        if mirror and role == "observer":
            answer(error_reply(request.id, "not_allowed", "an observer's key may not offer a mirror"))
        elif refusal := self.links.promise(self.clients.name(peer), watch_s, now_ns, mirror):
            answer(error_reply(request.id, "bad_request", f"hello: {refusal}"))
        else:
            answer(ok_reply(request.id, self._told(role, peer)))

    def _told(self, role: str, peer: Peer) -> dict[str, Any]:
        key = peer.key
        return {
            "evokd": metadata.version("evokd"),
            "schema": wire.SCHEMA_VERSION,
            "boot": self.boot,
            "case": self.case_id,
            "source": self.source,
            "role": role,
            "key": None if key is None else {"name": key.name, "role": key.role},
            "here": peer.here,
            "may": self.clients.may(peer),
            "endpoints": self.endpoints,
            "commands": list(control.COMMANDS),
            "tests": dict(self.tests),
        }
