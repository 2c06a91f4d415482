"""The two steps of every frame, compiled: take a stopped call, give its answer.

Owns the page of memory that the kernel's structures lie in; refuses to know chips. `take` serves by itself
what needs no thought (opens of other files go through) and hands the rest out; `give` writes the received
bytes and lets the program go on. A frame's next edge is sent before `give`, so that the program finds it
when it comes back.
"""

from typing import Any, Final

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from firmware.rig.arch import this_machine
from firmware.rig.seccomp import FD_END, FD_FIRST, FDS_PER_NODE, MOST_NODES
from firmware.rig.uapi import (
    KCMP_FILE,
    SECCOMP_IOCTL_NOTIF_RECV,
    SECCOMP_IOCTL_NOTIF_SEND,
    SECCOMP_USER_NOTIF_FLAG_CONTINUE,
    SPI_BUFSIZ,
    SPI_IOC_MESSAGE_1,
)

Page = NDArray[np.uint64]
Bytes = NDArray[np.uint8]
Word = int | np.int64

FDS_READ_WRITE: Final = 10
"""Of a node's descriptors, the first ones are open for reading and writing."""
SHORT_US: Final = 5
"""A delay after the last byte that a driver needs anyway to raise chip select (see wires.SELECT_HOLD_NS)."""

IDLE, ASIDE, CALL, MESSAGE, GONE = range(5)
"""`take` found: nothing in time, another descriptor ready, a call to think about, a message, no program."""

# The page, in 64-bit words: seccomp_notif, iovec[2] (local, remote), spi_ioc_transfer, seccomp_notif_resp,
# pollfd[2], then our own words.
NOTE, IOV, XFER, RESP, POLL = 0, 10, 14, 18, 21
LISTENER, SELF, COUNT, BY_NUMBER, TIMEOUT, NODE_FDS, PATH = 23, 24, 25, 26, 27, 29, 29 + MOST_NODES
PAGE_WORDS: Final = PATH + 8
_PATH_BYTES: Final = 64

_MACHINE = this_machine()
_ABI = _MACHINE.abis[0]
_AUDIT, _IOCTL, _OPENAT, _OPEN, _KCMP = _ABI.audit, _ABI.ioctl, _ABI.openat, _ABI.open, _MACHINE.kcmp
_SPID, _GPIO = int.from_bytes(b"spid", "little"), int.from_bytes(b"gpio", "little")
_SLASH: Final = ord("/")
_MINUS_EFAULT: Final = (1 << 32) - 14
_NS_PER_S: Final = 1_000_000_000

_i32, _i64, _u64, _ptr = types.int32, types.int64, types.uint64, types.intp
_ioctl: Any = types.ExternalFunction("ioctl", _i32(_i32, _u64, _ptr))
_ppoll: Any = types.ExternalFunction("ppoll", _i32(_ptr, _u64, _ptr, _ptr))
_vm_read: Any = types.ExternalFunction("process_vm_readv", _i64(_i32, _ptr, _u64, _ptr, _u64, _u64))
_vm_write: Any = types.ExternalFunction("process_vm_writev", _i64(_i32, _ptr, _u64, _ptr, _u64, _u64))
_syscall: Any = types.ExternalFunction("syscall", _i64(_i64, _i64, _i64, _i64, _i64, _i64))


@njit(nogil=True, cache=True)
def _copy_in(page: Page, local: Word, address: Word, length: Word) -> bool:
    """`length` bytes of the program at `address` to our `local`."""
    page[IOV], page[IOV + 1] = np.uint64(local), np.uint64(length)
    page[IOV + 2], page[IOV + 3] = np.uint64(address), np.uint64(length)
    base = page.ctypes.data
    tid = np.int32(page[NOTE + 1] & np.uint64(0xFFFFFFFF))
    got: int = _vm_read(tid, base + 8 * IOV, 1, base + 8 * (IOV + 2), 1, 0)
    return got == length


@njit(nogil=True, cache=True)
def _ours_by_name(page: Page, address: Word) -> bool:
    """True when the last part of the path at `address` may be one of our nodes, or cannot be told."""
    base = page.ctypes.data
    tid = np.int32(page[NOTE + 1] & np.uint64(0xFFFFFFFF))
    first = min(_PATH_BYTES, 4096 - (address & 4095))
    page[IOV], page[IOV + 1] = np.uint64(base + 8 * PATH), np.uint64(_PATH_BYTES)
    page[IOV + 2], page[IOV + 3] = np.uint64(address), np.uint64(first)
    got = _vm_read(tid, base + 8 * IOV, 1, base + 8 * (IOV + 2), 1, 0)
    if got == first and first < _PATH_BYTES:  # over a page's end, which may be the last one
        page[IOV], page[IOV + 1] = np.uint64(base + 8 * PATH + first), np.uint64(_PATH_BYTES - first)
        page[IOV + 2], page[IOV + 3] = np.uint64(address + first), np.uint64(_PATH_BYTES - first)
        more = _vm_read(tid, base + 8 * IOV, 1, base + 8 * (IOV + 2), 1, 0)
        got += max(more, 0)
    text = page[PATH : PATH + _PATH_BYTES // 8].view(np.uint8)
    start = 0
    for k in range(got):
        if text[k] == 0:
            head = np.uint32(0)
            for j in range(min(4, k - start)):
                head |= np.uint32(text[start + j]) << np.uint32(8 * j)
            return head in (_SPID, _GPIO)
        if text[k] == _SLASH:
            start = k + 1
    return False  # longer than any of ours


@njit(nogil=True, cache=True)
def _is_message(page: Page, tx: Bytes) -> bool:
    """True when the call is one plain transfer on a node of ours; its bytes are then in `tx`."""
    fd = np.int64(page[NOTE + 4] & np.uint64(0xFFFFFFFF))
    if not FD_FIRST <= fd < FD_END or (fd - FD_FIRST) % FDS_PER_NODE >= FDS_READ_WRITE:
        return False
    own = np.int64(page[NODE_FDS + (fd - FD_FIRST) // FDS_PER_NODE]) - 1
    if own < 0:
        return False
    tid = np.int64(page[NOTE + 1] & np.uint64(0xFFFFFFFF))
    if page[BY_NUMBER] == 0 and _syscall(_KCMP, tid, np.int64(page[SELF]), KCMP_FILE, fd, own) != 0:
        return False
    base = page.ctypes.data
    if not _copy_in(page, base + 8 * XFER, np.int64(page[NOTE + 6]), 32):
        return False
    length = np.int64(page[XFER + 2] & np.uint64(0xFFFFFFFF))
    pause_us = page[XFER + 3] & np.uint64(0xFFFF)
    form = page[XFER + 3] >> np.uint64(16) & np.uint64(0xFFFFFFFF)  # bits, cs_change, tx_nbits, rx_nbits
    if pause_us > SHORT_US or (form != 0 and form != 8):
        return False
    if length == 0 or length > SPI_BUFSIZ or page[XFER] == 0:
        return False
    return _copy_in(page, tx.ctypes.data, np.int64(page[XFER]), length)


@njit(nogil=True, cache=True)
def take(page: Page, tx: Bytes, timeout_ns: int) -> int:
    """Wait for the next thing to do, at most `timeout_ns` (-1: for ever): IDLE, ASIDE, CALL, MESSAGE or GONE.

    Opens of files that cannot be ours go through here and are not seen outside.
    """
    base = page.ctypes.data
    listener = np.int32(page[LISTENER])
    page[TIMEOUT], page[TIMEOUT + 1] = np.uint64(timeout_ns // _NS_PER_S), np.uint64(timeout_ns % _NS_PER_S)
    until = base + 8 * TIMEOUT if timeout_ns >= 0 else 0
    while True:
        if _ppoll(base + 8 * POLL, 2, until, 0) <= 0:
            return IDLE
        if page[POLL + 1] >> np.uint64(48):
            return ASIDE
        if not page[POLL] >> np.uint64(48) & np.uint64(1):
            return GONE
        page[NOTE : NOTE + 10] = 0
        if _ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, base + 8 * NOTE) != 0:
            return IDLE  # the caller was killed meanwhile
        page[COUNT] += np.uint64(1)
        if page[NOTE + 2] >> np.uint64(32) != _AUDIT:
            return CALL
        number = np.int64(page[NOTE + 2] & np.uint64(0xFFFFFFFF))
        if number == _IOCTL:
            command = page[NOTE + 5] & np.uint64(0xFFFFFFFF)
            return MESSAGE if command == SPI_IOC_MESSAGE_1 and _is_message(page, tx) else CALL
        if number != _OPENAT and number != _OPEN:
            return CALL
        if _ours_by_name(page, np.int64(page[NOTE + 5 if number == _OPENAT else NOTE + 4])):
            return CALL
        page[RESP], page[RESP + 1] = page[NOTE], 0
        page[RESP + 2] = np.uint64(SECCOMP_USER_NOTIF_FLAG_CONTINUE << 32)
        _ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, base + 8 * RESP)


@njit(nogil=True, cache=True)
def give(page: Page, rx: Bytes) -> None:
    """Answer the message just taken with `rx`; EFAULT when the program's buffer is not there."""
    base = page.ctypes.data
    length = np.int64(page[XFER + 2] & np.uint64(0xFFFFFFFF))
    page[RESP], page[RESP + 1], page[RESP + 2] = page[NOTE], np.uint64(length), 0
    if page[XFER + 1] != 0:
        page[IOV], page[IOV + 1] = np.uint64(rx.ctypes.data), np.uint64(length)
        page[IOV + 2], page[IOV + 3] = page[XFER + 1], np.uint64(length)
        tid = np.int32(page[NOTE + 1] & np.uint64(0xFFFFFFFF))
        if _vm_write(tid, base + 8 * IOV, 1, base + 8 * (IOV + 2), 1, 0) != length:
            page[RESP + 1], page[RESP + 2] = 0, np.uint64(_MINUS_EFAULT)
    _ioctl(np.int32(page[LISTENER]), SECCOMP_IOCTL_NOTIF_SEND, base + 8 * RESP)


class HotPath:
    """The page and buffers of one rig, and the compiled steps on them. One thread.

    `mosi()` is what the program sent in the last MESSAGE; `note()` the words of the last call.
    """

    def __init__(self, listener: int, aside: int, own_pid: int) -> None:
        self.page: Page = np.zeros(PAGE_WORDS, np.uint64)
        self.tx: Bytes = np.zeros(SPI_BUFSIZ, np.uint8)
        self.rx: Bytes = np.zeros(SPI_BUFSIZ, np.uint8)
        self._mosi, self._miso = self.tx.data, self.rx.data
        self.page[LISTENER], self.page[SELF] = listener, own_pid
        poll_in = 1 << 32
        self.page[POLL], self.page[POLL + 1] = listener | poll_in, aside | poll_in

    def set_node(self, node: int, fd: int | None) -> None:
        """Node `node` is our descriptor `fd`, open for reading and writing; None: it needs thought."""
        self.page[NODE_FDS + node] = 0 if fd is None else fd + 1

    def warm_up(self) -> None:
        """Compile, or read from the cache, before the program runs."""
        take(self.page, self.tx, 0)
        spare = np.zeros_like(self.page)
        spare[LISTENER] = 0xFFFFFFFF
        give(spare, self.rx)

    def take(self, timeout_ns: int) -> int:
        """See `take`."""
        return int(take(self.page, self.tx, timeout_ns))

    def message(self) -> tuple[int, bytes, int]:
        """Node, bytes sent, and speed wished for (0: the node's) of the message just taken."""
        node = (int(self.page[NOTE + 4]) & 0xFFFFFFFF) - FD_FIRST
        length_speed = int(self.page[XFER + 2])
        return node // FDS_PER_NODE, bytes(self._mosi[: length_speed & 0xFFFFFFFF]), length_speed >> 32

    def give(self, miso: bytes) -> None:
        """Answer the message with `miso`, as long as what was sent."""
        self._miso[: len(miso)] = miso
        give(self.page, self.rx)

    @property
    def notifications(self) -> int:
        """Calls stopped so far."""
        return int(self.page[COUNT])

    def note(self) -> list[int]:
        """The ten words of the call just taken: id, pid and flags, number and arch, ip, args."""
        return [int(word) for word in self.page[NOTE : NOTE + 10]]
