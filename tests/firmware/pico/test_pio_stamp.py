"""Stamps of data-ready: exact at any number of edges; and what the harness skips changes nothing."""

from functools import partial
from itertools import pairwise
from random import Random

from tests.support.pio_chips import DRDY
from tests.support.pio_machine import Clockwork, Machine
from tests.support.pio_rig import programs

EDGES = 10_000


def stamper(x: int = 0, drains: bool = True) -> Machine:
    return Machine(programs.stamp(), jmp=DRDY, x=x, drains=drains)


def drive(clockwork: Clockwork, falls: list[float], high_cycles: float) -> None:
    """Data-ready as given, high before each fall."""
    clockwork.pins.put(-9.0, DRDY, True)
    for fall in falls:
        clockwork.at(fall, partial(clockwork.put, DRDY, False))
        clockwork.at(fall + high_cycles, partial(clockwork.put, DRDY, True))


def falls_of(seed: int, n: int, shortest: int, longest: int) -> list[float]:
    draw = Random(seed)
    at, falls = 100.0, []
    for _ in range(n):
        at += draw.uniform(shortest, longest)
        falls.append(at)
    return falls


def test_ten_thousand_stamps_are_within_their_count_and_do_not_drift() -> None:
    """Measured: over all of them the way from edge to stamp varies by 2.0 cycles; bar 4, and no drift."""
    falls = falls_of(1, EDGES, 14, 30)
    machine = stamper(x=1000)
    clockwork = Clockwork(machine)
    drive(clockwork, falls, 5.3)
    clockwork.run(falls[-1] + 50)
    stamps = machine.received
    assert len(stamps) == EDGES
    ticks = [(a - b) & 0xFFFFFFFF for a, b in pairwise(stamps)]
    since_first = [0.0]
    for tick in ticks:
        since_first.append(since_first[-1] + tick * programs.STAMP_CYCLES)
    late = [at - (fall - falls[0]) for at, fall in zip(since_first, falls, strict=True)]
    spread = max(late) - min(late)
    assert spread <= 2 * programs.STAMP_CYCLES, f"{spread:.2f} cycles over {EDGES} edges, bar 4"
    assert max(late[-100:]) - min(late[-100:]) <= 2 * programs.STAMP_CYCLES
    assert abs(sum(late[-1000:]) - sum(late[:1000])) < 1000 * 0.2, "no drift"


def test_edges_whole_cycles_apart_have_exactly_their_cycles() -> None:
    falls = [100.0 + 1234 * k for k in range(50)]
    machine = stamper()
    clockwork = Clockwork(machine)
    drive(clockwork, falls, 333)
    clockwork.run(falls[-1] + 50)
    assert [(a - b) & 0xFFFFFFFF for a, b in pairwise(machine.received)] == [
        1234 // programs.STAMP_CYCLES
    ] * 49


def test_skipping_changes_no_stamp() -> None:
    """The harness skips rounds in which nothing can happen; every cycle stepped gives the same."""
    falls = falls_of(2, 60, 20, 400)
    both = []
    for skips in (True, False):
        machine = stamper(x=5)
        clockwork = Clockwork(machine, skips=skips)
        drive(clockwork, falls, 9)
        clockwork.run(falls[-1] + 50)
        both.append(machine.received)
    assert both[0] == both[1] != []


def test_a_full_fifo_loses_stamps_but_no_time() -> None:
    falls = [100.0 + 200 * k for k in range(12)]
    machine = stamper(drains=False)
    clockwork = Clockwork(machine)
    drive(clockwork, falls, 50)
    clockwork.run(falls[8] + 100)
    kept = list(machine.state.receive_fifo)
    machine.state.receive_fifo.clear()
    clockwork.run(falls[-1] + 100)
    stamps = kept + list(machine.state.receive_fifo)
    edges = [0, 1, 2, 3, 9, 10, 11]
    assert [(stamps[0] - stamp) * programs.STAMP_CYCLES for stamp in stamps] == [200 * edge for edge in edges]


def test_a_data_ready_that_is_low_at_the_start_is_no_edge() -> None:
    machine = stamper()
    clockwork = Clockwork(machine)
    clockwork.run(1000)
    assert machine.received == []
