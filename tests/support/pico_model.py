"""The Pico's board as the firmware meets it in MicroPython's unix port: converters, state machines by their
behaviour, a crystal. The chip model below them is the project's own (hw.model.board).

Answers the requests of tests/firmware/pico/shim. Time is the model's: it goes on when the firmware looks and
`grant` lets it; a patient board (`free`) gives as many frames as the firmware's rings have room for.
"""

import os
import struct
import threading
from collections import deque
from collections.abc import Callable

from hw.chips import ADS1299, ChipSpec, Opcode
from hw.model.board import BoardModel, BoardSetup
from tests.support.pio_rig import programs

SELECT, START, RESET = 4, 13, 14
READER, STAMP, SCHEDULE, PULSE = range(4)
WORD = 0xFFFFFFFF
FIFO = 8
READ_NS = 20_000
MOST_AT_ONCE_S = 0.004
"""The firmware looks again within so much of the board's time: less than it hands pulses over early."""


class PulseMachine:
    """What evokd/programs.py's pulse program does, edge by edge: rest, order, strobes, dead time."""

    def __init__(self, rate_hz: float) -> None:
        self._dead = programs.dead_edges(rate_hz)
        self._rest = self._dead * programs.rest_gaps(rate_hz)
        self.fifo: deque[int] = deque()
        self.on = False
        self.high_until_ns: int | None = None
        self.restart()

    def restart(self) -> None:
        """Back to the program's start, which is the rest."""
        self._order, self._left, self._waits = 0, 0, self._rest

    def edge(self) -> None:
        """A data-ready edge, while no pulse is out."""
        if self.high_until_ns is None and self._waits:
            self._waits -= 1
        if not self._waits and not self._left and self.fifo and self.on:
            self._order = self.fifo.popleft()
            self._left = (self._order & 31) + 1

    def strobe(self, now_ns: int, clock_hz: int) -> int:
        """It is time: the lines to raise, 0 when nothing is due."""
        if not self.on or self._waits or not self._left or self.high_until_ns is not None:
            return 0
        self._left -= 1
        width = ((self._order >> 14) + 2) * programs.WIDTH_CYCLES
        self.high_until_ns = now_ns + width * 1_000_000_000 // clock_hz
        return self._order >> 5 & 0xFF

    def lowered(self) -> None:
        """The pulse is over."""
        self.high_until_ns = None
        self._waits = self._dead if self._left else self._rest


class PicoModel:
    """One board; `clock_hz` is the Pico's system clock, `crystal_ppm` its error. `faulty(index, rows)` may
    change the bytes of a frame. `strays[index]`: lines that something else raises at that sample."""

    def __init__(
        self,
        setup: BoardSetup | None = None,
        part: ChipSpec = ADS1299,
        clock_hz: int = 125_000_000,
        crystal_ppm: float = 0.0,
        model: BoardModel | None = None,
    ) -> None:
        self.board = model or BoardModel(setup or BoardSetup((part,)))
        self.clock_hz, self._ppm = clock_hz, crystal_ppm
        self.lock = threading.Condition()
        self.granted: float = 0
        self.stopped = False
        self.frames = 0
        self.index = -1
        self.pulses: list[tuple[int, int]] = []
        self.faulty: Callable[[int, list[bytes]], list[bytes]] | None = None
        self.ticks_ms: Callable[[], int] = lambda: round(self.board.now_ns() / 1e6)
        self._schedule: deque[int] = deque()
        self._target: int | None = None
        self._pulse: PulseMachine | None = None
        self.reading = self.paused = False
        self.pauses: list[tuple[int, int]] = []
        self.pause_ns = 3_000_000
        self._passed: list[int] = []
        self._theirs: set[int] = set()
        self.stuck = 0
        self.patient = True
        self.blocks = 2  # of PIO: 3 on an RP2350
        self.at_once = 0  # so many samples between two looks, when the interpreter is to be that late
        self.strays: dict[int, int] = {}
        self.cut: set[int] = set()

    def grant(self, frames: float) -> None:
        """Let so many more samples come."""
        with self.lock:
            self.granted += frames
            self.lock.notify_all()

    def until_granted(self) -> None:
        """Wait until all that was granted has come."""
        with self.lock:
            while self.granted >= 1 and not self.stopped:
                self.lock.wait(0.1)

    @property
    def level(self) -> int:
        """What the lines show."""
        return int(self.board._stimulus)

    def stop(self) -> None:
        """The firmware is not served any more."""
        with self.lock:
            self.stopped = True
            self.lock.notify_all()

    def serve(self, heard: int, told: int) -> None:
        """Answer requests from descriptor `heard` on `told`, until either closes."""
        with os.fdopen(heard, "rb", buffering=0) as requests, os.fdopen(told, "wb", buffering=0) as answers:
            try:
                while len(head := _exactly(requests, 3)) == 3:
                    size, kind = struct.unpack("<HB", head)
                    answer = self._answer(chr(kind), _exactly(requests, size))
                    answers.write(struct.pack("<I", len(answer)) + answer)
            except (BrokenPipeError, ConnectionResetError):
                return

    def _answer(self, kind: str, payload: bytes) -> bytes:
        if kind == "R":
            return self._run(bool(payload[0]))
        if kind == "M":
            what, _, operation, value = struct.unpack("<BBBI", payload)
            return struct.pack("<I", self._machine(what, chr(operation), value))
        if kind == "T":
            return self._transfer(*struct.unpack_from("<IIBBB", payload), payload[11:])
        if kind == "P":
            self._pin(*payload)
        elif kind == "A":
            self._theirs.add(payload[0])
        elif kind == "E":
            self._enable(*struct.unpack("<BI", payload))
        elif kind == "U" and (self.paused or not self.reading):  # else it is short, within a sample
            self.board.advance(self.board.now_ns() + struct.unpack("<I", payload)[0] * 1000)
        return b""

    def _enable(self, on: int, machines: int) -> None:
        """All readers stop or go on; what edges come meanwhile have no frame."""
        if machines != (1 << len(self.board.chips)) - 1:
            raise AssertionError(f"{machines:#x}: not the readers")
        if not on:
            self.paused = True
            self.pauses.append((self.index + 1, self.index + 1))
            self._theirs.clear()
            self.board.advance(self.board.now_ns() + self.pause_ns)
            return
        if not {2, 3, *range(SELECT, SELECT + len(self.board.chips))} <= self._theirs:
            raise AssertionError("the readers have not all their pins")
        self.paused = False
        self.pauses[-1] = (self.pauses[-1][0], self.index + 1)

    def _pass(self) -> None:
        """Edges since reading stopped."""
        for edge in self.board.edges():
            if edge.chip == 0:
                self.index += 1
                self._passed.append(self._stamp(edge.t_ns))
                if self._pulse is not None:
                    self._pulse.edge()

    def _stamp(self, t_ns: int) -> int:
        counts = t_ns * self.clock_hz // (1_000_000_000 * programs.STAMP_CYCLES)
        return -round(counts * (1 + self._ppm * 1e-6)) & WORD

    def _pin(self, number: int, level: int) -> None:
        if number == START:
            self.board.set_start(bool(level))
        elif number == RESET:
            self.board.set_reset(not level)

    def _transfer(self, hz: int, selected: int, sck: int, mosi: int, miso: int, data: bytes) -> bytes:
        """A window on the registers' bus: chip selects that are low hear it, the one whose pin is read
        answers; nobody at another pin."""
        chips = [k for k in range(len(self.board.chips)) if selected >> SELECT + k & 1]
        if (sck, mosi) != (2, 3) or not chips:
            return bytes(len(data))
        if len(chips) > 1 or miso != 8 + chips[0]:
            return b"\xff" * len(data)
        return self.board.transfer(chips[0], data, hz, 4_000)

    def _machine(self, what: int, operation: str, value: int) -> int:
        if what == READER and operation == "a":
            self.reading = bool(value)
            self.index = -1
            self._schedule.clear()
            self._target = None
        if what == PULSE and self._pulse is None:
            self._pulse = PulseMachine(self.board.rate_hz)
        if what == SCHEDULE:
            return self._scheduler(operation, value)
        if what == PULSE and self._pulse is not None:
            return self._shaper(self._pulse, operation, value)
        return 0

    def _scheduler(self, operation: str, value: int) -> int:
        if operation == "p":
            self._schedule.append(value)
        elif operation == "d" and self._schedule:
            self._schedule.popleft()
        elif operation == "r":
            self._target = None
        return len(self._schedule)

    def _shaper(self, pulse: PulseMachine, operation: str, value: int) -> int:
        if operation == "p":
            pulse.fifo.append(value)
        elif operation == "d" and pulse.fifo:
            pulse.fifo.popleft()
        elif operation == "a":
            pulse.on = bool(value)
        elif operation == "r":
            pulse.restart()
        elif operation == "l":
            pulse.high_until_ns = None
            self.board.set_stimulus(self.stuck)
        return len(pulse.fifo)

    def _run(self, full: bool) -> bytes:
        """As many frames as are granted and there is room for, with the times of their edges."""
        with self.lock:
            full = full and self.patient
            if not full and not self.paused and self.granted < 1 and not self.stopped:
                self.lock.notify_all()
                self.lock.wait(0.002)
            n = (
                0
                if full or not self.reading or self.paused
                else int(min(self.granted, self.at_once or max(1, MOST_AT_ONCE_S * self.board.rate_hz)))
            )
            self.granted -= n
        if self.paused:
            self._pass()
        rows: list[list[bytes]] = [[] for _ in self.board.chips]
        stamps = []
        for _ in range(n):
            t_ns = self._next_edge()
            if t_ns is None:
                break
            stamps.append(self._stamp(t_ns))
            for chip, row in zip(rows, self._frame(t_ns), strict=True):
                chip.append(row)
        size = len(rows[0][0]) if stamps else 0
        passed, self._passed = self._passed, []
        head = struct.pack("<IHBBH", self.ticks_ms() & 0x3FFFFFFF, len(stamps), len(rows), size, len(passed))
        head += struct.pack(f"<{len(passed)}I", *passed)
        return head + b"".join(b"".join(chip) for chip in rows) + struct.pack(f"<{len(stamps)}I", *stamps)

    def _next_edge(self) -> int | None:
        """Time runs to the next data-ready edge, pulses ending on the way."""
        board, pulse = self.board, self._pulse
        while (due_ns := board.next_ready_ns()) is not None:
            if pulse is not None and pulse.high_until_ns is not None and pulse.high_until_ns < due_ns:
                board.advance(pulse.high_until_ns)
                board.set_stimulus(self.stuck)
                pulse.lowered()
            board.advance(due_ns)
            if any(edge.chip == 0 for edge in board.edges()):
                return due_ns
        return None

    def _frame(self, t_ns: int) -> list[bytes]:
        """The frame of this edge is read, then what was ordered for it fires."""
        self.index += 1
        self.frames += 1
        index, board = self.index, self.board
        rows = [
            board.transfer(k, bytes([Opcode.RDATA]) + bytes(chip.chip.frame_bytes))[1:]
            for k, chip in enumerate(board.chips)
        ]
        if self.faulty is not None:
            rows = self.faulty(index, rows)
        if self._pulse is not None:
            self._pulse.edge()
        if self._target is None and self._schedule:
            self._target = self._schedule.popleft()
            if (WORD - self._target - 1) & WORD <= index - 1:
                self._target = -1  # has passed: the scheduler waits for it until its counter comes round
        if index in self.strays:
            board.advance(t_ns + READ_NS)
            board.set_stimulus(self.strays[index])
        if self._target == WORD - index - 1:
            self._target = None
            board.advance(t_ns + READ_NS)
            lines = self._pulse.strobe(board.now_ns(), self.clock_hz) if self._pulse is not None else 0
            if lines:
                self.pulses.append((index, lines))
                board.set_stimulus((lines & ~sum(self.cut)) | self.stuck)
        return rows


def _exactly(stream: "object", size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = stream.read(size - len(data))  # type: ignore[attr-defined]
        if not piece:
            return data
        data += piece
    return data
