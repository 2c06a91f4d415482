"""The serial interface of the modelled ADS1299: bytes in order, commands out of them, answers into them.

Owns the command decoder and what is shifted out; refuses to know what commands do. A window is `open`, any
number of `clock` and `close`, so that a conversion can fall between two bytes. Facts 1.2 to 1.4.
"""

from typing import Protocol

from hw.chips import DECODE_TCLK, Opcode, tclk_to_ns
from hw.model.ads1299_options import GpioLatch

DECODE_NS = tclk_to_ns(DECODE_TCLK)
_NO_TIME = -(1 << 62)
_GPIO_BYTE = 2


class Core(Protocol):
    """What the interface drives. Times are the board's nanoseconds at the end of a byte."""

    @property
    def continuous(self) -> bool:
        """RDATAC mode."""
        ...

    @property
    def answers(self) -> bool:
        """Not in standby: data are shifted out, registers are at hand."""
        ...

    @property
    def repeats(self) -> bool:
        """Multiple readback."""
        ...

    @property
    def busy_until_ns(self) -> int:
        """End of RESET."""
        ...

    @property
    def gpio_latch(self) -> GpioLatch:
        """When the status word takes the GPIO levels."""
        ...

    @property
    def gpio_levels(self) -> int:
        """The four pins now."""
        ...

    def stream(self) -> bytes:
        """The output register, and what follows it on the chain."""
        ...

    def register(self, address: int) -> int:
        """One register."""
        ...

    def write(self, address: int, value: int, t_ns: int) -> None:
        """Write one register."""
        ...

    def execute(self, opcode: int, t_ns: int, timed: bool) -> None:
        """Do a command of one byte other than RDATA; any other byte is none."""
        ...


class SerialInterface:
    """The decoder's state. Rules where the datasheet is silent: a frame is shifted out from its start in
    every chip-select window; RREG and WREG ignored in continuous mode swallow their operands; with a byte
    time below 4 tCLK (above 4 MHz) an opcode right behind another command byte is lost, and RREG and WREG
    whose bytes come that fast have no effect.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self.open()

    def open(self) -> None:
        """Chip select falls: whatever was left of a command is forgotten."""
        self._opcode = 0  # RREG or WREG while its operands come
        self._operands = 0
        self._left = 0
        self._address = 0
        self._without_effect = False
        self._last_ns = self._sdatac_ns = _NO_TIME
        self._load(self._core.continuous and self._core.answers)

    def rewind(self) -> None:
        """New data with chip select held low: a continuous read starts at the first bit again."""
        if self._core.continuous:
            self._load(self._core.answers)

    def clock(self, mosi: bytes, start_ns: int, byte_ns: float) -> bytes:
        """The answer to `mosi`, clocked from `start_ns` on; a `byte_ns` of 0 takes no time."""
        out = bytearray()
        at, end = 0, len(mosi)
        while at < end:
            idle = 0 if self._opcode else end - at - len(mosi[at:].lstrip(b"\0"))
            if idle:
                out += self._shift(idle)
                at += idle
                continue
            out += self._answer()
            at += 1
            self._take(mosi[at - 1], start_ns + round(at * byte_ns), byte_ns)
        return bytes(out)

    def close(self, t_ns: int) -> int | None:
        """Chip select rises; when SDATAC was the last command, the nanoseconds since its last bit."""
        since_ns = t_ns - self._sdatac_ns if self._sdatac_ns == self._last_ns != _NO_TIME else None
        self.open()
        return since_ns

    @property
    def shifts(self) -> bool:
        """True while data are being shifted out."""
        return self._shifting

    def _load(self, shifting: bool, snapshot: bytes | None = None) -> None:
        """Shift the output register out from its first bit: as it is from now on, or a snapshot."""
        core = self._core
        self._shifting, self._snapshot, self._position = shifting, snapshot, 0
        self._levels = core.gpio_levels if core.gpio_latch == "opcode" else None

    def _shift(self, count: int) -> bytes:
        """The next `count` bytes of the frame; 0 when none is shifted out, or beyond its end."""
        if not self._shifting:
            return bytes(count)
        core = self._core
        stream = core.stream() if self._snapshot is None else self._snapshot
        first = self._position
        self._position += count
        if core.repeats:
            stream *= self._position // len(stream) + 1
        piece = bytearray(stream[first : first + count].ljust(count, b"\0"))
        levels = core.gpio_levels if core.gpio_latch == "shift" else self._levels
        if levels is not None and first <= _GPIO_BYTE < first + count:
            piece[_GPIO_BYTE - first] = piece[_GPIO_BYTE - first] & 0xF0 | levels
        return bytes(piece)

    def _answer(self) -> bytes:
        """The byte that goes out while the next one comes in; a register's overlays the frame."""
        below = self._shift(1)
        if self._opcode & 0xE0 == Opcode.RREG and self._operands >= 2 and not self._without_effect:
            return bytes([self._core.register(self._address)])
        return below

    def _take(self, byte: int, t_ns: int, byte_ns: float) -> None:
        """One byte in."""
        core = self._core
        if t_ns < core.busy_until_ns:
            self._opcode, self._shifting = 0, False
            return
        rushed = 0 < byte_ns < DECODE_NS and t_ns - self._last_ns < DECODE_NS
        if self._opcode:
            self._operand(byte, t_ns, rushed)
            return
        if rushed:
            return
        self._last_ns = t_ns
        if byte & 0xE0 in (Opcode.RREG, Opcode.WREG) and core.answers:
            self._opcode, self._operands, self._address = byte, 1, byte & 0x1F
            self._without_effect = core.continuous
        elif byte == Opcode.RDATA:
            if not core.continuous and core.answers:
                self._load(True, core.stream())
        else:
            was_continuous = core.continuous
            core.execute(byte, t_ns, byte_ns > 0)
            if byte == Opcode.SDATAC and was_continuous:
                self._sdatac_ns = t_ns
            if core.continuous != was_continuous or t_ns < core.busy_until_ns:
                self._load(core.continuous and byte == Opcode.RDATAC)

    def _operand(self, byte: int, t_ns: int, rushed: bool) -> None:
        """The count, then register by register."""
        core, writes = self._core, self._opcode & 0xE0 == Opcode.WREG
        if self._operands == 1 or writes:
            self._without_effect |= rushed
            self._last_ns = t_ns
        self._operands += 1
        if self._operands == 2:
            self._left = (byte & 0x1F) + 1
            return
        if writes and not self._without_effect:
            core.write(self._address, byte, t_ns)
        self._address += 1
        self._left -= 1
        if not self._left:
            self._opcode = 0
