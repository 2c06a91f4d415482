"""/dev/gpiomem: the BCM2835 GPIO registers in a file that programs map, for those that go past the kernel.

Owns register offsets and the reconciliation of the file with the lines; refuses to be exact in time:
nothing tells the rig of a store, so it looks at each call and each tick. Levels only, as facts: rig 5.
Source: BCM2835 ARM Peripherals, section 6.1.
"""

import mmap
import struct
from typing import Final

from firmware.rig.lines import N_LINES, Lines

BLOCK_BYTES: Final = 4096
TICK_NS: Final = 1_000_000
_GPFSEL0, _GPSET0, _GPCLR0, _GPLEV0 = 0x00, 0x1C, 0x28, 0x34
_PAIR = struct.Struct("<II")
_SELECTS = struct.Struct("<6I")
_OUTPUT: Final = 1
_MASK: Final = (1 << N_LINES) - 1


class GpioMem:
    """The register file behind `fd`; `in_use` once a program has opened it. One thread."""

    def __init__(self, fd: int, lines: Lines) -> None:
        self.in_use = False
        self._lines = lines
        self._map = mmap.mmap(fd, BLOCK_BYTES)
        self._outputs = 0

    def sync(self) -> bool:
        """Do what the program has stored, then show it the levels. True when an output changed."""
        set_bits = self._taken(_GPSET0)
        clear_bits = self._taken(_GPCLR0)
        selected = self._selected_outputs()
        changed = 0
        touched = (set_bits | clear_bits) & selected | selected ^ self._outputs
        for offset in range(N_LINES) if touched else ():
            if touched >> offset & 1:
                self._put(
                    offset, bool(selected >> offset & 1), set_bits >> offset & 1, clear_bits >> offset & 1
                )
                changed += 1
        self._outputs = selected
        self.show()
        return bool(changed)

    def show(self) -> None:
        """Put the lines' levels into GPLEV."""
        levels = 0
        for offset, line in enumerate(self._lines.lines):
            levels |= line.level << offset
        _PAIR.pack_into(self._map, _GPLEV0, levels & 0xFFFFFFFF, levels >> 32)

    def _put(self, offset: int, output: bool, high: int, low: int) -> None:
        """Both at once is a pulse: away from the present level and back."""
        value = self._lines.lines[offset].value
        steps = (value ^ 1, value) if high and low else (1,) if high else (0,) if low else (value,)
        for step in steps:
            self._lines.put_directly(offset, output, step)

    def _taken(self, register: int) -> int:
        """The 64 bits at `register`, which then are 0: they act once."""
        low: int
        high: int
        low, high = _PAIR.unpack_from(self._map, register)
        if low or high:
            _PAIR.pack_into(self._map, register, 0, 0)
        return (low | high << 32) & _MASK

    def _selected_outputs(self) -> int:
        """The lines that GPFSEL makes outputs."""
        bits = 0
        words = _SELECTS.unpack_from(self._map, _GPFSEL0)
        if not any(words):
            return 0
        for offset in range(N_LINES):
            if words[offset // 10] >> 3 * (offset % 10) & 7 == _OUTPUT:
                bits |= 1 << offset
        return bits
