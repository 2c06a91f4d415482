"""The host of a soak in one thread: frames in, and all that a daemon makes of them, in step with the edge.

Record, pipeline, desk, store and bus are the real ones, so are their writing threads and their sockets; a
display hears every message, asks for a snapshot now and then, and a person marks, fires and sets baselines.
Left out are the daemon's own three threads and the queue between them.
"""

import queue
import threading
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgpack

from hostd.blocks import Reassembler
from hostd.bus import Bus
from hostd.case import Case
from hostd.case_folder import CaseFolder, new_case_id
from hostd.client import Subscription
from hostd.control_desk import ControlDesk
from hostd.endpoints import parse_bus
from hostd.intake import PASSED_ON, End
from hostd.outgoing import Outgoing
from hostd.pipeline import Pipeline
from hostd.processing import Processing
from hostd.timebase import Timebase, filter_delay
from hw.link import Block, Message, Receiver, Stimulus
from hw.link import Timebase as Report
from tests.soak.apart import EdgeApart
from tests.soak.edge import BORN_NS, FastEdge
from tests.support.ports import free_bus

UTC_NS = 1_793_000_000_000_000_000
"""Of the first sample: in October 2026, whenever it runs."""
ASK_S, MARK_S, FIRE_S = 10.0, 60.0, 120.0
MOST_LISTENS = 500
BASELINE_S, AGAIN_S = 120.0, 3600.0
"""A baseline two minutes after the beginning, one anew every hour; from the second on of motor tests too."""


class _Intake:
    """What the desk knows of the intake."""

    def __init__(self, edge: FastEdge | EdgeApart) -> None:
        self.send: Any = edge.command
        self.items: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.closing = threading.Event()
        self.faults: list[str] = []
        self.state: dict[str, Any] = {}
        self.anew = self.connected = False


class Box:
    """One case. `advance` takes a block; the counters tell what came of it all."""

    def __init__(self, case: Case, edge: FastEdge | EdgeApart, data: Path | None) -> None:
        self.case, self.edge, self.rate_hz = case, edge, case.rate_hz
        self.pipeline = Pipeline(case, edge.description)
        delay = filter_delay(edge.description)
        self.timebase = Timebase(case.rate_hz, delay, (0, BORN_NS), UTC_NS)
        case_id = new_case_id()
        address = free_bus()
        self.bus = Bus(parse_bus(address), "b007", case_id, self.timebase.at)
        self.folder = CaseFolder(data, case_id, case, edge.description)
        self._intake: Any = _Intake(edge)
        self._items = self._intake.items
        closing = self._intake.closing
        self.processing = Processing(
            self.pipeline, self._items, closing, self.bus, self.folder, self.timebase, edge.description
        )
        self.desk = ControlDesk(
            case, edge.description, self.bus, self._intake, self.processing, self.folder, "b007", case_id
        )
        self.desk._clients._clock = lambda: self.now_ns  # type: ignore[attr-defined]
        self._receiver, self._blocks = Receiver(), Reassembler()
        self.display = Subscription(address)
        self.heard: Counter[str] = Counter()
        self.holes = self.taken = self.lost = self.pulses = self.unproven = 0
        self._next: dict[str, int] = {}
        self.refusals: Counter[str] = Counter()
        self.latest: dict[str, Any] = {}
        self._due = {"ask": ASK_S, "mark": MARK_S, "fire": FIRE_S, "baseline": BASELINE_S}
        self.desk.start_free_tests()

    @property
    def now_ns(self) -> int:
        """Time as the samples have it."""
        return round(self.taken / self.rate_hz * 1e9)

    def advance(self) -> None:
        """One block, and everything that follows from it."""
        for message in self._receiver.feed(self.edge.frames()):
            self._take(message)
        self._settle()
        self.desk.look()
        self.desk.tick(self.now_ns)
        self.bus.publish(Outgoing("beat", self.taken, {"latest": self.bus.latest_seq}))
        self._somebody()
        self._settle()
        self._listen()

    def _take(self, message: Message) -> None:
        if isinstance(message, Block):
            block = self._blocks.take(message)
            if block is None:
                self.lost += 1
                return
            self.lost += sum(gap.length for gap in block.gaps) + abs(block.first_index - self.taken)
            self.taken = block.end_index
            self.timebase.follow(block.end_index - 1, block.t_ns)
            self.folder.append(block)
            self.processing._process(block)
        elif isinstance(message, PASSED_ON) or (isinstance(message, Report) and self.timebase.learn(message)):
            if isinstance(message, Stimulus):
                self.pulses += 1
                self.unproven += message.seen >= 1 << 63
            self.processing._process(message)

    def _settle(self) -> None:
        self.bus.serve(0, lambda body, answer, peer: None)
        while not self._items.empty():
            self.processing._process(self._items.get())
            self.bus.serve(0, lambda body, answer, peer: None)

    def _listen(self) -> None:
        """What the display hears: all that was said, every topic's sequence without a hole. It is waited for,
        since nobody says as much in a second as a case that is played so fast."""
        for k in range(MOST_LISTENS):
            for m in self.display.receive(10 if k else 0):
                seq = m.header["seq"]
                self.holes += seq != self._next.get(m.topic, seq)
                self._next[m.topic] = seq + 1
                self.heard[m.topic] += 1
                if m.topic.startswith(("measure.", "average.")):
                    self.latest[m.topic] = m
            said = self.bus.latest_seq
            if all(self._next.get(topic, seq + 1) == seq + 1 for topic, seq in said.items()):
                return

    def _somebody(self) -> None:
        """A display that asks and a person at the cart, on the sample grid."""
        at_s = self.taken / self.rate_hz
        if at_s >= self._due["ask"]:
            self._due["ask"] += ASK_S
            self._ask("snapshot")
        if at_s >= self._due["mark"]:
            self._due["mark"] += MARK_S
            self._ask("mark", text=f"minute {at_s / 60.0:.0f}, map_mmhg=72", kind="note")
        if at_s >= self._due["fire"]:
            self._due["fire"] += FIRE_S
            for test in self.case.tests:
                if test.stimulus.mode == "single":
                    if not self.desk.state.of(test.name).armed(self.taken):  # as it was not used for 30 s
                        self._ask("stim.arm", test=test.name)
                    self._ask("stim.fire", test=test.name)
        if at_s >= self._due["baseline"]:
            self._due["baseline"] += AGAIN_S
            for test in self.case.tests:
                if test.stimulus.mode != "single" or at_s > AGAIN_S:  # which has answered by then
                    self._ask("baseline.set", test=test.name)

    def _ask(self, command: str, **args: Any) -> None:
        def answer(reply: dict[str, Any]) -> None:
            if not reply["ok"]:
                self.refusals[f"{command}: {reply['error']['code']}: {reply['error']['message']}"] += 1

        self.desk.handle(msgpack.packb({"id": 1, "command": command, "args": args}), answer)

    @property
    def faults(self) -> list[str]:
        """All that was told to be wrong."""
        own = [*self._intake.faults, *self.desk.faults, *self.processing.faults, *self.bus.faults]
        r = self._receiver
        if r.bad_frames or r.lost_frames or self._blocks.malformed or self._blocks.repeated:
            own.append(f"link: {r.bad_frames} bad frames, {r.lost_frames} lost")
        if self.processing.failure:
            own.append(str(self.processing.failure))
        return own

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._items.put(End())
        self.processing._run()
        self.display.close()
        self.bus.close()
