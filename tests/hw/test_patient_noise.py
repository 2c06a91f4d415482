"""What the model patient gives without stimuli: the spectra, levels, bursts and drifts of the facts."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import median_filter
from scipy.signal import welch

from hw.model.brain import BrainCourse
from hw.model.patient import Patient
from hw.model.scenario import NoiseChange, Scenario
from hw.model.sources import Background
from hw.model.stochastic import BurstTrain, OnePoleBank, child, rms_of

Floats = NDArray[np.float64]


def background_uv(
    electrodes: tuple[str, ...], rate_hz: float, seconds: float, seed: int = 1, **factors: float
) -> Floats:
    """(electrode, time) with the given noise factors from the start."""
    noise = (NoiseChange(0.0, **factors),)
    source = Background(electrodes, rate_hz, seed, delay_samples=1.5, mains_hz=50.0, noise=noise)
    chunks = int(np.ceil(seconds * rate_hz / source.chunk_samples))
    return np.hstack([source.next_uv() for _ in range(chunks)])[:, : int(seconds * rate_hz)]


def without_offset_uv(
    electrodes: tuple[str, ...], rate_hz: float, seconds: float, **factors: float
) -> Floats:
    """The same less the electrodes' offsets and drift, whose spectrum would leak into every band."""
    offset = background_uv(electrodes, rate_hz, seconds, emg=0.0, mains=0.0, eeg=0.0)
    return background_uv(electrodes, rate_hz, seconds, **factors) - offset


def in_band(wave: Floats, rate_hz: float, low_hz: float, high_hz: float) -> Floats:
    spectrum = np.fft.rfft(wave - wave.mean())
    at_hz = np.fft.rfftfreq(len(wave), 1 / rate_hz)
    spectrum[(at_hz < low_hz) | (at_hz > high_hz)] = 0
    return np.fft.irfft(spectrum, len(wave))


def rms(wave: Floats) -> float:
    return float(np.sqrt(np.mean(wave**2)))


def second_rms(wave: Floats, rate_hz: float) -> Floats:
    whole = int(rate_hz)
    return np.sqrt(np.mean(wave[: len(wave) // whole * whole].reshape(-1, whole) ** 2, axis=1))


def test_chunks_leave_no_trace() -> None:
    made = []
    for chunk_samples in (32, 256, 1024):
        source = Background(
            ("CP3", "C5S", "EPL"), 2000.0, 4, delay_samples=1.5, mains_hz=60.0, chunk_samples=chunk_samples
        )
        made.append(np.hstack([source.next_uv() for _ in range(8192 // chunk_samples)]))
    for one, other in pairwise(made):
        assert np.allclose(one, other, rtol=0, atol=1e-7)


def test_noise_begins_as_it_goes_on() -> None:
    poles_hz, gains = (0.5, 5.0, 50.0), (1.0, -0.5, 0.3)
    bank = OnePoleBank([child(seed, "bank") for seed in range(800)], 1000.0, poles_hz, gains, 2.0)
    made = bank.rows(320)
    for at in (0, 31, 32, 319):
        assert rms(made[:, at]) == pytest.approx(2.0 * rms_of(poles_hz, gains, 1000.0), rel=0.1)


def test_read_gives_the_background_in_volts_by_row() -> None:
    electrodes = ("CP3", "EPL")
    awake = BrainCourse((), ())
    source = Background(electrodes, 4000.0, 9, delay_samples=1.5, mains_hz=50.0, brain=awake)
    patient = Patient(electrodes, 4000.0, seed=9)
    rows = np.array([patient.read(index) for index in range(512)])
    assert np.allclose(rows.T, 1e-6 * np.hstack([source.next_uv(), source.next_uv()]), rtol=1e-12)


@pytest.mark.parametrize("rate_hz", [500.0, 4000.0])
def test_eeg_falls_as_one_over_f(rate_hz: float) -> None:
    wave = background_uv(("CP3",), rate_hz, 100.0, mains=0.0, emg=0.0)[0]
    at_hz, density = welch(wave, rate_hz, nperseg=int(4 * rate_hz))
    inside = (at_hz >= 2) & (at_hz <= 0.3 * rate_hz) & (at_hz <= 300)
    slope = np.polyfit(np.log(at_hz[inside]), np.log(density[inside]), 1)[0]
    assert -1.15 < slope < -0.85


def test_eeg_is_a_few_microvolts_and_half_common() -> None:
    cp3, cp4, limb = without_offset_uv(("CP3", "CP4", "AHL"), 2000.0, 60.0, mains=0.0, emg=0.0)
    cp3, cp4, limb = (in_band(wave, 2000.0, 1.0, 1000.0) for wave in (cp3, cp4, limb))
    assert 3 < rms(cp3) < 8
    assert 0.35 < np.corrcoef(cp3, cp4)[0, 1] < 0.65
    assert rms(limb) < 0.5  # thermal only


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_scalp_derivation_has_the_noise_of_the_operating_room(seed: int) -> None:
    cp3, cp4 = background_uv(("CP3", "CP4"), 4000.0, 40.0, seed=seed)
    seconds = second_rms(in_band(cp3 - cp4, 4000.0, 30.0, 1000.0), 4000.0)
    assert 5.0 < np.median(seconds) < 8.0


def test_thermal_noise_is_that_of_five_kilohm() -> None:
    limb = background_uv(("AHL",), 4000.0, 20.0, mains=0.0, emg=0.0)[0]
    expected_uv = np.sqrt(4 * 1.380649e-23 * 310 * 5000 * 1900) * 1e6
    assert rms(in_band(limb, 4000.0, 100.0, 2000.0)) == pytest.approx(expected_uv, rel=0.05)


def mains_phase(wave: Floats, rate_hz: float, seconds: float) -> Floats:
    """Phase of 50 Hz by piece of `seconds`, unwrapped, in cycles."""
    turned = wave * np.exp(-2j * np.pi * 50.0 * np.arange(len(wave)) / rate_hz)
    pieces = turned.reshape(-1, int(seconds * rate_hz)).mean(axis=1)
    return np.unwrap(np.angle(pieces)) / (2 * np.pi)


def test_mains_drifts_slowly_within_its_bounds() -> None:
    wave = without_offset_uv(("CP3",), 1000.0, 300.0, emg=0.0, eeg=0.0)[0]
    off_hz = np.diff(mains_phase(wave - wave.mean(), 1000.0, 2.0)) / 2.0
    assert np.max(np.abs(off_hz)) < 0.05
    assert np.ptp(off_hz) > 0.02
    assert np.max(np.abs(np.diff(off_hz))) < 0.012  # slowly
    high = in_band(wave, 1000.0, 45.0, 55.0)
    amplitude = np.sqrt(2) * second_rms(high, 1000.0)[5:-5]
    assert 1.1 < amplitude.max() / amplitude.min() < 3


def test_mains_has_harmonics_and_an_imbalance_of_microvolts() -> None:
    electrodes = ("CP3", "CP4", "CPz", "Fpz", "EPL", "T12S")
    waves = without_offset_uv(electrodes, 2000.0, 30.0, emg=0.0, eeg=0.0)
    common = np.mean(waves, axis=0)
    for harmonic in range(1, 6):
        line = in_band(common, 2000.0, 50.0 * harmonic - 3, 50.0 * harmonic + 3)
        between = in_band(common, 2000.0, 50.0 * harmonic + 20, 50.0 * harmonic + 26)
        assert rms(line) > 0.5 and rms(line) > 50 * rms(between)
    differences = [in_band(one - other, 2000.0, 45.0, 55.0) for one, other in pairwise(waves)]
    amplitudes = [np.sqrt(2) * rms(difference) for difference in differences]
    assert max(amplitudes) < 6 and 1 < np.median(amplitudes) < 4
    assert np.sqrt(2) * rms(in_band(common, 2000.0, 45.0, 55.0)) > 10


def test_mains_above_the_converters_reach_is_left_out() -> None:
    wave = without_offset_uv(("CP3",), 250.0, 20.0, emg=0.0, eeg=0.0)[0]
    assert rms(in_band(wave, 250.0, 45.0, 55.0)) > 5
    assert rms(in_band(wave, 250.0, 110.0, 125.0)) < 0.02


def test_offsets_are_tens_of_millivolts_and_drift_slowly() -> None:
    electrodes = ("CP3", "CP4", "CPz", "Fpz", "EPL", "EPR", "C5S", "T12S")
    waves = background_uv(electrodes, 250.0, 400.0, emg=0.0, eeg=0.0, mains=0.0)
    offsets_mv = waves.mean(axis=1) / 1000
    assert np.all((np.abs(offsets_mv) > 5) & (np.abs(offsets_mv) < 65))
    assert len(set(np.round(offsets_mv, 3))) == len(electrodes) and np.ptp(np.sign(offsets_mv)) == 2
    assert np.all((np.ptp(waves, axis=1) > 100) & (np.ptp(waves, axis=1) < 1500))
    assert np.max(np.abs(np.diff(waves, axis=1))) * 250 < 200  # uV per second


def test_sources_switched_off_leave_the_others_as_they_were() -> None:
    electrodes = ("CP3", "C5S")

    def made(**factors: float) -> Floats:
        return background_uv(electrodes, 1000.0, 40.0, **factors)

    offset = made(emg=0.0, mains=0.0, eeg=0.0)
    parts = [made(mains=0.0, eeg=0.0), made(emg=0.0, eeg=0.0), made(emg=0.0, mains=0.0)]
    assert np.allclose(sum(part - offset for part in parts) + offset, made(), rtol=0, atol=1e-7)
    assert np.allclose(made(emg=3.0, mains=0.0, eeg=0.0) - offset, 3 * (parts[0] - offset), rtol=0, atol=1e-7)


def test_noise_changes_at_its_time_and_not_before() -> None:
    changed = Scenario(noise=(NoiseChange(1.0, emg=4.0), NoiseChange(2.0)))
    plain, loud = (Patient(("EPL", "EPR"), 1000.0, scenario=s) for s in (Scenario(), changed))
    difference = np.array([np.subtract(loud.read(k), plain.read(k)) for k in range(3000)])
    touched = np.flatnonzero(np.any(difference != 0, axis=1))
    assert (touched[0], touched[-1]) == (1002, 2001)  # the first row whose input, 1.5 samples back, is later


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_bursts_come_as_often_and_last_as_long_as_typical(seed: int) -> None:
    train = BurstTrain(child(seed, "bursts", "left arm"), 0.03)
    bursts = [
        b for start in range(0, 20_000, 10) for b in train.until(start, start + 10) if b.start_s >= start
    ]
    assert len(bursts) == pytest.approx(600, rel=0.15)
    lengths_s = np.array([burst.end_s - burst.start_s for burst in bursts])
    gains = np.array([burst.gain for burst in bursts])
    assert lengths_s.min() >= 0.3 and lengths_s.max() <= 3.0 and np.ptp(lengths_s) > 2.5
    assert gains.min() >= 2.0 and gains.max() <= 12.0 and np.ptp(gains) > 8


def test_a_burst_rises_and_ends_at_its_times() -> None:
    burst = BurstTrain(child(3, "bursts"), 0.03).until(0.0, 500.0)[0]
    train = BurstTrain(child(3, "bursts"), 0.03)
    assert train.excess(np.array([0.0, burst.start_s - 0.1])) is None
    middle_s = (burst.start_s + burst.end_s) / 2
    times_s = np.array(
        [
            burst.start_s,
            burst.start_s + 0.025,
            middle_s,
            burst.end_s - 0.0125,
            burst.end_s,
            burst.end_s + 0.05,
        ]
    )
    excess = train.excess(times_s)
    assert excess is not None
    assert excess / (burst.gain - 1) == pytest.approx([0.0, 0.5, 1.0, 0.25, 0.0, 0.0], abs=1e-9)


def bursts_heard(electrode: str, seed: int, seconds: float) -> int:
    """Times the muscle activity of `electrode` rises above 1.8 times its median of the half minute around."""
    wave = background_uv((electrode,), 500.0, seconds, seed=seed, mains=0.0, eeg=0.0)[0]
    level = np.sqrt(np.mean(in_band(wave, 500.0, 20.0, 250.0).reshape(-1, 50) ** 2, axis=1))
    loud = np.convolve(level > 1.8 * median_filter(level, 301), np.ones(3), "same") >= 2
    return int(np.count_nonzero(loud[1:] & ~loud[:-1]))


def test_bursts_are_heard_at_the_limbs_and_less_on_the_scalp() -> None:
    limb = sum(bursts_heard("EPL", seed, 300.0) for seed in range(1, 5))
    scalp = sum(bursts_heard("CP3", seed, 300.0) for seed in range(1, 5))
    expected = 0.03 * 300 * 4
    assert 0.6 * expected < limb < 1.5 * expected
    assert 0.2 * expected < scalp < limb
