"""Boards read by the coprocessor's programs in emulation, and what the same boards give when read plainly."""

from dataclasses import dataclass

from hw.chips import ADS1299, DataRate, Opcode
from hw.model.ads1299_options import ChipOptions
from hw.model.board import BoardModel, BoardSetup
from hw.registers import Address
from tests.support import pio_assembler
from tests.support.boards import Program
from tests.support.pio_chips import DIN, DOUT, DRDY, LINES, SCLK, SELECT, STROBE, VALID_NS, Chips
from tests.support.pio_machine import Clockwork, Machine

assert pio_assembler
from firmware.pico.board.evokd import programs  # noqa: E402  (its `rp2` is the stand-in)

PICO_HZ = 125_000_000
PICO2_HZ = 150_000_000


@dataclass(frozen=True)
class Reading:
    """How a board is read."""

    hz: int = PICO_HZ
    chips: int = 1
    daisy: bool = False
    rdata: bool = True
    rate: DataRate = DataRate.SPS_16000
    ppm: float = 0.0
    valid_ns: float = VALID_NS
    isolator_ns: float = 0.0
    synchronised: bool = True

    @property
    def bits(self) -> int:
        """Of one read."""
        return 8 * ADS1299.frame_bytes * (self.chips if self.daisy else 1)

    @property
    def cycles(self) -> int:
        """From data-ready to chip select high."""
        return programs.read_cycles(self.hz, self.bits, self.rdata)

    @property
    def period(self) -> float:
        """Of data-ready, in cycles."""
        return self.hz / self.rate.rate_hz

    def board(self) -> BoardModel:
        """It, noisy, converting, in the mode that is read; always the same."""
        setup = BoardSetup(
            (ADS1299,) * self.chips,
            options=ChipOptions(noise=True),
            oscillator_ppm=self.ppm,
            daisy=self.daisy,
        )
        board = BoardModel(setup)
        config1 = 0x90 | self.rate | (0 if self.daisy else 0x40)
        selects = range(1 if self.daisy else self.chips)
        for k in selects:
            chip = Program(board, k, awake=k == 0)
            chip.set_up(config1, channels=0x00)
            chip.write(Address.LOFF_SENSP, 0)
        board.set_start(True)
        if not self.rdata:
            for k in selects:
                Program(board, k, awake=False).send(Opcode.RDATAC)
        board.edges()
        return board

    def plainly(self, n: int) -> list[bytes]:
        """What `n` conversions give, every chip read by the model's own means, at once."""
        board = self.board()
        asked = [Opcode.RDATA] if self.rdata else []
        rows = []
        for _ in range(n):
            Program(board, 0, awake=False).edge()
            row = b""
            for k in range(1 if self.daisy else self.chips):
                row += board.transfer(k, bytes([*asked, *bytes(self.bits // 8)]))[len(asked) :]
            rows.append(row)
        return rows


class Rig:
    """A board, its readers, and any other machines on the same pins."""

    def __init__(self, reading: Reading, *others: Machine) -> None:
        self.reading = reading
        selects = 1 if reading.daisy else reading.chips
        program = programs.reader(reading.hz, DRDY, selects, reading.rdata)
        word = programs.reader_word(reading.bits, reading.rdata)
        self.readers = [Machine(program, SCLK, SELECT, DIN, DOUT + k, y=word) for k in range(selects)]
        self.clockwork = Clockwork(*self.readers, *others, synchronised=reading.synchronised)
        self.pins = self.clockwork.pins
        self.chips = Chips(
            reading.board(),
            self.clockwork,
            reading.hz,
            sum(programs._bit(reading.hz)),
            reading.valid_ns,
            reading.isolator_ns,
        )

    def run(self, periods: float) -> "Rig":
        """So many periods of data-ready; the first edge of a board falls after 4."""
        self.clockwork.run(self.clockwork.now + periods * self.reading.period)
        return self

    def frames(self) -> list[bytes]:
        """What the readers had, one row per data-ready edge."""
        size = self.reading.bits // 8
        columns = [bytes(word & 0xFF for word in reader.received) for reader in self.readers]
        n = min(len(column) for column in columns) // size
        return [b"".join(column[k * size : (k + 1) * size] for column in columns) for k in range(n)]


def read_and_stimulated(hz: int) -> tuple[Rig, list[int]]:
    """A board at 16 kSPS, read, whose data-ready slides against the system clock; the edges of 12 pulses.

    Dead time and rest are those of 250 SPS, so that pulses can follow each other closely.
    """
    schedule = Machine(programs.schedule(DRDY, SELECT), side=STROBE, x=0xFFFFFFFF)
    pulse = Machine(programs.pulse(DRDY, STROBE, 4, 250.0), outs=LINES)
    rig = Rig(Reading(hz, ppm=137.0), schedule, pulse)
    wanted = [5 + 4 * k for k in range(12)]
    rig.clockwork.order(pulse, programs.pulse_word(0b1001, 4000, len(wanted)))
    rig.run(4)
    for edge in wanted:
        for _ in range(8):
            if rig.clockwork.order(schedule, programs.target_word(edge)):
                break
            rig.run(1)
        else:
            raise AssertionError(f"the schedule takes no more orders at edge {len(rig.pins.falls(DRDY))}")
    while len(rig.pins.falls(DRDY)) <= wanted[-1] + 1:
        rig.run(1)
    return rig, wanted
