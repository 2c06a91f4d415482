"""The other end of the chip's lines: who drives them from outside, and what a voltmeter there says.

Owns the one `RigControl`, how many lines there are, and which have been touched, so that they can be tidied.
Refuses to open the chip: that is chip.py's.
"""

from functools import cache
from typing import Final

from firmware.rig.control import RigControl

N_LINES: Final = 54
READY: Final = 17
"""Data-ready of the board: left alone."""
touched: set[int] = set()
"""Offsets driven or asked for since lines were last tidied."""


@cache
def rig() -> RigControl:
    """Who drives the lines."""
    return RigControl()


def drive(offset: int, *levels: int) -> None:
    """Put levels on a line from outside, one after the other."""
    touched.add(offset)
    for level in levels:
        rig().drive(offset, level)


def levels(*offsets: int) -> list[int]:
    """What a voltmeter says. Being a round trip, it also gives events under way their time."""
    now = rig().levels()
    return [now[offset] for offset in offsets]
