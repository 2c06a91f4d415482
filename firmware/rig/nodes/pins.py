"""The header's lines on a kernel's own GPIO chip: pulls from the board, what the program drives.

Owns what the board last put on each line and what the program last drove; refuses to know wires. Implements
firmware.rig.wires.Pins.
"""

import contextlib
import fcntl
import os

from firmware.rig import uapi as u
from firmware.rig.nodes.gpio_sim import SimChip


class KernelPins:
    """Lines of `chip`. One thread."""

    def __init__(self, chip: SimChip) -> None:
        self._chip = chip
        self._driven: dict[int, int] = {}
        self._outputs: dict[int, int] = {}
        self._held: int | None = None
        self.pulls = 0

    def driven(self, offset: int) -> int | None:
        """See wires.Pins."""
        return self._driven.get(offset)

    def put(self, offset: int, level: int) -> None:
        """See wires.Pins; a kernel makes an edge of every change."""
        self.drive(offset, level, 0)

    def drive(self, offset: int, level: int, t_ns: int) -> None:
        """See wires.Pins; the time of the edge is the kernel's, not `t_ns`."""
        if self._driven.get(offset) == level:
            return
        self._driven[offset] = level
        with contextlib.suppress(OSError):  # the chip has vanished
            self._chip.pull(offset, level)
            self.pulls += 1

    def watched(self, offset: int) -> bool:
        """See wires.Pins; whether anybody listens is the kernel's affair."""
        return True

    def puts_low(self, offset: int) -> bool:
        """See wires.Pins."""
        return self._outputs.get(offset) == 0

    def levels(self) -> list[int]:
        """See wires.Pins."""
        return self._chip.levels()

    def changed(self, offset: int, level: int | None) -> int:
        """The program drives `offset`, None: no longer. The level that the board now sees."""
        if level is None:
            self._outputs.pop(offset, None)
            return self._driven.get(offset, 0)
        self._outputs[offset] = level
        return level

    def forget(self) -> None:
        """The chip has come back with all lines low."""
        driven, self._driven = self._driven, {}
        self._outputs.clear()
        for offset, level in driven.items():
            self.drive(offset, level, 0)

    def hold(self, offsets: tuple[int, ...]) -> None:
        """Keep `offsets` for us, so that the kernel refuses them to others; () frees them. Raises OSError."""
        if self._held is not None:
            os.close(self._held)
            self._held = None
        if offsets:
            self._held = _request(f"/dev/{self._chip.name}", offsets)


def _request(path: str, offsets: tuple[int, ...]) -> int:
    """A v2 request of lines as they are; its descriptor. Raises OSError."""
    config = u.GPIO_V2_LINE_CONFIG.pack(0, 0, *[0] * 45)
    numbers = [*offsets, *[0] * (u.GPIO_V2_LINES_MAX - len(offsets))]
    packed = u.GPIO_V2_LINE_REQUEST.pack(*numbers, b"rig", config, len(offsets), 0, *[0] * 5, 0)
    chip = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        answer = fcntl.ioctl(chip, u.GPIO_V2_GET_LINE_IOCTL, packed)
    finally:
        os.close(chip)
    fd: int = u.GPIO_V2_LINE_REQUEST.unpack(answer)[-1]
    return fd
