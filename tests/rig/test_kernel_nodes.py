"""The rig's talk with a kernel, word by word: CUSE requests, trace lines of GPIO, pins; no kernel needed.

That the kernel talks like this is shown in the guest (tests.guest), where the whole suite runs on it.
"""

import ctypes
import errno
import os
import socket
import struct

import pytest

from firmware.errors import PortError
from firmware.rig.__main__ import main
from firmware.rig.faults import Faults
from firmware.rig.nodes.cuse import CuseNode
from firmware.rig.nodes.output_trace import OutputChange, OutputTrace
from firmware.rig.nodes.pins import KernelPins
from firmware.rig.spidev import SpiNode

INIT, OPEN, READ, WRITE, RELEASE, INTERRUPT, IOCTL, POLL = 4096, 14, 15, 16, 18, 36, 39, 40
WRITE_MODE, READ_MODE, WRITE_SPEED, READ_SPEED = 0x40016B01, 0x80016B01, 0x40046B04, 0x80046B04


class Bus:
    """Answers each byte with its complement."""

    def window(self, node, mosi, speed_hz, selected, ends):
        return bytes(255 - byte for byte in mosi)

    def release(self, node):
        pass

    def pause(self, duration_ns):
        pass


class Kernel:
    """The other end of /dev/cuse."""

    def __init__(self):
        self.end, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.faults = Faults()
        self.node = CuseNode(ours.detach(), lambda: SpiNode(0, Bus(), self.faults, 0), self.faults)
        self.handle = 0
        self.end.settimeout(5)
        self.unique = 0

    def ask(self, opcode, body=b"", serve=None):
        """(error, body) of the answer, None when there is none."""
        self.unique += 1
        self.end.send(
            struct.pack("<IIQQIIII", 40 + len(body), opcode, self.unique, 0, 0, 0, os.getpid(), 0) + body
        )
        (serve or self.node.serve)()
        self.end.setblocking(False)
        try:
            answer = self.end.recv(1 << 17)
        except BlockingIOError:
            return None
        length, error, unique = struct.unpack_from("<IiQ", answer)
        assert (length, unique) == (len(answer), self.unique)
        return error, answer[16:]

    def open(self):
        """The handle of a new open, also `self.handle`; below 0 an errno."""
        error, body = self.ask(OPEN, bytes(8))
        self.handle = error or struct.unpack("<QII", body)[0]
        return self.handle

    def sized(self, opcode, size, content=b""):
        """A read or write of so many bytes."""
        return self.ask(opcode, struct.pack("<QQIIQII", self.handle, 0, size, 0, 0, 0, 0) + content)

    def release(self):
        """The last copy of the descriptor is closed."""
        return self.ask(RELEASE, struct.pack("<QIIQ", self.handle, 0, 0, 0))

    def ioctl(self, command, address=0, flags=0):
        answer = self.ask(IOCTL, struct.pack("<QIIQII", self.handle, flags, command, address, 0, 0))
        return answer[0] if answer[0] else struct.unpack("<iIII", answer[1])[0]


@pytest.fixture
def kernel():
    made = Kernel()
    yield made
    made.node.close()
    made.end.close()


def test_the_first_exchange_names_the_device(kernel):
    error, body = kernel.ask(
        INIT, struct.pack("<IIII", 7, 37, 0, 1), serve=lambda: kernel.node.appear("spidev3.1")
    )
    assert error == 0 and struct.unpack_from("<IIII", body) == (7, 31, 0, 0)
    assert body[72:] == b"DEVNAME=spidev3.1\0"


def test_a_kernel_of_another_protocol_is_refused_in_one_line(kernel):
    with pytest.raises(PortError, match="speaks FUSE 8"):
        kernel.ask(INIT, struct.pack("<IIII", 8, 0, 0, 1), serve=lambda: kernel.node.appear("spidev0.0"))


def test_reading_writing_and_closing(kernel):
    assert kernel.open() == 1
    assert kernel.sized(READ, 3) == (0, b"\xff\xff\xff")
    assert kernel.sized(WRITE, 3, b"\1\2\3") == (0, struct.pack("<II", 3, 0))
    assert kernel.sized(READ, 5000) == (-errno.EMSGSIZE, b"")
    assert kernel.ask(INTERRUPT, bytes(8)) is None
    assert kernel.ask(POLL, bytes(24)) == (-errno.ENOSYS, b"")
    assert kernel.release() == (0, b"")
    assert kernel.node.requests == 7


def test_the_speed_is_forgotten_with_the_last_close(kernel):
    speed = ctypes.create_string_buffer((1_000_000).to_bytes(4, "little"), 4)
    told = ctypes.create_string_buffer(4)

    def now():
        assert kernel.ioctl(READ_SPEED, ctypes.addressof(told)) == 0
        return int.from_bytes(told.raw, "little")

    first = kernel.open()
    own = now()
    assert kernel.ioctl(WRITE_SPEED, ctypes.addressof(speed)) == 0
    kernel.open()
    assert now() == 1_000_000, "somebody else has it open"
    kernel.release()
    kernel.handle = first
    kernel.release()
    kernel.open()
    assert now() == own != 1_000_000


def test_ioctls_move_the_programs_memory(kernel):
    kernel.open()
    mode = ctypes.create_string_buffer(b"\1", 1)
    assert kernel.ioctl(WRITE_MODE, ctypes.addressof(mode)) == 0
    told = ctypes.create_string_buffer(1)
    assert kernel.ioctl(READ_MODE, ctypes.addressof(told)) == 0 and told.raw == b"\1"
    sent, received = ctypes.create_string_buffer(b"\7\x08", 2), ctypes.create_string_buffer(2)
    words = (ctypes.addressof(sent), ctypes.addressof(received), 2, 0, 0, 0, 0, 0, 0, 0)
    message = ctypes.create_string_buffer(struct.pack("<QQIIHBBBBH", *words), 32)
    assert kernel.ioctl(0x40206B00, ctypes.addressof(message)) == 2 and received.raw == b"\xf8\xf7"
    assert kernel.ioctl(0x40206B00, 1) == -errno.EFAULT
    assert kernel.ioctl(0x80046B09, 1) == -errno.ENOTTY


def test_programs_of_32_bits_have_pointers_of_four_bytes(kernel):
    kernel.open()
    sent = ctypes.create_string_buffer(b"\1", 1)
    message = struct.pack("<QQIIHBBBBH", ctypes.addressof(sent) | 1 << 63, 0, 1, 0, 0, 0, 0, 0, 0, 0)
    packed = ctypes.create_string_buffer(message, 32)
    assert kernel.ioctl(0x40206B00, ctypes.addressof(packed)) == -errno.EFAULT
    low = ctypes.addressof(sent) < 1 << 32
    assert kernel.ioctl(0x40206B00, ctypes.addressof(packed), flags=8) == (1 if low else -errno.EFAULT)


def test_what_is_gone_is_dead_for_good(kernel):
    kernel.faults.set("open_errno", "EACCES")
    assert kernel.open() == -errno.EACCES
    kernel.faults.clear()
    old = kernel.open()
    kernel.node.remove()
    assert kernel.sized(READ, 3) == (-errno.ESHUTDOWN, b"")
    kernel.node.renew()
    assert kernel.sized(READ, 3) == (-errno.ESHUTDOWN, b"")
    kernel.open()
    assert kernel.sized(READ, 3)[0] == 0
    kernel.handle = old
    assert kernel.release() == (0, b""), "it can still be closed"


class Fed(OutputTrace):
    """The trace over a pipe."""

    def __init__(self, base, n_lines):
        self._base, self._n, self._rest = base, n_lines, b""
        self._fd, self.feed = os.pipe()
        os.set_blocking(self._fd, False)


HEAD = b"          python3-214     [000] d..2.    12.345678: "


def test_trace_lines_become_changes_in_order():
    trace = Fed(458, 54)
    os.write(trace.feed, HEAD + b"gpio_value: 480 set 1\n" + HEAD + b"gpio_direction: 480 out (0)\n")
    os.write(trace.feed, HEAD + b"gpio_direction: 475  in (0)\n" + HEAD + b"gpio_value: 480 se")
    assert trace.changes() == [OutputChange(12_345_678_000, 22, 1), OutputChange(12_345_678_000, 17, None)]
    os.write(trace.feed, b"t 0\n" + HEAD + b"gpio_value: 457 set 1\n" + HEAD + b"gpio_value: 512 set 1\n")
    assert trace.changes() == [OutputChange(12_345_678_000, 22, 0)], "another chip's lines are not ours"
    os.write(trace.feed, HEAD + b"gpio_direction: 475  in (-22)\nCPU:0 [LOST 3 EVENTS]\n")
    assert trace.changes() == []
    os.close(trace.feed)
    assert trace.changes() == []


class Chip:
    """Records pulls."""

    name = "gpiochip0"

    def __init__(self):
        self.pulled = []
        self.there = True

    def pull(self, offset, level):
        if not self.there:
            raise OSError(errno.ENODEV, "gone")
        self.pulled.append((offset, level))


def test_pins_pull_what_changes_and_know_what_is_driven():
    chip = Chip()
    pins = KernelPins(chip)
    pins.put(17, 1)
    pins.drive(17, 1, 0)
    pins.drive(17, 0, 5)
    assert chip.pulled == [(17, 1), (17, 0)] and pins.driven(17) == 0 and pins.driven(4) is None
    assert pins.changed(22, 0) == 0 and pins.puts_low(22)
    assert pins.changed(22, 1) == 1 and not pins.puts_low(22)
    assert pins.changed(17, None) == 0, "let go, a line is what the board pulls it to"
    chip.there = False
    pins.drive(17, 1, 0)
    chip.there, chip.pulled = True, []
    pins.forget()
    assert chip.pulled == [(17, 1)] and not pins.puts_low(22)


def test_where_no_kernel_offers_nodes_it_is_one_line(capsys):
    if os.path.exists("/sys/kernel/config/gpio-sim"):  # noqa: PTH110
        pytest.skip("this kernel does")
    assert main(["--kernel", "--", "true"]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "modprobe gpio-sim" in said


def test_a_kernel_has_no_lockstep(capsys):
    assert main(["--kernel", "--lockstep", "--", "true"]) == 2
    assert "a kernel keeps its own time" in capsys.readouterr().err


def test_a_program_that_is_not_there_is_one_line(capsys):
    assert main(["--kernel", "--", "no-such-program-anywhere"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
