"""spidev's rules, call by call, on our own memory: what is refused, what is clocked, where windows end."""

import ctypes
import errno
import mmap
import os
import time

import pytest

from firmware.rig import uapi as u
from firmware.rig.faults import Faults
from firmware.rig.lines import Lines
from firmware.rig.spidev import SpiNode
from firmware.rig.wires import Wires, Wiring
from hw.model.board import BoardModel

PID = os.getpid()
READ_MODE, WRITE_MODE, DUAL, QUAD = 0x80016B01, 0x40016B01, 0x100, 0x200


class Bus:
    """Records windows, and what else happens; answers each byte with its complement."""

    def __init__(self):
        self.windows, self.told = [], []

    def window(self, node, mosi, speed_hz, selected, ends):
        self.windows.append((mosi, speed_hz, selected, ends))
        self.told.append(mosi)
        return bytes(255 - byte for byte in mosi)

    def release(self, node):
        self.told.append("release")

    def pause(self, duration_ns):
        self.told.append(duration_ns)


class Memory:
    """Keeps buffers alive; `message` is the packed transfers."""

    def __init__(self):
        self.kept = []

    def buffer(self, content):
        made = ctypes.create_string_buffer(bytes(content), len(content))
        self.kept.append(made)
        return made

    def transfer(
        self, tx=None, rx=None, length=None, speed_hz=0, bits=0, cs_change=0, delay_us=0, lines=(0, 0)
    ):
        addresses = [ctypes.addressof(b) if b is not None else 0 for b in (tx, rx)]
        size = length if length is not None else len(tx or rx)
        return u.SPI_IOC_TRANSFER.pack(*addresses, size, speed_hz, delay_us, bits, cs_change, *lines, 9, 0)

    def edge(self, content):
        """The address of a buffer right before memory that is not there."""
        pages = mmap.mmap(-1, 2 * mmap.PAGESIZE)
        start = ctypes.addressof(ctypes.c_char.from_buffer(pages))
        at = start + mmap.PAGESIZE - len(content)
        ctypes.memmove(at, bytes(content), len(content))
        ctypes.CDLL(None).mprotect(ctypes.c_void_p(start + mmap.PAGESIZE), mmap.PAGESIZE, 0)
        self.kept.append(pages)
        return at


def raw(tx, rx, length, **named):
    """A packed transfer of addresses."""
    words = {"speed_hz": 0, "delay": 0, "bits": 0, "cs_change": 0, "tx_nbits": 0, "rx_nbits": 0} | named
    return u.SPI_IOC_TRANSFER.pack(tx, rx, length, *words.values(), 0, 0)


@pytest.fixture
def node():
    return SpiNode(0, Bus(), Faults(), 0)


def send(node, *transfers):
    """SPI_IOC_MESSAGE of packed transfers."""
    packed = ctypes.create_string_buffer(b"".join(transfers), 32 * len(transfers))
    return node.ioctl(PID, 1 << 30 | 32 * len(transfers) << 16 | ord("k") << 8, ctypes.addressof(packed))


def setting(node, number, size, value=None):
    """Read a setting, or write it."""
    memory = ctypes.create_string_buffer((value or 0).to_bytes(size, "little"), size)
    direction = 2 if value is None else 1
    node.ioctl(PID, direction << 30 | size << 16 | ord("k") << 8 | number, ctypes.addressof(memory))
    return int.from_bytes(memory.raw, "little")


def refusal(action, *arguments):
    with pytest.raises(OSError) as caught:
        action(*arguments)
    return errno.errorcode[caught.value.errno]


def test_several_transfers_are_one_window(node):
    memory = Memory()
    rx = memory.buffer(bytes(2))
    total = send(node, memory.transfer(memory.buffer(b"\x20\x00")), memory.transfer(None, rx))
    assert total == 4 and node._bus.windows == [(b"\x20\0\0\0", 125_000_000, True, True)]
    assert rx.raw == b"\xff\xff"


def test_cs_change_cuts_windows_and_holds_the_last(node):
    memory = Memory()
    one, two = memory.buffer(b"\1"), memory.buffer(b"\2\3")
    send(node, memory.transfer(one, cs_change=1, speed_hz=5), memory.transfer(two, cs_change=1))
    assert node._bus.windows == [(b"\1", 5, True, True), (b"\2\3", 125_000_000, True, False)]


def test_each_rx_buffer_gets_its_own_bytes(node):
    memory = Memory()
    tx = [memory.buffer(bytes([k] * 3)) for k in (1, 2, 3)]
    rx = [memory.buffer(bytes(3)) for _ in tx]
    send(
        node,
        *(memory.transfer(a, b, cs_change=int(k == 0)) for k, (a, b) in enumerate(zip(tx, rx, strict=True))),
    )
    assert [b.raw for b in rx] == [bytes([254] * 3), bytes([253] * 3), bytes([252] * 3)]


def test_too_long_is_emsgsize(node):
    memory = Memory()
    big, half = memory.buffer(bytes(4097)), memory.buffer(bytes(2049))
    assert refusal(send, node, memory.transfer(big)) == "EMSGSIZE"
    assert refusal(send, node, memory.transfer(half), memory.transfer(half)) == "EMSGSIZE"
    assert refusal(node.read, PID, ctypes.addressof(big), 4097) == "EMSGSIZE"
    assert refusal(node.write, PID, ctypes.addressof(big), 4097) == "EMSGSIZE"
    assert send(node, memory.transfer(big, length=4096)) == 4096
    assert send(node, memory.transfer(big, length=4096), memory.transfer(None, big, length=4096)) == 8192
    assert len(node._bus.windows) == 2, "each direction has its own buffer"


def test_each_transfer_takes_whole_steps_of_the_buffer(node):
    memory = Memory()
    byte = memory.transfer(memory.buffer(b"\1"))
    assert send(node, *[byte] * 32) == 32
    assert refusal(send, node, *[byte] * 33) == "EMSGSIZE", "33 times 128 bytes"
    assert send(node, *[raw(0, 0, 0)] * 511) == 0, "the most that an ioctl can name"


def test_bad_addresses_are_efault(node):
    memory = Memory()
    good = memory.buffer(b"\1\2")
    wrong, deaf = raw(1, 0, 2), raw(ctypes.addressof(good), 1, 2)
    assert refusal(send, node, wrong) == "EFAULT" and not node._bus.windows
    assert refusal(send, node, deaf) == "EFAULT" and len(node._bus.windows) == 1
    assert refusal(node.ioctl, PID, u.SPI_IOC_MESSAGE_1, 1) == "EFAULT"
    assert refusal(node.ioctl, PID, READ_MODE, 1) == refusal(node.ioctl, PID, WRITE_MODE, 1) == "EFAULT"
    assert refusal(node.write, PID, 1, 4) == refusal(node.read, PID, 1, 4) == "EFAULT"
    assert send(node, raw(1, 1, 0)) == 0, "no byte of a buffer without length is looked at"


def test_a_message_is_refused_for_its_first_transfer_that_is_wrong(node):
    memory = Memory()
    wrong, long = raw(1, 0, 2), memory.transfer(memory.buffer(bytes(4097)))
    assert refusal(send, node, wrong, long) == "EFAULT"
    assert refusal(send, node, long, wrong) == "EMSGSIZE"
    assert refusal(send, node, raw(1, 0, 4097)) == "EMSGSIZE"
    odd = memory.transfer(memory.buffer(b"\1"), bits=16)
    assert refusal(send, node, odd, wrong) == "EFAULT", "copied in before the SPI core looks at it"
    assert refusal(send, node, odd, long) == "EMSGSIZE"
    assert refusal(send, node, odd) == "EINVAL" and not node._bus.windows


def test_what_was_received_is_handed_over_once_all_is_clocked(node):
    memory = Memory()
    tx, rx = memory.buffer(b"\1"), [memory.buffer(b"?") for _ in range(2)]
    deaf = raw(ctypes.addressof(tx), 1, 1)
    parts = memory.transfer(tx, rx[0], cs_change=1), deaf, memory.transfer(tx, rx[1])
    assert refusal(send, node, *parts) == "EFAULT"
    assert [b.raw for b in rx] == [b"\xfe", b"?"] and node._bus.told == [b"\1", b"\1\1"]


def test_half_a_buffer_is_half_read_and_not_written(node):
    memory = Memory()
    at = memory.edge(b"abc")
    assert node.read(PID, at, 5) == 3 and ctypes.string_at(at, 3) == b"\xff" * 3
    assert refusal(node.read, PID, at + 3, 5) == "EFAULT"
    told = len(node._bus.told)
    assert refusal(node.write, PID, at, 5) == "EFAULT" and len(node._bus.told) == told == 2
    assert refusal(send, node, raw(0, at, 5)) == refusal(send, node, raw(at, 0, 5)) == "EFAULT"


def test_a_transfer_without_buffers_clocks_nothing_and_counts(node):
    memory = Memory()
    byte = memory.transfer(memory.buffer(b"\1"))
    assert send(node, raw(0, 0, 70_000)) == 70_000 and not node._bus.windows
    assert send(node, byte, raw(0, 0, 5), byte) == 7 and node._bus.told == [b"\1\1"]
    assert refusal(send, node, raw(0, 0, 1 << 31)) == "EMSGSIZE"
    assert refusal(send, node, raw(0, 0, (1 << 31) - 1), raw(0, 0, 1)) == "EMSGSIZE", "an int holds no more"


def test_without_bytes_the_chip_select_still_moves(node):
    memory = Memory()
    hold = memory.transfer(memory.buffer(b"\1"), cs_change=1)
    for action in (
        lambda: send(node, raw(0, 0, 0)),
        lambda: node.read(PID, 0, 0),
        lambda: node.write(PID, 0, 0),
        lambda: setting(node, 1, 1, 1),
        lambda: setting(node, 2, 1, 0),
        lambda: setting(node, 3, 1, 8),
        lambda: setting(node, 4, 4, 1000),
    ):
        send(node, hold)
        assert not node.plain
        action()
        assert node._bus.told[-2:] == [b"\1", "release"] and node.plain
        action()
        assert node._bus.told[-1] == "release", "and only when it was low"
    told = len(node._bus.told)
    send(node, hold)
    assert refusal(setting, node, 3, 1, 7) == refusal(setting, node, 4, 4, 0) == "EINVAL"
    assert setting(node, 4, 4) == 1000 and len(node._bus.told) == told + 1 and not node.plain
    assert send(node, memory.transfer(memory.buffer(b"\2"))) == 1
    assert node._bus.windows[-1][3] and node.plain, "the next message goes on in the window and ends it"


def test_no_chip_select_leaves_it_where_it_is(node):
    memory = Memory()
    byte = memory.buffer(b"\1")
    setting(node, 1, 1, 0x41)
    send(node, memory.transfer(byte))
    send(node, memory.transfer(byte, cs_change=1))
    assert [window[2] for window in node._bus.windows] == [False, False] and node.plain
    setting(node, 1, 1, 1)
    send(node, memory.transfer(byte, cs_change=1))
    setting(node, 1, 1, 0x41)
    send(node, memory.transfer(byte))
    assert node._bus.windows[-1][2:] == (True, False) and "release" not in node._bus.told
    setting(node, 1, 1, 1)
    assert node._bus.told[-1] == "release"


def test_speeds_and_delays_within_a_window(node):
    memory = Memory()
    byte = memory.buffer(b"\1")
    slow, fast = memory.transfer(byte, speed_hz=5), memory.transfer(byte, speed_hz=6)
    assert send(node, slow, slow, fast) == 3
    assert node._bus.windows == [(b"\1\1", 5, True, False), (b"\1", 6, True, True)]
    node._bus.told.clear()
    late, last = memory.transfer(byte, delay_us=7), memory.transfer(byte, delay_us=3)
    assert send(node, late, slow, slow, last) == 4
    assert node._bus.told == [b"\1", 7000, b"\1\1", b"\1", 3000]
    assert [window[3] for window in node._bus.windows[2:]] == [False, False, True]


def test_single_lines_only(node):
    memory = Memory()
    tx, rx = memory.buffer(b"\1"), memory.buffer(b"\0")
    assert send(node, memory.transfer(tx, rx, lines=(1, 1))) == 1
    for lines in ((2, 0), (4, 0), (3, 0), (8, 0), (0, 2), (0, 4), (0, 255)):
        assert refusal(send, node, memory.transfer(tx, rx, lines=lines)) == "EINVAL"
    assert send(node, memory.transfer(tx, None, lines=(0, 2))) == 1, "nothing is received"
    assert send(node, memory.transfer(None, rx, lines=(2, 0))) == 1


def test_addresses_of_a_32_bit_program_are_as_wide(node):
    wide = raw(0xFFFFFFFF_00000000, 0xFFFFFFFF_00000000, 3)
    packed = ctypes.create_string_buffer(wide, 32)
    assert refusal(node.ioctl, PID, u.SPI_IOC_MESSAGE_1, ctypes.addressof(packed)) == "EFAULT"
    assert node.ioctl(PID, u.SPI_IOC_MESSAGE_1, ctypes.addressof(packed), 4) == 3, "none at all"


def test_request_numbers(node):
    kind = ord("k") << 8
    assert refusal(node.ioctl, PID, 1 << 30 | 33 << 16 | kind, 1) == "EINVAL"
    assert node.ioctl(PID, 1 << 30 | kind, 0) == 0
    for direction, size, number in (
        (2, 4, 9),
        (2, 4, 1),
        (3, 1, 1),
        (0, 1, 1),
        (2, 32, 0),
        (3, 32, 0),
        (0, 0, 0),
    ):
        assert refusal(node.ioctl, PID, direction << 30 | size << 16 | kind | number, 0) == "ENOTTY"
    for other in (0x40200000 | ord("j") << 8, 0x80010000 | ord("t") << 8 | 1, 0x5401):
        assert refusal(node.ioctl, PID, other, 0) == "ENOTTY"


def test_settings(node):
    assert (setting(node, 5, 4), setting(node, 3, 1), setting(node, 4, 4)) == (0, 8, 125_000_000)
    for mode in (0, 1, 2, 3, 0x40, 0x41, 0x10):
        setting(node, 1, 1, mode)
        assert setting(node, 1, 1) == mode == setting(node, 5, 4)
    setting(node, 5, 4, 0x42)
    refused = ((1, 1, 8), (1, 1, 0x20), (1, 1, 0x80), (5, 4, 1 << 12), (5, 4, 1 << 15), (5, 4, 1 << 16))
    refused += ((5, 4, 1 << 17), (5, 4, 1 << 31), (2, 1, 1), (2, 1, 2), (3, 1, 7), (3, 1, 9), (3, 1, 16))
    refused += ((3, 1, 32), (3, 1, 33), (4, 4, 0))
    for number, size, value in refused:
        assert refusal(setting, node, number, size, value) == "EINVAL"
    assert node.mode == 0x42 and setting(node, 2, 1) == 0 and setting(node, 3, 1) == 8
    setting(node, 3, 1, 0)
    setting(node, 2, 1, 0)
    setting(node, 4, 4, 1_234_567)
    assert setting(node, 4, 4) == 1_234_567 and setting(node, 3, 1) == 8


def test_data_lines_that_the_controller_lacks(node):
    for lines in (DUAL, QUAD, 0x400, 0x800, 0x2000, 0x4000, DUAL | 0x800, QUAD | 0x6000):
        setting(node, 5, 4, lines | 1)
        assert setting(node, 5, 4) == 1, "the wish is dropped"
    for both in (DUAL | QUAD, 0xC00, 0x10 | DUAL, 0x10 | 0x4000):
        assert refusal(setting, node, 5, 4, both) == "EINVAL", "unless it contradicts itself"
    assert setting(node, 5, 4) == 1


def test_the_polarity_of_a_gpio_select_is_not_the_programs(node):
    """py-spidev then says: attempted to set mode 0x5 but mode 0x1 returned."""
    setting(node, 1, 1, 5)
    assert setting(node, 1, 1) == setting(node, 5, 4) == 1
    send(node, raw(0, ctypes.addressof(Memory().buffer(b"\1")), 1))
    assert node._bus.windows[-1][2] is True, "low selects, as ever"


def test_three_wires_are_one_way(node):
    memory = Memory()
    setting(node, 1, 1, 0x10)
    both = memory.buffer(b"\1")
    assert not node.plain and refusal(send, node, memory.transfer(both, both)) == "EINVAL"
    assert send(node, memory.transfer(both)) == 1
    assert send(node, memory.transfer(None, both)) == 1 and both.raw == b"\0", "the chip's DOUT is not heard"
    assert node.read(PID, ctypes.addressof(both), 1) == 1 and both.raw == b"\0"


def test_a_controller_clips_what_is_too_fast():
    node = SpiNode(0, Bus(), Faults(), 1_000_000)
    memory = Memory()
    assert node.speed_hz == 1_000_000 and node.plain
    setting(node, 4, 4, 1_000_001)
    assert setting(node, 4, 4) == 1_000_001, "what was asked for is what is told"
    for asked in (0, 500_000, 2_000_000):
        assert send(node, memory.transfer(memory.buffer(b"\1"), speed_hz=asked)) == 1
    assert node.write(PID, ctypes.addressof(memory.buffer(b"\1")), 1) == 1
    assert [window[1] for window in node._bus.windows] == [1_000_000, 500_000, 1_000_000, 1_000_000]
    assert SpiNode(0, Bus(), Faults(), 200_000_000).speed_hz == 125_000_000, "the device's own"


def test_a_driver_that_refuses_what_is_too_fast(node):
    memory = Memory()
    node._faults.set("spi_max_hz", 1_000_000)
    byte = memory.buffer(b"\1")
    assert refusal(setting, node, 4, 4, 1_000_001) == "EINVAL" and node.speed_hz == 125_000_000
    assert refusal(send, node, memory.transfer(byte)) == "EINVAL"
    assert refusal(node.write, PID, ctypes.addressof(byte), 1) == "EINVAL"
    assert send(node, memory.transfer(byte, speed_hz=500_000)) == 1


def test_the_last_close_forgets_the_speed_alone(node):
    setting(node, 1, 1, 3)
    setting(node, 4, 4, 1000)
    assert not node.has_own_speed
    node.opened_alone()
    assert node.has_own_speed and (setting(node, 4, 4), setting(node, 1, 1)) == (125_000_000, 3)


def test_read_and_write_are_messages(node):
    into = ctypes.create_string_buffer(3)
    setting(node, 4, 4, 1000)
    assert node.read(PID, ctypes.addressof(into), 3) == 3 and into.raw == b"\xff" * 3
    assert node.write(PID, ctypes.addressof(ctypes.create_string_buffer(b"\7\x08", 2)), 2) == 2
    assert node._bus.windows == [(bytes(3), 1000, True, True), (b"\7\x08", 1000, True, True)]
    assert node.read(PID, 0, 0) == node.write(PID, 0, 0) == 0


def test_short_and_failing_transfers(node):
    memory = Memory()
    node._faults.set("short_in", 2)
    node._faults.set("short_bytes", 3)
    rx = memory.buffer(bytes(6))
    assert send(node, memory.transfer(memory.buffer(bytes(6)), rx)) == 6
    assert send(node, memory.transfer(memory.buffer(bytes(6)), memory.buffer(bytes(6)))) == 3
    node._faults.set("transfer_error_in", 1)
    node._faults.set("transfer_errno", "ETIMEDOUT")
    node._faults.set("transfer_error_every", 2)
    outcomes = []
    for _ in range(5):
        try:
            outcomes.append(node.write(PID, ctypes.addressof(rx), 2))
        except OSError as error:
            outcomes.append(errno.errorcode[error.errno])
    assert outcomes == ["ETIMEDOUT", 2, "ETIMEDOUT", 2, "ETIMEDOUT"]


@pytest.mark.parametrize("gone", ["removed", "vanished"])
def test_a_device_that_is_gone_is_shut_down(node, gone):
    memory = Memory()
    setting(node, 1, 1, 3)
    if gone == "removed":
        node.remove()
    else:
        node._faults.set("vanished", True)
    byte = memory.buffer(b"\1")
    at = ctypes.addressof(byte)
    assert refusal(send, node, memory.transfer(byte)) == refusal(setting, node, 1, 1) == "ESHUTDOWN"
    assert refusal(node.read, PID, at, 1) == refusal(node.read, PID, 0, 0) == "ESHUTDOWN"
    assert refusal(node.write, PID, at, 1) == refusal(node.write, PID, 0, 0) == "ESHUTDOWN"
    assert refusal(node.ioctl, PID, u.SPI_IOC_MESSAGE_1, 1) == "ESHUTDOWN", "before memory is looked at"
    assert refusal(node.ioctl, PID, 1 << 30 | 33 << 16 | ord("k") << 8, 1) == "ESHUTDOWN"
    assert refusal(node.ioctl, PID, 0x5401, 0) == "ENOTTY", "before anybody looks for the device"
    assert refusal(node.read, PID, 1, 4097) == refusal(node.write, PID, 1, 4097) == "EMSGSIZE"
    assert refusal(node.write, PID, 1, 1) == "EFAULT" and refusal(node.read, PID, 1, 1) == "ESHUTDOWN"
    node._faults.clear()
    assert not node._bus.windows
    if gone == "removed":
        assert refusal(setting, node, 1, 1) == "ESHUTDOWN", "for good"


def test_selects_and_pauses_reach_the_board():
    """On the board model: a window held open goes on, ends by its release, and pauses last with --wire."""
    board = BoardModel()
    board.advance(board.now_ns() + 10**9)
    faults = Faults()
    wires = Wires(board, Lines(faults), Wiring(), faults, True)
    node, memory = SpiNode(0, wires, faults, 0), Memory()
    setting(node, 4, 4, 1_000_000)

    def moved(sent, **named):
        rx = memory.buffer(bytes(len(sent)))
        send(node, memory.transfer(memory.buffer(sent), rx, **named))
        return rx.raw

    moved(b"\x06", delay_us=100)
    moved(b"\x11", delay_us=10)
    moved(b"\x20\0", cs_change=1)
    assert moved(b"\0") == b"\x3e", "the register comes in the same window"
    moved(b"\x20\0", cs_change=1)
    setting(node, 4, 4, 1_000_000)
    assert moved(b"\0") == b"\0", "a setting has let go of the chip"
    before_ns, began_ns = board.now_ns(), time.monotonic_ns()
    moved(b"\0", delay_us=3000)
    assert board.now_ns() - before_ns >= 3_008_000 and time.monotonic_ns() - began_ns >= 3_008_000
    wires.release(0)
    assert moved(b"\x20\0\0")[2] == 0x3E
