"""spidev's rules, call by call, on our own memory: what is refused, what is clocked, where windows end."""

import ctypes
import errno
import os

import pytest

from firmware.rig import uapi as u
from firmware.rig.faults import Faults
from firmware.rig.spidev import SpiNode

PID = os.getpid()


class Bus:
    """Records windows; answers each byte with its complement."""

    def __init__(self):
        self.windows = []

    def window(self, node, mosi, speed_hz, selected, ends):
        self.windows.append((mosi, speed_hz, selected, ends))
        return bytes(255 - byte for byte in mosi)


class Memory:
    """Keeps buffers alive; `message` is the packed transfers."""

    def __init__(self):
        self.kept = []

    def buffer(self, content):
        made = ctypes.create_string_buffer(bytes(content), len(content))
        self.kept.append(made)
        return made

    def transfer(self, tx=None, rx=None, length=None, speed_hz=0, bits=0, cs_change=0):
        addresses = [ctypes.addressof(b) if b is not None else 0 for b in (tx, rx)]
        size = length if length is not None else len(tx or rx)
        return u.SPI_IOC_TRANSFER.pack(*addresses, size, speed_hz, 0, bits, cs_change, 0, 0, 0, 0)


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
    assert len(node._bus.windows) == 1


def test_bad_addresses_are_efault(node):
    memory = Memory()
    good = memory.buffer(b"\1\2")
    wrong = u.SPI_IOC_TRANSFER.pack(1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0)
    deaf = u.SPI_IOC_TRANSFER.pack(ctypes.addressof(good), 1, 2, 0, 0, 0, 0, 0, 0, 0, 0)
    assert refusal(send, node, wrong) == "EFAULT" and not node._bus.windows
    assert refusal(send, node, deaf) == "EFAULT" and len(node._bus.windows) == 1
    assert refusal(node.ioctl, PID, u.SPI_IOC_MESSAGE_1, 1) == "EFAULT"
    assert refusal(node.write, PID, 1, 4) == refusal(node.read, PID, 1, 4) == "EFAULT"


def test_request_numbers(node):
    kind = ord("k") << 8
    assert refusal(node.ioctl, PID, 1 << 30 | 33 << 16 | kind, 1) == "EINVAL"
    assert node.ioctl(PID, 1 << 30 | kind, 0) == 0
    assert refusal(node.ioctl, PID, 2 << 30 | 4 << 16 | kind | 9, 0) == "ENOTTY"
    assert refusal(node.ioctl, PID, 2 << 30 | 4 << 16 | kind | 1, 0) == "ENOTTY"


def test_settings(node):
    for mode in (0, 1, 2, 3, 4, 0x40, 0x45):
        setting(node, 1, 1, mode)
        assert setting(node, 1, 1) == mode == setting(node, 5, 4)
    setting(node, 5, 4, 0x101)
    assert node.mode == 1, "a controller without dual lines drops the wish"
    for number, size, value in ((1, 1, 8), (1, 1, 0x20), (5, 4, 1 << 17), (2, 1, 1), (3, 1, 16), (4, 4, 0)):
        assert refusal(setting, node, number, size, value) == "EINVAL"
    assert node.mode == 1 and setting(node, 2, 1) == 0 and setting(node, 3, 1) == 8
    setting(node, 3, 1, 0)
    setting(node, 4, 4, 1_234_567)
    assert setting(node, 4, 4) == 1_234_567


def test_selection_follows_the_mode(node):
    memory = Memory()
    for mode, selected in ((1, True), (0x41, False), (5, False)):
        setting(node, 1, 1, mode)
        send(node, memory.transfer(memory.buffer(b"\1")))
        assert node._bus.windows[-1][2] is selected


def test_three_wires_are_one_way(node):
    memory = Memory()
    setting(node, 1, 1, 0x10)
    both = memory.buffer(b"\1")
    assert not node.plain and refusal(send, node, memory.transfer(both, both)) == "EINVAL"
    assert send(node, memory.transfer(both)) == 1


def test_a_controller_with_a_limit():
    node = SpiNode(0, Bus(), Faults(), 1_000_000)
    memory = Memory()
    assert node.speed_hz == 1_000_000 and not node.plain
    assert refusal(setting, node, 4, 4, 1_000_001) == "EINVAL" and node.speed_hz == 1_000_000
    assert refusal(send, node, memory.transfer(memory.buffer(b"\1"), speed_hz=2_000_000)) == "EINVAL"
    assert send(node, memory.transfer(memory.buffer(b"\1"), speed_hz=500_000)) == 1


def test_read_and_write_are_messages(node):
    into = ctypes.create_string_buffer(3)
    assert node.read(PID, ctypes.addressof(into), 3) == 3 and into.raw == b"\xff" * 3
    assert node.write(PID, ctypes.addressof(ctypes.create_string_buffer(b"\7\x08", 2)), 2) == 2
    assert [window[0] for window in node._bus.windows] == [bytes(3), b"\7\x08"]
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
    node._faults.set("vanished", True)
    assert refusal(setting, node, 1, 1) == refusal(node.write, PID, ctypes.addressof(rx), 2) == "ENODEV"
