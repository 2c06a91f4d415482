"""Registers of one chip byte by byte, without the driver: what is tested here is what a driver relies on.

Owns the bytes and waits of RESET, SDATAC, RREG and WREG (facts/hardware.md 1.2, 1.6); verifies nothing.
"""

from firmware.errors import PortError
from firmware.ports import Clock, SpiPort
from hw.chips import (
    DECODE_TCLK,
    POWER_UP_TCLK,
    REGISTER_SCLK_HZ,
    RESET_TCLK,
    Opcode,
    wait_for_tclk_ns,
)


class RegisterAccess:
    """The chip behind `port`. It must be in SDATAC mode, where `reset` brings it."""

    def __init__(self, port: SpiPort, clock: Clock) -> None:
        self._port, self._clock = port, clock

    def power_up_wait(self) -> None:
        """2^18 tCLK of the slowest oscillator."""
        self._clock.wait_ns(wait_for_tclk_ns(POWER_UP_TCLK))

    def reset(self) -> None:
        """Out of standby, RESET, and out of continuous mode."""
        self.command(Opcode.WAKEUP)
        self.command(Opcode.RESET, RESET_TCLK)
        self.command(Opcode.SDATAC)

    def command(self, opcode: Opcode, wait_tclk: int = DECODE_TCLK) -> None:
        """Send one command and give the chip its time."""
        self._transfer(bytes([opcode]))
        self._clock.wait_ns(wait_for_tclk_ns(wait_tclk))

    def read(self, first: int, count: int = 1) -> bytes:
        """`count` registers from `first` on."""
        return self._transfer(bytes([Opcode.RREG | first, count - 1]) + bytes(count))[2:]

    def write(self, address: int, value: int) -> None:
        """One register."""
        self._transfer(bytes([Opcode.WREG | address, 0, value]))

    def _transfer(self, mosi: bytes) -> bytes:
        reply = self._port.transfer(mosi, REGISTER_SCLK_HZ)
        if len(reply) != len(mosi):
            raise PortError(f"SPI returned {len(reply)} of {len(mosi)} bytes: raise the driver's buffer size")
        return reply
