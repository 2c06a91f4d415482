"""One attempt that ends at a byte or at a write; whether board and next attempt are as they must be."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from firmware.errors import EdgeError
from tests.support.pico_board import PicoBoard
from tests.support.pico_flash import flash, line
from tests.support.pico_set import pico_set

NEW = pico_set("new", pad=4500)
OLD = pico_set("old", pad=4500)


@dataclass(frozen=True, slots=True)
class Cut:
    """Power fails when so many bytes have come, or in the so-many-th write (0: not)."""

    bytes: int
    writes: int

    def __str__(self) -> str:
        return f"byte {self.bytes}" if self.bytes else f"write {self.writes}"


@dataclass(frozen=True, slots=True)
class Start:
    """A board before an update: its flash, what runs on it, and what a whole update takes."""

    flash: bytes
    runs: str
    bytes: int
    writes: int


def measured(folder: Path, before: bytes | None, runs: str) -> Start:
    """A board with that flash (None: new), and an update of it that nothing ends."""
    pico = PicoBoard(folder)
    if before is not None:
        pico.flash.write_bytes(before)
    whole = pico.flash.read_bytes()
    pico.power_up()
    flash(pico, NEW)
    pico.power_down()
    return Start(whole, runs, pico.counts["bytes"], pico.counts["writes"])


def cuts(start: Start, n: int, seed: int) -> Iterator[Cut]:
    """`n` of each kind, spread over the whole update and seeded within."""
    rng = random.Random(seed)
    for k in range(n):
        yield Cut(1 + int((k + rng.random()) * start.bytes / n), 0)
        yield Cut(0, 1 + int((k + rng.random()) * start.writes / n))


def wrong_after(folder: Path, start: Start, cut: Cut) -> str:
    """What is wrong after an update that `cut` ended, "" when nothing is."""
    pico = PicoBoard(folder)
    pico.flash.write_bytes(start.flash)
    pico.power_up(cut.bytes or -1, cut.writes or -1)
    try:
        try:
            flash(pico, NEW)
        except EdgeError as error:
            if "\n" in str(error) or "; " not in str(error):
                return f"{cut}: said {error!r}"
        first = pico.boots()
        if first not in (start.runs, "new", "repl"):
            return f"{cut}: {first} runs"
        if (second := pico.boots()) not in (start.runs, "new"):
            return f"{cut}: then {second} runs"
        pico.power_up()
        said = flash(pico, NEW)
        if pico.boots() != "new":
            return f"{cut}: {pico.boots()} runs after the second attempt, which said {line(said, 'sent')}"
    finally:
        pico.power_down()
    return ""
