"""The transfers of an SPI_IOC_MESSAGE: copied in, as spidev copies them, and what the SPI core asks of each.

Owns the order in which a message is refused; refuses to clock it. Source: drivers/spi/spidev.c, spi.c of
Linux 6.1.
"""

import errno
from dataclasses import dataclass
from typing import Final

from firmware.rig.kernel import read_memory
from firmware.rig.uapi import SPI_BUFSIZ, SPI_IOC_TRANSFER

_DMA_ALIGN: Final = 128
"""spidev places every transfer of a message at such a step of its buffer on 64-bit ARM."""
_INT_MAX: Final = (1 << 31) - 1
_ONE_LINE: Final = (0, 1)
"""tx_nbits and rx_nbits for a single data line; no mode gives a Pi's controller more."""
_BITS: Final = (0, 8)


@dataclass(frozen=True, slots=True)
class Transfer:
    """One spi_ioc_transfer. `mosi`: what goes out, zeros where nothing was given, nothing without a buffer.

    `rx_buf` is the program's address, 0 for none. `refused`: the SPI core takes no such transfer; `two_ways`:
    it both sends and receives.
    """

    mosi: bytes
    rx_buf: int
    length: int
    speed_hz: int
    delay_us: int
    cs_change: bool
    refused: bool
    two_ways: bool


def copied(pid: int, packed: bytes, pointer_bytes: int, speed_hz: int) -> list[Transfer]:
    """The transfers `packed` of process `pid`; those that wish for no speed have `speed_hz`.

    Raises OSError, one transfer after the other: EMSGSIZE for more than spidev's buffers hold or an int
    counts, EFAULT for bytes to send that are not there.
    """
    pointers = (1 << 8 * pointer_bytes) - 1
    total = rx_total = tx_total = 0
    transfers = []
    for words in SPI_IOC_TRANSFER.iter_unpack(packed):
        tx_buf, rx_buf, length, own_hz, delay_us, bits, cs_change, tx_nbits, rx_nbits = words[:9]
        tx_buf, rx_buf = tx_buf & pointers, rx_buf & pointers
        placed = -(-length // _DMA_ALIGN) * _DMA_ALIGN
        total += length
        rx_total += placed if rx_buf else 0
        tx_total += placed if tx_buf else 0
        if total > _INT_MAX or rx_total > SPI_BUFSIZ or tx_total > SPI_BUFSIZ:
            raise OSError(errno.EMSGSIZE, "longer than bufsiz")
        if tx_buf:
            mosi = read_memory(pid, tx_buf, length)
        else:
            mosi = bytes(length) if rx_buf else b""
        wide = (tx_buf and tx_nbits not in _ONE_LINE) or (rx_buf and rx_nbits not in _ONE_LINE)
        refused = bits not in _BITS or bool(wide)
        two_ways = bool(tx_buf and rx_buf)
        transfers.append(
            Transfer(mosi, rx_buf, length, own_hz or speed_hz, delay_us, bool(cs_change), refused, two_ways)
        )
    return transfers
