"""The USB serial port as the link's wire: bytes in without waiting, frames out piece by piece.

A write waits for the host; therefore a frame goes out in pieces, each only when there is room, so that a host
that does not read cannot hold this board up.
"""

import select
import sys

import micropython

PIECE = 256


class Port:
    """The board's only serial port, no longer a prompt: Ctrl-C is a byte like any other."""

    def __init__(self):
        micropython.kbd_intr(-1)
        self._in, self._out = sys.stdin.buffer, sys.stdout.buffer
        self._readable, self._writable = select.poll(), select.poll()
        self._readable.register(sys.stdin, select.POLLIN)
        self._writable.register(sys.stdout, select.POLLOUT)
        self._frame, self._at = b"", 0

    def read(self):
        """The bytes that are there."""
        data = bytearray()
        while len(data) < PIECE and self._readable.poll(0):
            byte = self._in.read(1)
            if not byte:
                break
            data += byte
        return data

    def idle(self):
        """Whether all of the last frame has gone out."""
        return self._at >= len(self._frame)

    def begin(self, frame):
        """Send `frame`, which must stay as it is until `idle`."""
        self._frame, self._at = memoryview(frame), 0

    def send(self):
        """Send as much of the frame as there is room for."""
        while self._at < len(self._frame) and self._writable.poll(0):
            end = min(self._at + PIECE, len(self._frame))
            self._at += self._out.write(self._frame[self._at : end]) or 0

    def wait(self, ms):
        """Return when bytes have come, or after `ms`."""
        self._readable.poll(ms)
