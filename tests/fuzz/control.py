"""Fuzzed control requests straight into the desk of a lockstep session, and what must hold all the time.

Every message is answered exactly once, nothing is raised, no current begins but by a request that a decoder
of another make finds well formed and that its sender may ask for, every pulse belongs to such a request, and
no sample is missing.
"""

import random
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgpack

from hostd import casefile, wire
from hostd.case import StimulusPlan
from hostd.control import COMMANDS
from hostd.peers import Key, Peer
from hw.link import ImpedanceStart, LeadWatch, Message, StimArm, StimPlan, Stimulus
from tests.fuzz.lockstep import Lockstep

CURRENTS = {"test.start", "test.rate", "stim.arm", "stim.fire", "impedance.start", "leads.watch"}
ENDING = {"stim.stop", "impedance.stop", "test.stop", "impedance.start", "leads.watch"}
ORDERS = (StimArm, StimPlan, ImpedanceStart, LeadWatch)
CYCLE_S = 10.0
"""Every so often all is stopped, measured, armed and started by proper requests, with fuzz in between."""
ARMED_S, CALM_S = 3.5, 8.0
"""When it is armed; as long in every cycle nobody but that person stops or measures anything, or no electrode
would ever be measured to its end and nothing would run."""
FAR = "192.0.2.9"
KEYS = {
    role: Key(f"the {role}", role, role.ljust(40, "-")) for role in ("observer", "technologist", "engineer")
}
PLACES: tuple[tuple[str, Key | None], ...] = (
    ("127.0.0.1", None),
    ("127.0.0.1", KEYS["technologist"]),
    ("127.0.0.1", KEYS["engineer"]),
    ("127.0.0.1", KEYS["observer"]),
    (FAR, None),
    (FAR, KEYS["technologist"]),
    (FAR, KEYS["engineer"]),
    (FAR, KEYS["observer"]),
)
TESTS = ("left_median", "right_median")


def case() -> casefile.Case:
    """Two limbs: one stimulated at its rate, the other on demand."""
    ssep = casefile.procedure("median_ssep")
    steps = StimulusPlan("nerve", "single", steps_ma=(2.0, 5.0), width_us=200.0)
    return replace(ssep, tests=(ssep.tests[0], replace(ssep.tests[1], stimulus_hz=0.0, stimulus=steps)))


def may_stimulate(body: bytes, peer: Peer) -> bool:
    """Whether `body` could be a proper request for a current by one who may, by another decoder."""
    allowed = peer.address != FAR and (peer.key is None or peer.key.role != "observer")
    try:
        said = msgpack.unpackb(body, strict_map_key=False)
    except Exception:  # noqa: BLE001 (whatever it is, it is no request)
        return False
    command = said.get("command") if isinstance(said, dict) else None
    return allowed and isinstance(command, str) and command in CURRENTS


@dataclass(slots=True)
class Found:
    """What came of it. `wrong`: the first of what must not be, in words."""

    messages: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    orders: Counter[str] = field(default_factory=Counter)
    pulses: int = 0
    samples: int = 0
    lost: int = 0
    wrong: list[str] = field(default_factory=list)

    def broken(self, what: str) -> None:
        """Note what must not be."""
        if len(self.wrong) < 20:
            self.wrong.append(what)


class Fuzzer:
    """Messages from a seed: valid, nearly valid, and anything at all."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._kinds: tuple[tuple[int, Callable[[list[str]], bytes]], ...] = (
            (12, self._valid),
            (46, self._mutated),
            (22, self._wrong_types),
            (10, lambda _: self._random.randbytes(self._random.randrange(200))),
            (5, lambda _: self._deep()),
            (4, lambda _: self._claims()),
            (1, lambda _: self._long()),
        )

    def message(self, calm: bool) -> bytes:
        """The next; nothing that would end anything while it is `calm`."""
        commands = [c for c in COMMANDS if not (calm and c in ENDING)]
        total = sum(weight for weight, _ in self._kinds)
        at = self._random.randrange(total)
        for weight, make in self._kinds:
            if at < weight:
                return make(commands)
            at -= weight
        raise AssertionError

    def peer(self, k: int) -> Peer:
        """Somebody, at one of the places; each asks some dozens of times."""
        address, key = PLACES[self._random.randrange(len(PLACES))]
        return Peer(b"%d" % (k // 200), address, key)

    def _request(self, commands: list[str]) -> dict[str, Any]:
        r = self._random
        command = r.choice(commands)
        if command == "case.close":
            command = "case.start"  # the campaign is one case
        args: dict[str, Any] = {}
        if command.startswith(("test.", "baseline.", "stim.arm", "stim.fire")):
            args["test"] = r.choice((*TESTS, "nobody"))
        if command == "test.rate":
            args["rate_hz"] = r.choice((0, 2.7, 4.7, 5.0, "2.9", 1e-9))
        elif command == "stim.fire":
            args["current_ma"] = r.choice((0, 2.0, 5.0, 7.5, "3"))
        elif command == "mark":
            args |= {"text": "x" * r.randrange(40), "kind": "note"}
        elif command == "alert.acknowledge":
            args["id"] = "stimulus-1"
        elif command == "leads.watch":
            args["current_na"] = r.choice((0, 6, 24, 6000))
        return {"id": r.randrange(1 << 30), "command": command, "args": args}

    def _valid(self, commands: list[str]) -> bytes:
        return bytes(msgpack.packb(self._request(commands)))

    def _mutated(self, commands: list[str]) -> bytes:
        r, body = self._random, bytearray(self._valid(commands))
        for _ in range(r.choice((1, 1, 1, 2, 3, 8))):
            at = r.randrange(len(body) + 1)
            match r.randrange(5):
                case 0 if at < len(body):
                    body[at] ^= 1 << r.randrange(8)
                case 1:
                    body[at:at] = r.randbytes(r.randrange(1, 6))
                case 2:
                    del body[at : at + r.randrange(1, 6)]
                case 3:
                    body[at:at] = body[at : at + 20]
                case _:
                    del body[at:]
        return bytes(body)

    def _wrong_types(self, commands: list[str]) -> bytes:
        r, said = self._random, self._request(commands)
        for _ in range(r.randrange(1, 4)):
            place = r.choice(("id", "command", "args", "more", "test", "author", "phantom"))
            value = self._anything(3)
            if place in said or place == "more":
                said[place] = value
            elif isinstance(said.get("args"), dict):
                said["args"][place] = value
        return bytes(msgpack.packb(said))

    def _anything(self, levels: int) -> Any:
        r = self._random
        match r.randrange(12 if levels else 9):
            case 0:
                return None
            case 1:
                return r.random() < 0.5
            case 2:
                return r.choice((0, -1, 1 << 63, (1 << 64) - 1, -(1 << 63), r.randrange(1 << 32)))
            case 3:
                return r.choice((float("nan"), float("inf"), -float("inf"), -0.0, 1e308, 5e-324))
            case 4:
                return r.choice(("", "\0", "\x1b[2J", "left_median", "a" * 300, "\N{GRINNING FACE}"))
            case 5:
                return r.randbytes(r.randrange(20))
            case 6:
                return msgpack.ExtType(r.randrange(128), r.randbytes(4))
            case 7:
                return msgpack.Timestamp(r.randrange(1 << 34))
            case 8:
                return r.choice(tuple(COMMANDS)).upper()
            case 9 | 10:
                return [self._anything(levels - 1) for _ in range(r.randrange(4))]
            case _:
                return {
                    r.choice(("a", "test", 1, None)): self._anything(levels - 1)
                    for _ in range(r.randrange(4))
                }

    def _deep(self) -> bytes:
        r = self._random
        head = r.choice((b"", b"\x83\xa7command\xa4mark\xa4args\x81\xa4text", b"\x81\xa2id"))
        return (
            head
            + r.choice((b"\x91", b"\x81\xa1a", b"\x81\x91")) * r.choice((10, 100, 1000, 20_000))
            + b"\xc0"
        )

    def _claims(self) -> bytes:
        r = self._random
        n = r.choice((0xFFFFFFFF, 0x7FFFFFFF, 1 << 24, 70_000))
        head = r.choice((b"", b"\x81\xa7command", b"\x83\xa2id\x01\xa7command\xa8stim.arm\xa4args"))
        return (
            head
            + r.choice(b"\xdd\xdf\xc6\xdb\xc9").to_bytes(1, "big")
            + struct.pack(">I", n)
            + r.randbytes(8)
        )

    def _long(self) -> bytes:
        r, n = self._random, self._random.choice((60_000, 65_536, 65_537, 70_000))
        said = {"id": "i" * 10, "command": "mark", "args": {"text": "x" * n}}
        return bytes(msgpack.packb(said)) if r.random() < 0.5 else bytes(n)


def run(messages: int, a_block: int, seed: int, data: Path | None = None) -> Found:
    """`messages` requests, `a_block` of them after each block of 10 ms."""
    found, fuzzer = Found(), Fuzzer(seed)
    answers = bytearray(messages + 1000)
    allowed: list[bool] = [False]
    commands: set[int] = set()

    def ordered(message: Message) -> None:
        if isinstance(message, ORDERS):
            found.orders[type(message).__name__] += 1
            commands.add(message.command)
            if not allowed[0]:
                found.broken(f"{message} was ordered by nobody who may")

    def pulsed(message: Message) -> None:
        if isinstance(message, Stimulus):
            found.pulses += 1
            if message.command not in commands:
                found.broken(f"{message} belongs to no order")

    seconds = (-(-messages // a_block) + 20) / 100
    with Lockstep(case(), seconds, data, ordered, pulsed) as session:
        asked = 0
        now_ns = [1]
        session.desk._clients._clock = lambda: now_ns[0]

        def ask(body: bytes, peer: Peer) -> None:
            nonlocal asked
            number, asked = asked, asked + 1

            def answer(reply: dict[str, Any]) -> None:
                answers[number] += 1
                wire.encode_map(reply)
                found.codes["ok" if reply["ok"] else reply["error"]["code"]] += 1

            now_ns[0] += 0 if number // 1000 % 10 == 1 else 25_000_000  # now and then a flood
            allowed[0] = may_stimulate(body, peer)
            try:
                session.desk.handle(body, answer, peer)
            except Exception as error:  # noqa: BLE001 (that is what is looked for)
                found.broken(f"{body[:80]!r} of {peer} raised {error!r}")
            allowed[0] = False

        def each() -> None:
            at_s = session.taken / session.rate_hz
            if asked >= messages:  # the last have time to be answered
                return
            for body in orderly(at_s % CYCLE_S):
                ask(body, Peer(b"cart", "127.0.0.1"))
            for _ in range(min(a_block, messages - asked)):
                ask(fuzzer.message(at_s % CYCLE_S < CALM_S), fuzzer.peer(asked))

        session.run(each)
        found.samples = session.pipeline.samples
        due = round(seconds * session.rate_hz)
        found.lost = max(session.pipeline.lost_samples, due - found.samples)
        if found.lost or session.torn or found.samples != due or session.taken != due:
            found.broken(f"{due} samples were due, {session.taken} came, {found.samples} were heard of")
        if session.desk.faults or session.processing.faults:
            found.broken(f"faults: {[*session.desk.faults, *session.processing.faults][:3]}")
        session.settle()
        session.desk.handle(msgpack.packb({"command": "stim.stop"}), lambda reply: None)
        session.settle()
    found.messages = asked
    if missing := [k for k in range(asked) if answers[k] != 1]:
        found.broken(f"{len(missing)} messages were not answered exactly once, first {missing[:5]}")
    if found.codes["internal"]:
        found.broken(f"{found.codes['internal']} answers of internal faults")
    if session.processing.failure is not None:
        found.broken(f"the case did not go on: {session.processing.failure}")
    return found


def orderly(at_s: float) -> list[bytes]:
    """What a person at the cart asks for in the block at this time of a cycle."""
    for due_s, *requests in (
        (0.01, ("stim.stop", {}), ("impedance.start", {})),
        (ARMED_S, ("stim.arm", {"test": TESTS[0]}), ("stim.arm", {"test": TESTS[1]})),
        (ARMED_S + 0.1, ("test.start", {"test": TESTS[0]}), ("test.start", {"test": TESTS[1]})),
        (ARMED_S + 1.5, ("stim.fire", {"test": TESTS[1], "current_ma": 2.0})),
    ):
        if abs(at_s - due_s) < 0.004:
            return [msgpack.packb({"id": due_s, "command": c, "args": a}) for c, a in requests]
    return []
