"""The leads of a front end while it records: impedance on request, rails always, open leads by choice.

The one door for a source: `tapped` puts it between its blocks and whoever takes them, and leaving that puts
every register back. Owns the commands and the lock between the thread of the blocks and one that brings the
chips up anew; measures nothing itself. Watching by direct current is off unless asked for: it shifts
electrodes, and 6 nA tells only true opens (375 megohm, facts/hardware.md 1.8).
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from firmware.blocks import Decode
from firmware.errors import EdgeError
from firmware.front_end import FrontEnd, FrontEndInfo
from firmware.leads.calibration import UNCALIBRATED, Calibration
from firmware.leads.excitation import Excitation, refuse_front_end
from firmware.ports import Clock, LeadCommand, Put
from hw.chips import Family
from hw.frames import DecodedFrames
from hw.lead_off import CURRENTS_NA, direct_code, refuse_current
from hw.leads.impedance import ImpedanceRun
from hw.leads.rails import RailWatch
from hw.link import (
    NOT_SEEN,
    Excited,
    Fault,
    ImpedanceStart,
    ImpedanceStop,
    Leads,
    LeadWatch,
    Message,
    Reply,
)
from hw.samples import SampleBlock


class LeadMonitor:
    """Of the first `channels` of a front end that was brought up. `command` may be called from any thread.

    `lock` hears when a current for impedance is about to flow and when it has ended: nothing may be
    stimulated meanwhile.
    """

    def __init__(
        self,
        front_end: FrontEnd,
        info: FrontEndInfo,
        channels: Sequence[str],
        clock: Clock,
        calibration: Calibration = UNCALIBRATED,
        lock: Callable[[bool], None] = lambda on: None,
    ) -> None:
        self._info, self._lock_stimuli = info, lock
        self._all = (1 << len(channels)) - 1
        self._run = ImpedanceRun(Excitation(front_end, info, clock), info, channels, calibration)
        self._rails = RailWatch(info.rate_hz, len(channels))
        self._watching = Excitation(front_end, info, clock)
        self._watched_na = 0
        self._sensed = (0, 0)
        self._seen = (0, 0)
        self._told = (0, 0, 0, 0)
        self._commands: deque[LeadCommand] = deque()
        self._renew = False
        self._lock = threading.Lock()

    def command(self, command: LeadCommand) -> None:
        """Queue a command; its Reply comes among the samples."""
        self._commands.append(command)

    @contextmanager
    def tapped(self, put: Put) -> Iterator[Put]:
        """A `put` that shows every block to us first and puts what we have to say after it.

        On leaving, however that happens, registers are put back; raises as the driver does, unless an error
        is on its way already.
        """

        def tap(item: SampleBlock | Message) -> None:
            put(item)
            if isinstance(item, SampleBlock):
                for message in self.block(item):
                    if isinstance(message, Excited) and message.end_index != NOT_SEEN:
                        self._lock_stimuli(False)
                    put(message)

        try:
            yield tap
        except BaseException as error:
            try:
                self.abort()
            except EdgeError as second:
                error.add_note(f"and the lead-off registers are not back: {second}")
            raise
        self.abort()

    def watched(self, decode: Decode) -> Decode:
        """`decode`, with a look at the comparators' bits while they are on."""

        def look(rows: NDArray[np.uint8]) -> DecodedFrames:
            frames = decode(rows)
            if self._watched_na and len(frames.lead_off_p):
                self._compare(frames)
            return frames

        return look

    @contextmanager
    def renewed(self) -> Iterator[None]:
        """Inside, the chips may be brought up anew: no register is touched meanwhile."""
        with self._lock:
            yield
            self._run.restarted()
            self._watching.forget()
            self._renew = True

    def block(self, block: SampleBlock) -> list[Message]:
        """Take the next block; what there is to say after it."""
        with self._lock:
            changed = self._rails.look(block.counts)
            if not (changed or self._commands or self._run.running or self._watched_na or self._renew):
                return []
            said: list[Message] = []
            if self._renew:
                said += self._begin_anew(block)
            while self._commands:
                said += self._obey(self._commands.popleft(), block)
            said += self._run.block(block, self._rails.railed)
            return said + self._tell(block)

    def abort(self) -> None:
        """Every register back, whatever was under way. Raises the first error of the driver."""
        with self._lock:
            self._watched_na = 0
            try:
                self._run.abort()
            finally:
                self._watching.restore()

    def _begin_anew(self, block: SampleBlock) -> list[Message]:
        self._renew = False
        said = self._run.stop(block, "the chips lost their registers and were brought up anew")
        watched_na, self._watched_na = self._watched_na, 0
        return said + ([self._fault(text)] if (text := self._watch(watched_na)) else [])

    def _obey(self, command: LeadCommand, block: SampleBlock) -> list[Message]:
        match command:
            case ImpedanceStart():
                refusal = self._run.start(command)
                if not refusal:
                    self._lock_stimuli(True)  # before any current flows
                return [Reply(command.command, refusal)]
            case ImpedanceStop():
                return [*self._run.stop(block, "it was stopped"), Reply(command.command, "")]
            case LeadWatch():
                return [
                    Reply(
                        command.command, self._refuse(command.current_na) or self._watch(command.current_na)
                    )
                ]

    def _refuse(self, current_na: int) -> str:
        """Why leads must not be watched by this current, "" when they may; 0 ends it."""
        if self._run.running:
            return "impedance is being measured; wait for the result, or stop it"
        if not current_na:
            return ""
        for part in self._info.chips:
            if current_na not in CURRENTS_NA[part.family]:
                known = ", ".join(map(str, CURRENTS_NA[part.family]))
                return f"the {part.name} has no current of {current_na} nA; use one of {known}"
        return refuse_front_end(self._info) or refuse_current(current_na, direct=True, phantom=False)

    def _watch(self, current_na: int) -> str:
        """Turn the comparators on with `current_na`, or off; why not, when a chip does not obey."""
        self._watched_na, self._seen = 0, (0, 0)
        excitation = self._watching
        try:
            excitation.restore()
            if not current_na:
                return ""
            excitation.begin()
            own = not excitation.shared_negative and all(
                part.family is Family.ADS1299 for part in self._info.chips
            )
            self._sensed = (self._all, self._all if own else 0)
            excitation.compare(on=True)
            excitation.excite(current_na, tuple(map(direct_code, self._info.chips)), *self._sensed)
        except EdgeError as error:
            try:
                excitation.restore()
            except EdgeError as second:
                return f"{error}; and the registers are not back: {second}"
            return str(error)
        self._watched_na = current_na
        return ""

    @staticmethod
    def _fault(text: str) -> Fault:
        return Fault("leads", f"leads are no longer watched: {text}", 0)

    def _compare(self, frames: DecodedFrames) -> None:
        """A lead is off when a whole block says so, and on when a whole block says that."""
        if self._run.running:
            return  # another current flows
        seen = []
        for bits, before, sensed in zip(
            (frames.lead_off_p, frames.lead_off_n), self._seen, self._sensed, strict=True
        ):
            every = int(np.bitwise_and.reduce(bits))
            some = int(np.bitwise_or.reduce(bits))
            seen.append((before & some | every) & sensed)
        self._seen = (seen[0], seen[1])

    def _tell(self, block: SampleBlock) -> list[Message]:
        now = (*self._seen, self._rails.railed, int(self._watched_na > 0))
        if now == self._told:
            return []
        self._told = now
        return [Leads(block.end_index, *now)]
