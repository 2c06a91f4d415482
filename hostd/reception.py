"""What comes before a request is carried out: it is read, its sender may ask for it and not too often, and
all of that stands in the case's record with the key behind it.

Lives in the serving thread. Everything gets its answer and its entry; of a flood the first is noted and later
how many there were, since who floods must not fill the record. Carries out nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from hostd import control
from hostd.audit import OWN
from hostd.case_folder import CaseFolder
from hostd.clients import NEVER_BUSY, Clients
from hostd.control import Request, RequestError, error_reply
from hostd.peers import LOCAL, Peer
from hostd.states import Role

Answer = Callable[[dict[str, Any]], None]
READS = ("hello", "snapshot", "config.get")
MOST_NOTED = 200
STOPS = b"stops"
"""Stops have a budget of their own for being noted one by one."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that may be carried out: where its answer goes, who asks in the record's words, as what."""

    request: Request
    answer: Answer
    actor: str
    role: Role


class Reception:
    """Stands before the desk. `index` tells the sample reached."""

    def __init__(self, folder: CaseFolder, clients: Clients, index: Callable[[], int]) -> None:
        self._folder, self._clients, self._index = folder, clients, index

    def admit(self, body: bytes, answer: Answer, peer: Peer) -> Asked | None:
        """The request in `body`; None when it has been answered with its refusal."""
        try:
            request = control.parse(body)
        except RequestError as error:
            self._refuse_unread(error.reply, answer, peer)
            return None
        actor = self._clients.actor(peer, request.args.get("author") or "")
        if request.command in NEVER_BUSY:
            if self._clients.too_much(peer, STOPS) is None:
                self._calm(peer, STOPS)
                answer = self._audited(request, answer, actor, peer)
            else:
                self._flood(peer, request.command, STOPS)  # it is carried out all the same
            return Asked(request, answer, actor, self._clients.role(peer))
        refusal = self._clients.refusal(peer, request.command, request.args)
        if refusal is not None and refusal[0] == "busy":
            self._flood(peer, request.command)
            answer(error_reply(request.id, *refusal))
            return None
        self._calm(peer)
        if request.command not in READS or refusal is not None:
            answer = self._audited(request, answer, actor, peer)
        else:
            self._note(actor, request.command, {"args": request.args}, peer)
        if refusal is not None:
            answer(error_reply(request.id, *refusal))
            return None
        if peer.key is not None and "author" in request.args:  # what displays show must not be borrowed
            request = replace(request, args=request.args | {"author": actor.rpartition("@")[0]})
        return Asked(request, answer, actor, self._clients.role(peer))

    def _refuse_unread(self, reply: dict[str, Any], answer: Answer, peer: Peer) -> None:
        """Answer what is no request."""
        if (busy := self._clients.too_much(peer)) is not None:
            self._flood(peer, "bad_request")
            answer(error_reply(reply["id"], *busy))
            return
        self._calm(peer)
        said = f"{reply['error']['code']}: {reply['error']['message']}"
        self._note(self._clients.actor(peer), "bad_request", {"outcome": said[:MOST_NOTED]}, peer)
        answer(reply)

    def _flood(self, peer: Peer, what: str, of: bytes = b"") -> None:
        if self._clients.flooded(peer, of) == 1:
            self._note(self._clients.actor(peer), "flood", {"first": what}, peer)

    def _calm(self, peer: Peer, of: bytes = b"") -> None:
        """Something that is not too much: whatever flood there was has ended."""
        if more := self._clients.calm(peer, of):
            self._note(self._clients.actor(peer), "flood.ended", {"more": more}, peer)

    def of_the_box(self, request: Request) -> Answer:
        """Note what the box asks of itself; where its answer goes."""
        return self._audited(request, lambda reply: None, OWN, LOCAL)

    def _audited(self, request: Request, answer: Answer, actor: str, peer: Peer) -> Answer:
        """Note who asked for what, and with the answer what came of it."""
        self._note(actor, request.command, {"args": request.args}, peer)

        def noted(reply: dict[str, Any]) -> None:
            refusal = reply.get("error")
            outcome = "ok" if refusal is None else f"{refusal['code']}: {refusal['message']}"
            said = {"outcome": outcome, "asked_by": actor}
            self._folder.audit(OWN, request.command, said, self._index())
            answer(reply)

        return noted

    def _note(self, actor: str, action: str, detail: dict[str, Any], peer: Peer) -> None:
        """A name may be given again; a key is there once."""
        key = {} if peer.key is None else {"key": peer.key.public}
        self._folder.audit(actor, action, detail | key, self._index())
