"""`rp2` of the modelled board: what the programs do, and the DMA that empties them, by behaviour.

The programs themselves run in tests/firmware/pico/test_pio_*.py, instruction by instruction.
"""

import struct

import _board
import uctypes

WORD = 0xFFFFFFFF
DMA_BASE, PIO0_RX = 0x50000000, 0x50200020
_channels = []
_high = uctypes.addressof(bytearray(64)) & ~WORD
MACHINES = ("reader", "stamp", "schedule", "pulse")
ticks, came = 0, False
full = lambda: False  # noqa: E731
"""Whether the rings are so full that a patient board waits; set by the launcher."""


class PIO:
    SHIFT_LEFT, SHIFT_RIGHT = 0, 1
    JOIN_NONE, JOIN_TX, JOIN_RX = 0, 1, 2
    IN_LOW, IN_HIGH, OUT_LOW, OUT_HIGH = 0, 1, 2, 3


def asm_pio(**settings):
    """Which program it is, by what it is to be loaded with; the instructions are not looked at."""
    if "set_init" in settings:
        name = "reader"
    elif "out_init" in settings:
        name = "pulse"
    else:
        name = "schedule" if "sideset_init" in settings else "stamp"
    return lambda f: name


class StateMachine:
    def __init__(self, number, program, freq=-1, **bases):
        if program not in MACHINES:
            raise ValueError("no behaviour of program %r" % program)
        self._what = MACHINES.index(program)
        self._number = number

    def _ask(self, operation, value=0):
        request = struct.pack("<BBBI", self._what, self._number, ord(operation), value)
        return struct.unpack("<I", _board.ask(ord("M"), request))[0]

    def put(self, word):
        self._ask("p", word)

    def exec(self, instruction):
        self._ask({"mov(pins, null)": "l", "pull(noblock)": "d"}.get(instruction, "-"))

    def active(self, on):
        self._ask("a", int(on))

    def restart(self):
        self._ask("r")

    def tx_fifo(self):
        return self._ask("f")


class DMA:
    def __init__(self):
        if len(_channels) == 12:
            raise OSError(16)
        self.channel = len(_channels)
        self.count = 0
        _channels.append(self)

    def pack_ctrl(self, **fields):
        fields = dict(fields)
        fields.setdefault("chain_to", self.channel)
        return fields

    def config(self, read, write, count, ctrl):
        self.read, self.write, self.count, self.reload, self.ctrl = read, write, count, count, ctrl
        self._at = write

    def active(self, on):
        self._on = bool(on)

    def close(self):
        if self in _channels:
            _channels.remove(self)

    def take(self, data):
        """Bytes that the paced FIFO gives, to memory; at the end of a count the chain goes on."""
        view, at = memoryview(data), 0
        size = 1 << self.ctrl["size"]
        while at < len(view):
            n = min((len(view) - at) // size, self.count)
            ring = 1 << self.ctrl.get("ring_size", 0)
            if self.ctrl.get("ring_sel"):
                n = min(n, (ring - (self._at & ring - 1)) // size)
            uctypes.bytearray_at(self._at | _high, n * size)[:] = view[at : at + n * size]
            at += n * size
            self._at += n * size
            self.count -= n
            if self.ctrl.get("ring_sel") and not self._at & ring - 1:
                self._at -= ring
            if not self.count:
                _by_channel(self.ctrl["chain_to"]).triggered()

    def triggered(self):
        """One word from memory into another channel's register."""
        word = struct.unpack("<I", uctypes.bytearray_at(self.read | _high, 4))[0]
        if self.ctrl.get("inc_read", True):
            ring = (1 << self.ctrl["ring_size"]) - 1
            self.read = self.read & ~ring | self.read + 4 & ring
        other, register = divmod(self.write - DMA_BASE, 0x40)
        channel = _by_channel(other)
        if register == 0x2C:
            channel._at, channel.count = word, channel.reload
        elif register == 0x1C:
            channel.count = word


def _by_channel(number):
    return [c for c in _channels if c.channel == number][0]


def _paced_by(request):
    return [c for c in _channels if c.ctrl.get("treq_sel") == request]


def run():
    """Let the board go on for a while."""
    global ticks, came
    answer = _board.ask(ord("R"), bytes([full()]))
    ticks, frames, chips, size, missed = struct.unpack("<IHBBH", answer)
    at = 10
    for channel in _channels:
        if channel.ctrl.get("ring_sel"):
            channel.take(memoryview(answer)[at : at + 4 * missed])
    at += 4 * missed
    if frames:
        came = True
        for k in range(chips):
            for channel in _paced_by(4 + k):
                channel.take(memoryview(answer)[at : at + frames * size])
            at += frames * size
        for channel in _channels:
            if channel.ctrl.get("ring_sel"):
                channel.take(memoryview(answer)[at:])
