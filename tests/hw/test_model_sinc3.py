"""The closed forms of the converter's filter against three running means done the long way (facts 1.1)."""

import numpy as np
import pytest

from hw.model.electrodes import Electrode, Lead
from hw.model.patient import Patient
from hw.model.sinc3 import Filtered, magnitude, square_wave, step_response
from tests.support.boards import Volts


def running_means(signal: np.ndarray, length: int) -> np.ndarray:  # type: ignore[type-arg]
    """Three means over the last `length` values each; the first values are not settled."""
    for _ in range(3):
        total = np.concatenate([[0.0], np.cumsum(signal)])
        signal = np.concatenate([np.zeros(length - 1), (total[length:] - total[:-length]) / length])
    return signal


@pytest.mark.parametrize(
    ("frequency_hz", "rate_hz", "gain"),
    [
        (31.25, 250, 0.9255),
        (7.8125, 250, 0.9952),
        (62.5, 250, 0.730),
        (0.262 * 250, 250, 2**-0.5),
        (0, 250, 1),
    ],
)
def test_magnitude_is_the_facts_figure(frequency_hz: float, rate_hz: float, gain: float) -> None:
    assert magnitude(frequency_hz, rate_hz) == pytest.approx(gain, abs=6e-4)


@pytest.mark.parametrize("rate_hz", [250.0, 16000.0])
def test_multiples_of_the_rate_vanish(rate_hz: float) -> None:
    assert magnitude(3 * rate_hz, rate_hz) == pytest.approx(0, abs=1e-12)


def test_a_step_is_taken_up_in_three_periods() -> None:
    length = 400
    step = running_means(np.concatenate([np.zeros(length * 4), np.ones(length * 4)]), length)
    for at in range(0, 4 * length, 37):
        taken = step[4 * length + at - 1] if at else 0.0
        assert step_response(at / length) == pytest.approx(taken, abs=2e-3)
    assert [step_response(k) for k in (-1, 0, 1, 2, 3, 9)] == pytest.approx([0, 0, 1 / 6, 5 / 6, 1, 1])


@pytest.mark.parametrize(("period", "sample"), [(1 << 16, 1 << 13), (1 << 14, 1 << 12), (1 << 18, 1 << 12)])
@pytest.mark.parametrize("offset", [0, 700])
def test_a_square_wave_through_the_filter(period: int, sample: int, offset: int) -> None:
    ticks = np.arange(-4 * period, 2 * period)
    filtered = running_means(np.where(ticks % period < period // 2, 1.0, -1.0), sample)
    expected = [filtered[4 * period + offset + n * sample - 1] for n in range(period // sample)]
    assert square_wave(period, sample, offset) == pytest.approx(np.array(expected), abs=1e-3)


def test_a_wave_into_a_network_is_its_current_response() -> None:
    """Each lead's volts to a square current, integrated tick by tick, then filtered the long way."""
    period, sample = 1 << 14, 1 << 11
    lead = Lead(Electrode(1_000.0, 20_000.0, 40e-9))
    step_s = 1 / 2_048_000
    keep = np.exp(-step_s / (20_000.0 * 40e-9))
    current = np.where(np.arange(6 * period) % period < period // 2, 1.0, -1.0)
    volts, held = np.empty_like(current), 0.0
    for k, amps in enumerate(current):
        held = keep * held + (1 - keep) * amps * 20_000.0
        volts[k] = amps * (2_200.0 + 1_000.0) + held
    filtered = running_means(volts, sample)
    expected = np.array([filtered[5 * period + n * sample - 1] for n in range(period // sample)])
    assert square_wave(period, sample, 0, lead) == pytest.approx(expected, rel=2e-3, abs=20)


def test_a_wave_that_conversions_do_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="no multiple"):
        square_wave(1000, 128, 0)


class Sine(Volts):
    """A sine of 1 V, `delay` conversions late."""

    def __init__(self, per_sample: float, delay: float) -> None:
        super().__init__(channels=1)
        self.per_sample, self.delay = per_sample, delay

    def read(self, sample: int) -> list[float]:
        return [np.sin(2 * np.pi * self.per_sample * (sample - self.delay))]


@pytest.mark.parametrize(
    ("per_sample", "tolerance"), [(0.01, 1e-4), (0.0625, 1e-3), (0.125, 2e-3), (0.25, 0.028)]
)
def test_a_body_behind_the_filter_droops_and_is_one_and_a_half_samples_late(
    per_sample: float, tolerance: float
) -> None:
    filtered = Filtered(Sine(per_sample, Filtered.delay_samples))
    got = np.array([filtered.read(k)[0] for k in range(400)])[200:]
    times = np.arange(200, 400)
    phasor = 2 * np.mean(got * np.exp(-2j * np.pi * per_sample * times))
    assert abs(phasor) == pytest.approx(magnitude(per_sample, 1.0), rel=tolerance)
    late = -np.angle(phasor * 1j) / (2 * np.pi * per_sample)
    assert late == pytest.approx(1.5, abs=1e-6)


def test_a_body_that_stands_still_passes_unchanged_from_the_first_row_on() -> None:
    filtered = Filtered(Volts(0.25, channels=1))
    assert [filtered.read(k) for k in range(3)] == [[0.25]] * 3


def test_a_stimulus_passes_through_to_the_patient() -> None:
    def rows(stimulated: bool) -> list[list[float]]:
        patient = Filtered(Patient(("CP3",), 4000.0, delay_samples=Filtered.delay_samples))
        got = [patient.read(k) for k in range(10)]
        if stimulated:
            patient.stimulate(9.0, "left median")
        return got + [patient.read(k) for k in range(10, 60)]

    still, pulsed = rows(False), rows(True)
    changed = [k for k, (a, b) in enumerate(zip(still, pulsed, strict=True)) if a != b]
    assert changed[0] in (10, 11)
    assert len(changed) > 30
