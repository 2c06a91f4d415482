"""`machine` of a Pico on the modelled board."""

import os
import struct
import sys

import _board

FREQ_HZ = int(os.getenv("EVOKD_BOARD_HZ") or 125000000)
_levels = {}


def freq():
    return FREQ_HZ


def unique_id():
    return bytes.fromhex(os.getenv("EVOKD_BOARD_ID") or "e6614c311b7e6f25")


def reset():
    sys.exit(64)


class WDT:
    def __init__(self, timeout):
        _board.ask(ord("W"), struct.pack("<I", timeout))

    def feed(self):
        """The model counts no rounds."""


class Pin:
    OUT, IN, ALT = 1, 0, 3

    def __init__(self, number, mode=None, value=None, alt=None):
        self.number = number
        if mode == Pin.ALT:
            _levels.pop(number, None)
            _board.ask(ord("A"), struct.pack("<BB", number, alt))
        if value is not None:
            self(value)

    def __call__(self, value=None):
        if value is None:
            return _levels.get(self.number, 1)  # between two frames every select is high
        _levels[self.number] = value
        _board.ask(ord("P"), struct.pack("<BB", self.number, value))


class SoftSPI:
    MSB = 0

    def __init__(self, baudrate, polarity, phase, bits, firstbit, sck, mosi, miso):
        if (polarity, phase, bits, firstbit) != (0, 1, 8, 0):
            raise ValueError("the converter speaks mode 1, MSB first")
        self._baudrate = baudrate
        self._pins = sck.number, mosi.number, miso.number

    def write_readinto(self, mosi, reply):
        selected = 0
        for number, level in _levels.items():
            if not level and number < 32:
                selected |= 1 << number
        head = struct.pack("<IIBBB", self._baudrate, selected, *self._pins)
        reply[:] = _board.ask(ord("T"), head + bytes(mosi))


class Words:
    """Registers of the chip: those by which state machines are enabled."""

    def __setitem__(self, address, word):
        operation = {0x50202000: 1, 0x50203000: 0}[address]
        _board.ask(ord("E"), struct.pack("<BI", operation, word))


mem32 = Words()
