"""The processing thread: queued samples and commands through the pipeline, messages to the bus and the store.

Owns the order of things: whatever changes a result passes through this one queue and is noted with the sample
index at which it took effect, so that replay can repeat it. Refuses to stop for a disk.
"""

import contextlib
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from hostd import leads
from hostd.bus import Bus
from hostd.case_folder import CaseFolder
from hostd.delivery import STOPPING
from hostd.errors import CrashedError, EvokdError, RecordingError
from hostd.fingerprint import CHECKPOINT_S, Fingerprint
from hostd.inputs import Inputs
from hostd.intake import UNEXPECTED, End
from hostd.memory import Memory
from hostd.outgoing import Outgoing
from hostd.pipeline import Pipeline
from hostd.resume import Resumed
from hostd.stimulation import Sent
from hostd.storage import COMMAND as STORAGE
from hostd.storage import StorageWatch
from hostd.surgery import ELECTROSURGERY
from hostd.timebase import Timebase
from hw.link import (
    NOT_SEEN,
    Description,
    Excited,
    Fault,
    Impedance,
    Leads,
    Reply,
    StimState,
    Stimulus,
    Unfired,
)
from hw.link import Timebase as Report
from hw.samples import Gap, SampleBlock

WAIT_S = 0.5
UNCERTAIN_S = 3.0
"""Samples before a host's death whose proofs it may not have brought to file: it commits twice a second."""
LAST_PULSES_S = 1.0
"""Pulses that the host before had ordered come no later (its record of 0.1 s, the edge's 0.2 s): they prove
nothing of stimulation since, and must not clear the alert that it was stopped."""
HOST = "host"
"""Code of the fault that tells of a host that was started anew."""
PASSING = ("sweep.", "emg.audio", "wave.", "event", "stim", "alert")
"""Topics whose last message is no state: who takes up a case does not tell it again; open alerts it does."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command for the pipeline; `done` hears an error in one line, or None."""

    name: str
    args: dict[str, Any]
    done: Callable[[str | None], None]


class Processing:
    """Runs `pipeline` over `items` until End. `failure` holds the first error; `ended` is set at the end.

    `closing` is set when it can go on no longer, so that no more samples are taken in; `faults` are told.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        items: "queue.Queue[Any]",
        closing: threading.Event,
        bus: Bus,
        folder: CaseFolder,
        timebase: Timebase,
        description: Description,
        resumed: Resumed | None = None,
    ) -> None:
        self._pipeline, self._items, self._closing, self._bus = pipeline, items, closing, bus
        self._folder, self._timebase, self._description = folder, timebase, description
        self._latest: dict[str, Outgoing] = {}
        self._storage = StorageWatch(description.rate_hz)
        self._fingerprint = Fingerprint()
        self._checkpoint = self._checkpoint_rows = round(CHECKPOINT_S * description.rate_hz)
        self._resumed, self._inputs = resumed, Inputs() if resumed is None else resumed.inputs
        self._again = resumed is not None
        self._waiting: list[Command] = []
        self._kept_back: list[SampleBlock] = []
        self._memory = Memory(folder, description.rate_hz, resumed)
        self.on_reply: Callable[[Reply], None] = lambda reply: None
        self.on_fault: Callable[[Fault], None] = lambda fault: None
        self.on_impedance: Callable[[Impedance], None] = lambda impedance: None
        self.on_stimulus: Callable[[Stimulus], None] = lambda stimulus: None
        self.on_unfired: Callable[[Unfired], None] = lambda unfired: None
        self.on_stim_state: Callable[[StimState], None] = lambda said: None
        self.on_mains: Callable[[float | None, float | None], None] = lambda hz, hz_sd: None
        self.on_electrosurgery: Callable[[bool], None] = lambda on: None
        self.on_undelivered: Callable[[str], None] = lambda text: None
        self.on_replicate: Callable[[str], None] = lambda test: None
        self.sent: Callable[[int], Sent | None] = lambda command: None
        self.beat: Callable[[float | None], None] = lambda within_s: None
        self.failure: EvokdError | None = None
        self.faults: list[str] = []
        self.ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="processing")

    @property
    def index(self) -> int:
        """The sample index reached."""
        return self._pipeline.next_index or 0

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def join(self) -> None:
        """Wait for the end."""
        self._thread.join()

    def _run(self) -> None:
        item: Any = None
        over = False
        try:
            if self._resumed is not None:
                self._take_up(self._resumed)
            while not isinstance(item := self._next(), End):
                self._process(item)
            self._feed_kept_back()
            self._say(list(self._inputs.rest(self._pipeline)))
            self._carry_out_waiting()
            self._say(self._pipeline.finish())
            for message in self._latest.values():
                if message.topic.startswith("average."):
                    self._folder.last_average(message)
            self._folder.fingerprint(self.index, self._fingerprint)
            over = True
        except UNEXPECTED as error:
            self.failure = CrashedError(f"processing stopped: {error!r}")
        finally:
            self._closing.set()
            for command in self._waiting:
                self._refuse(command)
            self._refuse(item)
            while not isinstance(item, End):  # the intake must find room to stop the edge and end
                item = self._items.get()
                self._refuse(item)
            try:
                self._folder.close()
            except RecordingError as error:
                self.failure = self.failure or error
            self._memory.close(over=over)
            self.ended.set()
            self._refuse_late()

    def _next(self) -> Any:
        """The next item; who waits for it is alive."""
        while True:
            self.beat(None)
            with contextlib.suppress(queue.Empty):
                return self._items.get(timeout=WAIT_S)

    def _process(self, item: Any) -> None:
        match item:
            case SampleBlock():
                self._block(item)
            case Command():
                self._command(item)
            case Stimulus():
                self._stimulus(item)
            case Unfired():
                self._bus.post(lambda: self.on_unfired(item))
            case StimState():
                self._bus.post(lambda: self.on_stim_state(item))
            case Report():
                self._folder.fitted(item)
            case Reply():
                self._bus.post(lambda: self.on_reply(item))
            case Excited():
                self._command(_of_the_edge("impedance.span", leads.span_args(item)))
            case Impedance():
                self._command(_of_the_edge("impedance.result", leads.result_args(item)))
                self._bus.post(lambda: self.on_impedance(item))
            case Leads():
                flags = leads.flag_args(item, self._description.channels)
                self._command(_of_the_edge("leads", flags))
            case Fault():
                said = {"text": f"{item.code}: {item.text}", "kind": "fault", "author": "edge"}
                self._command(_of_the_edge("mark", said))
                about = {"code": item.code, "text": item.text, "line": item.line}
                index = item.index if item.index != NOT_SEEN else self.index
                self._command(_of_the_edge("stim.fault", about | {"index": index}))
                self._bus.post(lambda: self.on_fault(item))
        if fault := self._folder.take_fault() or self._memory.take_fault():
            self.faults.append(f"recording: {fault}")

    def _take_up(self, resumed: Resumed) -> None:
        """Compute what the host before knew: from its checkpoint on, from what is on file. It was told then;
        it is told again, since displays begin anew with us. The last seconds wait for the edge's own samples:
        before these it gives proofs of pulses again that may not have come to file."""
        if (remembered := resumed.remembered) is not None:
            self._fingerprint, self._storage = remembered.fingerprint, remembered.storage
            self._latest = dict(remembered.latest)
            self._checkpoint = self.index + self._checkpoint_rows
            self._bus.post(*self._latest.values(), *self._pipeline.alerts.told(self.index))
        certain = resumed.on_file.end - (round(UNCERTAIN_S * self._description.rate_hz) * resumed.same_edge)
        for block in resumed.blocks(self._description.rate_hz):
            if block.end_index > certain:
                self._kept_back.append(block)
            else:
                self._feed(block)

    def _begin_again(self, block: SampleBlock) -> SampleBlock:
        """The first samples of a case that was taken up: the interruption is told in its place."""
        self._feed_kept_back()
        self._again = False
        block = self._behind_filler(block)
        if self._resumed is not None and self._resumed.same_edge:
            missing = sum(gap.length for gap in block.gaps)
            lost = f"{missing} samples ({missing / self._description.rate_hz:.1f} s) are missing"
            text = f"the host was started anew; {lost}; stimulation was stopped"
            until = self.index + round(LAST_PULSES_S * self._description.rate_hz)
            self._process(Fault(HOST, text, 0, index=until))
        return block

    def _behind_filler(self, block: SampleBlock) -> SampleBlock:
        """`block` with the gap that a recorder which was closed has named: filler up to its record's end."""
        index = self._pipeline.next_index
        filled = 0 if index is None else block.first_index - index - sum(gap.length for gap in block.gaps)
        return replace(block, gaps=(Gap(index or 0, filled, "file"), *block.gaps)) if filled > 0 else block

    def _feed_kept_back(self) -> None:
        kept, self._kept_back = self._kept_back, []
        for block in kept:
            self._feed(block)

    def _feed(self, block: SampleBlock) -> None:
        """Samples that are on file already."""
        self.beat(None)
        self._say(list(self._inputs.feed(self._pipeline, block)))
        self._mark()

    def _mark(self) -> None:
        """Note how far the fingerprint has come, every ten seconds."""
        if self.index >= self._checkpoint:
            self._checkpoint = self.index + self._checkpoint_rows
            self._folder.checkpoint(self.index, self._fingerprint)

    def _stimulus(self, s: Stimulus) -> None:
        """One pulse with its proof, into the record before anything is made of it."""
        sent = self.sent(s.command)
        seen = None if s.seen == NOT_SEEN else s.seen
        fields: dict[str, Any] = {"test": sent.test if sent else None, "plan": s.plan, "command": s.command}
        fields |= {"number": s.number, "pulse": s.pulse, "line": s.line, "commanded": s.commanded}
        current = sent.plan.current_ua / 1e3 if sent and sent.current_known else None
        fields |= {"seen": seen, "current_ma": current}
        self._folder.stimulus(s)
        self._folder.pulse(sent.actor if sent else "unknown", s.commanded, fields)
        self._say(self._pipeline.prove(s))
        self._bus.post(lambda: self.on_stimulus(s))

    def _block(self, block: SampleBlock) -> None:
        if self._pipeline.next_index is None:
            self._folder.anchor(block.end_index - 1, block.t_ns, self._timebase.utc_minus_t_ns)
        if self._again:
            block = self._begin_again(block)
        self._folder.gaps(block)
        self._say(list(self._inputs.feed(self._pipeline, block)))
        self._carry_out_waiting()
        if change := self._storage.look(self._folder.storage, self.index):
            self._command(_of_the_edge(STORAGE, change))
        self._mark()
        if not self._inputs.waiting:
            known = self._pipeline, self._fingerprint, self._storage, self._latest
            self._memory.look(self.index, *known)
        if self._bus.raw_wanted:
            fields = {
                "first_index": block.first_index,
                "counts": block.counts,
                "trigger_bits": block.trigger_bits,
                "gaps": [[g.index, g.length] for g in block.gaps],
                "lsb_uv": list(self._description.lsb_uv),
                "offset_uv": list(self._description.offset_uv),
                "latency_offset_samples": self._description.latency_offset_samples,
            }
            self._bus.post(Outgoing("raw", block.first_index, fields))

    def _carry_out_waiting(self) -> None:
        """Commands that came before the samples of earlier ones did."""
        if self._waiting and not self._inputs.waiting:
            waiting, self._waiting = self._waiting, []
            for command in waiting:
                self._command(command)

    def _command(self, command: Command) -> None:
        if self._inputs.waiting:
            self._waiting.append(command)
            return
        index = self._pipeline.next_index or 0
        try:
            messages = self._pipeline.command(command.name, command.args)
        except ValueError as error:
            text = str(error)
            self._bus.post(lambda: command.done(text))
            return
        self._folder.command(index, command.name, command.args)
        self._say(messages)
        self._bus.post(lambda: command.done(None))

    def _say(self, messages: list[Outgoing]) -> None:
        if not messages:
            return
        for message in messages:
            self._heed(message)
        self._bus.post(*messages)
        for message in messages:
            self._folder.keep(message, self._timebase.at(message.index)[1])
            if self._folder.path is not None:
                self._fingerprint.take(message)
            if not message.topic.startswith(PASSING):
                self._latest[message.topic] = message

    def _heed(self, message: Outgoing) -> None:
        """What the samples showed and the desk must act on, before anybody is told and asks it."""
        f = message.fields
        if message.topic == "mains":
            self._bus.post(lambda: self.on_mains(f["hz"], f["hz_sd"]))
        elif message.topic == "event" and f["kind"] == ELECTROSURGERY:
            on = f["text"].endswith("begun")
            self._bus.post(lambda: self.on_electrosurgery(on))
        elif self._again:
            return  # it was acted on then
        elif message.topic == "event" and f["kind"] == "replicate":
            self._bus.post(lambda: self.on_replicate(f["test"]))
        elif message.topic == "stim" and f["delivery"] in STOPPING:  # each one: an alert is raised once only
            self._bus.post(lambda: self.on_undelivered(f"{f['site']}: {f['delivery_text']}"))

    def _refuse_late(self) -> None:
        """Answer commands that came too late, and let nobody wait on a full queue."""
        while True:
            try:
                item = self._items.get_nowait()
            except queue.Empty:
                return
            self._refuse(item)

    def _refuse(self, item: Any) -> None:
        if isinstance(item, Command):
            done = item.done
            self._bus.post(lambda: done("the case has ended"))


def _of_the_edge(name: str, args: dict[str, Any]) -> Command:
    """What the edge or the disk has said, as a command: noted and repeated in replay like any other."""
    return Command(name, args, lambda error: None)
