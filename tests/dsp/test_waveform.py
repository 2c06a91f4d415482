"""Turning points, phases, onset and end of one response, against shapes whose answers are known."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsp.waveform import crossing, phases, span, turning_points, vertex


def test_the_vertex_of_a_parabola_is_found_between_rows() -> None:
    rows = np.arange(11.0)
    for at in (4.6, 5.0, 5.4):
        place, height = vertex(3.0 - 0.5 * (rows - at) ** 2, 5)
        assert (place, height) == pytest.approx((at, 3.0))
        place, height = vertex(0.5 * (rows - at) ** 2 - 3.0, 5)
        assert (place, height) == pytest.approx((at, -3.0))
    assert vertex(rows, 0) == (0.0, 0.0) and vertex(rows, 10) == (10.0, 10.0)
    assert vertex(rows, 5) == (5.0, 5.0)  # no extreme
    assert vertex(np.zeros(5), 2) == (2.0, 0.0)


def test_the_first_row_on_the_other_side_of_zero() -> None:
    assert crossing(np.array([-3.0, -1.0, 0.5, -2.0])) == 2
    assert crossing(np.array([3.0, 1.0, -0.5])) == 2
    assert crossing(np.array([3.0, 1.0, 0.5])) == 3


def test_a_turn_needs_its_size_on_both_sides() -> None:
    x = np.array([0.0, 10.0, 4.0, 9.0, -8.0, 3.0, 2.9, 3.1])
    assert turning_points(x, 5.0) == [1, 2, 3, 4] and turning_points(x, 6.0) == [1, 4]
    assert turning_points(x, 12.0) == [] and turning_points(np.zeros(9), 1.0) == []
    tail = 100.0 * np.exp(-np.arange(100) / 20.0)
    tail[2] += 5.0  # noise on an edge makes no turn
    assert turning_points(tail, 20.0) == []


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(-50, 50), min_size=2, max_size=40), st.integers(1, 60))
def test_turning_points_alternate_by_at_least_so_much(values: list[int], least: int) -> None:
    x = np.array(values, dtype=np.float64)
    found = turning_points(x, float(least))
    assert found == sorted(set(found))
    if found:
        assert np.abs(x[: found[0]] - x[found[0]]).max() >= least
    steps = np.diff(x[found])
    assert (np.abs(steps) >= least).all()
    assert (steps[1:] * steps[:-1] < 0).all()


def test_phases_are_changes_of_sign_beyond_the_noise() -> None:
    assert phases(np.array([1.0, 5.0, -0.5, 5.0, -5.0, 0.0, 6.0]), 1.0) == 3
    assert phases(np.array([0.1, -0.1]), 1.0) == 0 and phases(np.array([2.0]), 1.0) == 1


@pytest.mark.parametrize("power", [1.0, 2.0, 3.0])
def test_the_interval_holds_where_the_rise_began(power: float) -> None:
    """A rise like t^power from row 100 on, to 1000, and back: with little noise and with much."""
    rows = np.arange(600.0)
    rising = np.clip((rows - 100.0) / 80.0, 0.0, 1.0) ** power
    x = 1000.0 * rising * np.exp(-np.clip(rows - 180.0, 0.0, None) / 40.0)
    for noise in (1.0, 10.0, 50.0):
        found = span(x, noise, 1000.0, 0.25)
        crossing = 100.0 + 80.0 * (max(3.0 * noise, 2.0) / 1000.0) ** (1.0 / power)
        assert found.onset == pytest.approx(crossing, abs=0.6)
        assert found.onset_ci[0] <= 100.0 <= found.onset_ci[1]
        assert found.end == pytest.approx(180.0 + 40.0 * math.log(1000.0 / max(3.0 * noise, 2.0)), abs=1.0)


def test_a_spike_before_the_response_is_not_its_onset() -> None:
    """Below five standard deviations it does not begin, and 0.5 ms of quiet end the way back."""
    x = np.zeros(400)
    x[100:102] = 4.5
    x[200:260] = 100.0 * np.sin(np.arange(60) / 60.0 * 2 * np.pi)
    x[194:196] = 4.5
    assert span(x, 1.0, 200.0, 0.25).onset == pytest.approx(200.3, abs=0.5)
    x[100:102] = 8.0
    assert span(x, 1.0, 200.0, 0.25).onset < 100.0


def test_without_quiet_before_it_the_onset_is_the_first_row() -> None:
    found = span(100.0 * np.cos(np.arange(100) / 10.0), 1.0, 200.0, 0.25)
    assert found.onset == 0.0 and found.end == 99.0
