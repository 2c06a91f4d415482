"""The host: link, record, pipeline, bus and control, wired together for one case.

Three threads with bounded queues: receive and record (`intake`), process (`processing`), serve (this one);
the writers of recording and database beside them. Owns the beat, the status and the order of starting and
stopping.
"""

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hostd import casefile
from hostd.bus import Bus
from hostd.case import Case
from hostd.case_folder import CaseFolder, new_case_id
from hostd.control_desk import ControlDesk
from hostd.edge_link import CONNECT_S
from hostd.endpoints import must_have_keys, parse_bus
from hostd.errors import UsageError
from hostd.intake import Intake
from hostd.keys import KeyRing
from hostd.modalities import MODALITIES
from hostd.notify import Supervisor
from hostd.outgoing import Outgoing
from hostd.pipeline import Pipeline
from hostd.processing import Processing
from hostd.repair import repair_unclosed
from hostd.resume import Resumed, interrupted
from hostd.timebase import Timebase, filter_delay
from hw.board import INVERTED
from hw.link import Configure, Description
from hw.stages import Stages

BEAT_NS = 100_000_000
STATUS_NS = 1_000_000_000
POLL_MS = 20
HUNG_NS = 1_000_000_000
STAGE_S = 5.0
"""Intake, processing and serving each say several times a second that they are alive."""


@dataclass(frozen=True, slots=True)
class HostOptions:
    """What the host was asked to be. `where` names the case file in messages; `data` None records nothing;
    an edge that is not there `edge_within_s` after the start is missing; `keys` None: loopback without keys;
    `peers`: connections of an endpoint, None for what is usual; `take_up`: go on with a case that was
    interrupted; `died`: how the hosts before this one did."""

    case: Case
    where: str
    edge: str
    bus: str
    data: Path | None
    seconds: float | None = None
    edge_within_s: float = CONNECT_S
    keys: Path | None = None
    peers: int | None = None
    take_up: bool = True
    died: tuple[str, ...] = ()


def configure_message(case: Case) -> Configure:
    """What the edge must know of a case."""
    lines = {t.line: t.site for t in case.tests}
    alternate = (t for t in case.tests if t.stimulus.alternate_line)
    lines |= {t.stimulus.alternate_line or 0: f"{t.site}{INVERTED}" for t in alternate}
    recording, monitor = case.recording, case.monitor
    return Configure(
        rate_hz=case.rate_hz,
        gain=case.gain,
        channels=case.channels,
        lines=tuple(lines.get(k, "") for k in range(1, max(lines, default=0) + 1)),
        labels=tuple(recording.channels.get(c, "") for c in case.channels),
        trigger_channel=recording.trigger_channel or "",
        threshold=float("nan") if recording.threshold is None else recording.threshold,
        annotations=tuple(f"{text}={line}" for text, line in recording.annotations.items()),
        monitors=() if monitor is None else (monitor.current, monitor.voltage),
        monitor_scales=() if monitor is None else (monitor.ma_per_mv, monitor.v_per_mv),
    )


def needed(case: Case) -> str:
    """What the case's tests need of a front end, for who must change one of the two; "" where nothing is
    known."""
    plans = [(test.name, test.modality) for test in case.tests]
    plans += [(watch.name, watch.modality) for watch in case.watches]
    rates = [f"{name} {hz:g}" for name, of in plans if (hz := MODALITIES[of].protocol.needs_hz)]
    return f"; at {case.rate_hz:g} samples/s. Tests need at least: {', '.join(rates)}" if rates else ""


def fitted(case: Case, description: Description, where: str) -> Case:
    """`case` for what the edge really delivers. Raises UsageError (or CaseFileError) when they differ."""
    if description.channels != case.channels:
        raise UsageError(f"{where}: the edge delivers {description.channels}, the case wants {case.channels}")
    if case.rate_hz == 0.0 or description.source == "file":
        return casefile.at_rate(case, description.rate_hz, where)
    if abs(description.rate_hz - case.rate_hz) > 1e-6 * case.rate_hz:
        raise UsageError(f"{where}: rate_hz {case.rate_hz:g}, but the edge runs at {description.rate_hz:g}")
    return case


class Daemon:
    """One case from connection to closed files. Raises EvokdError; `stop` ends it early."""

    def __init__(
        self, options: HostOptions, stop: threading.Event, supervisor: Supervisor | None = None
    ) -> None:
        self._options, self._stop = options, stop
        self._supervisor = supervisor or Supervisor(Stages(STAGE_S), {})
        self._boot = secrets.token_hex(8)
        self._served_ns = time.monotonic_ns()
        self._case_id = new_case_id()
        self.recording: dict[str, Any] = {}

    def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Serve until the source ends, `stop`, or a failure. `ready` is called when the bus is open."""
        options = self._options
        endpoints = parse_bus(options.bus)
        ring = None if options.keys is None else KeyRing(options.keys)
        if ring is None:
            must_have_keys(options.bus)
        mended = repair_unclosed(options.data) if options.data is not None and options.data.exists() else ()
        intake = Intake(options.edge, self._stop, options.edge_within_s)
        intake.faults += options.died
        intake.faults += [f"repair: {report.line}" for report in mended if report.mismatched]
        try:
            try:
                description = intake.open(configure_message(options.case))
            except UsageError as error:
                raise UsageError(f"{error}{needed(options.case)}") from None
            case = fitted(options.case, description, options.where)
            resumed = self._interrupted(case, description, intake)
            pipeline = _pipeline(case, description, options.where, resumed)
            timebase = _timebase(description, resumed)
            if resumed is not None:
                self._case_id = resumed.path.name
                intake.go_on(resumed)
            bus = Bus(endpoints, self._boot, self._case_id, timebase.at, ring, options.peers)
            try:
                folder = CaseFolder(options.data, self._case_id, case, description, resumed)
                parts = _Parts(case, description, intake, pipeline, timebase, bus, folder, resumed)
                self._serve(parts, ready)
            finally:
                bus.close()
        finally:
            intake.close()

    def _interrupted(self, case: Case, description: Description, intake: Intake) -> Resumed | None:
        """The case that is taken up; why none is, where somebody might expect it, is told."""
        data = self._options.data
        if data is None or not data.exists() or not self._options.take_up:
            return None
        found, why = interrupted(data, case, description, intake.edge_boot)
        intake.faults += [why] if why else []
        return found

    def _serve(self, parts: "_Parts", ready: Callable[[], None]) -> None:
        p = parts
        i = p.intake
        of = p.pipeline, i.items, i.closing, p.bus, p.folder, p.timebase, p.description, p.resumed
        processing = Processing(*of)
        desk = ControlDesk(
            p.case, p.description, p.bus, p.intake, processing, p.folder, self._boot, self._case_id
        )
        seconds = self._options.seconds
        limit = None if seconds is None else round(seconds * p.description.rate_hz)
        processing.start()
        try:
            i.alive = self._alive
            i.beat = partial(self._supervisor.beat, "intake")
            processing.beat = partial(self._supervisor.beat, "processing")
            self._served_ns = time.monotonic_ns()
            i.begin()
            desk.tighten()
            if p.resumed is not None:
                desk.go_on(p.resumed)
            else:  # before the first sample is taken, so that no stimulus in it is missed
                desk.start_free_tests()
            i.start(p.folder, p.timebase, limit)
            ready()
            self._until_ended(p, desk, processing)
        finally:
            self._supervisor.stopping()
            i.end()
            processing.join()
            self.recording = p.folder.recording
        p.bus.publish(self._status(p, desk, processing))
        failure = i.failure or processing.failure
        if failure is not None:
            raise failure

    def _alive(self) -> bool:
        """Whether a stop that is asked for now would be heard: only then does the edge go on stimulating."""
        return time.monotonic_ns() - self._served_ns < HUNG_NS

    def _until_ended(self, p: "_Parts", desk: ControlDesk, processing: Processing) -> None:
        beat_ns = status_ns = 0
        while not processing.ended.is_set():
            p.bus.serve(POLL_MS, desk.handle)
            desk.look()
            self._served_ns = now_ns = time.monotonic_ns()
            self._supervisor.beat("server")
            if now_ns >= status_ns:
                status_ns = now_ns + STATUS_NS
                p.bus.publish(self._status(p, desk, processing))
            if now_ns >= beat_ns:
                beat_ns = now_ns + BEAT_NS
                desk.tick(now_ns)
                p.bus.publish(Outgoing("beat", p.pipeline.next_index or 0, {"latest": p.bus.latest_seq}))

    def _status(self, p: "_Parts", desk: ControlDesk, processing: Processing) -> Outgoing:
        index = p.pipeline.next_index or 0
        fields: dict[str, Any] = {
            "state": "running" if desk.state.open else "closed",
            "name": p.case.name,
            "source": p.description.source,
            "rate_hz": p.description.rate_hz,
            "channels": list(p.description.channels),
            "samples": p.pipeline.samples,
            "lost_samples": p.pipeline.lost_samples,
            "gaps": p.pipeline.gaps,
            "link": p.intake.state,
            "recording": p.folder.recording,
            "timebase": p.timebase.status(index),
            "leads": {**p.pipeline.leads.status, "measuring": desk.state.measuring},
            "tests": desk.state.shown(),
            "stimulation": desk.stimulation_status(),
            "clients": p.bus.clients,
            "mirrors": desk.mirrors,
            "faults": [*p.intake.faults, *desk.faults, *processing.faults, *p.bus.faults][-20:],
        }
        return Outgoing("status", index, fields)


@dataclass(frozen=True, slots=True)
class _Parts:
    case: Case
    description: Description
    intake: Intake
    pipeline: Pipeline
    timebase: Timebase
    bus: Bus
    folder: CaseFolder
    resumed: Resumed | None


def _pipeline(case: Case, description: Description, where: str, resumed: Resumed | None) -> Pipeline:
    """A new one, or the one that a checkpoint remembers. Raises UsageError for a case that does not fit."""
    if resumed is not None and resumed.remembered is not None:
        return resumed.remembered.pipeline
    try:
        return Pipeline(case, description)
    except ValueError as error:
        raise UsageError(f"{where}: {error}") from None


def _timebase(description: Description, resumed: Resumed | None) -> Timebase:
    if resumed is not None:
        return resumed.timebase(description.rate_hz)
    return Timebase(description.rate_hz, filter_delay(description), (0, time.monotonic_ns()))
