"""The driver of one ADS1299 on one chip select: bring-up with every register read back, frames, stop.

Owns the order and the waits of the datasheet (facts/hardware.md 1.6). Decodes no frame, counts no sample and
opens no device: bytes go through a `SpiPort`, time through a `Clock`. Frames are read with RDATA, which takes
a snapshot; a continuous read that crosses the next conversion would be torn.
"""

from firmware.errors import ChipError, ConfigError, PortError
from firmware.ports import Clock, SpiPort
from hw.chips import (
    ADS1299,
    DECODE_TCLK,
    POWER_UP_TCLK,
    REFERENCE_START_NS,
    RESET_TCLK,
    ChipSpec,
    DataRate,
    Family,
    Gain,
    Opcode,
    data_rate,
    gain_code,
    identify,
    wait_for_tclk_ns,
)
from hw.register_fields import Register
from hw.registers import (
    REGISTERS,
    Address,
    BiasSensP,
    ChannelSet,
    Config1,
    Config2,
    Config3,
    Config4,
    Gpio,
    LeadOff,
    Misc1,
    Misc2,
    Mux,
    RegisterSpec,
    register_map,
)


def recording_setup(chip: ChipSpec, rate: DataRate, gain: Gain) -> dict[int, int]:
    """Register bytes by address, in writing order, for recording against a common reference.

    Electrodes on the positive inputs, the reference electrode on SRB1, all positive inputs averaged into the
    bias drive, the four GPIO as trigger inputs, no test signal, no lead-off current.
    """
    registers: dict[int, Register] = {
        Address.CONFIG3: Config3(reference_on=True, bias_reference_internal=True, bias_on=True),
        Address.CONFIG1: Config1(data_rate=rate),
        Address.CONFIG2: Config2(),
        Address.LOFF: LeadOff(),
        Address.BIAS_SENSP: BiasSensP(chip.channel_bits),
        Address.GPIO: Gpio(inputs=0x0F),
        Address.MISC1: Misc1(srb1=True),
        Address.MISC2: Misc2(),
        Address.CONFIG4: Config4(),
    }
    for channel in range(chip.channels):
        registers[Address.CH1SET + channel] = ChannelSet(gain=gain, mux=Mux.ELECTRODE)
    return {address: register.encode() for address, register in registers.items()}


class Ads1299:
    """One chip. Not thread-safe: whoever brings it up reads it.

    The port must keep chip select low for 4 tCLK (2 us) after the last byte. Command bytes are sent back to
    back and each needs 4 tCLK to decode, so registers want SCLK at 4 MHz or less; a frame is one command byte
    and data, which may be read at up to 20 MHz.
    """

    def __init__(self, spi: SpiPort, clock: Clock) -> None:
        self._spi = spi
        self._clock = clock
        self._frame_request = _frame_request(ADS1299)

    def bring_up(self, rate_hz: float, gain: int) -> ChipSpec:
        """From power-on, or any later state but standby, to converting at `rate_hz`, `gain` on all channels.

        Takes 0.3 s of the clock. Raises ConfigError for a rate or gain that the chip does not have, before a
        byte is sent, and ChipError when its ID or any register reads back wrong; START is then not sent.
        """
        try:
            rate, code = data_rate(rate_hz), gain_code(gain)
        except ValueError as error:
            raise ConfigError(str(error)) from None
        self._clock.wait_ns(wait_for_tclk_ns(POWER_UP_TCLK))
        self._command(Opcode.RESET, RESET_TCLK)
        self._command(Opcode.SDATAC, DECODE_TCLK)
        chip = self._identify()
        wanted = {address: spec.reset for address, spec in register_map(chip).items()}
        for address, value in recording_setup(chip, rate, code).items():
            self._write(address, value)
            if address == Address.CONFIG3:
                self._clock.wait_ns(REFERENCE_START_NS)
            wanted[address] = value
        self._verify(chip, wanted)
        self._frame_request = _frame_request(chip)
        self._command(Opcode.START, DECODE_TCLK)
        return chip

    def read_frame(self) -> bytes:
        """The latest conversion, 27 bytes for eight channels: a snapshot that the next one cannot tear.

        To be called after data-ready falls; called again before the next it returns the same frame. Raises
        PortError when the port returns another number of bytes than it was given.
        """
        return self._transfer(self._frame_request)[1:]

    def stop(self) -> None:
        """End conversions after the one under way; registers keep their values."""
        self._command(Opcode.STOP, DECODE_TCLK)

    def read_registers(self) -> dict[int, int]:
        """All 24 registers by address. Valid after `bring_up`, while converting too."""
        count = len(REGISTERS)
        reply = self._transfer(bytes([Opcode.RREG, count - 1]) + bytes(count))
        return dict(enumerate(reply[2:]))

    def _identify(self) -> ChipSpec:
        """The part behind the port; ChipError when the ID is no ADS1299's."""
        got = self._transfer(bytes([Opcode.RREG | Address.ID, 0, 0]))[2]
        chip = identify(got)
        if chip is None or chip.family is not Family.ADS1299:
            expected = REGISTERS[Address.ID].reset
            raise ChipError(_complaint("ID", expected, got, _diagnose(expected, got, None)))
        return chip

    def _verify(self, chip: ChipSpec, wanted: dict[int, int]) -> None:
        """Read every register back; ChipError names the first that differs and counts the others."""
        got = self.read_registers()
        specs = register_map(chip)
        wrong = [a for a, spec in specs.items() if (got[a] ^ wanted[a]) & _comparable(a, spec)]
        if not wrong:
            return
        address = wrong[0]
        spec = specs[address]
        cause = _diagnose(wanted[address], got[address], spec.reset)
        others = f"; {len(wrong) - 1} more registers differ" if len(wrong) > 1 else ""
        raise ChipError(_complaint(spec.name, wanted[address], got[address], cause) + others)

    def _command(self, opcode: Opcode, wait_tclk: int) -> None:
        """Send one command and give the chip `wait_tclk` to take it in."""
        self._transfer(bytes([opcode]))
        self._clock.wait_ns(wait_for_tclk_ns(wait_tclk))

    def _write(self, address: int, value: int) -> None:
        """Write one register."""
        self._transfer(bytes([Opcode.WREG | address, 0, value]))

    def _transfer(self, mosi: bytes) -> bytes:
        """One chip-select window; PortError unless as many bytes come back."""
        reply = self._spi.transfer(mosi)
        if len(reply) != len(mosi):
            raise PortError(f"SPI returned {len(reply)} of {len(mosi)} bytes: raise the driver's buffer size")
        return reply


def _frame_request(chip: ChipSpec) -> bytes:
    """RDATA and as many idle bytes as the frame has."""
    return bytes([Opcode.RDATA]) + bytes(chip.frame_bytes)


def _comparable(address: int, spec: RegisterSpec) -> int:
    """Bits of a read-back that must be as written; of the ID, all but the revision."""
    return ADS1299.id_mask if address == Address.ID else 0xFF & ~spec.live


def _complaint(name: str, expected: int, got: int, cause: str) -> str:
    """One line of a ChipError."""
    return f"expected 0x{expected:02X} in {name}, got 0x{got:02X}: {cause}"


def _diagnose(expected: int, got: int, reset: int | None) -> str:
    """The likely cause and the cure for reading `got`; `reset` is given once the ID has read well."""
    if got == reset:
        return (
            "likely cause the write did not arrive (chip in continuous mode, or clocked too fast to decode); "
            "cure: at most 4 MHz for registers, chip select low 2 us after the last byte"
        )
    if got == 0x00:
        return (
            "likely cause no answer (chip unpowered, held in reset, wrong chip select, or used before 128 ms "
            "after power-up); cure: check supplies, RESET pin and chip select, then power up again"
        )
    if got == 0xFF:
        return (
            "likely cause the data line floats high (DOUT not connected, or wrong chip select); "
            "cure: check the wire from DOUT to MISO and the chip select in use"
        )
    if got in (expected << 1 & 0xFF, expected << 1 & 0xFF | 1, expected >> 1, expected >> 1 | 0x80):
        return "likely cause bits shifted by one (wrong SPI mode); cure: use mode 1 (CPOL 0, CPHA 1)"
    if (got ^ expected).bit_count() == 1:
        return (
            "likely cause one bit flipped on the wire; cure: lower the SPI clock, shorten or shield the leads"
        )
    return (
        "likely cause another part or a disturbed wire; cure: check the part's marking, lower the SPI clock"
    )
