"""An edge that is started anew within a case: its counts and its clock carried on. Pure.

Between the link and all that reads it. The sample index goes on where the host's clock and the rate say that
it is, at least one sample further, so that what is missing is a gap; nothing is renumbered. Time on the bus
is the host's: an edge elsewhere has a clock of its own, which is fitted (`edge_clock`); one on this machine
shares ours, or has a time of its own (a recording, a simulation), and is left as it is. Arrivals are handed
in; owns no link and no clock.
"""

import math
from collections import deque
from dataclasses import replace
from typing import Literal

from hostd.edge_clock import EdgeClock
from hostd.shifted import shifted
from hostd.standing import Standing
from hostd.timebase import MOST_OFF, SAME_CLOCK_NS
from hw.link import Block, Ended, Fault, Message
from hw.link import Timebase as Report

RETELL_NS = 20_000
"""When the fitted clock has left what was told by so much, it is told anew."""
MOST_HELD = 1000
MOST_WAITED_NS = 10_000_000_000
"""What an edge holds; more is no time that a block can have waited."""
Clock = Literal["shared", "fitted", "own"]
"""An edge's: this machine's, one elsewhere that is fitted to ours, or a time that is no clock's (what is
played or simulated)."""


def clock_of(source: str, same_machine: bool) -> Clock:
    """Which clock an edge's times are of."""
    if source in ("simulated", "file"):
        return "own"
    return "shared" if same_machine else "fitted"


class Succession:
    """The edges of one case, of nominally `rate_hz`, one after the other.

    `shift` is how far the case's index is ahead of this edge's own; `awaited` while the first block of an
    edge is, which tells it. One thread.
    """

    def __init__(self, rate_hz: float, clock: Clock, standing: Standing) -> None:
        self._rate_hz, self._standing = rate_hz, standing
        self._nominal_ns = self._ns_per_sample = 1e9 / rate_hz
        self._clock = EdgeClock() if clock == "fitted" else None
        self._shared = clock == "shared"
        self._offset_ns = 0
        self._last: tuple[int, int, int] | None = None
        self._fitted: Report | None = None
        self._told: Report | None = None
        self._tell = False
        self._held: deque[Message] = deque(maxlen=MOST_HELD)
        self.shift = 0
        self.awaited = False

    def anew(self) -> None:
        """Another edge is heard from now on, which counts from its own beginning."""
        self.awaited = True
        self._held.clear()
        self._fitted = self._told = None
        if self._clock is not None:
            self._clock = EdgeClock(self._clock.drift)

    def go_on(self, shift: int, offset_ns: int) -> None:
        """The edge is the one that a host before this one had placed."""
        self.shift, self._offset_ns = shift, offset_ns

    def go_on_anew(self, index: int, t_ns: int) -> None:
        """The edge is another one than before; the case's last sample was `index`, its edge at `t_ns` of this
        machine's clock."""
        self._last = index, t_ns, t_ns
        self.anew()

    @property
    def offset_ns(self) -> int:
        """What is added to the times of an edge whose time is no clock's."""
        return self._offset_ns

    def heard(self, message: Message, arrival_ns: int, newest: Block | None = None) -> list[Message]:
        """What a message of the edge that came at `arrival_ns` is for the case, in order; what comes before
        the first block of a new edge waits for it, since only that tells where it is. `newest`: the last
        block of those that came together, when it was the one that came at `arrival_ns`."""
        if not self.awaited or isinstance(message, Ended) or (isinstance(message, Fault) and message.fatal):
            return self._passed(message, arrival_ns)
        if not isinstance(message, Block):
            self._held.append(message)
            return []
        first = self._begin(message, arrival_ns - _waited_ns(message, newest))
        held, self.awaited = list(self._held), False
        return [
            *first,
            *(m for h in held for m in self._passed(h, arrival_ns)),
            *self._passed(message, arrival_ns),
        ]

    def _begin(self, block: Block, arrival_ns: int) -> list[Message]:
        """Find the place of an edge's first block; what ended with the edge before it, and how much is
        missing."""
        missing = 0
        if self._last is not None:
            index, t_ns, came_ns = self._last
            elapsed_ns = self._elapsed_ns(block, t_ns, came_ns, arrival_ns)
            there = index + round(elapsed_ns / self._ns_per_sample)
            self.shift = max(there - _end(block) + 1, index + 2 - block.first_index)
            missing = block.first_index + self.shift - index - 1
        lost = f"{missing} samples ({missing / self._rate_hz:.1f} s) are missing"
        text = f"the edge was started anew; {lost}; stimulation was stopped"
        return [*self._standing.ended(block.first_index + self.shift), Fault("link", text, 0)]

    def _elapsed_ns(self, block: Block, last_ns: int, came_ns: int, arrival_ns: int) -> int:
        """From the last sample known to the last one of `block`, on the clock of the bus."""
        if self._clock is not None:
            self._clock.hear(block.t_ns, arrival_ns)
            return self._clock.host_ns(block.t_ns) - last_ns
        ours = self._shared and max(abs(block.t_ns - arrival_ns), abs(last_ns - came_ns)) < SAME_CLOCK_NS
        self._offset_ns = 0 if ours else last_ns + arrival_ns - came_ns - block.t_ns
        return block.t_ns + self._offset_ns - last_ns

    def _passed(self, message: Message, arrival_ns: int) -> list[Message]:
        if isinstance(message, Block):
            return self._block(message, arrival_ns)
        if isinstance(message, Report):
            return self._report(shifted(message, self.shift))
        return [self._standing.heard(shifted(message, self.shift))]

    def _block(self, message: Block, arrival_ns: int) -> list[Message]:
        block = shifted(message, self.shift)
        t_ns = block.t_ns + self._offset_ns
        index = _end(block) - 1
        is_new = self._last is None or index > self._last[0]
        if self._clock is not None:
            if is_new:  # what comes again after a broken link was prompt when it came first
                self._clock.hear(block.t_ns, arrival_ns)
            t_ns = self._clock.host_ns(block.t_ns)
            t_ns = t_ns if self._last is None else max(t_ns, self._last[1])
        if is_new:
            self._last = index, t_ns, arrival_ns
        block = block if t_ns == block.t_ns else replace(block, t_ns=t_ns)
        return [block, *(self._retold(index) if is_new else ())]

    def _report(self, report: Report) -> list[Message]:
        """The edge's fit on the clock of the bus; one that makes no sense is left to who judges it."""
        slope = report.ns_per_sample
        if not (math.isfinite(report.ppm) and abs(slope / self._nominal_ns - 1.0) < MOST_OFF):
            return [report]
        if self._clock is None:
            self._ns_per_sample = slope
            moved = self._offset_ns
            return [replace(report, t_ns=report.t_ns + moved) if moved else report]
        self._fitted, self._tell = report, True
        return self._retold(report.index)

    def _retold(self, index: int) -> list[Message]:
        """The edge's line by the clock as it is known now, as of sample `index`, if that is news."""
        fitted, told, clock = self._fitted, self._told, self._clock
        if fitted is None or clock is None or (told is not None and index <= told.index):
            return []
        t_ns = clock.host_ns(fitted.t_ns + round((index - fitted.index) * fitted.ns_per_sample))
        if told is not None and not self._tell:
            foretold_ns = told.t_ns + (index - told.index) * told.ns_per_sample
            if abs(t_ns - foretold_ns) <= RETELL_NS:
                return []
        slower = 1.0 + clock.drift
        self._ns_per_sample = fitted.ns_per_sample * slower
        ppm = ((1.0 + fitted.ppm * 1e-6) / slower - 1.0) * 1e6
        self._told = replace(fitted, index=index, t_ns=t_ns, ns_per_sample=self._ns_per_sample, ppm=ppm)
        self._tell = False
        return [self._told]


def _waited_ns(block: Block, newest: Block | None) -> int:
    """How long a block had been there when it was read: a host or a network that stood still hands over at
    once what has come one by one."""
    later_ns = 0 if newest is None else newest.t_ns - block.t_ns
    return later_ns if 0 <= later_ns <= MOST_WAITED_NS else 0


def _end(block: Block) -> int:
    return block.first_index + len(block.bits)
