"""Who answers at an address but is no edge that we can talk to: one line, from the bytes that came. Pure."""

import re
import struct
import zlib

from hw import cobs

MOST_KEPT = 1 << 16
"""Of what came instead of a Hello so much is looked at, the newest."""
_MOST_SHOWN = 40
_LEAST_TEXT = 0.9
_CRC_BYTES = 4
_PROMPT = re.compile(rb">>> |MicroPython v|raw REPL; CTRL-B|MPY: soft reboot")
_PRINTABLE = frozenset(range(32, 127)) | frozenset(b"\r\n\t")


def is_prompt(heard: bytes) -> bool:
    """Whether a MicroPython prompt answers: a board without our program, or one whose program has ended."""
    return _PROMPT.search(heard) is not None


def whole_frames(heard: bytes) -> int:
    """How many pieces of `heard` are frames of a link like ours: stuffed, and with their own CRC."""
    return sum(map(_is_whole, heard.split(b"\0")[:-1]))


def told(heard: bytes, port: str, echoed: bool = False) -> str:
    """What is wrong with who said `heard` instead of a Hello, with the cure; `port`: of the serial device, ""
    when it is none; `echoed`: our own words came back."""
    cure = f"evokd flash --port {port}" if port else "update the older end"
    if is_prompt(heard):
        return f"the board runs MicroPython but not evokd: {cure}"
    nobody = "the edge does not answer with Hello; is it an evokd edge, and free of another host?"
    if not heard:
        return f"{nobody} It says nothing" + (f"; a board without evokd: {cure}" if port else "")
    if echoed:
        return f"{nobody} It says what it is told, as a modem or a plug that joins both lines does"
    if n := whole_frames(heard):
        return f"{nobody} {n} whole frames of a link came, as from an edge of another version: {cure}"
    if shown := _text(heard):
        return f"{nobody} It says {shown!r}, as another kind of device does; check which one this is"
    cause = "at another baud rate, with noise, or from another kind of device" if port else "of another kind"
    return f"{nobody} {len(heard)} bytes came {cause}, and no whole frame"


def _is_whole(piece: bytes) -> bool:
    try:
        body = cobs.decode(piece)
    except ValueError:
        return False
    if len(body) <= _CRC_BYTES:
        return False
    (crc,) = struct.unpack("<I", body[-_CRC_BYTES:])
    return zlib.crc32(body[:-_CRC_BYTES]) == int(crc)


def _text(heard: bytes) -> str:
    """The beginning of what is readable; "" for what is no text."""
    said = heard.replace(b"\0", b"")
    if not said or sum(byte in _PRINTABLE for byte in said) < _LEAST_TEXT * len(said):
        return ""
    return " ".join(said.decode("ascii", "replace").split())[:_MOST_SHOWN]
