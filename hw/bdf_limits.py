"""Which record length and which limits a BDF header needs so that rate and scale read back unchanged.

Owns the choice forced by number fields of eight characters. Refuses a rate or scale that they cannot carry.
"""

from fractions import Fraction
from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from hw.bdf import Signal, format_number
from hw.raw_bdf import COUNT_MAX

_DURATIONS_S = (Fraction(1, 10), Fraction(1, 5), Fraction(1, 4), Fraction(1, 2), Fraction(1))
_FIELD = 8
_DURATION_DECIMALS = 6
_SLOPE_TOLERANCE = 1e-9
_FEW = 12


def choose_record(rate_hz: float) -> tuple[int, float]:
    """Samples per record and record duration in seconds (0.1 to 1 s where the rate allows it).

    The first of 0.1, 0.2, 0.25, 0.5 and 1 s that holds whole samples; for other rates the pair whose eight
    character duration comes closest to the rate. Raises ValueError for a rate that no record can hold.
    """
    if not (np.isfinite(rate_hz) and 0.01 <= rate_hz <= 1e6):
        raise ValueError(f"rate {rate_hz!r} Hz cannot be recorded, expected 0.01 to 1000000 Hz")
    for duration in _DURATIONS_S:
        samples = Fraction(rate_hz) * duration
        if samples.denominator == 1:
            return int(samples), float(duration)
    least = max(1, int(np.ceil(0.1 * rate_hz)))
    n_samples = np.arange(least, max(least, int(rate_hz)) + 1)
    scale = 10.0**_DURATION_DECIMALS if least / rate_hz < 10 else 1e4
    durations_s = np.rint(n_samples / rate_hz * scale) / scale
    best = int(np.argmin(np.abs(n_samples / durations_s - rate_hz)))
    return int(n_samples[best]), float(durations_s[best])


@lru_cache(maxsize=64)
def choose_limits(lsb_uv: float, offset_uv: float) -> tuple[float, float, int, int]:
    """Physical minimum and maximum (uV), digital minimum and maximum for microvolts = counts x lsb + offset.

    Where eight characters cannot hold full scale, the digital limits move inwards (by at most an eighth) to
    counts whose microvolts they do hold: readers extrapolate linearly, so the scale stays exact and counts
    beyond the limits stay true. For every gain of the ADS1299 (LSB 4.5 V/gain/2^23, datasheet SBAS499A p. 20)
    the scale reads back bit for bit. Raises ValueError when no limits bring it within 1e-9.
    """
    if not (np.isfinite(lsb_uv) and np.isfinite(offset_uv) and lsb_uv != 0):
        raise ValueError(f"scale {lsb_uv!r} uV per count with offset {offset_uv!r} uV cannot be recorded")
    best: tuple[float, float, int, int] | None = None
    best_error = np.inf
    ends = product(_ends(lsb_uv, offset_uv, -1), _ends(lsb_uv, offset_uv, 1))
    for (digital_min, physical_min), (digital_max, physical_max) in ends:
        signal = Signal("", "uV", physical_min, physical_max, digital_min, digital_max, 1)
        error = abs(signal.scale / lsb_uv - 1) + abs(signal.offset - offset_uv) / abs(lsb_uv * COUNT_MAX)
        if error < best_error:
            best, best_error = (physical_min, physical_max, digital_min, digital_max), error
        if error == 0:
            break
    if best is None or best_error > _SLOPE_TOLERANCE:
        raise ValueError(f"scale {lsb_uv!r} uV per count with offset {offset_uv!r} uV fits no header field")
    return best


def _ends(lsb_uv: float, offset_uv: float, sign: int) -> list[tuple[int, float]]:
    """Counts near one end whose microvolts fit a field, best first: exact ones from the outside
    inwards, else the nearest."""
    top = min(COUNT_MAX + (sign < 0), int((9_999_999 - abs(offset_uv)) / abs(lsb_uv)))
    if top < 8:
        return []
    counts = sign * np.arange(top, top * 7 // 8 - 1, -1, dtype=np.int64)
    exact_uv: NDArray[np.float64] = counts.astype(np.float64) * lsb_uv + offset_uv
    field_uv = _round_to_field(exact_uv)
    error = np.abs(field_uv - exact_uv) / np.maximum(np.abs(exact_uv), abs(lsb_uv))
    good = np.flatnonzero(error <= 4 * np.finfo(np.float64).eps)[:_FEW]
    if not len(good):
        good = np.argsort(error)[:_FEW]
    return [(int(counts[k]), float(field_uv[k])) for k in good if _fits(float(field_uv[k]))]


def _round_to_field(value: NDArray[np.float64]) -> NDArray[np.float64]:
    """`value` rounded to the decimals that an eight character field leaves it."""
    whole_digits = np.floor(np.log10(np.maximum(np.abs(value), 1))).astype(np.int64) + 1
    decimals = np.maximum(_FIELD - (value < 0) - whole_digits - 1, 0)
    scale = 10.0**decimals
    rounded: NDArray[np.float64] = np.rint(value * scale) / scale
    return rounded


def _fits(value: float) -> bool:
    try:
        format_number(value)
    except ValueError:
        return False
    return True
