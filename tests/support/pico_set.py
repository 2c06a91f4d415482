"""Sets of files for a simulated board: a stand-in for the edge, and ways to be wrong."""

from firmware.pico import image
from hw.link import Description, Fault, Hello, Sender, hello
from hw.link_fields import layout, pack

EDGE = '''"""A stand-in for the edge, of set {tag}."""
import binascii
import json
import machine
import struct
import sys
from evokd import one, two
TAGS = ({tag!r}, one.TAG, two.TAG)
def frame(body):
    body += struct.pack("<I", binascii.crc32(body))
    out = bytearray()
    for piece in body.split(b"\\0"):
        while len(piece) >= 254:
            out += b"\\xff" + piece[:254]
            piece = piece[254:]
        out += bytes([len(piece) + 1]) + piece
    return bytes(out) + b"\\0"
def named():
    with open(sys.path[0] + "/manifest.json") as file:
        told = json.load(file)
    source = ("pico RP2040; evokd " + told["version"] + "; image " + told["image"][:16] + "; {said}").encode()
    source = {source!r} or source
    return frame(struct.pack("<BIH", {code}, 1, len(source)) + source + {rest!r})
def main():
    if hasattr(machine, "ran"):
        machine.ran(TAGS)
        return
    heard = b""
    while True:
        byte = sys.stdin.buffer.read(1)
        if byte != b"\\0":
            heard += byte
            continue
        leaving = b"flash" in heard
        if leaving or b"check" in heard:
            sys.stdout.buffer.write({greeting!r})
            sys.stdout.buffer.write({fault!r} or named())
            if leaving and {leaves}:
                with open("/stay", "w") as file:
                    file.write("1")
                machine.reset()
        heard = b""
'''


def pico_set(
    tag: str,
    pad: int = 0,
    busy: bool = False,
    greeting: Hello | None = None,
    source: str = "",
    said: str = "self test passed",
    edge: str = "",
) -> dict[str, bytes]:
    """Set `tag`, two of whose files are `pad` bytes longer than need be. It can be `busy` with a case, greet
    as another `greeting`, name itself as another `source`, or have another `edge` altogether."""
    sender = Sender()
    code = EDGE.format(
        tag=tag,
        said=said,
        source=source.encode(),
        code=Description.CODE,
        rest=pack(layout(Description), Description("", 0.0, (), (), (), 0.0, 8))[2:],
        greeting=sender.frame(greeting or hello("edge", 7)),
        fault=sender.frame(Fault("busy", "a case is running", 0)) if busy else b"",
        leaves=not busy,
    )
    files = {f"evokd/{name}.py": f"TAG = {tag!r}\n{'#' * pad}\n".encode() for name in ("one", "two")}
    files |= {"evokd/__init__.py": b'"""evokd"""\n', "evokd/edge.py": (edge or code).encode()}
    return signed(files)


def signed(files: dict[str, bytes]) -> dict[str, bytes]:
    """`files` with their manifest."""
    return {**files, image.MANIFEST: image.as_json(image.manifest(files))}
