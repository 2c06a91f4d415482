"""The filters are scipy's to rounding, two passes shift nothing, and an electrode offset costs nothing."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import signal

from dsp.filters import SETTLED, ForwardFilter, backward, band_pass, butterworth, settle_samples, step_state
from tests.support.streams import band_noise, blocks, stream

Floats = NDArray[np.float64]

BANDS = [(0.5, 70.0, 1000.0), (1.0, 1000.0, 16000.0), (30.0, 1000.0, 4000.0), (30.0, 3000.0, 16000.0)]
POWER_HALF_DB = -10.0 * math.log10(2.0)


def response(sos: Floats, frequencies_hz: Floats, rate_hz: float) -> Floats:
    return np.asarray(signal.sosfreqz(sos, frequencies_hz, fs=rate_hz)[1])


def two_pass_db(sos: Floats, frequency_hz: float, rate_hz: float) -> float:
    return 40.0 * math.log10(abs(response(sos, np.array([frequency_hz]), rate_hz)[0]))


def two_passes(x: Floats, sos: Floats) -> Floats:
    y = x.copy()
    ForwardFilter(sos, x.shape[1]).run(y)
    return backward(y, sos)


@pytest.mark.parametrize("kind", ["low", "high"])
@pytest.mark.parametrize("order", [2, 4, 6, 8])
@pytest.mark.parametrize(("corner_hz", "rate_hz"), [(0.5, 16000.0), (30.0, 4000.0), (1500.0, 4000.0)])
def test_butterworth_has_scipys_frequency_response(
    order: int, kind: str, corner_hz: float, rate_hz: float
) -> None:
    # Away from 0 Hz: there the response is a difference of nearly equal numbers in either design.
    frequencies = np.geomspace(corner_hz / 2, 0.499 * rate_hz, 200)
    ours = response(butterworth(order, corner_hz, kind, rate_hz), frequencies, rate_hz)
    theirs = signal.butter(order, corner_hz, kind, fs=rate_hz, output="sos")
    if corner_hz / rate_hz > 1e-3:
        assert np.max(np.abs(ours - response(theirs, frequencies, rate_hz))) < 1e-12
    analogue = np.tan(np.pi * frequencies / rate_hz) / math.tan(math.pi * corner_hz / rate_hz)
    steep = analogue if kind == "low" else 1.0 / analogue
    assert np.abs(ours) == pytest.approx(1.0 / np.sqrt(1.0 + steep ** (2 * order)), abs=2e-6)


@pytest.mark.parametrize(("low_hz", "high_hz", "rate_hz"), BANDS)
@pytest.mark.parametrize("order", [2, 4])
def test_two_passes_are_3_db_down_at_both_corners_and_flat_between(
    low_hz: float, high_hz: float, rate_hz: float, order: int
) -> None:
    sos = band_pass(low_hz, high_hz, rate_hz, order)
    assert two_pass_db(sos, low_hz, rate_hz) == pytest.approx(POWER_HALF_DB, abs=1e-4)
    assert two_pass_db(sos, high_hz, rate_hz) == pytest.approx(POWER_HALF_DB, abs=1e-4)
    assert two_pass_db(sos, math.sqrt(low_hz * high_hz), rate_hz) == pytest.approx(0.0, abs=0.02)
    assert two_pass_db(sos, low_hz / 4, rate_hz) < -20.0
    assert abs(response(sos, np.array([0.0]), rate_hz)[0]) == 0.0


@pytest.mark.parametrize(("low_hz", "high_hz", "rate_hz"), BANDS)
def test_two_passes_are_symmetric_about_a_delta(low_hz: float, high_hz: float, rate_hz: float) -> None:
    sos = band_pass(low_hz, high_hz, rate_hz)
    reach = 5 * settle_samples(sos)
    delta = np.zeros((2 * reach + 1, 1))
    delta[reach] = 1.0
    got = two_passes(delta, sos)[:, 0]
    assert np.argmax(got) == reach
    assert got == pytest.approx(got[::-1], abs=1e-9)


@pytest.mark.parametrize(("low_hz", "high_hz", "rate_hz"), BANDS)
@pytest.mark.parametrize("order", [2, 4])
def test_step_state_is_scipys(low_hz: float, high_hz: float, rate_hz: float, order: int) -> None:
    sos = band_pass(low_hz, high_hz, rate_hz, order)
    assert step_state(sos) == pytest.approx(signal.sosfilt_zi(sos), rel=1e-6, abs=1e-9)


def test_step_state_of_a_low_pass_hands_the_level_on() -> None:
    sos = butterworth(4, 100.0, "low", 4000.0)
    assert step_state(sos) == pytest.approx(signal.sosfilt_zi(sos), rel=1e-9)
    x = np.full((50, 1), 7.0)
    ForwardFilter(sos, 1).run(x)
    assert x == pytest.approx(7.0, rel=1e-12)


def in_long_double(sos: Floats, x: Floats) -> NDArray[np.longdouble]:
    """The band-pass over x (time, channel), its past x[0] and so without what that leaves: nothing. Errs
    2,000 times less than float64."""
    y = x.astype(np.longdouble) - x[0]
    for b0, b1, b2, _, a1, a2 in sos.astype(np.longdouble):
        first = second = np.zeros(x.shape[1], dtype=np.longdouble)
        for t in range(len(y)):
            v = y[t].copy()
            y[t] = b0 * v + first
            first, second = b1 * v - a1 * y[t] + second, b2 * v - a2 * y[t]
    return y


@settings(deadline=None, max_examples=25)
@given(
    band=st.sampled_from(BANDS),
    cuts=st.lists(st.integers(0, 700), max_size=12),
    seed=st.integers(0, 2**32 - 1),
    offset_uv=st.sampled_from([0.0, 1e3, 2e5]),
)
def test_the_stream_is_scipys_sosfilt_over_any_blocks(
    band: tuple[float, float, float], cuts: list[int], seed: int, offset_uv: float
) -> None:
    """To 1e-12, which is what scipy is true to. It errs by 2e-12 at 1 Hz of 16 kSPS, and behind an offset of
    200 mV by 3e-7 uV: behind an offset the judge is long double."""
    good = 1e-12 if band[0] * 2000 > band[2] else 1e-11
    sos = band_pass(*band)
    signal_uv = np.random.default_rng(seed).standard_normal((700, 3)) * 20.0
    x = signal_uv + offset_uv
    whole, split, causal = x.copy(), x.copy(), ForwardFilter(sos, 3)
    ForwardFilter(sos, 3).run(whole)
    causal.run(np.empty((0, 3)))
    for first, end in blocks(700, cuts):
        causal.run(split[first:end])
    assert np.array_equal(split, whole)
    if offset_uv == 0.0:
        state = step_state(sos)[:, :, None] * x[0]
        expected, _ = signal.sosfilt(sos, x, axis=0, zi=state)
        assert np.max(np.abs(split - expected)) <= good * np.max(np.abs(x))
    else:
        assert np.max(np.abs(split - in_long_double(sos, x))) <= good * np.max(np.abs(signal_uv))


def test_reset_starts_as_if_the_first_row_had_always_been_there() -> None:
    sos = band_pass(30.0, 1000.0, 4000.0)
    causal = ForwardFilter(sos, 2)
    causal.run(np.random.default_rng(1).standard_normal((100, 2)))
    causal.reset()
    after = np.full((100, 2), [[2e5, -7.0]])
    causal.run(after)
    assert np.max(np.abs(after)) < 1e-6


@pytest.mark.parametrize(("low_hz", "high_hz", "rate_hz"), BANDS[1:])
def test_the_backward_pass_believes_in_its_last_row_and_settles(
    low_hz: float, high_hz: float, rate_hz: float
) -> None:
    sos = band_pass(low_hz, high_hz, rate_hz)
    n = settle_samples(sos)
    x = np.random.default_rng(3).standard_normal((3 * n, 2))
    got = backward(x, sos)
    expected, _ = signal.sosfilt(sos, x[::-1], axis=0, zi=step_state(sos)[:, :, None] * x[-1])
    assert got == pytest.approx(expected[::-1], abs=1e-9)
    x[-1] += 1.0
    assert np.max(np.abs(backward(x, sos)[: 2 * n] - got[: 2 * n])) < 1.5 * SETTLED
    held = np.full((n, 1), 3.0)
    assert np.max(np.abs(backward(held, sos))) < 1e-6


@pytest.mark.parametrize(("low_hz", "high_hz", "rate_hz"), BANDS)
def test_settle_samples_is_when_the_slowest_mode_has_decayed(
    low_hz: float, high_hz: float, rate_hz: float
) -> None:
    sos = band_pass(low_hz, high_hz, rate_hz)
    n = settle_samples(sos)
    slowest = np.max(np.abs(signal.sos2zpk(sos)[1]))
    assert slowest**n <= SETTLED < slowest ** (n - 1)
    step = np.ones((3 * n, 1))
    step[0] = 0.0
    ForwardFilter(sos, 1).run(step)
    # The two poles of the high-pass stand at 45 degrees: their envelope starts at sqrt(2).
    assert np.max(np.abs(step[n:])) < 1.5 * SETTLED
    assert np.max(np.abs(step[n // 2 :])) > SETTLED


def test_nothing_to_settle_without_a_filter() -> None:
    assert settle_samples(np.empty((0, 6))) == 0
    assert settle_samples(np.array([[1.0, 0.0, 0.0, 1.0, 0.0, 0.0]])) == 0


@pytest.mark.parametrize(
    ("low_hz", "high_hz"), [(0.0, 100.0), (-1.0, 100.0), (100.0, 100.0), (200.0, 100.0), (30.0, 2000.0)]
)
def test_a_band_outside_the_rate_is_refused(low_hz: float, high_hz: float) -> None:
    with pytest.raises(ValueError, match=r"band .* Hz is not within 0\.\.2000 Hz"):
        band_pass(low_hz, high_hz, 4000.0)
    with pytest.raises(ValueError, match="not within"):
        band_pass(math.nan, high_hz, 4000.0)


@pytest.mark.parametrize("corner_hz", [0.0, -3.0, 2000.0, math.nan])
def test_a_corner_outside_the_rate_is_refused(corner_hz: float) -> None:
    with pytest.raises(ValueError, match=r"corner .* Hz is outside 0\.\.2000 Hz"):
        butterworth(2, corner_hz, "low", 4000.0)


@pytest.mark.parametrize("order", [-2, 0, 1, 3])
def test_an_order_that_is_not_even_is_refused(order: int) -> None:
    with pytest.raises(ValueError, match=f"filter order {order} is not even"):
        butterworth(order, 100.0, "low", 4000.0)


@pytest.mark.parametrize(("low_hz", "high_hz", "rate_hz"), [(0.5, 70.0, 16000.0), (1.0, 1000.0, 16000.0)])
def test_an_electrode_offset_of_200_mv_costs_less_than_a_hundredth_of_a_microvolt(
    low_hz: float, high_hz: float, rate_hz: float
) -> None:
    sos = band_pass(low_hz, high_hz, rate_hz)
    lsb_uv, offset_counts = 0.0223, round(2e5 / 0.0223)
    n = 2 * settle_samples(sos)
    uv = 10.0 * band_noise(np.random.default_rng(7), (n, 1), rate_hz, 2.0, 60.0)
    counts = np.rint(uv / lsb_uv).astype(np.int32)
    filtered = []
    for shift in (0, offset_counts):
        made = stream(sos, history=n, lsb_uv=lsb_uv)
        made.append(counts + np.int32(shift), [])
        filtered.append(made.rows(made.settled, n))
    assert np.sqrt(np.mean(filtered[0] ** 2)) > 5.0
    assert np.sqrt(np.mean((filtered[1] - filtered[0]) ** 2)) < 0.01
