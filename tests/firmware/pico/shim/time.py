"""`time` of the modelled board: its own, except where it is told to follow the machine's."""

import struct

import _board
import rp2


def sleep_us(us):
    _board.ask(ord("U"), struct.pack("<I", us))


def ticks_ms():
    if not rp2.came:  # else it goes on where the firmware looks at its edges
        rp2.run()
    return rp2.ticks


def ticks_diff(a, b):
    return (a - b + 0x20000000 & 0x3FFFFFFF) - 0x20000000


def sleep_ms(ms):
    sleep_us(1000 * ms)
