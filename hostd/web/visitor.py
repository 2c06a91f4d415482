"""One browser at a box: what it says is decoded here, its requests go to its desk, its reading to the reader.

A browser on this machine may what the gateway's own key may; from elsewhere it looks until somebody shows a
key, and only over https, since a key would travel in the open otherwise. What cannot be read is counted and
answered with nothing: a page of ours says no such thing.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from hostd.errors import EvokdError, UsageError
from hostd.keys import Secret, shown_secret
from hostd.web.clients import ASKED_FOR, Outbox
from hostd.web.desk import Desk, Wanted
from hostd.web.frame import pack_frame
from hostd.wire import Message

NAME_LENGTH = 48


class SignIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody gives a name, and a key where the box wants one (the text of its `.secret` file)."""

    name: str = ""
    key: str = ""


class Ask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One control request; the answer is frame `reply` of the same `id`."""

    id: int
    command: str
    args: dict[str, Any] = {}


class Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a page says: one of these at a time. `read`: what to average anew, {} for nothing any more."""

    ping: float | None = None
    want: list[str] | None = None
    sign_in: SignIn | None = None
    ask: Ask | None = None
    read: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class At:
    """Where a browser is: its address, on this machine or not, whether nobody can listen on the way; and
    whether it may look before it has shown a key."""

    address: str
    here: bool
    secure: bool
    looks: bool = True


class BoxDoor(Protocol):
    """What a visitor needs of its box."""

    key: Secret | None
    refused: int

    @property
    def bus(self) -> str:
        """Where the box is heard now."""

    def answer(self, ping: float | None) -> bytes:
        """Frame `gateway`."""

    def first(self) -> Iterator[bytes]:
        """What somebody who comes is told first."""

    def read(self, outbox: Outbox, wanted: dict[str, Any], key: Secret | None) -> None:
        """Average anew for this browser, or no longer. Raises UsageError."""


class Visitor:
    """One browser. One thread (the event loop's)."""

    def __init__(self, box: BoxDoor, outbox: Outbox, at: At, gone: Callable[["Visitor"], None]) -> None:
        self._box, self._outbox, self._at, self._gone = box, outbox, at, gone
        self._name = ""
        self._role = "observer"
        self._tasks: set[asyncio.Task[None]] = set()
        self._shown: Secret | None = None
        outbox.admitted = at.here or at.looks
        self._desk = self._make_desk(box.key)
        outbox.put("gateway", box.answer(None))
        self.greet()

    async def said(self, text: str) -> None:
        """One message of the browser."""
        try:
            said = msgspec.json.decode(text, type=Said)
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            self._box.refused += 1
            return
        if said.ping is not None:
            self._outbox.put("gateway", self._box.answer(said.ping))
        if said.want is not None:
            self._outbox.wants = frozenset(said.want) & frozenset(ASKED_FOR)
        if said.sign_in is not None:
            self._sign_in(said.sign_in)
        if said.ask is not None:
            self._begin(self._asked(said.ask))
        if said.read is not None:
            self._read(said.read)

    def greet(self) -> None:
        """Ask the box anew what this browser may: at first, and when the box was started anew."""
        self._begin(self._tell_rights())

    def move(self) -> None:
        """The box is heard elsewhere: ask there from now on."""
        desk, self._desk = self._desk, self._make_desk(self._desk.key)
        desk.close()
        self.greet()

    def close(self) -> None:
        """The browser is gone."""
        for task in self._tasks:
            task.cancel()
        self._desk.close()
        self._box.read(self._outbox, {}, None)
        self._gone(self)

    def _make_desk(self, key: Secret | None) -> Desk:
        wanted: Wanted = "operator"
        if not self._at.here:
            wanted = "observer" if key is self._box.key else "remote"
        who = self._name or "web display"
        name = who if self._at.here else f"{who} from {self._at.address}"
        return Desk(self._box.bus, key, name, wanted)

    def _sign_in(self, said: SignIn) -> None:
        self._name = " ".join(said.name.split())[:NAME_LENGTH]
        key = self._box.key
        if said.key and not (self._at.here or self._at.secure):
            cure = "open it as https (evokd web --tls) or on the box itself"
            self._tell("rights", {"error": f"a key would travel in the open from here; {cure}"})
            return
        try:
            key = shown_secret(said.key) if said.key else key
        except UsageError as error:
            self._tell("rights", {"error": str(error)})
            return
        self._desk.close()
        self._shown = None if key is self._box.key else key
        self._desk = self._make_desk(key)
        self.greet()

    async def _tell_rights(self) -> None:
        try:
            rights = await self._desk.rights()
        except EvokdError as error:
            self._role = "observer"
            self._tell("rights", {"error": str(error)})
            return
        self._role = str(rights.get("role"))
        if self._shown is not None and not self._outbox.admitted:
            self._outbox.admit(self._box.first())
        told = {key: rights.get(key) for key in ("role", "may", "key", "evokd")}
        self._tell("rights", told | {"name": self._name, "error": "", "admitted": self._outbox.admitted})

    async def _asked(self, ask: Ask) -> None:
        reply = await self._desk.ask(ask.command, ask.args)
        self._tell("reply", {**reply, "id": ask.id, "command": ask.command})

    def _read(self, wanted: dict[str, Any]) -> None:
        try:
            if wanted and (self._role == "observer" or not self._outbox.admitted):
                raise UsageError("raw samples are not for observers; sign in with a technologist's key")
            self._box.read(self._outbox, wanted, self._desk.key)
        except UsageError as error:
            self._tell("reading.error", {"text": str(error)})

    def _tell(self, topic: str, header: dict[str, Any]) -> None:
        at = {"here": self._at.here, "secure": self._at.secure} if topic == "rights" else {}
        self._outbox.put(topic, pack_frame(Message(topic, {**header, **at}, [])))

    def _begin(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
