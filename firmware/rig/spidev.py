"""/dev/spidevB.C as the kernel's spidev and spi-bcm2835 drivers behave: modes, messages, errors.

Owns one node's settings and the cutting of messages into chip-select windows; refuses to know chips:
windows go to a `Bus`. Source: drivers/spi/spidev.c, spi.c, spi-bcm2835.c of Linux 6.
"""

import errno
from dataclasses import dataclass
from typing import Final, Protocol

from firmware.rig.faults import Faults
from firmware.rig.kernel import read_memory, write_memory
from firmware.rig.uapi import (
    IOC_READ,
    IOC_WRITE,
    SPI_3WIRE,
    SPI_BUFSIZ,
    SPI_CPHA,
    SPI_CPOL,
    SPI_CS_HIGH,
    SPI_IOC_TRANSFER,
    SPI_LSB_FIRST,
    SPI_MODE_USER_MASK,
    SPI_MULTI_WIRE,
    SPI_NO_CS,
    SPI_NR_BITS,
    SPI_NR_LSB_FIRST,
    SPI_NR_MAX_SPEED,
    SPI_NR_MESSAGE,
    SPI_NR_MODE,
    SPI_NR_MODE32,
    ioc_direction,
    ioc_number,
    ioc_size,
)

SUPPORTED_MODES: Final = SPI_CPHA | SPI_CPOL | SPI_CS_HIGH | SPI_NO_CS | SPI_3WIRE
"""What spi-bcm2835 can do; the least significant bit first is not among it."""
_DMA_ALIGN: Final = 128
"""spidev places every transfer of a message at such a step of its buffer on 64-bit ARM."""
_SIZES: Final = {SPI_NR_MODE: 1, SPI_NR_LSB_FIRST: 1, SPI_NR_BITS: 1, SPI_NR_MAX_SPEED: 4, SPI_NR_MODE32: 4}


class Bus(Protocol):
    """Where chip-select windows go."""

    def window(self, node: int, mosi: bytes, speed_hz: int, selected: bool, ends: bool) -> bytes:
        """Clock `mosi` out on chip select `node`; the bytes that came in.

        `selected`: the controller drives this chip select. `ends`: it releases it afterwards.
        """
        ...


@dataclass(frozen=True, slots=True)
class Transfer:
    """One spi_ioc_transfer; addresses are the program's, 0 for none."""

    tx_buf: int
    rx_buf: int
    length: int
    speed_hz: int
    bits: int
    cs_change: bool


class SpiNode:
    """One node. Its settings are the device's: every open sees them, as in the kernel. One thread."""

    def __init__(self, node: int, bus: Bus, faults: Faults, max_hz: int) -> None:
        self.node = node
        self._bus, self._faults = bus, faults
        self._max_hz = max_hz
        self.mode = 0
        self.bits_per_word = 8
        self.speed_hz = max_hz or 125_000_000

    @property
    def selected(self) -> bool:
        """True when the controller drives the chip select, and to the level that selects."""
        return not self.mode & (SPI_NO_CS | SPI_CS_HIGH)

    @property
    def plain(self) -> bool:
        """True when a message of one whole transfer needs no check of its own."""
        return not self._max_hz and not self.mode & SPI_3WIRE

    def ioctl(self, pid: int, command: int, address: int) -> int:
        """An ioctl of kind 'k'. Raises OSError."""
        self._faults.check_present()
        number, direction, size = ioc_number(command), ioc_direction(command), ioc_size(command)
        if number == SPI_NR_MESSAGE and direction == IOC_WRITE:
            return self._message(pid, address, size)
        if size != _SIZES.get(number) or direction not in (IOC_READ, IOC_WRITE):
            raise OSError(errno.ENOTTY, "no spidev request")
        if direction == IOC_READ:
            write_memory(pid, address, self._setting(number).to_bytes(size, "little"))
        else:
            self._set(number, int.from_bytes(read_memory(pid, address, size), "little"))
        return 0

    def read(self, pid: int, address: int, count: int) -> int:
        """read(2) into the program's memory. Raises OSError."""
        miso = self.received(count)
        write_memory(pid, address, miso)
        return len(miso)

    def write(self, pid: int, address: int, count: int) -> int:
        """write(2) from the program's memory. Raises OSError."""
        _check_count(count)
        return self.sent(read_memory(pid, address, count))

    def received(self, count: int) -> bytes:
        """read(2): zeros go out; what came in. Raises OSError."""
        _check_count(count)
        return self._window(self._faulted(bytes(count)), self.speed_hz, True) if count else b""

    def sent(self, mosi: bytes) -> int:
        """write(2): what comes in is lost; how much was sent. Raises OSError."""
        _check_count(len(mosi))
        return len(self._window(self._faulted(mosi), self.speed_hz, True)) if mosi else 0

    def check_speed(self, speed_hz: int) -> None:
        """Raises OSError EINVAL for a speed that the controller was said not to have."""
        limit = self._faults.spi_max_hz or self._max_hz
        if limit and speed_hz > limit:
            raise OSError(errno.EINVAL, "faster than the controller")

    def _faulted(self, mosi: bytes) -> bytes:
        """`mosi`, shorter when a fault says so. Raises OSError when one says that."""
        self.check_speed(self.speed_hz)
        moved = self._faults.next_transfer()
        return mosi if moved is None else mosi[:moved]

    def _window(self, mosi: bytes, speed_hz: int, ends: bool) -> bytes:
        return self._bus.window(self.node, mosi, speed_hz, self.selected, ends)

    def _setting(self, number: int) -> int:
        if number == SPI_NR_MODE:
            return self.mode & 0xFF
        if number == SPI_NR_MODE32:
            return self.mode
        if number == SPI_NR_LSB_FIRST:
            return int(bool(self.mode & SPI_LSB_FIRST))
        return self.bits_per_word if number == SPI_NR_BITS else self.speed_hz

    def _set(self, number: int, value: int) -> None:
        """spi_setup refuses what the controller cannot do and leaves all as it was."""
        if number in (SPI_NR_MODE, SPI_NR_MODE32):
            if value & ~SPI_MODE_USER_MASK:
                raise OSError(errno.EINVAL, "no such mode bit")
            value &= ~SPI_MULTI_WIRE
            if value & ~SUPPORTED_MODES:
                raise OSError(errno.EINVAL, "mode not supported")
            self.mode = value
        elif number == SPI_NR_LSB_FIRST:
            if value:
                raise OSError(errno.EINVAL, "mode not supported")
        elif number == SPI_NR_BITS:
            if value not in (0, 8):
                raise OSError(errno.EINVAL, "word length not supported")
            self.bits_per_word = 8
        else:
            if not value:
                raise OSError(errno.EINVAL, "no speed")
            self.check_speed(value)
            self.speed_hz = value

    def _message(self, pid: int, address: int, size: int) -> int:
        """SPI_IOC_MESSAGE(n): one chip-select window, unless cs_change cuts it. The bytes moved."""
        if size % SPI_IOC_TRANSFER.size:
            raise OSError(errno.EINVAL, "no whole transfers")
        if not size:
            return 0
        listed = SPI_IOC_TRANSFER.iter_unpack(read_memory(pid, address, size))
        transfers = [Transfer(w[0], w[1], w[2], w[3], w[5], bool(w[6])) for w in listed]
        self._check(transfers)
        sent = [read_memory(pid, t.tx_buf, t.length) if t.tx_buf else bytes(t.length) for t in transfers]
        moved = self._faults.next_transfer()
        total, first = 0, 0
        for last, transfer in enumerate(transfers):
            at_end = last == len(transfers) - 1
            if not at_end and not transfer.cs_change:
                continue
            ends = transfer.cs_change != at_end  # at the end of a message cs_change keeps the chip selected
            mosi = b"".join(sent[first : last + 1])
            mosi = mosi if moved is None else mosi[: max(moved - total, 0)]
            speed_hz = transfer.speed_hz or self.speed_hz
            miso = self._window(mosi, speed_hz, ends) if mosi else b""
            self._hand_over(pid, transfers[first : last + 1], miso)
            total, first = total + len(miso), last + 1
        return total

    def _hand_over(self, pid: int, transfers: list[Transfer], miso: bytes) -> None:
        at = 0
        for transfer in transfers:
            if transfer.rx_buf:
                write_memory(pid, transfer.rx_buf, miso[at : at + transfer.length])
            at += transfer.length

    def _check(self, transfers: list[Transfer]) -> None:
        """What spidev and the SPI core refuse before anything is clocked. Raises OSError."""
        for buffers in ([t.length for t in transfers if t.rx_buf], [t.length for t in transfers if t.tx_buf]):
            placed = sum(-(-length // _DMA_ALIGN) * _DMA_ALIGN for length in buffers)
            if placed > SPI_BUFSIZ or sum(buffers) > SPI_BUFSIZ:
                raise OSError(errno.EMSGSIZE, "longer than bufsiz")
        for t in transfers:
            if t.bits not in (0, 8) or (self.mode & SPI_3WIRE and t.tx_buf and t.rx_buf):
                raise OSError(errno.EINVAL, "transfer not supported")
            self.check_speed(t.speed_hz or self.speed_hz)


def _check_count(count: int) -> None:
    """read and write are one message. Raises OSError EMSGSIZE for a longer one."""
    if count > SPI_BUFSIZ:
        raise OSError(errno.EMSGSIZE, "longer than bufsiz")
