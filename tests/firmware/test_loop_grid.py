"""The index of an edge: the kernel's number and its time, one checking the other."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.loop.grid import DOUBTFUL, PERIOD_NS, SPURIOUS, edge_grid, place

RATE_HZ = 4000.0
T_NS = 250_000


class Line:
    """A data-ready line: `see` an edge as the kernel tells it."""

    def __init__(self, rate_hz: float = RATE_HZ) -> None:
        self.grid, self.clock = edge_grid(rate_hz)

    def see(self, seq: int, t_ns: float) -> int:
        return int(place(self.grid, self.clock, seq, round(t_ns)))

    def steady(self, n: int, start: int = 1) -> "Line":
        """Edges 0 to n-1, each on time; number `start` first, as Linux counts from 1."""
        for k in range(n):
            assert self.see(start + k, k * T_NS) == k
        return self


def test_edges_on_time_are_counted_from_zero() -> None:
    line = Line().steady(1000)
    assert line.clock[PERIOD_NS] == T_NS


def test_a_number_that_wraps_goes_on() -> None:
    line = Line()
    seen = [line.see((0xFFFFFFF0 + k) & 0xFFFFFFFF, k * T_NS) for k in range(100)]
    assert seen == list(range(100))


def test_events_that_the_kernel_dropped_are_missed() -> None:
    line = Line().steady(100)
    assert line.see(1 + 107, 107 * T_NS) == 107
    assert line.see(1 + 108, 108 * T_NS) == 108


@pytest.mark.control("H12.1")
def test_an_interrupt_that_was_never_seen_shows_in_time_only() -> None:
    line = Line().steady(100)
    assert line.see(101, 101 * T_NS) == 101  # edge 100 was never counted
    assert line.see(102, 102 * T_NS) == 102
    assert line.see(103, 106 * T_NS) == 106


def test_a_bounce_is_no_sample() -> None:
    line = Line().steady(100)
    assert line.see(101, 99.05 * T_NS) == SPURIOUS
    assert line.see(102, 100 * T_NS) == 100


@pytest.mark.control("H12.1")
def test_a_storm_moves_no_index() -> None:
    line = Line().steady(100)
    seq = 100
    for k in range(200):
        seq += 1
        assert line.see(seq, (99 + 0.0015 * k) * T_NS) == SPURIOUS
    assert line.see(seq + 1, 100 * T_NS) == 100


@pytest.mark.parametrize("late", [0.05, 0.2, 0.34])
def test_an_edge_that_is_told_late_keeps_its_index(late: float) -> None:
    line = Line().steady(100)
    assert line.see(101, (100 + late) * T_NS) == 100
    assert line.see(102, 101 * T_NS) == 101


@pytest.mark.parametrize("late", [0.4, 0.5, 0.6])
def test_an_edge_that_is_half_a_period_late_is_doubtful_and_the_next_is_right(late: float) -> None:
    line = Line().steady(100)
    seen = line.see(101, (100 + late) * T_NS)
    assert seen in (100, 100 + DOUBTFUL)
    assert line.see(102, 101 * T_NS) == 101


def test_an_edge_between_two_others_is_doubtful_and_the_grid_is_kept() -> None:
    line = Line().steady(100)
    assert line.see(101, 99.55 * T_NS) == 100 + DOUBTFUL  # read now, it would be the sample before
    seen = [line.see(102 + k, (100 + k) * T_NS) for k in range(20)]
    assert seen[0] == SPURIOUS
    assert seen[1:] == list(range(101, 120))


def test_a_first_edge_that_was_late_costs_a_few_samples_and_no_index() -> None:
    line = Line()
    assert line.see(1, 0.45 * T_NS) == 0
    seen = [line.see(1 + k, k * T_NS) for k in range(1, 60)]
    assert all(index < DOUBTFUL for index in seen[8:])
    assert all(index % DOUBTFUL in (k, k - 1) for k, index in enumerate(seen, 1) if index != SPURIOUS)
    assert np.all(np.diff(seen[8:]) == 1)


def test_a_long_silence_is_as_long_as_it_took_and_its_end_begins_a_new_phase() -> None:
    line = Line().steady(1000)
    again = 5000.5
    assert line.see(1001, again * T_NS) in (5000, 5001)
    first = line.see(1002, (again + 1) * T_NS)
    seen = [line.see(1003 + k, (again + 2 + k) * T_NS) for k in range(100)]
    assert seen == list(range(first + 1, first + 101))


@pytest.mark.control("H12.1")
@settings(max_examples=60, deadline=None)
@given(
    st.floats(-0.025, 0.025),
    st.sampled_from([250.0, 1000.0, 4000.0, 16000.0]),
    st.floats(0, 20_000),
    st.integers(0, 1 << 20),
)
def test_any_oscillator_of_the_data_sheet_keeps_every_index(
    off: float, rate_hz: float, jitter_ns: float, seed: int
) -> None:
    line = Line(rate_hz)
    period = 1e9 / rate_hz / (1 + off)
    late = np.random.default_rng(seed).exponential(min(jitter_ns, 0.05 * period), 3000).clip(0, period / 4)
    seen = [line.see(7 + k, 1e15 + k * period + late[k]) for k in range(3000)]
    assert seen == list(range(3000))
    assert abs(line.clock[PERIOD_NS] / period - 1) < 2e-3


@pytest.mark.control("H9.1")
@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 40), st.booleans()), min_size=1, max_size=30))
def test_whatever_is_lost_on_the_way_the_index_is_that_of_the_time(holes: list[tuple[int, bool]]) -> None:
    line = Line().steady(500)
    seq, true = 500, 499
    for hole, counted in holes:
        true += hole
        seq += hole if counted else 1
        assert line.see(seq, true * T_NS) == true
        seq, true = seq + 1, true + 1
        assert line.see(seq, true * T_NS) == true
