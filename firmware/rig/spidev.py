"""/dev/spidevB.C as the kernel's spidev and spi-bcm2835 drivers behave: modes, messages, errors.

Owns one device's settings and the cutting of messages into chip-select windows; refuses to know chips:
windows go to a `Bus`. The chip selects are GPIO lines, as a Pi's device tree has them (cs-gpios).
Source: drivers/spi/spidev.c, spi.c, spi-bcm2835.c of Linux 6.1.
"""

import errno
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Final, Protocol

from firmware.rig.faults import Faults
from firmware.rig.kernel import read_memory, write_memory, write_some
from firmware.rig.spi_message import Transfer, copied
from firmware.rig.uapi import (
    IOC_READ,
    IOC_WRITE,
    SPI_3WIRE,
    SPI_BUFSIZ,
    SPI_CPHA,
    SPI_CPOL,
    SPI_CS_HIGH,
    SPI_IOC_MAGIC,
    SPI_IOC_TRANSFER,
    SPI_LSB_FIRST,
    SPI_MULTI_WIRE,
    SPI_NO_CS,
    SPI_NR_BITS,
    SPI_NR_LSB_FIRST,
    SPI_NR_MAX_SPEED,
    SPI_NR_MESSAGE,
    SPI_NR_MODE,
    SPI_NR_MODE32,
    SPI_RX_DUAL,
    SPI_RX_QUAD,
    SPI_TX_DUAL,
    SPI_TX_QUAD,
    ioc_direction,
    ioc_kind,
    ioc_number,
    ioc_size,
)

DEVICE_HZ: Final = 125_000_000
"""spi-max-frequency of spidev in a Pi's device tree: what a device starts with."""
SUPPORTED_MODES: Final = SPI_CPHA | SPI_CPOL | SPI_CS_HIGH | SPI_NO_CS | SPI_3WIRE
"""What spi-bcm2835 can do; the least significant bit first is not among it."""
_CONTRADICTIONS: Final = (SPI_TX_DUAL | SPI_TX_QUAD, SPI_RX_DUAL | SPI_RX_QUAD)
_SIZES: Final = {SPI_NR_MODE: 1, SPI_NR_LSB_FIRST: 1, SPI_NR_BITS: 1, SPI_NR_MAX_SPEED: 4, SPI_NR_MODE32: 4}
_NS_PER_US: Final = 1_000


class Bus(Protocol):
    """Where chip-select windows go."""

    def window(self, node: int, mosi: bytes, speed_hz: int, selected: bool, ends: bool) -> bytes:
        """Clock `mosi` out on chip select `node`; the bytes that came in.

        `selected`: the chip select is low meanwhile. `ends`: the controller lets go of it afterwards.
        """
        ...

    def release(self, node: int) -> None:
        """The controller lets go of a chip select that a window has left low."""
        ...

    def pause(self, duration_ns: int) -> None:
        """Nothing happens on the bus for so long."""
        ...


class SpiNode:
    """One device from when it appears until it is removed. One thread.

    Its settings are the device's: every open sees them, as in the kernel, where several are allowed; the
    speed is forgotten when the last is closed.
    """

    def __init__(self, node: int, bus: Bus, faults: Faults, max_hz: int) -> None:
        """`max_hz`: the controller's fastest clock, 0 for any; what is wished for beyond it is not faster."""
        self.node = node
        self._bus, self._faults = bus, faults
        self._max_hz = max_hz
        self.mode = 0
        self.bits_per_word = 8
        self.speed_hz = self._own_hz = self.clock_hz(DEVICE_HZ)
        self._held = self._removed = False

    @property
    def selected(self) -> bool:
        """True when the chip is selected while it is clocked."""
        return self._held or not self.mode & SPI_NO_CS

    @property
    def plain(self) -> bool:
        """True when a message of one whole transfer needs no check of its own."""
        return not (self._held or self.mode & SPI_3WIRE)

    @property
    def has_own_speed(self) -> bool:
        """True unless somebody has set another."""
        return self.speed_hz == self._own_hz

    def clock_hz(self, wished_hz: int) -> int:
        """The clock of a transfer that wishes for `wished_hz`, 0 for the node's speed."""
        hz = wished_hz or self.speed_hz
        return min(hz, self._max_hz) if self._max_hz else hz

    def opened_alone(self) -> None:
        """Somebody opens it whom nobody precedes: the last close has given the device its own speed back."""
        self.speed_hz = self._own_hz

    def remove(self) -> None:
        """The device is gone: whoever still has it open is refused for good."""
        self._removed = True

    def ioctl(self, pid: int, command: int, address: int, pointer_bytes: int = 8) -> int:
        """An ioctl of a program with pointers of so many bytes. Raises OSError."""
        if ioc_kind(command) != SPI_IOC_MAGIC:
            raise OSError(errno.ENOTTY, "not spidev's kind")
        self._check_present()
        number, direction, size = ioc_number(command), ioc_direction(command), ioc_size(command)
        if number == SPI_NR_MESSAGE and direction == IOC_WRITE:
            return self._message(pid, address, size, pointer_bytes)
        if size != _SIZES.get(number) or direction not in (IOC_READ, IOC_WRITE):
            raise OSError(errno.ENOTTY, "no spidev request")
        if direction == IOC_READ:
            write_memory(pid, address, self._setting(number).to_bytes(size, "little"))
        else:
            self._set(number, int.from_bytes(read_memory(pid, address, size), "little"))
        return 0

    def read(self, pid: int, address: int, count: int) -> int:
        """read(2) into the program's memory, as far as that reaches. Raises OSError."""
        miso = self.received(count)
        fitted = write_some(pid, address, miso)
        if miso and not fitted:
            raise OSError(errno.EFAULT, "bad address")
        return fitted

    def write(self, pid: int, address: int, count: int) -> int:
        """write(2) from the program's memory. Raises OSError."""
        _check_count(count)
        return self.sent(read_memory(pid, address, count))

    def received(self, count: int) -> bytes:
        """read(2): zeros go out; what came in. Raises OSError."""
        _check_count(count)
        return self._alone(bytes(count))

    def sent(self, mosi: bytes) -> int:
        """write(2): what comes in is lost; how much was sent. Raises OSError."""
        _check_count(len(mosi))
        return len(self._alone(mosi))

    def _check_present(self) -> None:
        """spidev holds no device any more. Raises OSError ESHUTDOWN."""
        if self._removed or self._faults.vanished:
            raise OSError(errno.ESHUTDOWN, "removed")

    def _check_speed(self, speed_hz: int) -> None:
        """A driver that refuses what others clip. Raises OSError EINVAL."""
        if self._faults.spi_max_hz and speed_hz > self._faults.spi_max_hz:
            raise OSError(errno.EINVAL, "too fast")

    def _setting(self, number: int) -> int:
        if number == SPI_NR_MODE:
            return self.mode & 0xFF
        if number == SPI_NR_MODE32:
            return self.mode
        if number == SPI_NR_LSB_FIRST:
            return int(bool(self.mode & SPI_LSB_FIRST))
        return self.bits_per_word if number == SPI_NR_BITS else self.speed_hz

    def _set(self, number: int, value: int) -> None:
        """spi_setup refuses what the controller cannot do and leaves all as it was; else it deselects."""
        if number in (SPI_NR_MODE, SPI_NR_MODE32):
            self.mode = _accepted_mode(value)
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
            self._check_speed(value)
            self.speed_hz = value
        self._select(False)

    def _message(self, pid: int, address: int, size: int, pointer_bytes: int) -> int:
        """SPI_IOC_MESSAGE(n): one chip-select window, unless cs_change cuts it. The bytes asked for.

        A transfer without any buffer clocks nothing and counts all the same.
        """
        if size % SPI_IOC_TRANSFER.size:
            raise OSError(errno.EINVAL, "no whole transfers")
        if not size:
            return 0
        transfers = copied(pid, read_memory(pid, address, size), pointer_bytes, self.speed_hz)
        for transfer in transfers:
            if transfer.refused or (self.mode & SPI_3WIRE and transfer.two_ways):
                raise OSError(errno.EINVAL, "transfer not supported")
            self._check_speed(transfer.speed_hz)
        moved = self._faults.next_transfer()
        received = self._clocked(transfers, moved)
        for transfer, miso in zip(transfers, received, strict=True):
            if transfer.rx_buf:
                write_memory(pid, transfer.rx_buf, miso)
        return sum(t.length for t in transfers) if moved is None else sum(map(len, received))

    def _clocked(self, transfers: Sequence[Transfer], moved: int | None) -> list[bytes]:
        """What came in, transfer by transfer; of the bytes to be sent only the first `moved`, unless None."""
        starts = [0, *accumulate(len(t.mosi) for t in transfers)]
        sent = [
            t.mosi if moved is None else t.mosi[: max(moved - first, 0)]
            for t, first in zip(transfers, starts, strict=False)
        ]
        received: list[bytes] = []
        first = 0
        for at, transfer in enumerate(transfers):
            at_end = at == len(transfers) - 1
            ends = transfer.cs_change != at_end  # at the end of a message cs_change keeps the chip selected
            cut = ends or at_end or transfer.delay_us
            if not cut and transfers[at + 1].speed_hz == transfer.speed_hz:
                continue
            received += self._window(sent[first : at + 1], transfer.speed_hz, ends)
            first = at + 1
            if transfer.delay_us:
                self._bus.pause(transfer.delay_us * _NS_PER_US)
        return received

    def _alone(self, mosi: bytes) -> bytes:
        """A message of one transfer at the node's speed; what came in. Raises OSError."""
        self._check_present()
        self._check_speed(self.speed_hz)
        moved = self._faults.next_transfer()
        return self._window([mosi if moved is None else mosi[:moved]], self.speed_hz, True)[0]

    def _window(self, pieces: Sequence[bytes], speed_hz: int, ends: bool) -> list[bytes]:
        """Clock the pieces out on end; what came in for each. With SPI_NO_CS the select stays as it is."""
        mosi, follows = b"".join(pieces), not self.mode & SPI_NO_CS
        if mosi:
            lets_go = ends if follows else not self._held
            miso = self._bus.window(self.node, mosi, self.clock_hz(speed_hz), self.selected, lets_go)
            self._held = not lets_go
        else:
            miso = b""
            self._select(not ends)
        if self.mode & SPI_3WIRE:  # the controller listens on MOSI, where no chip of ours speaks
            miso = bytes(len(miso))
        bounds = [0, *accumulate(map(len, pieces))]
        return [miso[a:b] for a, b in pairwise(bounds)]

    def _select(self, held: bool) -> None:
        """The controller drives the chip select, and clocks nothing."""
        if self.mode & SPI_NO_CS:
            return
        if self._held and not held:
            self._bus.release(self.node)
        self._held = held


def _accepted_mode(value: int) -> int:
    """The mode that `value` sets. Raises OSError EINVAL.

    Lines that the controller lacks are dropped, unless they contradict each other or three wires. A chip
    select that is a GPIO line has its polarity from the device tree: SPI_CS_HIGH is taken, neither told nor
    obeyed.
    """
    if value & ~(SUPPORTED_MODES | SPI_MULTI_WIRE):
        raise OSError(errno.EINVAL, "mode not supported")
    if any(value & both == both for both in _CONTRADICTIONS):
        raise OSError(errno.EINVAL, "two and four lines at once")
    if value & SPI_3WIRE and value & SPI_MULTI_WIRE:
        raise OSError(errno.EINVAL, "three wires have no second data line")
    return value & ~(SPI_MULTI_WIRE | SPI_CS_HIGH)


def _check_count(count: int) -> None:
    """read and write are one message. Raises OSError EMSGSIZE for a longer one."""
    if count > SPI_BUFSIZ:
        raise OSError(errno.EMSGSIZE, "longer than bufsiz")
