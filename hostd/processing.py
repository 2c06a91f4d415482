"""The processing thread: queued samples and commands through the pipeline, messages to the bus and the store.

Owns the order of things: whatever changes a result passes through this one queue and is noted with the sample
index at which it took effect, so that replay can repeat it.
"""

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hostd.bus import Bus
from hostd.case_folder import CaseFolder
from hostd.errors import EvokdError, RecordingError
from hostd.intake import End
from hostd.outgoing import Outgoing
from hostd.pipeline import Pipeline
from hostd.timebase import Timebase
from hw.link import Description, Fault, Reply, Stimulus
from hw.samples import SampleBlock


@dataclass(frozen=True, slots=True)
class Command:
    """A command for the pipeline; `done` hears an error in one line, or None."""

    name: str
    args: dict[str, Any]
    done: Callable[[str | None], None]


class Processing:
    """Runs `pipeline` over `items` until End. `failure` holds the first error; `ended` is set at the end."""

    def __init__(
        self,
        pipeline: Pipeline,
        items: "queue.Queue[Any]",
        bus: Bus,
        folder: CaseFolder,
        timebase: Timebase,
        description: Description,
    ) -> None:
        self._pipeline, self._items, self._bus = pipeline, items, bus
        self._folder, self._timebase, self._description = folder, timebase, description
        self._last: dict[str, Outgoing] = {}
        self.on_reply: Callable[[Reply], None] = lambda reply: None
        self.on_fault: Callable[[Fault], None] = lambda fault: None
        self.failure: EvokdError | None = None
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
        try:
            while not isinstance(item := self._items.get(), End):
                self._process(item)
            self._say(self._pipeline.finish())
            for message in self._last.values():
                self._folder.last_average(message)
        except EvokdError as error:
            self.failure = error
        finally:
            try:
                self._folder.close()
            except RecordingError as error:
                self.failure = self.failure or error
            self.ended.set()
            self._refuse_late()

    def _process(self, item: Any) -> None:
        match item:
            case SampleBlock():
                self._block(item)
            case Command():
                self._command(item)
            case Stimulus():
                self._folder.stimulus(item)
                self._say(self._pipeline.prove(item))
            case Reply():
                self._bus.post(lambda: self.on_reply(item))
            case Fault():
                self._bus.post(lambda: self.on_fault(item))

    def _block(self, block: SampleBlock) -> None:
        if self._pipeline.next_index is None:
            self._folder.anchor(block.end_index - 1, block.t_ns, self._timebase.utc_minus_t_ns)
        self._folder.gaps(block)
        self._say(self._pipeline.feed(block))
        if self._bus.raw_wanted:
            fields = {
                "first_index": block.first_index,
                "counts": block.counts,
                "trigger_bits": block.trigger_bits,
                "gaps": [[g.index, g.length] for g in block.gaps],
                "lsb_uv": list(self._description.lsb_uv),
                "offset_uv": list(self._description.offset_uv),
            }
            self._bus.post(Outgoing("raw", block.first_index, fields))

    def _command(self, command: Command) -> None:
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
        self._bus.post(*messages)
        for message in messages:
            self._folder.keep(message, self._timebase.at(message.index)[1])
            if message.topic.startswith("average."):
                self._last[message.topic] = message

    def _refuse_late(self) -> None:
        """Answer commands that came too late, and let nobody wait on a full queue."""
        while True:
            try:
                item = self._items.get_nowait()
            except queue.Empty:
                return
            if isinstance(item, Command):
                self._bus.post(lambda done=item.done: done("the case has ended"))  # type: ignore[misc]
