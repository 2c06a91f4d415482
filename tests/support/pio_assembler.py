"""A stand-in for MicroPython's `rp2`: `asm_pio` as documented, refusing what chip or emulator have not.

Encodings from the RP2040 datasheet 3.4, nothing from MicroPython's own assembler. Runs in MicroPython too. As
there, a program's function sees no names of its module while it is assembled.
"""

import sys

JMP = {"": 0, "not_x": 1, "x_dec": 2, "not_y": 3, "y_dec": 4, "x_not_y": 5, "pin": 6, "not_osre": 7}
IN = {"pins": 0, "x": 1, "y": 2, "null": 3, "isr": 6, "osr": 7}
OUT = {"pins": 0, "x": 1, "y": 2, "null": 3, "pindirs": 4, "pc": 5, "isr": 6}
MOV_TO = {"pins": 0, "x": 1, "y": 2, "pc": 5, "isr": 6, "osr": 7}
MOV_FROM = {"pins": 0, "x": 1, "y": 2, "null": 3, "isr": 6, "osr": 7}
SET = {"pins": 0, "x": 1, "y": 2, "pindirs": 4}
WORDS = ("gpio", "pin", "pins", "x", "y", "null", "isr", "osr", "pindirs", "pc", "block", "noblock")
WORDS += ("not_x", "x_dec", "not_y", "y_dec", "x_not_y", "not_osre", "iffull", "ifempty")
MEMORY = 32


class PIOASMError(Exception):
    """What cannot be assembled."""


class PIO:
    """The constants that programs name."""

    IN_LOW, IN_HIGH, OUT_LOW, OUT_HIGH = range(4)
    SHIFT_LEFT, SHIFT_RIGHT = range(2)
    JOIN_NONE, JOIN_TX, JOIN_RX = range(3)


SETTINGS = {
    "out_init": None,
    "set_init": None,
    "sideset_init": None,
    "in_shiftdir": PIO.SHIFT_LEFT,
    "out_shiftdir": PIO.SHIFT_LEFT,
    "autopush": False,
    "autopull": False,
    "push_thresh": 32,
    "pull_thresh": 32,
    "fifo_join": PIO.JOIN_NONE,
}


class Program:
    """What was assembled: `opcodes`, where it wraps, and its `settings`."""

    def __init__(self, settings):
        self.settings = settings
        self.opcodes = []
        self.wrap_target, self.wrap = 0, None
        self.side_count = self.count("sideset_init")

    def count(self, init):
        """How many pins one of the `..._init` settings has."""
        levels = self.settings[init]
        return 0 if levels is None else 1 if isinstance(levels, int) else len(levels)

    def levels(self, init):
        """Their first levels, bit 0 the first pin's."""
        levels = self.settings[init]
        levels = (levels,) if isinstance(levels, int) else levels or ()
        return sum((level == PIO.OUT_HIGH) << k for k, level in enumerate(levels))


class _Pass:
    """One of the two passes over a program: first the labels, then the opcodes."""

    def __init__(self, program, labels):
        self.program, self.labels, self.known = program, {}, labels
        self.opcodes, self.sided = [], 0

    def names(self):
        """What the program's function sees."""
        own = (
            "wrap_target",
            "wrap",
            "label",
            "nop",
            "jmp",
            "wait",
            "in_",
            "out",
            "push",
            "pull",
            "mov",
            "set",
        )
        return (
            {word: word for word in WORDS} | {name: getattr(self, name) for name in own} | {"invert": invert}
        )

    def _word(self, kind, high, low):
        if len(self.opcodes) == MEMORY:
            raise PIOASMError("more than 32 instructions")
        self.opcodes.append(kind << 13 | high << 5 | low)
        return self

    def side(self, value):
        count = self.program.side_count
        if not 0 <= value < 1 << count:
            raise PIOASMError("side-set " + str(value) + " on " + str(count) + " pins")
        self.opcodes[-1] |= value << 13 - count
        self.sided += 1
        return self

    def __getitem__(self, delay):
        if not 0 <= delay < 1 << 5 - self.program.side_count:
            raise PIOASMError("delay " + str(delay))
        self.opcodes[-1] |= delay << 8
        return self

    def wrap_target(self):
        self.program.wrap_target = len(self.opcodes)

    def wrap(self):
        self.program.wrap = len(self.opcodes) - 1

    def label(self, name):
        if name in self.labels:
            raise PIOASMError("label twice: " + name)
        self.labels[name] = len(self.opcodes)

    def nop(self):
        return self.mov("y", "y")

    def jmp(self, *what):
        condition, name = what if len(what) == 2 else ("", what[0])
        if self.known is not None and name not in self.known:
            raise PIOASMError("no label " + name)
        return self._word(0, _of(JMP, condition), self.known[name] if self.known is not None else 0)

    def wait(self, polarity, source, index):
        if source != "gpio" or polarity not in (0, 1) or not 0 <= index < 32:
            raise PIOASMError("wait for " + str((polarity, source, index)))
        return self._word(1, polarity << 2, index)

    def in_(self, source, bits):
        return self._word(2, _of(IN, source), _bits(bits))

    def out(self, target, bits):
        return self._word(3, _of(OUT, target), _bits(bits))

    def push(self, *how):
        return self._word(4, _fifo(how, "iffull"), 0)

    def pull(self, *how):
        return self._word(4, 4 | _fifo(how, "ifempty"), 0)

    def mov(self, target, source):
        inverted = isinstance(source, tuple)
        return self._word(
            5, _of(MOV_TO, target), inverted << 3 | _of(MOV_FROM, source[0] if inverted else source)
        )

    def set(self, target, value):
        if not 0 <= value < 32:
            raise PIOASMError("set to " + str(value))
        return self._word(7, _of(SET, target), value)


def invert(source):
    """The source of a `mov`, inverted."""
    return (source,)


def _of(table, word):
    if word not in table:
        raise PIOASMError("not possible here: " + str(word))
    return table[word]


def _bits(bits):
    if not 0 < bits <= 32:
        raise PIOASMError(str(bits) + " bits")
    return bits & 31


def _fifo(how, when):
    if any(word not in ("block", "noblock", when) for word in how):
        raise PIOASMError("not possible here: " + str(how))
    return (when in how) << 1 | ("noblock" not in how)


def asm_pio(**settings):
    """The decorator: a function that writes instructions becomes a `Program`."""
    unknown = set(settings) - set(SETTINGS)
    if unknown:
        raise PIOASMError("unknown settings: " + str(sorted(unknown)))

    def assemble(function):
        program = Program(SETTINGS | settings)
        labels = _assemble(function, _Pass(program, None)).labels
        last = _assemble(function, _Pass(program, labels))
        if last.sided not in (0 if not program.side_count else -1, len(last.opcodes)):
            raise PIOASMError("side-set on some instructions only: the emulator has no such thing")
        program.opcodes = last.opcodes
        if program.wrap is None:
            program.wrap = len(last.opcodes) - 1
        return program

    return assemble


def _assemble(function, now):
    around = function.__globals__
    kept = dict(around)
    around.clear()
    around.update(now.names())
    try:
        function()
    finally:
        around.clear()
        around.update(kept)
    return now


def encode(text):
    """One instruction as `StateMachine.exec` takes it, side-set and delay 0."""
    now = _Pass(Program(dict(SETTINGS)), None)
    exec(text, now.names())
    return now.opcodes[0]


sys.modules["rp2"] = sys.modules[__name__]
