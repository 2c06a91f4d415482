"""Modelled chips behind the driver's ports: one wire with log and faults, boards of several, daisy chains."""

from collections.abc import Callable, Sequence

from firmware.ads1299 import Ads1299
from firmware.front_end import FrontEnd
from hw.chips import ADS1299, ChipSpec, Opcode
from hw.model.ads1299 import Ads1299Model

Fault = Callable[[bytes, bytes], bytes]


def no_fault(mosi: bytes, miso: bytes) -> bytes:
    """A sound wire."""
    return miso


class ManualClock:
    """Time that passes only in waits, `speed` times as fast for the chip as for the driver."""

    def __init__(self, speed: float = 1.0, now_ns: int = 1_000) -> None:
        self.time_ns = now_ns
        self.speed = speed
        self.waited: list[int] = []

    def now_ns(self) -> int:
        """Clock port."""
        return self.time_ns

    def wait_ns(self, duration_ns: int) -> None:
        """Clock port."""
        self.waited.append(duration_ns)
        self.time_ns += int(duration_ns * self.speed)


class Wire:
    """SPI port to one modelled chip.

    `log` has (time, bytes sent, speed); `hear` turns what is sent into what the chip gets, `fault` what it
    answers into what the driver gets.
    """

    def __init__(self, clock: ManualClock, chip: ChipSpec = ADS1299, fault: Fault = no_fault) -> None:
        self.model = Ads1299Model(clock.now_ns, chip)
        self.clock = clock
        self.fault = fault
        self.hear: Callable[[bytes], bytes] = lambda mosi: mosi
        self.log: list[tuple[int, bytes, int]] = []

    @property
    def sent(self) -> list[bytes]:
        """The windows so far."""
        return [mosi for _, mosi, _ in self.log]

    def transfer(self, mosi: bytes, speed_hz: int = 0) -> bytes:
        """SPI port."""
        self.log.append((self.clock.now_ns(), mosi, speed_hz))
        return self.fault(mosi, self.model.transfer(self.hear(mosi)))

    def convert(self, volts: Sequence[float] | None = None) -> None:
        """Sample periods until there are data."""
        given = [0.0] * self.model.chip.channels if volts is None else volts
        for _ in range(8):
            if self.model.convert(given):
                return
        raise AssertionError("the chip does not convert")


def rig(chip: ChipSpec = ADS1299, speed: float = 1.0, fault: Fault = no_fault) -> tuple[Ads1299, Wire]:
    """The driver of one chip on its wire."""
    clock = ManualClock(speed)
    wire = Wire(clock, chip, fault)
    return Ads1299(wire, clock), wire


class StartLine:
    """The START pins of all chips: a rising level is START to each, a falling one STOP."""

    def __init__(self, wires: Sequence[Wire]) -> None:
        self.wires = wires
        self.written: list[int] = []

    def write(self, bits: int) -> None:
        """Output port of one line."""
        rising = bits and not (self.written and self.written[-1])
        falling = not bits and self.written and self.written[-1]
        self.written.append(bits)
        for wire in self.wires:
            if rising:
                wire.model.transfer(bytes([Opcode.START]))
            elif falling:
                wire.model.transfer(bytes([Opcode.STOP]))


def star(*chips: ChipSpec, start: bool = True) -> tuple[FrontEnd, list[Wire], StartLine]:
    """A front end of chips on their own selects."""
    clock = ManualClock()
    wires = [Wire(clock, chip) for chip in chips]
    line = StartLine(wires)
    return FrontEnd(wires, clock, line if start else None), wires, line


class ChainClock(ManualClock):
    """Every wait of a sample period or more lets the chips of a chain convert."""

    chain: "Chain"

    def wait_ns(self, duration_ns: int) -> None:
        """Clock port."""
        super().wait_ns(duration_ns)
        self.chain.convert(duration_ns)


class Chain:
    """SPI port to a daisy chain: one select, all hear it, frames follow each other with `gap_bits` between.

    `alive`: how many chips' data reach the first one.
    """

    def __init__(self, clock: ChainClock, chips: Sequence[ChipSpec], gap_bits: int, alive: int = 9) -> None:
        self.models = [Ads1299Model(clock.now_ns, chip) for chip in chips]
        self.gap_bits, self.alive = gap_bits, alive
        self.volts = 1e-5
        self.frames = [bytes(chip.frame_bytes) for chip in chips]
        clock.chain = self

    def convert(self, duration_ns: int) -> None:
        """The conversions of `duration_ns`, eight at most."""
        first = self.models[0]
        period_ns = 1e9 / first.chip.rate_of(first.register(1))
        for _ in range(min(8, round(duration_ns // period_ns))):
            for k, model in enumerate(self.models):
                model.convert([self.volts * (8 * k + c) for c in range(model.chip.channels)])

    def transfer(self, mosi: bytes, speed_hz: int = 0) -> bytes:
        """SPI port."""
        first = mosi[:1] == bytes([Opcode.RDATA])
        idle = not any(mosi)
        if not (first or idle):
            replies = [model.transfer(mosi) for model in self.models]
            return replies[0]
        skip = 1 if first else 0
        bits = ""
        for k, model in enumerate(self.models):
            frame = model.transfer(mosi[:skip] + bytes(model.chip.frame_bytes))[skip:]
            frame = frame if k < self.alive else bytes(len(frame))
            bits += "0" * (self.gap_bits if k else 0) + "".join(f"{byte:08b}" for byte in frame)
        bits += "0" * (-len(bits) % 8)
        row = bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))
        return (bytes(skip) + row).ljust(len(mosi), b"\0")[: len(mosi)]


def chain(*chips: ChipSpec, gap_bits: int = 0, alive: int = 9) -> tuple[FrontEnd, Chain]:
    """A front end of chips in a daisy chain."""
    clock = ChainClock()
    wires = Chain(clock, chips, gap_bits, alive)
    return FrontEnd([wires], clock), wires
