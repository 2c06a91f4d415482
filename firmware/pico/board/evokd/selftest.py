"""What a board can say of itself with nothing wired to it: its compiled code, its memory, its DMA."""

import gc

import rp2

from evokd import codec

NEEDED_BYTES = 150000
"""Of free memory: the rings of 8 channels at 16 kSPS, a frame, and room to work in."""
CHANNELS = 4
"""DMA channels of one converter and of the edge times."""
FRAME = b"\x10\x00\x11\x22\x00\x00\x33"
STUFFED = bytes.fromhex("021003112201063321fbd91200")
"""That frame behind its CRC, as hw.cobs stuffs it."""


def run():
    """ "self test passed", or what did not."""
    out = bytearray(len(STUFFED))
    at = codec.sealed(bytearray(FRAME) + bytearray(4), len(FRAME), out)
    if bytes(out) != STUFFED or at != len(STUFFED):
        return "self test failed: the compiled code stuffs bytes otherwise than it should"
    gc.collect()
    if gc.mem_free() < NEEDED_BYTES:
        return "self test failed: %d bytes of memory are free, %d are needed" % (gc.mem_free(), NEEDED_BYTES)
    held = []
    try:
        for _ in range(CHANNELS):
            held.append(rp2.DMA())
    except OSError:
        return "self test failed: fewer than %d DMA channels are free" % CHANNELS
    finally:
        for channel in held:
            channel.close()
    return "self test passed"
