"""The chip's clock against the board's: exact without error, off and wandering as asked, seeded."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw.model.oscillator import Oscillator

DAY_TCLK = 2_048_000 * 86_400


@given(st.integers(0, 400 * DAY_TCLK), st.integers(0, 10**18))
def test_a_sound_clock_is_exact_to_the_nanosecond(tclk: int, origin_ns: int) -> None:
    oscillator = Oscillator(now_ns=origin_ns)
    t_ns = oscillator.ns_at(tclk)
    assert abs((t_ns - origin_ns) * 32 - tclk * 15_625) <= 16
    assert oscillator.tclk_at(t_ns) == tclk


def test_ticks_are_done_when_they_are_over() -> None:
    oscillator = Oscillator(now_ns=100)
    assert [oscillator.tclk_at(100 + t_ns) for t_ns in (0, 487, 489, 976, 977)] == [0, 0, 1, 1, 2]


@pytest.mark.parametrize("ppm", [-5000.0, 250.0, 25_000.0])
def test_an_error_is_the_error_asked_for(ppm: float) -> None:
    oscillator = Oscillator(ppm, now_ns=7)
    seconds = (oscillator.ns_at(2_048_000 * 100) - 7) / 1e9
    assert 100 / seconds - 1 == pytest.approx(ppm * 1e-6, abs=1e-9)
    for tclk in range(2_048_000 * 100, 2_048_000 * 100 + 999_999, 33_331):
        assert oscillator.tclk_at(oscillator.ns_at(tclk)) == tclk


def test_wander_is_slow_seeded_and_as_wide_as_asked() -> None:
    def periods(seed: int) -> np.ndarray:  # type: ignore[type-arg]
        oscillator = Oscillator(-1000.0, 40.0, seed)
        return np.diff([oscillator.ns_at(k << 17) for k in range(20_000)]) / (64e6) - 1

    first, again, other = periods(1), periods(1), periods(2)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first.mean() == pytest.approx(1001e-6, abs=8e-6)
    assert first.std() == pytest.approx(40e-6, rel=0.2)
    assert np.diff(first).std() < 0.3 * first.std()  # few ppm from one stretch to the next


def test_a_clock_retuned_goes_on_from_where_it_is() -> None:
    oscillator = Oscillator(now_ns=0)
    oscillator.retune(-500_000.0, 0.0, 1_000_000_000)
    assert oscillator.tclk_at(1_000_000_000) == 2_048_000
    assert oscillator.tclk_at(3_000_000_000) == 4_096_000
    assert oscillator.ns_at(4_096_000) == pytest.approx(3_000_000_000, abs=2)


@pytest.mark.parametrize(("ppm", "wander_ppm"), [(-1e6, 0), (float("nan"), 0), (0, -1), (float("inf"), 0)])
def test_a_clock_that_stops_is_refused(ppm: float, wander_ppm: float) -> None:
    with pytest.raises(ValueError, match="cannot be off by"):
        Oscillator(ppm, wander_ppm)
