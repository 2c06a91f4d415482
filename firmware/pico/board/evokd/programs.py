"""The PIO programs of the coprocessor: reader, stamp, schedule and pulse, and every figure that they keep.

Owns instructions and the words that configure and command them; refuses to know pins by name, DMA and who
decides. Each factory gives what `rp2.StateMachine` takes. All run at the system clock, undivided, and count
in its cycles. Chip times: ADS1299 datasheet SBAS499A p8 at 2.7 to 3.6 V and at 1.8 to 2 V (facts/hardware.md
1.3). PIO: RP2040 datasheet chapter 3; the assembler: MicroPython, ports/rp2/modules/rp2.py.

Inside a program only the assembler's own words and the factory's local names exist.
"""

from rp2 import PIO, asm_pio

RDATA = 0x12
SCLK_HZ = 12_500_000
"""At most: 80 ns a bit leave 64 ns from SCLK's rise at our pin to the sample of DOUT at our pin."""
HOLD_NS = 2005
"""Chip select stays low 4 tCLK of the slowest oscillator (-2.5 %) after the last bit, tSCCS."""
STAMP_CYCLES = 2
"""Cycles per count of `stamp`."""
WIDTH_CYCLES = 8
"""Cycles per count of a pulse's width."""
SHORTEST_CYCLES = 2 * WIDTH_CYCLES
LONGEST_CYCLES = ((1 << 18) + 1) * WIDTH_CYCLES
"""No order can keep a line high for longer: its 18 bits of width hold no more."""
MOST_PULSES = 32
MOST_LINES = 8
DEAD_S = 0.0005
REST_S = 0.004
MEMORY = 32
"""Instructions of one PIO block."""
BLOCKS = (("reader", "stamp"), ("schedule", "pulse"))
"""Programs that share a block: 24 and 31 instructions."""
_MACHINES = 4
_MOST_CHIPS = 4
_LONGEST_DELAY = 16
_LOOPS = 32


def machines(chips: int, blocks: int) -> dict[str, int | None]:
    """The first state machine of every program, as MicroPython counts them: block b has 4b to 4b + 3.

    `reader` has `chips` of them in a row. Four readers take their block whole: `stamp` goes to the third
    block of an RP2350 (`blocks` 3), and is None on an RP2040 (2), where the time of an edge is to be had
    otherwise. Raises ValueError for anything but 1 to 4 chips and 2 or 3 blocks.
    """
    if not 1 <= chips <= _MOST_CHIPS or blocks not in (2, 3):
        raise ValueError(f"{chips} chips on {blocks} PIO blocks: 1 to 4 on 2 or 3 are possible")
    stamp = chips if chips < _MACHINES else 2 * _MACHINES if blocks == 3 else None
    return {"reader": 0, "stamp": stamp, "schedule": _MACHINES, "pulse": _MACHINES + 1}


def _bit(sys_hz: int) -> tuple[int, int]:
    """Cycles that SCLK is high and low: as even as they come, together no shorter than a bit may be."""
    cycles = -(-sys_hz // SCLK_HZ)
    if not 4 <= cycles <= 2 * _LONGEST_DELAY:
        raise ValueError(f"system clock of {sys_hz} Hz: the reader needs 37.5 to 400 MHz")
    return cycles - cycles // 2, cycles // 2


def _hold(sys_hz: int) -> tuple[int, int]:
    """Rounds of the loop that keeps chip select low, and the cycles of each."""
    cycles = -(-sys_hz * HOLD_NS // 1_000_000_000)
    rounds = -(-cycles // _LONGEST_DELAY)
    if rounds > _LOOPS:
        raise ValueError(f"system clock of {sys_hz} Hz: chip select can be held for 2 us up to 255 MHz")
    return rounds, -(-cycles // rounds)


def reader(sys_hz: int, drdy: int, chips: int, rdata: bool) -> object:
    """One chip's frame after every data-ready edge, as bytes in the RX FIFO, first bit highest.

    `drdy`: GPIO of the first chip's DRDY. One state machine per chip runs this very program: they wait for
    one edge, so they stay in step and drive the same pins alike. State machine: side-set SCLK; set the
    `chips` selects in a row; out DIN; in this chip's DOUT. Y is `reader_word`, given before it runs. `rdata`:
    each frame is asked for by RDATA, whose last bit leaves DIN low; else the chip is in RDATAC mode and
    hears 0.

    SPI mode 1: DIN changes with SCLK's rise, the chip takes it at the fall. A bit of DOUT is taken by the
    instruction that raises SCLK for the next one: two cycles of synchroniser before, its pin is as it was two
    cycles before that rise, so that chip, isolators and wires have a bit less two cycles for the way there
    and back. Raises ValueError for a clock or number of chips that cannot be.
    """
    if not 1 <= chips <= _MOST_CHIPS:
        raise ValueError(f"{chips} chips: 1 to 4 are possible")
    high, low = _bit(sys_hz)
    rounds, cycles = _hold(sys_hz)

    @asm_pio(
        sideset_init=PIO.OUT_LOW,
        set_init=(PIO.OUT_HIGH,) * chips,
        out_init=PIO.OUT_LOW,
        in_shiftdir=PIO.SHIFT_LEFT,
        out_shiftdir=PIO.SHIFT_LEFT,
        autopush=True,
        push_thresh=8,
    )
    def program() -> None:
        wait(1, gpio, drdy).side(0)
        wait(0, gpio, drdy).side(0)
        set(pins, 0).side(0)[low - 1]
        if rdata:
            mov(osr, y).side(0)
            set(x, 7).side(0)
            label("opcode")
            out(pins, 1).side(1)[high - 1]
            jmp(x_dec, "opcode").side(0)[low - 1]
            out(x, 16).side(0)
        else:
            mov(x, y).side(0)
        jmp("fall").side(1)[high - 1]
        label("rise")
        in_(pins, 1).side(1)[high - 1]
        label("fall")
        jmp(x_dec, "rise").side(0)[low - 1]
        in_(pins, 1).side(0)
        set(x, rounds - 1).side(0)
        label("hold")
        jmp(x_dec, "hold").side(0)[cycles - 1]
        set(pins, 31).side(0)

    return program


def reader_word(bits: int, rdata: bool) -> int:
    """Y of `reader` for frames of `bits`: 216 of one chip with 8 channels, or of a whole daisy chain.

    Raises ValueError unless they are whole bytes, at most 65536 bits.
    """
    if bits % 8 or not 0 < bits <= 1 << 16:
        raise ValueError(f"a frame of {bits} bits: whole bytes up to 65536 bits are read")
    return RDATA << 24 | (bits - 1) << 8 if rdata else bits - 1


def read_cycles(sys_hz: int, bits: int, rdata: bool) -> int:
    """Cycles from data-ready's fall at our pin to chip select high again; less by its phase, below 1."""
    (high, low), (rounds, cycles) = _bit(sys_hz), _hold(sys_hz)
    opcode = 8 * (high + low) + 2 if rdata else 0
    return opcode + low + 7 + bits * (high + low) + rounds * cycles


def stamp() -> object:
    """When each data-ready edge fell: X, which counts down every `STAMP_CYCLES`, in the RX FIFO.

    State machine: jmp pin DRDY. Every way through takes two cycles for each count, an edge four for two, so
    no time is lost at any number of edges; X wraps after 2^32 counts. A full FIFO loses the stamp, not time.
    """

    @asm_pio(fifo_join=PIO.JOIN_RX)
    def program() -> None:
        jmp("low")
        label("high")
        jmp(x_dec, "next")
        label("next")
        jmp(pin, "high")
        mov(isr, x)
        jmp(x_dec, "push")
        label("push")
        push(noblock)
        jmp(x_dec, "low")
        wrap_target()
        label("low")
        jmp(x_dec, "look")
        label("look")
        jmp(pin, "high")
        wrap()

    return program


def schedule(drdy: int, select: int) -> object:
    """STROBE, once, when the frame of a wanted data-ready edge has been read.

    State machine: side-set STROBE. X counts edges down for ever; set it to 0xFFFFFFFF before edge 0
    (`mov(x, invert(null))` executed). Words of the TX FIFO are `target_word`s in the order of their edges,
    taken one at an edge while none is pending; after the target's edge the program waits for the chip select
    at GPIO `select` to go low and high again. It starts idle and loses no edge as long as reads end before
    the next one.

    An order must be there before the edge ahead of its target. One for the very edge at which it is taken is
    dropped; one whose edge is past stays pending for 2^32 edges, and those behind it wait. A restart
    (`sm.restart()`, which keeps X) forgets what is pending; in the one cycle that follows an edge it would
    lose that count.
    """

    @asm_pio(sideset_init=PIO.OUT_LOW, fifo_join=PIO.JOIN_TX)
    def program() -> None:
        wrap_target()
        label("idle")
        wait(1, gpio, drdy).side(0)
        wait(0, gpio, drdy).side(0)
        jmp(x_dec, "counted").side(0)
        label("counted")
        pull(noblock).side(0)
        mov(y, osr).side(0)
        jmp(x_not_y, "pending").side(0)
        wrap()
        label("pending")
        wait(1, gpio, drdy).side(0)
        wait(0, gpio, drdy).side(0)
        jmp(x_dec, "compare").side(0)
        label("compare")
        jmp(x_not_y, "pending").side(0)
        wait(0, gpio, select).side(0)
        wait(1, gpio, select).side(0)
        jmp("idle").side(1)[7]

    return program


def target_word(edge: int) -> int:
    """The order for `schedule` to strobe at data-ready edge `edge`, counted from 0."""
    return (0xFFFFFFFE - edge) & 0xFFFFFFFF


def dead_edges(rate_hz: float) -> int:
    """Data-ready edges from a pulse's end until the next may begin: at least half a millisecond, and two."""
    return max(2, -int(-DEAD_S * rate_hz // 1) + 1)


def rest_gaps(rate_hz: float) -> int:
    """Dead times in a row that make a rest: at least 4 ms."""
    edges = -int(-REST_S * rate_hz // 1) + 1
    return -(-edges // dead_edges(rate_hz))


def pulse(drdy: int, strobe: int, lines: int, rate_hz: float) -> object:
    """Trains of pulses on `lines` lines, each pulse at a STROBE; what limits them is in the instructions.

    State machine: out the lines in a row. It starts with a rest of `rest_gaps` times `dead_edges` data-ready
    edges, then takes an order, a `pulse_word`, from the TX FIFO. Each pulse waits for STROBE to rise, and
    ends by itself; then come `dead_edges`; after the last one the rest again. A strobe within dead time or
    rest is none; without data-ready the lines stay low. A stop: not active, FIFO emptied, `restart()`, which
    leads into the rest, `mov(pins, null)` executed, active. Raises ValueError for lines or rates beyond it.

    ISR keeps the mask, OSR the width; an OSR shifted empty tells the rest from a train.
    """
    dead, gaps = dead_edges(rate_hz), rest_gaps(rate_hz)
    if not 1 <= lines <= MOST_LINES:
        raise ValueError(f"{lines} stimulus lines: 1 to 8 are possible")
    if dead > _LOOPS or gaps > _LOOPS:
        raise ValueError(f"{rate_hz} samples per second: dead time is counted up to 62000")

    @asm_pio(out_init=(PIO.OUT_LOW,) * lines, out_shiftdir=PIO.SHIFT_RIGHT, fifo_join=PIO.JOIN_TX)
    def program() -> None:
        label("rest")
        out(null, 32)
        set(y, gaps - 1)
        label("more")
        jmp(not_osre, "pulse")
        wrap_target()
        set(x, dead - 1)
        label("edge")
        wait(1, gpio, drdy)
        wait(0, gpio, drdy)
        jmp(x_dec, "edge")
        jmp(y_dec, "more")
        jmp(not_osre, "rest")
        pull(block)
        out(y, 5)
        out(isr, 9)
        label("pulse")
        mov(x, osr)
        wait(0, gpio, strobe)
        wait(1, gpio, strobe)
        mov(pins, isr)[7]
        label("width")
        jmp(x_dec, "width")[7]
        mov(pins, null)
        wrap()

    return program


def pulse_word(mask: int, width_cycles: int, pulses: int) -> int:
    """The order for `pulse`: `pulses` of `width_cycles` each, rounded down to a multiple of 8, on `mask`.

    Bit 0 of `mask` is the first line. Raises ValueError for what does not fit into it.
    """
    if not 0 < mask < 1 << MOST_LINES:
        raise ValueError(f"lines {mask:#x}: bits of 1 to 8 lines are expected")
    if not SHORTEST_CYCLES <= width_cycles <= LONGEST_CYCLES:
        raise ValueError(
            f"a width of {width_cycles} cycles: {SHORTEST_CYCLES} to {LONGEST_CYCLES} are possible"
        )
    if not 1 <= pulses <= MOST_PULSES:
        raise ValueError(f"{pulses} pulses: a train has 1 to 32")
    return (width_cycles // WIDTH_CYCLES - 2) << 14 | mask << 5 | pulses - 1
