"""Reading that stops and goes on while edges come, by the board's own code on a clock of microseconds:
whatever the interpreter's pace, a row of the ring is the sample of its index."""

import importlib
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.support.pico_looped import board_modules

board_modules()
LAP, TABLE = 0x3FFFFFFF, 0x20001000


class World:
    """Edges every `period` us; a frame is read in `read` us from its edge on; each look takes its time.

    `rows`: the edge whose frame each row holds. A machine that was stopped at its wait and finds data-ready
    low when it goes on reads at once.
    """

    def __init__(self, seed: int, period: float, read: float, rows: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.period, self.read, self.ring = period, read, rows
        self.t = float(self.rng.uniform(0, period))
        self.edges = 0
        self.next_us = period
        self.on, self.fresh = True, True
        self.left = 0.0
        self.of = -1
        self.stopped_at = 0
        self.rows: list[int] = []
        self.slow = 0.1
        self.stuck = False

    def look(self) -> None:
        """The interpreter does one thing; now and then it does another besides."""
        cost = self.rng.uniform(1.0, 12.0)
        self.go(cost + (self.rng.uniform(0, 3 * self.period) if self.rng.random() < self.slow else 0))

    def go(self, us: float) -> None:
        end = self.t + us
        while self.t < end:
            until = min(end, self.next_us)
            reading = self.on and self.left > 0
            if reading:
                until = min(until, self.t + self.left)
                self.left -= until - self.t
            self.t = until
            if reading and self.left <= 1e-9:
                self.left = 0.0
                self.rows.append(self.of)
            if self.t >= self.next_us:
                self.edges += 1
                self.next_us += self.period
                if self.on and not self.left:
                    self._begin()

    def _begin(self) -> None:
        self.left, self.of = self.read, self.edges - 1

    def enable(self, on: bool) -> None:
        if not on:
            self.stopped_at = self.edges
        elif not self.left and not self.fresh and self.edges > self.stopped_at:
            self._begin()
        self.on, self.fresh = on, False

    def restart(self) -> None:
        self.left, self.fresh = 0.0, True


def reader(world: World, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The board's Reader in this world."""
    registers = {0x2000: True, 0x3000: False}

    class Memory:
        def __setitem__(self, address: int, bits: int) -> None:
            assert bits == 1
            world.look()
            world.enable(registers[address - 0x50200000])

    class Pin:
        ALT = 3

        def __init__(self, number: int, *_: Any, **__: Any) -> None:
            self.number = number

        def __call__(self) -> bool:
            world.look()
            return not world.left and not world.stuck

    class Times:
        @property
        def count(self) -> int:
            world.look()
            return LAP - world.edges

    class Bytes:
        """The first converter's channel, and the one that hands it the next of 32 buffers."""

        @property
        def count(self) -> int:
            return (world.ring - len(world.rows) % world.ring) * 27

        @property
        def read(self) -> int:
            return TABLE + 4 * ((len(world.rows) // world.ring + 1) % 32)

    def ticks_ms() -> int:
        world.look()
        return int(world.t / 1000)

    time = SimpleNamespace(sleep_us=lambda us: world.go(us), ticks_ms=ticks_ms, ticks_diff=lambda a, b: a - b)
    for name, stub in (("machine", SimpleNamespace(Pin=Pin, mem32=Memory())), ("uctypes", object())):
        monkeypatch.setitem(sys.modules, name, stub)
    module = importlib.import_module("evokd.reader")
    monkeypatch.setattr(module, "time", time)
    monkeypatch.setattr(module, "machine", SimpleNamespace(Pin=Pin, mem32=Memory()))
    made = object.__new__(module.Reader)
    values = {"_times_in": Times(), "_edges": 0, "_readers": 1, "_select": Pin(4), "_frames": 0, "missed": 0}
    values |= {"rows": world.ring, "frame_bytes": 27, "chips": 1, "_read_us": int(world.read) + 2}
    values |= {"_machines": [SimpleNamespace(restart=world.restart)], "_first": (Bytes(), Bytes(), TABLE)}
    for name, value in values.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize(
    ("period", "read", "rows"), [(62.5, 24.0, 125), (250.0, 24.0, 32), (4000.0, 24.0, 2)]
)
def test_rows_are_the_samples_of_their_index_whenever_reading_was_stopped(
    period: float, read: float, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    paused = 0
    for seed in range(100):
        world = World(seed, period, read, rows)
        reading = reader(world, monkeypatch)
        world.go(20.3 * period)
        held: list[tuple[int, int, int]] = []
        for _ in range(4):
            old = reading.missed
            at = reading.pause()
            begun = held[-1][1] if held else 0
            assert world.rows[begun - old : at - old] == list(range(begun, at)), (seed, "before")
            assert world.edges - at <= 40
            world.go(float(world.rng.uniform(0, 40 * period)))
            first = reading.resume()
            assert first >= at
            held.append((at, first, reading.missed))
            world.slow, slow = 0.0, world.slow
            world.go(float(world.rng.uniform(2, 60)) * period)
            world.slow = slow
            assert world.rows[first - reading.missed] == first, (seed, "the first one counts")
            paused += 1
    assert paused == 400


def test_an_interpreter_that_always_comes_in_the_middle_of_a_frame_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(1, 62.5, 24.0, 125)
    reading = reader(world, monkeypatch)
    world.go(300.0)
    world.stuck = True
    with pytest.raises(Exception, match="cannot be stopped between two frames; lower the rate"):
        reading.pause()
    assert world.on, "reading goes on"


def test_without_edges_there_is_nothing_to_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(1, 1e9, 24.0, 125)
    reading = reader(world, monkeypatch)
    with pytest.raises(Exception, match="no samples are coming in"):
        reading.pause()
    assert world.on


def test_reading_that_never_goes_on_in_time_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(1, 62.5, 24.0, 125)
    reading = reader(world, monkeypatch)
    world.go(300.0)
    reading.pause()
    world.slow = 1.0
    look = world.look
    monkeypatch.setattr(world, "look", lambda: (look(), world.go(70.0)))
    with pytest.raises(Exception, match="cannot be stopped between two frames"):
        reading.resume()
