"""When conversions end: in lockstep with the program, or in real time.

Owns the board's time; refuses to know descriptors and wires' offsets. In lockstep the next data-ready edge
comes when the last frame was read, exactly 1/rate after it, however slow the machine: nothing is ever lost
to lateness.
"""

import time
from collections.abc import Callable
from typing import Final

from firmware.rig.lines import Lines
from firmware.rig.wires import READY_PULSE_NS, Wires

TICK_NS: Final = 10_000_000
"""Lockstep looks this often whether the program waits for an edge that its reading will not bring."""
PATIENCE_TICKS: Final = 100
"""After so many ticks a waiting thread gets its edge even while another one computes or moves."""
LOOKS_WHILE_READY: Final = 16
"""So many looks at a ready line without reading: the program waits for it to rise, time goes on."""
_TRIES: Final = 16


class Lockstep:
    """Time stands still until the program has read; see wires.Watcher. One thread.

    No conversion may end on a chip whose last data the program has yet to read. Which chips it reads shows:
    all are awaited until a program waits for an edge and leaves one unread. `fresh` chips hold unread data.

    An edge is told as soon as it can be, but the conversion ends when the program knows of it: what it drives
    onto the stimulus lines between a frame and the next edge is in the next frame, as with real time between.
    """

    def __init__(self, wires: Wires, lines: Lines, n_chips: int) -> None:
        self.timeout_ns = -1
        self._wires, self._board, self._lines = wires, wires.board, lines
        self._chips = wires.board.chips
        self._awaited = set(range(n_chips))
        self._fresh: set[int] = set()
        self._converting = self._first_edge_due = False
        self._told = False  # of an edge whose conversion has not ended
        self._looks = self._quiet = 0
        self._seen_ns = time.monotonic_ns()

    def before_window(self, chips: tuple[int, ...], reads_frame: bool) -> None:
        """To a chip before its START real time counts; after it, each reading unasked gets a new sample."""
        self._quiet = 0
        self._fulfil()
        if not self._converting or any(self._chips[chip].due_ns is None for chip in chips):
            self._pass_real_time()
        elif reads_frame and self._fresh.isdisjoint(chips) and not self._wires.watched:
            self._awaited -= self._fresh  # again the same chip: it is read alone
            self._next_edge()

    def after_window(self, chips: tuple[int, ...], reads_frame: bool, stops: bool) -> None:
        """The last awaited frame was read, or conversions have begun: the next edge."""
        self._follow()
        if not self._converting:
            return
        self._seen_ns = time.monotonic_ns()
        if stops:  # the conversion under way still completes
            self._next_edge()
            self._follow()
        elif reads_frame:
            self._fresh.difference_update(chips)
            self._awaited.update(chips)
            if self._wires.watched and self._fresh.isdisjoint(self._awaited):
                self._next_edge()
        elif self._first_edge_due and self._wires.watched:
            self._next_edge()

    def look(self) -> None:
        """The program is about to read levels."""
        self._quiet = 0
        self._fulfil()
        if not self._converting:
            self._pass_real_time()

    def before_pins(self) -> None:
        """START, RESET or PWDN is about to be driven."""
        self.look()

    def before_stimulus(self) -> None:
        """A stimulus line is about to be driven: the next conversion ends later, unless its edge was read."""
        if self._told and self._heard_of():
            self._fulfil()

    def looked(self, ready_low: bool) -> None:
        """The program has read levels of data-ready; `ready_low` when one of them said ready.

        A line not ready is what it waits for: time goes on, unless edges are listened for and do that.
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
        self._follow()
        if self._first_edge_due and self._wires.watched:
            self._next_edge()

    def watched(self) -> None:
        """Edges were asked for: whoever waits for one shall not need to read first."""
        self._fulfil()
        if self._converting and not self._fresh:
            self._next_edge()

    def idle(self, waits: bool, computes: bool) -> None:
        """Nothing was asked for a tick: `waits` is True when a thread waits for data-ready, none unread.

        `computes`: a thread runs, or has since the last tick. What is unread by then is not awaited any more.
        """
        if not self._converting or not waits:
            return
        self._quiet += 1
        if computes and self._quiet < PATIENCE_TICKS:
            return
        self._quiet = 0
        self._fulfil()
        self._awaited -= self._fresh
        self._next_edge()

    def _follow(self) -> None:
        """Conversions have begun or ended."""
        converting = self._board.next_ready_ns() is not None
        if converting != self._converting:
            self._converting = self._first_edge_due = converting
            self._told = False
            self._fresh.clear()
            self._seen_ns = time.monotonic_ns()
            self.timeout_ns = TICK_NS if converting else -1

    def _pass_real_time(self) -> None:
        """Since the last window; another chip that converts meanwhile goes on."""
        now_ns = time.monotonic_ns()
        self._board.advance(self._board.now_ns() + now_ns - self._seen_ns)
        self._seen_ns = now_ns
        edges = self._board.edges()
        if edges:
            self._fresh.update(edge.chip for edge in edges)
            self._wires.fall(edges)

    def _next_edge(self) -> None:
        """Time runs to the next conversion that gives data, and on until one that the program can hear of."""
        self._looks = 0
        self._first_edge_due = False
        self._fulfil()
        due_ns = self._board.next_ready_ns()
        if due_ns is not None and self._certain(due_ns):
            self._told = True
            self._announce(due_ns)
            return
        for _ in range(_TRIES):
            due_ns = self._board.next_ready_ns()
            if due_ns is None:
                return
            self._board.advance(due_ns)
            edges = self._board.edges()
            if not edges:
                continue
            self._fresh.update(edge.chip for edge in edges)
            if self._wires.fall(edges) or not self._may_go_on():
                return

    def _certain(self, due_ns: int) -> bool:
        """True when it can be told now that the next conversion brings an edge on every line."""
        if self._board.wires is not None or self._wires.edges_faulty or not self._wires.watched:
            return False
        if len(self._chips) == 1:
            return self._chips[0].steady
        return all(chip.steady and chip.due_ns == due_ns for chip in self._chips)

    def _fulfil(self) -> None:
        """The conversion that was told of ends."""
        if not self._told:
            return
        self._told = False
        due_ns = self._board.next_ready_ns()
        if due_ns is not None:
            self._board.advance(due_ns)
        self._fresh.update(edge.chip for edge in self._board.edges())
        for chip, offset in enumerate(self._wires.wiring.ready):
            if not self._board.ready_high(chip):
                self._lines.put(offset, 0)  # its edge was heard when it was told of

    def _announce(self, t_ns: int) -> None:
        """Tell of the edges that all chips will give at `t_ns`, before they do."""
        for offset in self._wires.wiring.ready[: len(self._chips)]:
            self._wires.edges += 1
            if self._lines.driven(offset) == 0:
                self._lines.edge(offset, True, t_ns - READY_PULSE_NS)
            self._lines.edge(offset, False, t_ns)

    def _heard_of(self) -> bool:
        """True when the program has read every event of data-ready."""
        watchers = [r for offset in self._wires.wiring.ready for r in self._lines.watchers(offset)]
        return not any(request.unread for request in watchers)

    def _may_go_on(self) -> bool:
        """True when the next conversion ends on a chip that holds nothing unread that is awaited."""
        dues = [(chip.due_ns, k) for k, chip in enumerate(self._chips) if chip.due_ns is not None]
        first_ns = min((due_ns for due_ns, _ in dues), default=None)
        return not any(k in self._fresh and k in self._awaited for due_ns, k in dues if due_ns == first_ns)


class RealTime:
    """Edges come by `clock` (ns), `speed` times as fast as it; see wires.Watcher. One thread.

    `latest_ns`: by how much of the board's time an edge was told too late at most.
    """

    def __init__(self, wires: Wires, speed: float, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._wires, self._board = wires, wires.board
        self._speed, self._clock = speed, clock
        self.latest_ns = 0
        self._origin_ns = clock()
        self._board_origin_ns = wires.board.now_ns()

    @property
    def timeout_ns(self) -> int:
        """Until the next edge; -1 while none is due."""
        due_ns = self._board.next_ready_ns()
        if due_ns is None:
            return -1
        return max(0, round((due_ns - self._board_origin_ns) / self._speed) + self._origin_ns - self._clock())

    def before_window(self, chips: tuple[int, ...], reads_frame: bool) -> None:
        """Time has passed."""
        self.look()

    def after_window(self, chips: tuple[int, ...], reads_frame: bool, stops: bool) -> None:
        """Bytes may have taken their time on the wire."""
        self._emit()

    def look(self) -> None:
        """Time has passed."""
        real_ns = self._clock() - self._origin_ns
        self._board.advance(self._board_origin_ns + round(real_ns * self._speed))
        self._emit()

    def looked(self, ready_low: bool) -> None:
        """Looking changes nothing."""

    def before_pins(self) -> None:
        """Time has passed."""
        self.look()

    def before_stimulus(self) -> None:
        """Time has passed."""
        self.look()

    def pins_changed(self) -> None:
        """Pins change nothing either."""

    def watched(self) -> None:
        """Nor does listening."""

    def idle(self, waits: bool, computes: bool) -> None:
        """An edge is due."""
        self.look()

    def _emit(self) -> None:
        edges = self._board.edges()
        if edges:
            self.latest_ns = max(self.latest_ns, self._board.now_ns() - edges[0].t_ns)
            self._wires.fall(edges)
        else:
            self._wires.show_ready()  # high for 2 us before a conversion ends that nobody has read for


Pace = Lockstep | RealTime
