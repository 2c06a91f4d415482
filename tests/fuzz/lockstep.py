"""A whole host and a simulated edge in one thread, in lockstep: block, what follows from it, requests.

The desk, the state machine, stimulation, pipeline and record are the real ones, and so are the edge's driver,
loop and sequencer; only threads, sockets and the link's bytes are left out. Deterministic but for time.
"""

import queue
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hostd.bus import Bus
from hostd.case import Case
from hostd.case_folder import CaseFolder, new_case_id
from hostd.control_desk import ControlDesk
from hostd.daemon import configure_message, fitted
from hostd.endpoints import parse_bus
from hostd.intake import PASSED_ON, End
from hostd.pipeline import Pipeline
from hostd.processing import Processing
from hostd.timebase import Timebase, filter_delay
from hw.link import ImpedanceStart, ImpedanceStop, LeadWatch, Message, Stimulus
from hw.samples import SampleBlock
from tests.support.ports import free_bus
from tests.support.session import Bench

Watch = Callable[[Message], None]


class Intake:
    """What the desk knows of the intake: its queue, and a way to the edge."""

    def __init__(self, send: Watch) -> None:
        self.send = send
        self.items: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.closing = threading.Event()
        self.faults: list[str] = []
        self.state: dict[str, Any] = {}
        self.anew = False


class Lockstep:
    """One case of `seconds`. `ordered` sees every message to the edge, `pulsed` every stimulus that came."""

    def __init__(
        self, case: Case, seconds: float, data: Path | None, ordered: Watch, pulsed: Watch, seed: int = 1
    ) -> None:
        self.source = Bench(None, seconds, seed)
        description = self.source.configure(configure_message(case))
        case = fitted(case, description, "case")
        self.pipeline = Pipeline(case, description)
        timebase = Timebase(description.rate_hz, filter_delay(description), (0, 1))
        case_id = new_case_id()
        self.bus = Bus(parse_bus(free_bus()), "b007", case_id, timebase.at)
        self.folder = CaseFolder(data, case_id, case, description)
        self._ordered, self._pulsed = ordered, pulsed
        self.intake: Any = Intake(self._send)
        self.processing = Processing(
            self.pipeline,
            self.intake.items,
            self.intake.closing,
            self.bus,
            self.folder,
            timebase,
            description,
        )
        self.desk = ControlDesk(
            case, description, self.bus, self.intake, self.processing, self.folder, "b007", case_id
        )
        self.rate_hz = description.rate_hz
        self.taken, self.torn = 0, 0

    def _send(self, message: Message) -> None:
        self._ordered(message)
        if isinstance(message, ImpedanceStart | ImpedanceStop | LeadWatch):
            self.source.lead_command(message)
        else:
            self.source.command(message)  # type: ignore[arg-type]

    def run(self, each: Callable[[], None]) -> None:
        """The whole case; `each` is called after every block, to ask the desk for things."""
        self.desk.start_free_tests()

        def put(item: SampleBlock | Message) -> None:
            if isinstance(item, SampleBlock):
                self.torn += item.first_index != self.taken
                self.taken += len(item.trigger_bits)
                self.folder.append(item)
                self.processing._process(item)
                self.settle()
                self.desk.look()
                self.desk.tick(self.taken)
                each()
                self.settle()
            elif isinstance(item, PASSED_ON):
                if isinstance(item, Stimulus):
                    self._pulsed(item)
                self.processing._process(item)

        self.source.run(put, threading.Event())
        self.settle()

    def settle(self) -> None:
        """Carry out what waits: commands in the pipeline, answers in the serving thread."""
        self.bus.serve(0, lambda body, answer, peer: None)
        while not self.intake.items.empty():
            self.processing._process(self.intake.items.get())
            self.bus.serve(0, lambda body, answer, peer: None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.intake.items.put(End())
        self.processing._run()  # what is left, and the end of the record
        self.bus.close()
