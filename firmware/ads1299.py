"""The driver of one converter of the ADS1299 family on one chip select: commands, registers, frames.

Owns the order and the waits of the datasheet (facts/hardware.md 1.2, 1.6); every write is read back at once.
Decodes no frame, counts no sample and opens no device: bytes go through a `SpiPort`, time through a `Clock`.
Several chips, their common start and their setup belong to `firmware.front_end`.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from firmware.chip_faults import NOT_RESET, complaint, diagnose
from firmware.errors import ChipError, ConfigError, PortError
from firmware.front_end_setup import FrameRead, FrontEndSetup, check, frame_read, recording_registers
from firmware.ports import Clock, SpiPort
from hw.chips import (
    ADS1299,
    DECODE_TCLK,
    POWER_UP_TCLK,
    REFERENCE_START_NS,
    REGISTER_SCLK_HZ,
    RESET_TCLK,
    ChipSpec,
    Opcode,
    identify,
    wait_for_tclk_ns,
)
from hw.frames import HEADER
from hw.registers import Address, RegisterSpec, register_map

TRIES = 3
"""How often SDATAC and RDATAC are sent before giving up: some parts ignore one [E2E 845509]."""
REFERENCE_ON = 0x80
CONFIGURED = range(Address.CONFIG1, Address.CH8SET + 1)


class Ads1299:
    """One chip. Not thread-safe: whoever brings it up reads it.

    The port keeps chip select low for 4 tCLK after the last byte. Commands and registers go at 2 MHz at most,
    frames at `frame_hz` (0: the port's own speed), since RDATA needs no pause before its data. `name` begins
    every complaint. `retries`: commands that had to be sent again; `notes`: what is odd but harmless.
    """

    def __init__(self, spi: SpiPort, clock: Clock, name: str = "", frame_hz: int = 0) -> None:
        self._spi, self._clock, self._frame_hz = spi, clock, frame_hz
        self._register_hz = min(frame_hz or REGISTER_SCLK_HZ, REGISTER_SCLK_HZ)
        self._where = f"{name}: " if name else ""
        self._continuous = False
        self.retries = 0
        self.notes: list[str] = []
        self._take_for(ADS1299)

    def _take_for(self, chip: ChipSpec) -> None:
        self.chip = chip
        self._specs: Mapping[int, RegisterSpec] = register_map(chip)
        self._held = {address: spec.reset for address, spec in self._specs.items()}
        self._frame = frame_read(chip.frame_bytes, "rdata")

    @property
    def held(self) -> dict[int, int]:
        """Every register's byte by address, as last read back."""
        return dict(self._held)

    def bring_up(self, rate_hz: float, gain: int) -> ChipSpec:
        """From power-on, or any later state, to converting at `rate_hz`, `gain` on all channels.

        Takes 0.3 s of the clock. Raises ConfigError for a rate or gain that no part has, before a byte is
        sent; ChipError when the ID or any register reads back wrong, and START is then not sent.
        """
        setup = FrontEndSetup(rate_hz, gain)
        check(setup, selects=1, start_line=False)
        self._clock.wait_ns(wait_for_tclk_ns(POWER_UP_TCLK))
        chip = self.reset()
        self.configure(recording_registers(chip, setup, (gain,) * chip.channels, chip.channels, False))
        self.start()
        return chip

    def reset(self) -> ChipSpec:
        """From any state after power-up to reset values, not converting, registers open: the part found.

        WAKEUP comes first, since a chip in standby hears nothing else. Raises ChipError when the ID is no
        part's, or when a register does not have its reset value.
        """
        self.retries, self.notes, self._continuous = 0, [], False
        self.command(Opcode.WAKEUP)
        self.command(Opcode.SDATAC)
        self.command(Opcode.RESET, RESET_TCLK)
        self._take_for(self._open_registers(None))
        got = self.read_registers()
        for address, spec in self._specs.items():
            wrong = got[address] ^ spec.reset
            if wrong & spec.writable & ~spec.live:
                name = f"{spec.name} after RESET"
                raise ChipError(self._where + complaint(name, spec.reset, got[address], NOT_RESET))
            if wrong & ~spec.writable & ~spec.live and address != Address.ID:
                self.notes.append(
                    f"{self._where}reserved bits of {spec.name} read 0x{got[address]:02X}, the datasheet has "
                    f"0x{spec.reset:02X}; kept as they are"
                )
        self._held = got
        return self.chip

    def configure(self, wanted: Mapping[int, int]) -> None:
        """Write `wanted` in its order, wait for a reference that was off, then verify every register."""
        for address, byte in wanted.items():
            was_off = not self._held[Address.CONFIG3] & REFERENCE_ON
            self.write(address, byte)
            if address == Address.CONFIG3 and byte & REFERENCE_ON and was_off:
                self._clock.wait_ns(REFERENCE_START_NS)
        self.verify()

    def write(self, address: int, byte: int) -> None:
        """Write one register and read it back; bits that the part does not let write keep their value.

        Raises ConfigError for an address or byte that there is not, ChipError when it reads back otherwise.
        """
        spec = self._specs.get(address)
        if spec is None or not 0 <= byte <= 0xFF:
            last = self.chip.registers - 1
            raise ConfigError(
                f"{self._where}no write of {byte:#x} to register {address:#x}: "
                f"the {self.chip.name} has bytes at 0x00 to {last:#04x}"
            )
        held = self._held[address]
        sent = held & ~spec.writable & 0xFF | byte & spec.writable
        with self._registers_open():
            self._transfer(bytes([Opcode.WREG | address, 0, sent]))
            got = self._read(address, 1)[0]
        if (got ^ sent) & ~spec.live:
            cause = diagnose(sent, got, held if held != sent else None)
            raise ChipError(self._where + complaint(spec.name, sent, got, cause))
        self._held[address] = got

    def write_registers(self, wanted: Mapping[int, int]) -> None:
        """Write every register of `wanted`, each read back. Raises as `write`."""
        with self._registers_open():
            for address, byte in wanted.items():
                self.write(address, byte)

    def read_registers(self) -> dict[int, int]:
        """All registers by address, while converting too."""
        with self._registers_open():
            return dict(enumerate(self._read(0, self.chip.registers)))

    def verify(self) -> None:
        """Read every register; ChipError names the first that is not as written and counts the others."""
        wrong = self._differing(self.read_registers())
        if wrong:
            raise ChipError(self._where + wrong)

    def restore(self, wanted: Mapping[int, int]) -> None:
        """Put registers that differ from `wanted` back, whatever state the chip is in; raises as `write`.

        CONFIG1 is left alone when it is right: a write restarts the filter.
        """
        continuous, self._continuous = self._continuous, False
        self._open_registers(self.chip)
        self._held = self.read_registers()
        differing = {
            address: byte
            for address, byte in wanted.items()
            if (self._held[address] ^ byte) & self._specs[address].writable & ~self._specs[address].live
        }
        self.configure(dict(sorted(differing.items(), key=lambda item: item[0] != Address.CONFIG3)))
        if continuous:
            self.read_continuously()

    def still_configured(self) -> str:
        """What is wrong with CONFIG1 to CH8SET, read while converting; "" when they are as written.

        A first reading that differs is looked at again after SDATAC: a chip that was reset is in continuous
        mode and answers a register read with nothing.
        """
        if not self._continuous and not self._differing(self._read_configured()):
            return ""
        was, self._continuous = self._continuous, False
        try:
            self._open_registers(self.chip)
        except ChipError as error:
            self._continuous = was
            return str(error)
        got = self._read_configured()
        wrong = self._differing(got)
        if not wrong:
            if was:
                self.read_continuously()
            return ""
        if all(got[a] == self._specs[a].reset for a in CONFIGURED):
            return (
                f"{self._where}the chip was reset: CONFIG1 to CH8SET read their reset values; likely cause "
                "supply dip or RESET line disturbed; cure: bring it up again, check supply and RESET pin"
            )
        return self._where + wrong

    def command(self, opcode: Opcode, wait_tclk: int = DECODE_TCLK) -> None:
        """Send one command and give the chip `wait_tclk` to take it in."""
        self._transfer(bytes([opcode]))
        self._clock.wait_ns(wait_for_tclk_ns(wait_tclk))

    def start(self) -> None:
        """Begin conversions, or begin anew; not for chips whose START pin is in use."""
        self.command(Opcode.START)

    def stop(self) -> None:
        """End conversions after the one under way; registers keep their values."""
        self.close_frames()
        self.command(Opcode.STOP)

    def read_continuously(self) -> None:
        """RDATAC: frames come without a command until `close_frames`.

        While converting, the command is lost within 4 tCLK of data-ready; it is sent again until a frame
        begins with its header, three times at most.
        """
        for attempt in range(TRIES):
            self.retries += bool(attempt)
            self.command(Opcode.RDATAC)
            if self._transfer(bytes(self.chip.frame_bytes))[0] >> 4 == HEADER:
                break
        self._continuous = True

    def open_frames(self) -> None:
        """RDATAC before START, when it cannot be lost and no frame can prove it."""
        self.command(Opcode.RDATAC)
        self._continuous = True

    def close_frames(self) -> None:
        """SDATAC, if frames come continuously; ChipError when the chip does not obey."""
        if self._continuous:
            self._continuous = False
            self._open_registers(self.chip)

    def read_frame(self) -> bytes:
        """The latest conversion, 27 bytes for eight channels.

        To be called after data-ready falls. With RDATA it is a snapshot that the next conversion cannot tear,
        and called again before that it returns the same frame. Raises PortError when the port returns another
        number of bytes than it was given.
        """
        return self.fetch(self._frame)

    def fetch(self, read: FrameRead) -> bytes:
        """What `read` asks for, at the frames' speed; raises as `read_frame`."""
        return self._transfer(read.mosi, self._frame_hz)[read.skip :]

    def _read_configured(self) -> dict[int, int]:
        """CONFIG1 to CH8SET by address."""
        return dict(zip(CONFIGURED, self._read(CONFIGURED.start, len(CONFIGURED)), strict=True))

    def _differing(self, got: Mapping[int, int]) -> str:
        """One line about the first register of `got` that is not as held, "" when all are."""
        wrong = [a for a, byte in got.items() if (byte ^ self._held[a]) & ~self._specs[a].live & 0xFF]
        if not wrong:
            return ""
        address, spec = wrong[0], self._specs[wrong[0]]
        cause = diagnose(self._held[address], got[address], spec.reset)
        others = f"; {len(wrong) - 1} more registers differ" if len(wrong) > 1 else ""
        return complaint(spec.name, self._held[address], got[address], cause) + others

    def _open_registers(self, known: ChipSpec | None) -> ChipSpec:
        """SDATAC until the ID reads as a part's (as `known`'s, once it is known); ChipError after three."""
        for attempt in range(TRIES):
            self.retries += bool(attempt)
            self.command(Opcode.SDATAC)
            got = self._read(Address.ID, 1)[0]
            chip = identify(got)
            if chip is not None and known in (None, chip):
                return chip
        expected = register_map(known or ADS1299)[Address.ID].reset
        raise ChipError(self._where + complaint("ID", expected, got, diagnose(expected, got)))

    @contextmanager
    def _registers_open(self) -> Iterator[None]:
        """Registers can be reached inside; continuous reading goes on afterwards if it was in force."""
        continuous = self._continuous
        self.close_frames()
        try:
            yield
        finally:
            if continuous:
                self.read_continuously()

    def _read(self, first: int, count: int) -> bytes:
        """RREG of `count` registers from `first` on."""
        return self._transfer(bytes([Opcode.RREG | first, count - 1]) + bytes(count))[2:]

    def _transfer(self, mosi: bytes, speed_hz: int | None = None) -> bytes:
        """One chip-select window; PortError unless as many bytes come back."""
        reply = self._spi.transfer(mosi, self._register_hz if speed_hz is None else speed_hz)
        if len(reply) != len(mosi):
            raise PortError(
                f"{self._where}SPI returned {len(reply)} of {len(mosi)} bytes: raise the driver's buffer size"
            )
        return reply
