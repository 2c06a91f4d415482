"""The meter finds mains where there is some, to 0.005 Hz in ten seconds, and says so where there is none."""

from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dsp import mains_meter
from dsp.mains_meter import MainsMeter, MainsReading
from hw.model.patient import Patient
from hw.model.sources import Mains

Floats = NDArray[np.float64]

BAR_HZ = 0.005
ARTIFACT_BAR_HZ = 0.01
LEVELS_UV = np.array([20.0, 2.4, 7.0, 1.6, 4.0])
PHASES = np.array([0.3, 0.1, 0.7, 0.4, 0.9])
ELECTRODES = ("CP3", "CP4", "CPz", "Fpz")


def waves(rate_hz: float, hz: float, seconds: float, levels: Floats = LEVELS_UV) -> Floats:
    """Mains of `hz` and its harmonics below half of `rate_hz`."""
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    kept = [h for h in range(1, 6) if h * hz < rate_hz / 2]
    return np.sum([levels[h - 1] * np.cos(2 * np.pi * (h * hz * t + PHASES[h - 1])) for h in kept], axis=0)


def noise(rate_hz: float, seconds: float, seed: int = 1) -> Floats:
    """White noise of 6 uVrms per 2 kHz, an electrode offset and its drift."""
    n = round(seconds * rate_hz)
    white = np.random.default_rng(seed).standard_normal(n) * 6 * np.sqrt(rate_hz / 4000)
    return white + 30e3 + 15 * np.arange(n) / rate_hz


def pulses(rate_hz: float, stimulus_hz: float, seconds: float, uv: float = 500.0, width: int = 3) -> Floats:
    """Stimulus artifacts: `width` samples of `uv` and a tail of 12 % that falls with 1.5 ms."""
    out = np.zeros(round(seconds * rate_hz))
    tail = 0.12 * uv * np.exp(-np.arange(round(0.01 * rate_hz)) / (0.0015 * rate_hz))
    shape = np.concatenate([np.full(width, uv), tail])
    for at in np.arange(0.1 * rate_hz, len(out) - len(shape), rate_hz / stimulus_hz).round().astype(int):
        out[at : at + len(shape)] += shape
    return out


def last(rate_hz: float, uv: Floats) -> MainsReading:
    return MainsMeter(rate_hz).append(uv)[-1]


def patient(rate_hz: float, hz: float, seed: int, stimulus_hz: float | None, seconds: float = 10.0) -> Floats:
    """The model patient's mean over electrodes in microvolts, stimulated all the while."""
    one = Patient(ELECTRODES, rate_hz, seed, mains_hz=hz)
    rows = np.empty(round(seconds * rate_hz))
    due = 0.1 * rate_hz
    for k in range(len(rows)):
        if stimulus_hz is not None and k + 2 >= due:
            one.stimulate(max(due, float(k)), "left median")
            due += rate_hz / stimulus_hz
        rows[k] = np.mean(one.read(k))
    return rows * 1e6


def true_hz(rate_hz: float, hz: float, seed: int, seconds: float = 10.0) -> float:
    """The mean frequency (slope of the phase) of that patient's wandering mains, from its source alone."""
    chunk = 256
    source = Mains(ELECTRODES, rate_hz, seed, chunk, hz)
    starts = range(0, round(seconds * rate_hz), chunk)
    times = [(start - 1.5 + np.arange(chunk)) / rate_hz for start in starts]
    uv = np.concatenate([source.next_uv(t).mean(axis=0) for t in times])[: round(seconds * rate_hz)]
    t = np.concatenate(times)[: len(uv)]
    # A mean over 0.2 s takes away harmonics and images, all of them near multiples of 10 Hz.
    width = round(0.2 * rate_hz)
    sums = np.concatenate([[0.0], np.cumsum(uv * np.exp(-2j * np.pi * hz * t))])
    phase = np.unwrap(np.angle(sums[width:] - sums[:-width])) / (2 * np.pi)
    return hz + float(np.polyfit(t[: len(phase)], phase, 1)[0])


@pytest.mark.parametrize("hz", [49.8, 50.0, 60.2])
@pytest.mark.parametrize("stimulus_hz", [None, 2.692, 5.0])
@pytest.mark.parametrize("rate_hz", [250, 500, 1000])
def test_the_patients_mains_is_measured_in_ten_seconds(
    rate_hz: int, stimulus_hz: float | None, hz: float
) -> None:
    for seed in (1, 2):
        reading = last(rate_hz, patient(rate_hz, hz, seed, stimulus_hz))
        assert reading.index == 10 * rate_hz
        assert reading.hz == pytest.approx(true_hz(rate_hz, hz, seed), abs=BAR_HZ)
        assert reading.hz_sd is not None and reading.hz_sd < BAR_HZ / 4
        assert reading.nominal_hz == round(hz, -1)
        assert 14 < reading.amplitude_uv[0] < 26


@pytest.mark.parametrize(("rate_hz", "hz"), [(2000, 59.9), (4000, 50.1), (8000, 59.8), (16000, 50.2)])
def test_so_it_is_at_high_sampling_rates(rate_hz: int, hz: float) -> None:
    reading = last(rate_hz, patient(rate_hz, hz, 1, 5.0))
    assert reading.hz == pytest.approx(true_hz(rate_hz, hz, 1), abs=BAR_HZ)


@pytest.mark.parametrize("hz", [49.8, 49.97, 50.0, 50.2, 59.8, 60.0, 60.13, 60.2])
@pytest.mark.parametrize("rate_hz", [250, 500, 1000, 4000, 16000])
def test_frequency_phase_and_amplitudes_of_a_known_sum(rate_hz: int, hz: float) -> None:
    uv = waves(rate_hz, hz, 10.0) + noise(rate_hz, 10.0)
    meter = MainsMeter(rate_hz)
    meter.restart(1000)
    readings = meter.append(uv)
    reading = readings[-1]
    assert [r.index for r in readings] == [1000 + (s + 1) * rate_hz for s in range(10)]
    assert [r.hz is None for r in readings] == [True] * 3 + [False] * 7
    assert reading.hz == pytest.approx(hz, abs=0.001)
    cycles = hz * 10.0 + PHASES[0]
    assert reading.phase_cycles is not None and 0 <= reading.phase_cycles < 1
    assert abs((reading.phase_cycles - cycles + 0.5) % 1 - 0.5) < 0.01
    carried = sum(h * round(hz, -1) < rate_hz / 2 for h in range(1, 6))
    assert reading.amplitude_uv == pytest.approx(LEVELS_UV[:carried], abs=0.3)


@pytest.mark.parametrize("hz", [50.1, 59.85])
@pytest.mark.parametrize(
    ("rate_hz", "stimulus_hz"),
    [
        (500, 5.0),
        (500, 11.9),
        (1000, 5.0),
        (1000, 10.0),
        (1000, 43.9),
        (4000, 5.0),
        (4000, 11.9),
        (4000, 43.9),
    ],
)
def test_stimulus_artifacts_do_not_fool_it(rate_hz: int, stimulus_hz: float, hz: float) -> None:
    width = 1 if rate_hz == 500 else 3
    uv = waves(rate_hz, hz, 12.0) + noise(rate_hz, 12.0) + pulses(rate_hz, stimulus_hz, 12.0, width=width)
    for reading in MainsMeter(rate_hz).append(uv)[9:]:
        assert reading.hz == pytest.approx(hz, abs=ARTIFACT_BAR_HZ)
        assert reading.amplitude_uv[0] == pytest.approx(LEVELS_UV[0], abs=1.0)


def test_artifacts_that_only_a_fit_of_mains_shows_are_left_out() -> None:
    strong = 8 * waves(250, 50.03, 10.0)
    reading = last(250, strong + noise(250, 10.0) + pulses(250, 5.0, 10.0, width=2))
    assert reading.hz == pytest.approx(50.03, abs=0.001)
    assert reading.amplitude_uv[0] == pytest.approx(160.0, abs=1.0)


def test_where_artifacts_leave_too_little_it_says_nothing() -> None:
    uv = waves(500, 50.1, 10.0) + noise(500, 10.0) + pulses(500, 43.9, 10.0)
    assert last(500, uv).hz is None


def test_they_would_if_they_were_not_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    uv = waves(250, 50.03, 10.0) + noise(250, 10.0) + pulses(250, 5.0, 10.0)
    assert last(250, uv).hz == pytest.approx(50.03, abs=0.002)
    monkeypatch.setattr(mains_meter, "_OUTLIER_SD", 1e9)
    fooled = last(250, uv).hz
    assert fooled is None or abs(fooled - 50.03) > ARTIFACT_BAR_HZ


@pytest.mark.parametrize("rate_hz", [250, 1000, 4000])
def test_artifacts_on_a_divisor_of_mains_are_no_mains(rate_hz: int) -> None:
    for seed in range(4):
        uv = noise(rate_hz, 12.0, seed) + pulses(rate_hz, 5.0, 12.0)
        assert {r.hz for r in MainsMeter(rate_hz).append(uv)} == {None}


@pytest.mark.parametrize("rate_hz", [250, 1000])
def test_where_nothing_stands_out_nothing_is_claimed(rate_hz: int) -> None:
    for seed in range(20):
        reading = last(rate_hz, noise(rate_hz, 10.0, seed))
        assert astuple(reading) == (10 * rate_hz, None, None, None, None, ())


def test_no_signal_at_all_is_no_mains() -> None:
    for uv in (np.zeros(5000), np.full(5000, -187e3), np.where(np.arange(5000) % 700 < 350, 1.0, 0.0)):
        assert last(500, uv).hz is None


def test_the_standard_deviation_is_believable_down_to_where_it_says_nothing() -> None:
    off = []
    for seed in range(120):
        level = (20.0, 4.0, 1.5, 0.8)[seed % 4]
        hz = 50 + np.random.default_rng(seed).uniform(-0.2, 0.2)
        reading = last(500, waves(500, hz, 10.0, LEVELS_UV * level / 20) + noise(500, 10.0, seed))
        if reading.hz is not None and reading.hz_sd is not None:
            off.append((reading.hz - hz) / reading.hz_sd)
    assert len(off) > 80
    assert 0.7 < np.sqrt(np.mean(np.square(off))) < 1.3
    assert np.max(np.abs(off)) < 5


def test_a_drift_gives_the_mean_frequency_and_the_phase_at_the_end() -> None:
    rate_hz, slope = 1000, 0.01
    t = np.arange(10 * rate_hz) / rate_hz
    cycles = 49.95 * t + slope / 2 * t**2
    reading = last(rate_hz, 20 * np.cos(2 * np.pi * cycles) + noise(rate_hz, 10.0))
    assert reading.hz == pytest.approx(50.0, abs=0.002)
    at_end = 49.95 * 10 + slope / 2 * 100
    assert reading.phase_cycles is not None
    assert abs((reading.phase_cycles - at_end + 0.5) % 1 - 0.5) < 0.01


def test_electrosurgery_over_a_third_of_the_time_does_not_spoil_it() -> None:
    uv = waves(1000, 60.1, 10.0) + noise(1000, 10.0)
    uv[5300:8200] += np.random.default_rng(2).standard_normal(2900) * 3000
    assert last(1000, uv).hz == pytest.approx(60.1, abs=BAR_HZ)


def test_the_stronger_of_two_grids_is_mains() -> None:
    weak = LEVELS_UV / 4
    for strong_hz, weak_hz in ((50.05, 59.9), (59.9, 50.05)):
        uv = waves(1000, strong_hz, 10.0) + waves(1000, weak_hz, 10.0, weak) + noise(1000, 10.0)
        assert last(1000, uv).hz == pytest.approx(strong_hz, abs=BAR_HZ)


@given(cuts=st.lists(st.integers(1, 4999), max_size=30), first=st.integers(0, 10**9))
@settings(max_examples=15, deadline=None)
def test_how_samples_are_cut_into_blocks_changes_no_bit(cuts: list[int], first: int) -> None:
    uv = waves(500, 50.1, 10.0) + noise(500, 10.0) + pulses(500, 5.0, 10.0, width=1)
    whole, cut = MainsMeter(500), MainsMeter(500)
    whole.restart(first)
    cut.restart(first)
    want = whole.append(uv)
    got = [r for part in np.split(uv, sorted(set(cuts))) for r in cut.append(part)]
    assert got == want
    assert cut.end == first + 5000


def test_after_a_gap_everything_starts_anew() -> None:
    uv = waves(500, 50.1, 10.0) + noise(500, 10.0)
    meter = MainsMeter(500)
    meter.append(waves(500, 59.9, 9.7))
    meter.restart(77777)
    fresh = MainsMeter(500)
    fresh.restart(77777)
    assert meter.append(uv) == fresh.append(uv)


def test_a_rate_that_carries_no_mains_is_refused_when_built() -> None:
    for rate_hz in (128.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="150 are the least"):
            MainsMeter(rate_hz)


@pytest.mark.parametrize("rate_hz", [160.0, 250.0, 1000.0])
def test_what_a_window_leaves_of_a_tone_is_the_sum_over_it(rate_hz: float) -> None:
    fit = mains_meter._Fit(rate_hz, [1, 1])
    n, off_hz = fit.samples, np.array([0.0, 1e-9, 0.02, -0.5, 2.0, 3.7])
    m = np.arange(n) - (n - 1) / 2
    weight = 1 + np.cos(2 * np.pi * m / n)
    expected = [weight @ np.cos(2 * np.pi * hz * m / rate_hz) / weight.sum() for hz in off_hz]
    assert fit.leaves(off_hz) == pytest.approx(expected, abs=1e-12)
