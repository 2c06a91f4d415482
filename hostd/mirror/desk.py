"""Requests at a mirror: what is known is told, what may be asked for from elsewhere is handed on to the box.

Nobody at a mirror is on the box's cart, whatever his key: no current begins by way of it, a stop always
goes through. Rights, floods and malformed requests are judged as a box does, by the same code. Serving thread
only.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hostd.bus import Bus
from hostd.clients import Clients
from hostd.control import COMMANDS, Request, error_reply, ok_reply
from hostd.mirror.voice import Voice
from hostd.peers import LOCAL, Peer
from hostd.states import Role, barred

Answer = Callable[[dict[str, Any]], None]


@dataclass(slots=True)
class MirrorDesk:
    """Of the box at `of`, which has been silent for `silent_s`."""

    bus: Bus
    voice: Voice
    of: str
    silent_s: float = 0.0
    _clients: Clients = field(default_factory=Clients)

    @property
    def about(self) -> Mapping[str, Any]:
        """What the box said of itself, and its case file."""
        return {**self.voice.about, "toml": self.voice.toml}

    def handle(self, body: bytes, answer: Answer, peer: Peer = LOCAL) -> None:
        """Answer one request, now or when the box has."""
        request = self._clients.admit(body, answer, peer)
        if request is not None:
            self._answer(request, answer, peer)

    def _answer(self, request: Request, answer: Answer, peer: Peer) -> None:
        match request.command:
            case "hello":
                self._clients.greet(peer, request.args["name"], request.args["role"])
                if self.voice.about:
                    answer(ok_reply(request.id, self._told(peer)))
                else:
                    answer(error_reply(request.id, "bad_state", f"{self.of} has not been heard yet"))
            case "snapshot":
                answer(ok_reply(request.id, {"messages": self.bus.snapshot()}))
            case "config.get":
                if self.voice.toml:
                    told = {"case": self.voice.about.get("case"), "toml": self.voice.toml}
                    answer(ok_reply(request.id, told))
                else:
                    text = f"{self.of} has not told its case yet; ask again in a second"
                    answer(error_reply(request.id, "bad_state", text))
            case _:
                self._hand_on(request, answer, peer)

    def _hand_on(self, request: Request, answer: Answer, peer: Peer) -> None:
        if bar := barred(self._role(peer), request.command):
            answer(error_reply(request.id, "not_allowed", f"{bar}; this is a mirror of {self.of}"))
            return
        name = f"{self._clients.actor(peer)} by the mirror"
        if not self.voice.forward(request.id, request.command, request.args, name, answer):
            text = f"{self.of} is away from its mirror ({self.silent_s:.0f} s silent): ask at the box itself"
            answer(error_reply(request.id, "bad_state", text))

    def _role(self, peer: Peer) -> Role:
        """Nobody here is on the cart."""
        role = self._clients.role(peer)
        return "remote" if role == "operator" else role

    def _told(self, peer: Peer) -> dict[str, Any]:
        role = self._role(peer)
        key = peer.key
        return {
            **self.voice.about,
            "role": role,
            "key": None if key is None else {"name": key.name, "role": key.role},
            "here": peer.here,
            "may": [command for command in COMMANDS if not barred(role, command)],
            "endpoints": self.bus.addresses,
            "mirror": {"of": self.of, "silent_s": round(self.silent_s, 1)},
        }
