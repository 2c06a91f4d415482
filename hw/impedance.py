"""From samples with a known square-wave current in them to ohms: one bin, its neighbours, one subtraction.

Owns the arithmetic of the AC method (facts/hardware.md 1.8, 6); refuses to know of registers and of time.
|Z| = |A_f| / (4/pi x I x sinc3(f)) - R_series with the subtraction as vectors. The wave counts from START, so
that its phase is known from the sample index.
"""

from dataclasses import dataclass
from math import pi, radians, sqrt

import numpy as np
from numpy.typing import NDArray

from hw.chips import ChipSpec
from hw.lead_off import Tone
from hw.sinc3 import response

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

TOLERANCE = 0.20
"""Of the current, part to part and lead to lead, while it was not calibrated (facts 1.8)."""
CALIBRATED_TOLERANCE = 0.012
"""What calibration per lead has reached from 1 to 50 kohm (facts 1.8)."""
TONE_OVER_NOISE = 4.0
"""Noise alone passes this with a probability of exp(-16)."""
LEAST_OF_SERIES = 0.5
"""A current that flows drops at least this much of what the board's own resistors make of it."""
_READY_TCLK = 9
_HARMONICS = 4096
_NEIGHBOURS = np.array([*range(-12, -3), *range(4, 13)])
_QUARTERS = 4
_STEEPEST = -radians(95.0)
_SHALLOWEST = radians(10.0)


@dataclass(frozen=True, slots=True)
class Reading:
    """What the bin at the tone's frequency holds per channel.

    `amplitude_v`: complex peak, phase against the tone's sine at sample index 0; `noise_v`: rms magnitude of
    the bins beside it; `drift_deg`: how far the phase moved between quarters of the window.
    """

    amplitude_v: Complexes
    noise_v: Floats
    drift_deg: Floats


@dataclass(frozen=True, slots=True)
class Ohms:
    """One electrode without the board's resistor: magnitude, its interval (95 % of noise and the current's
    tolerance), phase. `by_magnitude`: the phase was of no use and the resistor was subtracted without it; the
    phase is then that of electrode and resistor together."""

    ohm: float
    low_ohm: float
    high_ohm: float
    phase_deg: float
    by_magnitude: bool = False


def unit_response(chip: ChipSpec, rate_hz: float, tone: Tone) -> complex:
    """What the bin holds for 1 A into 1 ohm, sample index 0 being the first conversion after START.

    4/pi x sinc3(f) and the filter's delay; at four samples per cycle also the harmonics that sampling folds
    onto the tone (1.2 % at fDR / 4, below 0.1 % at eight samples per cycle), as a resistor gives them.
    """
    n = tone.samples_per_cycle
    first_samples = (chip.settling_tclk(rate_hz) - _READY_TCLK) / chip.sample_tclk(rate_hz)
    k = np.arange(1, _HARMONICS, 2)
    lines = 4 / (pi * k) * response(k / n) * np.exp(2j * np.pi * k * (first_samples / n))
    # A sine beyond half the rate comes back as its mirror image, which turns the other way.
    return complex(lines[k % n == 1].sum() - np.conj(lines[k % n == n - 1]).sum())


def read_tone(volts: Floats, first_index: int, tone: Tone) -> Reading:
    """The tone in one window; `volts` (tone.window_samples, channel), row 0 at sample index `first_index`.

    Hann over whole cycles: the tone lies exactly on a bin, mains 30 bins away leaks less than 1e-4. Raises
    ValueError for another number of rows.
    """
    if len(volts) != tone.window_samples:
        raise ValueError(f"read_tone: {len(volts)} rows, a window has {tone.window_samples}")
    at = len(volts) // tone.samples_per_cycle
    bins = _bins(volts)
    turn = np.exp(-2j * np.pi * (first_index % tone.samples_per_cycle) / tone.samples_per_cycle)
    amplitude: Complexes = 1j * turn * bins[at]
    noise = np.sqrt(np.mean(np.abs(bins[at + _NEIGHBOURS]) ** 2, axis=0))
    quarter = len(volts) // _QUARTERS
    parts = np.stack([_bins(part)[at // _QUARTERS] for part in volts.reshape(_QUARTERS, quarter, -1)])
    turned = np.angle(parts * np.conj(np.where(bins[at] == 0, 1, bins[at])), deg=True)
    return Reading(amplitude, noise, np.ptp(turned, axis=0))


def _bins(volts: Floats) -> Complexes:
    """Complex peak amplitudes of every bin, (bin, channel)."""
    n = len(volts)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)
    spectrum: Complexes = np.fft.rfft((volts - volts.mean(axis=0)) * hann[:, None], axis=0) * (4.0 / n)
    return spectrum


def missing(amplitude_v: complex, noise_v: float, least_v: float) -> str:
    """Why there is no tone to be believed, "" when there is; `least_v`: what the board's resistor drops."""
    size_v = abs(amplitude_v)
    if size_v <= TONE_OVER_NOISE * noise_v:
        return f"no tone: {size_v * 1e6:.3g} uV at its frequency, noise beside it {noise_v * 1e6:.3g} uV"
    if size_v < LEAST_OF_SERIES * least_v:
        return (
            f"no tone: {size_v * 1e6:.3g} uV, the board's own resistor would drop {least_v * 1e6:.3g} uV; "
            "the current does not flow"
        )
    return ""


def electrode_ohms(
    amplitude_v: complex,
    noise_v: float,
    volts_per_ohm: complex,
    series_ohm: float,
    tolerance: float,
    phase_known: bool = True,
) -> Ohms:
    """The electrode behind `series_ohm`. `volts_per_ohm`: current times `unit_response`.

    A lead turns the current by 0 to -90 degrees. A phase outside that, or `phase_known` False, says that the
    wave did not count from START: then the interval holds both a resistor and a capacitor of this magnitude.
    """
    total = amplitude_v / volts_per_ohm
    spread_ohm = 1.96 / sqrt(2) * noise_v / abs(volts_per_ohm)
    vague = spread_ohm / abs(total)  # radians that noise may have turned it
    angle = float(np.angle(total))
    if phase_known and _STEEPEST - vague <= angle <= _SHALLOWEST + vague:
        scaled = [abs(total / (1 + s * tolerance) - series_ohm) for s in (1, 0, -1)]
        phase_deg = float(np.degrees(np.angle(total - series_ohm)))
        low, ohm, high = scaled
        return Ohms(ohm, max(0.0, min(low, ohm) - spread_ohm), max(high, ohm) + spread_ohm, phase_deg)
    ohm = max(0.0, abs(total) - series_ohm)
    low = max(0.0, abs(total) / (1 + tolerance) - series_ohm - spread_ohm)
    widest = abs(total) / (1 - tolerance) + spread_ohm
    high = sqrt(max(ohm**2, widest**2 - series_ohm**2))
    return Ohms(ohm, low, high, float(np.degrees(angle)), by_magnitude=True)
