"""Fuzzed link frames into the edge's link server, and into the host's end of the link.

Damaged frames, random bytes between delimiters, well-checked frames of random content. Every frame is taken
or counted as bad, every command that is heard gets its one answer, nothing that was never armed is fired, and
the samples that go on meanwhile are all there.
"""

import random
import select
import socket
import struct
import zlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from firmware.session import block_message
from firmware.transport import SocketStream
from hostd import casefile
from hostd.blocks import Reassembler
from hostd.daemon import configure_message
from hw import cobs, link
from hw.link import Block, Configure, Fault, Hello, Message, Receiver, Reply, Sender, Start, StimArm, Stimulus
from hw.link_fields import GAP_REASONS, layout
from hw.samples import Gap, SampleBlock
from tests.support.edge import HandedOver, served
from tests.support.links import is_true, tiles, true_block
from tests.support.session import Bench

OPENING: tuple[type[Message], ...] = (Hello, Configure, Start)
ANSWERED: tuple[type[Message], ...] = (
    *(link.StimPlan, link.StimStop, link.StimLimits, link.Lockout),
    *(link.ImpedanceStart, link.ImpedanceStop, link.LeadWatch),
)
CHUNK = 40
LEAST_BLOCKS = 24
LATER_BLOCKS = 300


@dataclass(slots=True)
class Found:
    """What came of it. `wrong`: the first of what must not be, in words."""

    frames: int = 0
    taken: int = 0
    bad: int = 0
    commands: int = 0
    answered: int = 0
    blocks: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def broken(self, what: str) -> None:
        """Note what must not be."""
        if len(self.wrong) < 20:
            self.wrong.append(what)


class Frames:
    """Frames from a seed, each ended by its delimiter. `kinds`: of which messages."""

    def __init__(self, seed: int, kinds: tuple[type[Message], ...]) -> None:
        self._random, self._kinds = random.Random(seed), kinds
        self._sender = Sender()
        self._number = 0

    def frame(self) -> bytes:
        """The next."""
        r = self._random
        match r.randrange(10):
            case 0 | 1:
                return r.randbytes(r.randrange(1, 80)) + b"\0"
            case 2:
                return bytes(r.randrange(1, 256) for _ in range(r.randrange(1, 300))) + b"\0"
            case 3 | 4 | 5:
                return self._damaged()
            case 6:
                return self._misfit()
            case _:
                return self._sender.frame(self.message())

    def message(self) -> Message:
        """One of the kinds, of any content; a command has a number of its own."""
        kind = self._random.choice(self._kinds)
        values = {name: self._value(code) for name, code in layout(kind)}
        if "command" in values:
            self._number += 1
            values["command"] = self._number
        if kind is Hello and self._random.random() < 0.8:
            return link.hello("host", self._number)
        return kind(**values)

    def _damaged(self) -> bytes:
        r, frame = self._random, bytearray(Sender().frame(self.message())[:-1])
        for _ in range(r.randrange(1, 5)):
            match r.randrange(3):
                case 0 if frame:
                    frame[r.randrange(len(frame))] ^= 1 << r.randrange(8)
                case 1:
                    at = r.randrange(len(frame) + 1)
                    frame[at:at] = r.randbytes(r.randrange(1, 4))
                case _:
                    del frame[r.randrange(len(frame) + 1) :]
        return bytes(frame) + b"\0"

    def _misfit(self) -> bytes:
        """A good check sum over a payload that is not of its kind, or of no kind."""
        r = self._random
        code = r.choice((r.randrange(256), r.choice(self._kinds).CODE))
        body = struct.pack("<BI", code, r.randrange(1 << 32)) + r.randbytes(r.randrange(60))
        if code in (StimArm.CODE, *(kind.CODE for kind in OPENING)):
            body = body[:5]  # too short to be one
        return cobs.encode(body + struct.pack("<I", zlib.crc32(body))) + b"\0"

    def _value(self, code: str) -> Any:
        r = self._random
        bits = {"B": 8, "H": 16, "I": 32, "Q": 64}
        if code in bits:
            return r.choice((0, 1, (1 << bits[code]) - 1, r.randrange(1 << bits[code]), r.randrange(9)))
        if code == "q":
            return r.choice((0, -1, -(1 << 63), (1 << 63) - 1))
        if code in ("d", "floats"):
            number = r.choice((0.0, -1.0, float("nan"), float("inf"), 1e308, 4000.0))
            return number if code == "d" else (number,) * r.randrange(4)
        text = r.choice(("", "CP3", "\0", "x" * 200, "\N{GREEK SMALL LETTER MU}"))
        if code in ("text", "texts"):
            return text if code == "text" else (text,) * r.randrange(5)
        if code == "gaps":
            return (Gap(r.randrange(1 << 40), r.randrange(1 << 20), r.choice(GAP_REASONS)),) * r.randrange(3)
        return r.randbytes(r.randrange(90))


def pieces(frame: bytes) -> int:
    """How many frames a receiver sees in it."""
    return sum(map(bool, frame.split(b"\0")))


def edge(frames: int, seed: int, openings: bool = False) -> Found:
    """Into the edge's server, which acquires meanwhile. With `openings` frames that begin or refuse a talk
    come too, and the talk is begun again now and then; without, every command has exactly one answer."""
    found, receivers = Found(), list[Receiver]()

    def receiver() -> Receiver:
        receivers.append(Receiver())
        return receivers[-1]

    kinds = (*ANSWERED, link.Heartbeat, link.Reply, link.Block, *(OPENING if openings else ()))
    fuzz, listener = Frames(seed, kinds), HandedOver()
    source = Bench(None, None, seed)
    with mock.patch("firmware.session.Receiver", receiver), served(source, listener) as server:
        ours, theirs = socket.socketpair()
        ours.settimeout(20.0)
        listener.queue.put(SocketStream(theirs))
        host = _Host(ours, found)
        host.begin()
        due: Counter[int] = Counter()
        sent = host.sent
        for at in range(0, frames, CHUNK):
            chunk = bytearray()
            for _ in range(min(CHUNK, frames - at)):
                frame = fuzz.frame()
                chunk += frame
                found.frames += 1
                sent += pieces(frame)
                for message in Receiver().feed(frame):  # a payload may fit by chance
                    found.kinds[type(message).__name__] += 1
                    if isinstance(message, ANSWERED) and message.command:
                        due[message.command] += 1
            ours.sendall(chunk)
            host.hear(0.0)
            if openings and at % (50 * CHUNK) == 0:
                before = host.sent
                host.begin()
                sent += host.sent - before
        before = host.sent
        host.begin()
        sent += host.sent - before
        host.hear_on()
        host.ask_last(due)
        sent += 1
        if not server.alive:
            found.broken(f"the server ended: {server.failure!r}")
        (edges,) = receivers
        found.taken, found.bad = edges.frames, edges.bad_frames
        found.commands, found.answered = due.total(), sum((host.replies & due).values())
        if edges.frames + edges.bad_frames != sent:
            found.broken(f"{sent} frames sent, {edges.frames} taken and {edges.bad_frames} bad")
        if not openings and host.replies != due:
            odd = (host.replies - due) + (due - host.replies)
            found.broken(f"{len(odd)} commands have not exactly one answer, first {list(odd)[:5]}")
        host.judge()
        ours.close()
    return found


class _Host:
    """The other end of the edge's talk: well-behaved when it begins one, and all ears."""

    LAST = (1 << 32) - 1

    def __init__(self, ours: socket.socket, found: Found) -> None:
        self._socket, self._found = ours, found
        self._sender, self._receiver, self._blocks = Sender(), Receiver(), Reassembler()
        self._configure = configure_message(casefile.procedure("median_ssep"))
        self.heard: list[Message] = []
        self.replies: Counter[int] = Counter()
        self.sent = 0
        self._next: int | None = None

    def begin(self) -> None:
        """Shake hands, configure, start: blocks must come."""
        for message in (link.hello("host", 1), self._configure, Start(0)):
            self._socket.sendall(self._sender.frame(message))
            self.sent += 1
        before = self._found.blocks
        while self._found.blocks == before:
            self.hear()

    def ask_last(self, due: Counter[int]) -> None:
        """One more command; by its answer, or some blocks later, all others have theirs."""
        self._socket.sendall(self._sender.frame(link.StimStop(self.LAST, link.ALL_PLANS)))
        while not self.replies[self.LAST]:
            self.hear()
        del self.replies[self.LAST]
        end = self._found.blocks + LATER_BLOCKS
        while self.replies != due and self._found.blocks < end:
            self.hear()

    def hear_on(self) -> None:
        """Acquisition goes on behind all that, however few blocks the frames left time for."""
        while self._found.blocks < LEAST_BLOCKS:
            self.hear()

    def hear(self, within_s: float = 20.0) -> None:
        """What has arrived, waiting so long for something."""
        if not select.select([self._socket], [], [], within_s)[0]:
            if within_s:
                raise TimeoutError("the edge is silent")
            return
        for message in self._receiver.feed(self._socket.recv(1 << 16)):
            if isinstance(message, Block):
                block = self._blocks.take(message)
                if block is not None:
                    self._found.blocks += 1
                    if block.gaps or (self._next is not None and block.first_index != self._next):
                        self._found.broken(f"a gap before sample {block.first_index}")
                    self._next = block.end_index
            elif isinstance(message, Reply):
                # 0 is what the edge asks itself when a talk begins; its answer comes whenever it does.
                self.replies.update([message.command] if message.command else [])
            elif isinstance(message, Stimulus):
                self._found.broken(f"{message} was fired and nothing was ever armed")
            elif isinstance(message, Fault) and message.code not in ("config", "version"):
                self._found.broken(f"the edge told of {message}")

    def judge(self) -> None:
        """What the edge sent must all have been whole."""
        r = self._receiver
        if r.bad_frames or r.lost_frames or self._blocks.malformed:
            self._found.broken(f"the edge sent {r.bad_frames} bad frames and lost {r.lost_frames}")


def host(frames: int, seed: int) -> Found:
    """Into the host's decoder, true blocks between them: all of these and no others come out."""
    found, receiver, blocks = Found(), Receiver(), Reassembler()
    fuzz, sender = Frames(seed, link.KINDS), Sender()
    out: list[SampleBlock] = []
    sent = first = 0

    def feed(data: bytes) -> None:
        try:
            for message in receiver.feed(data):
                found.kinds[type(message).__name__] += 1
                if isinstance(message, Block) and (block := blocks.take(message)) is not None:
                    out.append(block)
        except Exception as error:  # noqa: BLE001 (that is what is looked for)
            found.broken(f"{data[:60]!r} raised {error!r}")

    for k in range(frames):
        if k % 10 == 0:
            feed(sender.frame(block_message(true_block(first, 40))))
            first, sent, found.blocks = first + 40, sent + 1, found.blocks + 1
        frame = fuzz.frame()
        found.frames, sent = found.frames + 1, sent + pieces(frame)
        at = len(frame) // 3
        feed(frame[:at])
        feed(frame[at:])
    found.taken, found.bad = receiver.frames, receiver.bad_frames
    if receiver.frames + receiver.bad_frames != sent:
        found.broken(f"{sent} frames fed, {receiver.frames} taken and {receiver.bad_frames} bad")
    if not (tiles(out, 0) and all(map(is_true, out)) and sum(len(b.trigger_bits) for b in out) == first):
        found.broken(f"{first} samples fed, {sum(len(b.trigger_bits) for b in out)} came out, or others")
    return found
