"""What no order can do: random words, strobes at any time, a data-ready that comes and goes."""

from bisect import bisect_left, bisect_right
from functools import partial
from random import Random

import pytest

from tests.support.pio_chips import DRDY, LINES, SELECT, STROBE
from tests.support.pio_edges import Stimulator
from tests.support.pio_machine import FULL, Clockwork, Machine
from tests.support.pio_rig import programs

EVENTS = 2500
SEEN = 2
"""Cycles until a pin is seen."""


def _word(draw: Random) -> int:
    """Anything, every second one of a width that leaves time for others."""
    word = draw.getrandbits(32)
    return word if draw.random() < 0.01 else word & 0x00FFFFFF if draw.random() < 0.3 else word & 0x000FFFFF


def _assault(seed: int, rate_hz: float) -> Clockwork:
    """A pulse program under random pins and orders; it then has the time to end what it does."""
    draw = Random(seed)
    pulse = Machine(programs.pulse(DRDY, STROBE, 8, rate_hz), outs=LINES)
    clockwork = Clockwork(pulse)
    at = 10.0
    for _ in range(EVENTS):
        at += draw.choice((3, 9, 80, 700)) * (1 + draw.random())
        pin = draw.choices((DRDY, STROBE, None), (5, 3, 1))[0]
        if pin is None:
            clockwork.at(at, partial(clockwork.order, pulse, _word(draw)))
        else:
            clockwork.at(at, partial(_toggle, clockwork, pin))
    clockwork.run(at + programs.LONGEST_CYCLES + 10)
    return clockwork


def _toggle(clockwork: Clockwork, pin: int) -> None:
    clockwork.put(pin, not clockwork.pins.levels >> pin & 1)


def _pulses(clockwork: Clockwork) -> list[tuple[float, float]]:
    """When any line was high."""
    spans, levels, since = [], 0, 0.0
    for change in clockwork.pins.of(*range(LINES, LINES + 8)):
        before, levels = levels, levels ^ 1 << change.pin
        if not before:
            since = change.at
        elif not levels:
            spans.append((since, change.at))
    assert not levels, "a line stayed high"
    return spans


@pytest.mark.control("H2.5")
@pytest.mark.parametrize("rate_hz", [250.0, 4000.0])
@pytest.mark.parametrize("seed", range(4))
def test_width_dead_time_train_and_rest_hold_whatever_is_ordered(seed: int, rate_hz: float) -> None:
    clockwork = _assault(seed, rate_hz)
    ready, strobes = clockwork.pins.falls(DRDY), clockwork.pins.rises(STROBE)
    dead = programs.dead_edges(rate_hz)
    rest = dead * (programs.rest_gaps(rate_hz) + 1)
    pulses = _pulses(clockwork)
    assert len(pulses) > 5
    ended, in_a_row = 0.0, programs.MOST_PULSES
    for up, down in pulses:
        edges = bisect_left(ready, up) - bisect_right(ready, ended - SEEN)
        in_a_row = 1 if edges >= rest - dead * (not ended) else in_a_row + 1
        assert in_a_row <= programs.MOST_PULSES, f"{in_a_row} pulses without a rest"
        assert edges >= dead, f"{edges} edges of dead time before the pulse at {up}"
        assert programs.SHORTEST_CYCLES <= down - up <= programs.LONGEST_CYCLES
        assert up - strobes[bisect_left(strobes, up) - 1] <= SEEN + 2, "a pulse without its strobe"
        ended = down


def test_a_train_of_garbage_ends_at_32_pulses_in_a_rest() -> None:
    """All ones: every line, the longest width, 32 pulses; measured 2,097,160 cycles, 16.8 ms at 125 MHz."""
    stimulator = Stimulator(250.0, 500_000, lines=8)
    for _ in range(FULL + 2):
        stimulator.clockwork.order(stimulator.pulse, 0xFFFFFFFF)
    edge = 4
    while edge < 4 + 8 * 34:
        stimulator.until_edge(edge - 2)
        stimulator.target(edge)
        edge += 8
    stimulator.until_edge(edge + 6)
    ready = stimulator.pins.falls(DRDY)
    pulses = list(stimulator.pulses())
    assert {wide for _, _, wide in pulses} == {programs.LONGEST_CYCLES}
    assert {mask for mask, _, _ in pulses} == {0xFF}
    assert [bisect_right(ready, at) - 1 for _, at, _ in pulses] == [4 + 8 * k for k in range(34)]


@pytest.mark.parametrize("seed", range(3))
def test_garbage_for_the_schedule_costs_no_edge_and_strobes_only_behind_a_read(seed: int) -> None:
    draw = Random(seed)
    stimulator = Stimulator(16_000.0, 6000 + 2000 * draw.random())
    while stimulator.edges < 150:
        near = programs.target_word(stimulator.edges + draw.randrange(-1, 5))
        word = near if draw.random() < 0.8 else draw.getrandbits(32)
        stimulator.clockwork.order(stimulator.schedule, word)
        stimulator.clockwork.run(stimulator.clockwork.now + draw.uniform(10, 3 * stimulator.period))
        if draw.random() < 0.3:
            while stimulator.pins.levels >> SELECT & 1:
                stimulator.clockwork.run(stimulator.clockwork.now + 100)
            stimulator.schedule.state.transmit_fifo.clear()
            stimulator.clockwork.restart(stimulator.schedule)
    stimulator.until_edge(stimulator.edges)
    assert stimulator.schedule.state.x_register == 0xFFFFFFFF - stimulator.edges
    strobes, read = stimulator.pins.rises(STROBE), stimulator.pins.rises(SELECT)
    assert len(strobes) >= 5
    assert all(at - read[bisect_left(read, at) - 1] == SEEN + 2 for at in strobes)
