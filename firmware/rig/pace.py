"""When conversions end: in lockstep with the program, or in real time.

Owns the board's time; refuses to know descriptors and wires' offsets. In lockstep the next data-ready edge
comes when the last frame was read, exactly 1/rate after it, however slow the machine: nothing is ever lost
to lateness.
"""

import time
from typing import Final

from firmware.rig.wires import Wires

TICK_NS: Final = 10_000_000
"""Lockstep looks this often whether the program waits for an edge that its reading will not bring."""
PATIENCE_TICKS: Final = 30
"""After so many ticks a waiting thread gets its edge even while another one computes."""
LOOKS_WHILE_READY: Final = 16
"""So many looks at a ready line without reading: the program waits for it to rise, time goes on."""
_TRIES: Final = 16


class Lockstep:
    """Time stands still until the program has read; see wires.Watcher. One thread.

    A chip is waited for when it has been read since the last edge that a waiting program had to be given;
    until then every chip is. `read` are the chips read since the last edge.
    """

    def __init__(self, wires: Wires, n_chips: int) -> None:
        self.timeout_ns = -1
        self._wires, self._board = wires, wires.board
        self._first = wires.board.chips[0]
        self._expected = frozenset(range(n_chips))
        self._read: set[int] = set()
        self._fresh = False  # the last conversion has not been read
        self._converting = self._first_edge_due = False
        self._looks = self._quiet = 0
        self._seen_ns = time.monotonic_ns()

    def before_window(self, chips: tuple[int, ...], reads_frame: bool) -> None:
        """Before START real time counts; after it, each reading unasked gets a new sample."""
        self._quiet = 0
        if not self._converting:
            self._pass_real_time()
            return
        unasked = reads_frame and not self._fresh and not self._wires.watched
        if unasked and (not self._read or self._read.issuperset(chips)):
            self._expected = frozenset(self._read) or self._expected  # again: others are not read at all
            self._next_edge()

    def after_window(self, chips: tuple[int, ...], reads_frame: bool, stops: bool) -> None:
        """The last awaited frame was read, or conversions have begun: the next edge."""
        self._follow()
        if not self._converting:
            return
        if stops:  # the conversion under way still completes
            self._next_edge()
            self._follow()
        elif reads_frame:
            self._fresh = False
            self._read.update(chips)
            self._expected |= self._read
            if self._read == self._expected:
                self._read.clear()
                if self._wires.watched:
                    self._next_edge()
        elif self._first_edge_due and self._wires.watched:
            self._next_edge()

    def look(self) -> None:
        """The program is about to read levels."""
        self._quiet = 0
        if not self._converting:
            self._pass_real_time()

    def looked(self, ready_low: bool) -> None:
        """The program has read levels of data-ready; `ready_low` when one of them said ready.

        A line not ready is what it waits for: time goes on, unless edges are listened for and bring that
        about.
        """
        if not self._converting:
            return
        self._looks += 1
        patient = self._looks < LOOKS_WHILE_READY
        if not ready_low and not (patient and self._wires.watched):
            self._next_edge()
        elif ready_low and not patient:
            self._looks = 0
            self._wires.pulse_ready()

    def pins_changed(self) -> None:
        """START, RESET or PWDN was driven."""
        self.look()
        self._follow()
        if self._first_edge_due and self._wires.watched:
            self._next_edge()

    def watched(self) -> None:
        """Edges were asked for: whoever waits for one shall not need to read first."""
        if self._converting and not self._fresh:
            self._next_edge()

    def idle(self, waits: bool, computes: bool) -> None:
        """Nothing was asked for a tick: `waits` is True when a thread waits for data-ready, none unread.

        `computes`: another thread runs. What was read by then is all that this program reads of a sample.
        """
        if not self._converting or not waits:
            return
        self._quiet += 1
        if computes and self._quiet < PATIENCE_TICKS:
            return
        self._quiet = 0
        if self._read:
            self._expected = frozenset(self._read)
        self._next_edge()

    def _follow(self) -> None:
        """Conversions have begun or ended."""
        converting = self._first.converting
        if converting != self._converting:
            self._converting = self._first_edge_due = converting
            self._read.clear()
            self._fresh = False
            self._seen_ns = time.monotonic_ns()
            self.timeout_ns = TICK_NS if converting else -1

    def _pass_real_time(self) -> None:
        now_ns = time.monotonic_ns()
        self._board.advance(self._board.now_ns() + now_ns - self._seen_ns)
        self._seen_ns = now_ns

    def _next_edge(self) -> None:
        """Time runs to the end of the next conversion that gives data."""
        self._read.clear()
        self._looks = 0
        self._first_edge_due = False
        for _ in range(_TRIES):
            due_ns = self._board.next_ready_ns()
            if due_ns is None:
                return
            self._board.advance(due_ns)
            edges = self._board.edges()
            if edges:
                self._fresh = True
                self._wires.fall(edges)
                return


class RealTime:
    """Edges come by the clock, `speed` times as fast as it; see wires.Watcher. One thread."""

    def __init__(self, wires: Wires, speed: float) -> None:
        self._wires, self._board = wires, wires.board
        self._speed = speed
        self._origin_ns = time.monotonic_ns()
        self._board_origin_ns = wires.board.now_ns()

    @property
    def timeout_ns(self) -> int:
        """Until the next edge; -1 while none is due."""
        due_ns = self._board.next_ready_ns()
        if due_ns is None:
            return -1
        return max(
            0, round((due_ns - self._board_origin_ns) / self._speed) + self._origin_ns - time.monotonic_ns()
        )

    def before_window(self, chips: tuple[int, ...], reads_frame: bool) -> None:
        """Time has passed."""
        self.look()

    def after_window(self, chips: tuple[int, ...], reads_frame: bool, stops: bool) -> None:
        """Bytes may have taken their time on the wire."""
        self._emit()

    def look(self) -> None:
        """Time has passed."""
        real_ns = time.monotonic_ns() - self._origin_ns
        self._board.advance(self._board_origin_ns + round(real_ns * self._speed))
        self._emit()

    def looked(self, ready_low: bool) -> None:
        """Looking changes nothing."""

    def pins_changed(self) -> None:
        """Nor do pins."""

    def watched(self) -> None:
        """Nor does listening."""

    def idle(self, waits: bool, computes: bool) -> None:
        """An edge is due."""
        self.look()

    def _emit(self) -> None:
        edges = self._board.edges()
        if edges:
            self._wires.fall(edges)


Pace = Lockstep | RealTime
