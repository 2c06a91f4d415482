"""State machines on `pioemu`, in step on shared pins, with the input synchroniser that the emulator lacks.

Time is in cycles of the system clock, fractions for what comes from outside. An instruction of cycle c
changes pins at c + 1 and sees them as they were before c - 1: two flip-flops (RP2040 datasheet 3.5.6.3). What
repeats itself is skipped: stalls until their pin changes, loops that count X down until X ends or anything
may happen.

Of the emulator's own limits: `mov pins` there writes all pins, so what it wrote is put right here; it has no
IN base, so a machine sees the pin that it shifts in also as pin 0, which nothing else may use.
"""

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import floor, inf

from pioemu import ShiftRegister, State, emulate, emulation, primitive_operations
from pioemu.instructions import pull, push

from tests.support.pio_assembler import PIO, Program

KIND, JMP, WAIT = 13, 0, 1
MOV, MOV_PINS = 0xE0E0, 0xA000
ORDER, STOPPED = -1, -2
FULL = 4


def _replace(state: State, **changes: object) -> State:
    """`dataclasses.replace` for the emulator's plain state: two thirds of its time went into that."""
    new = object.__new__(State)
    new.__dict__.update(state.__dict__, **changes)
    return new


for module in (emulation, primitive_operations, pull, push):
    module.replace = _replace


@dataclass(frozen=True)
class Change:
    """A pin has another level from `at` on."""

    at: float
    pin: int
    high: bool


class Pins:
    """Levels of the 32 pins and everything that they ever did."""

    def __init__(self) -> None:
        self.levels = 0
        self.changes: list[Change] = []
        self.heard: dict[int, list[Callable[[Change], None]]] = {}
        self._recent: deque[tuple[float, int]] = deque([(-inf, 0)])

    def put(self, at: float, pin: int, high: bool) -> bool:
        """One level; whether it is new."""
        if bool(self.levels >> pin & 1) == high:
            return False
        self.levels ^= 1 << pin
        self._recent.append((at, self.levels))
        change = Change(at, pin, high)
        self.changes.append(change)
        for hear in self.heard.get(pin, ()):
            hear(change)
        return True

    def before(self, at: float) -> int:
        """All levels as they were just before `at`; asked with rising `at` only."""
        recent = self._recent
        while len(recent) > 1 and recent[1][0] < at - 8:
            recent.popleft()
        return next((levels for since, levels in reversed(recent) if since < at), recent[0][1])

    def quiet(self, since: float) -> bool:
        """No pin has changed from `since` on."""
        return self._recent[-1][0] < since

    def of(self, *pins: int) -> list[Change]:
        """What these pins did."""
        return [change for change in self.changes if change.pin in pins]

    def falls(self, pin: int) -> list[float]:
        """When a pin fell."""
        return [change.at for change in self.of(pin) if not change.high]

    def rises(self, pin: int) -> list[float]:
        """When a pin rose."""
        return [change.at for change in self.of(pin) if change.high]


@dataclass
class Machine:
    """One state machine: a program, its pins, X and Y to begin with; what it pushes is `received`, or stays
    in its FIFO unless it `drains`."""

    program: Program
    side: int = 0
    sets: int = 0
    outs: int = 0
    ins: int | None = None
    jmp: int = 0
    x: int = 0
    y: int = 0
    synchronised: bool = True
    drains: bool = True
    asleep: int | None = None
    received: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.driven = {}
        for base, init in ((self.side, "sideset_init"), (self.sets, "set_init"), (self.outs, "out_init")):
            levels = self.program.levels(init)
            self.driven |= {base + k: bool(levels >> k & 1) for k in range(self.program.count(init))}
        self.mask = sum(1 << pin for pin in self.driven)

    def start(self, pins: Pins, cycle: int) -> None:
        """From now on; also what a restart does: registers and FIFO stay as they are."""
        old = getattr(self, "state", None)
        program, settings = self.program, self.program.settings
        self.state = State(
            clock=cycle,
            pin_directions=self.mask,
            pin_values=pins.levels & self.mask,
            transmit_fifo=old.transmit_fifo if old else deque(),
            output_shift_register=ShiftRegister(old.output_shift_register.contents if old else 0, 32),
            x_register=old.x_register if old else self.x,
            y_register=old.y_register if old else self.y,
        )
        self.pins, self.asleep, self.seen = pins, None, {}
        self.steps: Iterator[tuple[State, State]] = emulate(
            program.opcodes,
            stop_when=lambda opcode, state: False,
            initial_state=self.state,
            input_source=self._inputs,
            auto_push=settings["autopush"],
            push_threshold=settings["push_thresh"],
            shift_isr_right=settings["in_shiftdir"] == PIO.SHIFT_RIGHT,
            shift_osr_right=settings["out_shiftdir"] == PIO.SHIFT_RIGHT,
            out_base=self.outs,
            out_count=program.count("out_init"),
            set_base=self.sets,
            set_count=program.count("set_init"),
            side_set_base=self.side,
            side_set_count=program.side_count,
            jmp_pin=self.jmp,
            wrap_target=program.wrap_target,
            wrap_top=program.wrap,
        )

    def _inputs(self, state: State) -> int:
        levels = self.pins.before(state.clock - 1 if self.synchronised else state.clock + 1)
        return levels if self.ins is None else levels & ~1 | levels >> self.ins & 1

    def step(self) -> int:
        """One instruction; the cycle in which it was executed."""
        old, new = next(self.steps)
        cycle, opcode = old.clock, self.program.opcodes[old.program_counter]
        self.state = new
        if opcode & MOV == MOV_PINS:
            self._mov_pins(old, opcode & 0x1F)
        if self.drains:
            self.received += new.receive_fifo
            new.receive_fifo.clear()
        self._drive(cycle + 1)
        stalled = new.program_counter == old.program_counter and opcode >> KIND != JMP
        if stalled and self.pins.quiet(cycle - 1):
            self.asleep = opcode & 0x1F if opcode >> KIND == WAIT else ORDER
            self.seen = {}
        return cycle

    def _mov_pins(self, old: State, source: int) -> None:
        """Only the OUT pins."""
        value = {3: 0, 6: old.input_shift_register.contents, 7: old.output_shift_register.contents}[source]
        mask = (1 << self.program.count("out_init")) - 1 << self.outs
        object.__setattr__(self.state, "pin_values", old.pin_values & ~mask | value << self.outs & mask)

    def _drive(self, at: int) -> None:
        """Pins as the state has them."""
        differ = (self.state.pin_values ^ self.pins.levels) & self.mask
        while differ:
            pin = (differ & -differ).bit_length() - 1
            differ &= differ - 1
            self.pins.put(at, pin, bool(self.state.pin_values >> pin & 1))

    def skip(self, until: float) -> None:
        """Rounds of a loop that does nothing but count X down, so that the next one begins before `until`."""
        state = self.state
        last = self.seen.get(state.program_counter)
        self.seen[state.program_counter] = state
        if last is None:
            return
        if not self.pins.quiet(last.clock - 1):
            self.seen = {}
            return
        rounds, cycles = last.x_register - state.x_register, state.clock - last.clock
        same = (last.y_register, last.input_shift_register, last.output_shift_register, last.pin_values)
        if rounds != 1 or same != (
            state.y_register,
            state.input_shift_register,
            state.output_shift_register,
            state.pin_values,
        ):
            self.seen = {state.program_counter: state}
            return
        n = min(state.x_register - 1, (until - state.clock) // cycles)
        if n > 0:
            object.__setattr__(state, "x_register", state.x_register - int(n))
            object.__setattr__(state, "clock", state.clock + int(n) * cycles)
            self.seen = {}


class Clockwork:
    """Machines in step, and what happens outside at its time; without flip-flops if not `synchronised`."""

    def __init__(self, *machines: Machine, synchronised: bool = True, skips: bool = True) -> None:
        self.pins = Pins()
        self.machines = machines
        self._skips, self._to_come, self._numbers = skips, [], itertools.count()
        self.now = 0.0
        for machine in machines:
            machine.synchronised = synchronised
            for pin, high in machine.driven.items():
                self.pins.put(-inf, pin, high)
        self.pins.changes.clear()
        for machine in machines:
            machine.start(self.pins, 0)

    def at(self, cycle: float, do: Callable[[], object]) -> None:
        """Something outside, at its time; at once when that is past."""
        heapq.heappush(self._to_come, (max(cycle, self.now), next(self._numbers), do))

    def put(self, pin: int, high: bool) -> None:
        """A level from outside, now."""
        self.pins.put(self.now, pin, high)

    def order(self, machine: Machine, word: int) -> bool:
        """A word into the TX FIFO, now; False when it is full."""
        if len(machine.state.transmit_fifo) == FULL:
            return False
        machine.state.transmit_fifo.append(word)
        if machine.asleep == ORDER:
            self._wake(machine, self.now)
        return True

    def stop(self, machine: Machine) -> None:
        """`sm.active(0)`: nothing of it happens from now on."""
        machine.asleep = STOPPED

    def restart(self, machine: Machine, low: bool = False) -> None:
        """`sm.restart()` and `sm.active(1)` now; `low`: with `mov(pins, null)` executed."""
        for pin in machine.driven if low else ():
            self.pins.put(self.now, pin, False)
        machine.start(self.pins, floor(self.now) + 1)

    def run(self, until: float) -> None:
        """Everything before `until`."""
        done = len(self.pins.changes)
        while True:
            for change in self.pins.changes[done:]:
                self._tell(change)
            done = len(self.pins.changes)
            machine = min(
                (one for one in self.machines if one.asleep is None),
                key=lambda one: one.state.clock,
                default=None,
            )
            cycle = inf if machine is None else machine.state.clock
            outside = self._to_come[0][0] if self._to_come else inf
            if min(cycle, outside) >= until:
                self.now = until
                return
            if outside <= cycle:
                self.now, _, do = heapq.heappop(self._to_come)
                do()
                continue
            assert machine is not None
            self.now = cycle
            machine.step()
            if self._skips and machine.asleep is None:
                others = [
                    one.state.clock for one in self.machines if one is not machine and one.asleep is None
                ]
                machine.skip(min(outside, until, *others))

    def _tell(self, change: Change) -> None:
        for machine in self.machines:
            if machine.asleep == change.pin:
                self._wake(machine, change.at)

    def _wake(self, machine: Machine, at: float) -> None:
        """In the first cycle that can see a change at `at`."""
        cycle = floor(at) + 2 if machine.synchronised else floor(at)
        object.__setattr__(machine.state, "clock", max(machine.state.clock, cycle))
        machine.asleep = None
