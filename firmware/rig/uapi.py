"""The kernel's structures and request numbers, declared once, by their uAPI names.

Sources: linux/spi/spidev.h, linux/gpio.h (v1 and v2), linux/seccomp.h, linux/filter.h, asm-generic/ioctl.h.
Owns layouts and numbers only; refuses to call anything. All formats are little-endian, as every Pi is.
"""

import struct
from typing import Final

IOC_WRITE: Final = 1
IOC_READ: Final = 2


def _ioc(direction: int, kind: int, number: int, size: int) -> int:
    return direction << 30 | size << 16 | kind << 8 | number


def ioc_direction(command: int) -> int:
    """_IOC_DIR: IOC_WRITE and IOC_READ as the program sees them."""
    return command >> 30 & 3


def ioc_size(command: int) -> int:
    """_IOC_SIZE: bytes of the argument."""
    return command >> 16 & 0x3FFF


def ioc_kind(command: int) -> int:
    """_IOC_TYPE: whose request it is."""
    return command >> 8 & 0xFF


def ioc_number(command: int) -> int:
    """_IOC_NR."""
    return command & 0xFF


# ---- spidev ----
SPI_IOC_MAGIC: Final = ord("k")
SPI_BUFSIZ: Final = 4096
"""spidev's default for the longest message."""
SPI_IOC_TRANSFER = struct.Struct("<QQIIHBBBBBB")
"""tx_buf, rx_buf, len, speed_hz, delay_usecs, bits_per_word, cs_change, tx_nbits, rx_nbits, word_delay."""
SPI_IOC_MESSAGE_1: Final = _ioc(IOC_WRITE, SPI_IOC_MAGIC, 0, 32)
SPI_NR_MESSAGE, SPI_NR_MODE, SPI_NR_LSB_FIRST, SPI_NR_BITS, SPI_NR_MAX_SPEED, SPI_NR_MODE32 = range(6)
SPI_CPHA, SPI_CPOL, SPI_CS_HIGH, SPI_LSB_FIRST, SPI_3WIRE, SPI_LOOP, SPI_NO_CS = (1 << k for k in range(7))
SPI_TX_DUAL, SPI_TX_QUAD, SPI_RX_DUAL, SPI_RX_QUAD = (1 << k for k in range(8, 12))
SPI_MULTI_WIRE: Final = 0x7F00 & ~(1 << 12)
"""SPI_TX_DUAL to SPI_RX_OCTAL without SPI_CS_WORD: a controller that lacks them drops them."""

# ---- gpio, both versions ----
GPIO_MAGIC: Final = 0xB4
GPIO_MAX_NAME_SIZE: Final = 32
GPIOCHIP_INFO = struct.Struct("<32s32sI")
"""name, label, lines."""
GPIO_GET_CHIPINFO_IOCTL: Final = _ioc(IOC_READ, GPIO_MAGIC, 0x01, 68)
GPIO_GET_LINEINFO_UNWATCH_IOCTL: Final = _ioc(3, GPIO_MAGIC, 0x0C, 4)

# ---- gpio v2 ----
GPIO_V2_LINES_MAX: Final = 64
GPIO_V2_LINE_NUM_ATTRS_MAX: Final = 10
V2_USED, V2_ACTIVE_LOW, V2_INPUT, V2_OUTPUT, V2_EDGE_RISING, V2_EDGE_FALLING = (1 << k for k in range(6))
V2_OPEN_DRAIN, V2_OPEN_SOURCE, V2_PULL_UP, V2_PULL_DOWN, V2_BIAS_DISABLED = (1 << k for k in range(6, 11))
V2_CLOCK_REALTIME, V2_CLOCK_HTE = 1 << 11, 1 << 12
V2_FLAGS: Final = (1 << 13) - 1
GPIO_V2_LINE_VALUES = struct.Struct("<QQ")
"""bits, mask."""
GPIO_V2_LINE_ATTRIBUTE = struct.Struct("<IIQ")
"""id, padding, flags or values or debounce_period_us."""
ATTR_FLAGS, ATTR_OUTPUT_VALUES, ATTR_DEBOUNCE = 1, 2, 3
GPIO_V2_LINE_CONFIG = struct.Struct("<QI5I" + "IIQQ" * GPIO_V2_LINE_NUM_ATTRS_MAX)
"""flags, num_attrs, padding[5], attrs[10]: id, padding, value, mask."""
GPIO_V2_LINE_REQUEST = struct.Struct(f"<64I32s{GPIO_V2_LINE_CONFIG.size}sII5Ii")
"""offsets[64], consumer, config, num_lines, event_buffer_size, padding[5], fd."""
GPIO_V2_LINE_INFO = struct.Struct("<32s32sIIQ160s16x")
"""name, consumer, offset, num_attrs, flags, attrs[10]."""
GPIO_V2_LINE_INFO_CHANGED = struct.Struct(f"<{GPIO_V2_LINE_INFO.size}sQI20x")
"""info, timestamp_ns, event_type."""
CHANGED_REQUESTED, CHANGED_RELEASED, CHANGED_CONFIG = 1, 2, 3
GPIO_V2_LINE_EVENT = struct.Struct("<QIIII24x")
"""timestamp_ns, id, offset, seqno, line_seqno."""
EVENT_RISING_EDGE, EVENT_FALLING_EDGE = 1, 2
GPIO_V2_GET_LINEINFO_IOCTL: Final = _ioc(3, GPIO_MAGIC, 0x05, GPIO_V2_LINE_INFO.size)
GPIO_V2_GET_LINEINFO_WATCH_IOCTL: Final = _ioc(3, GPIO_MAGIC, 0x06, GPIO_V2_LINE_INFO.size)
GPIO_V2_GET_LINE_IOCTL: Final = _ioc(3, GPIO_MAGIC, 0x07, GPIO_V2_LINE_REQUEST.size)
GPIO_V2_LINE_SET_CONFIG_IOCTL: Final = _ioc(3, GPIO_MAGIC, 0x0D, GPIO_V2_LINE_CONFIG.size)
GPIO_V2_LINE_GET_VALUES_IOCTL: Final = _ioc(3, GPIO_MAGIC, 0x0E, 16)
GPIO_V2_LINE_SET_VALUES_IOCTL: Final = _ioc(3, GPIO_MAGIC, 0x0F, 16)

# ---- gpio v1 ----
GPIOHANDLES_MAX: Final = 64
V1_KERNEL, V1_IS_OUT, V1_ACTIVE_LOW, V1_OPEN_DRAIN, V1_OPEN_SOURCE = (1 << k for k in range(5))
V1_PULL_UP, V1_PULL_DOWN, V1_BIAS_DISABLE = (1 << k for k in range(5, 8))
V1_REQUEST_INPUT, V1_REQUEST_OUTPUT = 1, 2
V1_EVENT_RISING, V1_EVENT_FALLING = 1, 2
V1_EVENT_DEPTH: Final = 16
GPIOLINE_INFO = struct.Struct("<II32s32s")
"""line_offset, flags, name, consumer."""
GPIOLINE_INFO_CHANGED = struct.Struct(f"<{GPIOLINE_INFO.size}sQI20x")
"""info, timestamp, event_type."""
GPIOHANDLE_REQUEST = struct.Struct("<64II64s32sIi")
"""lineoffsets[64], flags, default_values[64], consumer_label, lines, fd."""
GPIOHANDLE_CONFIG = struct.Struct("<I64s16s")
"""flags, default_values[64], padding[4]."""
GPIOHANDLE_DATA_BYTES: Final = 64
GPIOEVENT_REQUEST = struct.Struct("<III32si")
"""lineoffset, handleflags, eventflags, consumer_label, fd."""
GPIOEVENT_DATA = struct.Struct("<QI4x")
"""timestamp, id."""
GPIO_GET_LINEINFO_IOCTL: Final = _ioc(3, GPIO_MAGIC, 0x02, GPIOLINE_INFO.size)
GPIO_GET_LINEHANDLE_IOCTL: Final = _ioc(3, GPIO_MAGIC, 0x03, GPIOHANDLE_REQUEST.size)
GPIO_GET_LINEEVENT_IOCTL: Final = _ioc(3, GPIO_MAGIC, 0x04, GPIOEVENT_REQUEST.size)
GPIOHANDLE_GET_LINE_VALUES_IOCTL: Final = _ioc(3, GPIO_MAGIC, 0x08, GPIOHANDLE_DATA_BYTES)
GPIOHANDLE_SET_LINE_VALUES_IOCTL: Final = _ioc(3, GPIO_MAGIC, 0x09, GPIOHANDLE_DATA_BYTES)
GPIOHANDLE_SET_CONFIG_IOCTL: Final = _ioc(3, GPIO_MAGIC, 0x0A, GPIOHANDLE_CONFIG.size)
GPIO_GET_LINEINFO_WATCH_IOCTL: Final = _ioc(3, GPIO_MAGIC, 0x0B, GPIOLINE_INFO.size)

# ---- seccomp user notification ----
SOCK_FILTER = struct.Struct("<HBBI")
"""code, jt, jf, k."""
SOCK_FPROG = struct.Struct("<H6xQ")
"""len, filter."""
SECCOMP_SET_MODE_FILTER: Final = 1
SECCOMP_FILTER_FLAG_NEW_LISTENER: Final = 1 << 3
SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV: Final = 1 << 5
SECCOMP_RET_USER_NOTIF: Final = 0x7FC00000
SECCOMP_RET_ALLOW: Final = 0x7FFF0000
SECCOMP_NOTIF = struct.Struct("<QIIiIQ6Q")
"""id, pid, flags; nr, arch, instruction_pointer, args[6]."""
SECCOMP_NOTIF_RESP = struct.Struct("<QqiI")
"""id, val, error, flags."""
SECCOMP_USER_NOTIF_FLAG_CONTINUE: Final = 1
SECCOMP_NOTIF_ADDFD = struct.Struct("<QIIII")
"""id, flags, srcfd, newfd, newfd_flags."""
SECCOMP_ADDFD_FLAG_SETFD: Final = 1
SECCOMP_IOCTL_NOTIF_RECV: Final = _ioc(3, ord("!"), 0, SECCOMP_NOTIF.size)
SECCOMP_IOCTL_NOTIF_SEND: Final = _ioc(3, ord("!"), 1, SECCOMP_NOTIF_RESP.size)
SECCOMP_IOCTL_NOTIF_ADDFD: Final = _ioc(1, ord("!"), 3, SECCOMP_NOTIF_ADDFD.size)

SIOCOUTQ: Final = 0x5411
KCMP_FILE: Final = 0
