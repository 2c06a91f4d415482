"""Streaming decimation by a whole factor: the EEG's own rate out of that of evoked potentials.

Owns the anti-alias filter and the time of every row it gives: linear phase about absolute sample indices that
are multiples of the factor, so that row j speaks of input sample j x factor, exactly. Refuses to bridge a
gap: rows whose filter would reach over it are not given.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

PASS, STOP = 0.4, 0.6
"""Edges of pass-band and stop-band, of the new rate: what folds back folds to above the pass-band."""
STOP_DB = 82.0
"""What the window is designed for, at least 80 dB being promised; the pass-band then ripples by 0.001 dB."""
MOST_CANDIDATES = 10_000


@dataclass(frozen=True, slots=True)
class Decimated:
    """Rows (time, derivation) in microvolts; row k speaks of input sample (first_index + k) x factor.

    No rows where none are ready.
    """

    first_index: int
    uv: Floats


class Decimator:
    """Decimation of (time, derivation) from `rate_hz` to `new_rate_hz`, block by block.

    A row is given once `delay` more input samples are there. ValueError when the rates' quotient is not
    whole; it names the nearest rates that can be had.
    """

    def __init__(self, derivations: int, rate_hz: float, new_rate_hz: float) -> None:
        if derivations < 1:
            raise ValueError(f"{derivations} derivations cannot be decimated")
        self.factor = whole_factor(rate_hz, new_rate_hz)
        taps = design(self.factor)
        self.delay = len(taps) // 2
        """Input samples between the newest that a row needs and the one it speaks of; and as many before."""
        self._taps = np.repeat(taps[:, None], derivations, axis=1)
        self._product = np.empty_like(self._taps)
        self.restart(0)

    def restart(self, index: int) -> None:
        """Begin anew at input sample `index`, the first behind a gap."""
        self._rows = np.empty((0, self._taps.shape[1]))
        self._first = index
        self._next = -(-(index + self.delay) // self.factor)  # the first whose filter lies behind `index`

    def append(self, uv: Floats, first_index: int) -> Decimated:
        """Take the next input rows (time, derivation), whose first is sample `first_index`.

        Rows that do not follow the last ones restart the filter. What is not finite makes the rows that it
        reaches not finite.
        """
        if first_index != self._first + len(self._rows):
            self.restart(first_index)
        rows = np.concatenate([self._rows, uv])
        end = self._first + len(rows)
        first = self._next
        n_ready = max(0, (end - 1 - self.delay) // self.factor - first + 1)
        out = np.empty((n_ready, rows.shape[1]))
        at = first * self.factor - self.delay - self._first
        # One row at a time, always of the same shape: sums then do not know how the samples were cut.
        with np.errstate(invalid="ignore"):
            for row in out:
                np.multiply(rows[at : at + len(self._taps)], self._taps, out=self._product)
                np.add.reduce(self._product, axis=0, out=row)
                at += self.factor
        self._next += n_ready
        spent = min(len(rows), max(0, self._next * self.factor - self.delay - self._first))
        self._rows = rows[spent:].copy()
        self._first += spent
        return Decimated(first, out)


def design(factor: int) -> Floats:
    """Symmetric taps of sum 1: within 0.01 dB up to 0.4 of the new rate, 80 dB down from 0.6 of it on.

    One tap where the factor is 1.
    """
    if factor == 1:
        return np.ones(1)
    return windowed_sinc(PASS / factor, STOP / factor, STOP_DB)


def windowed_sinc(pass_edge: float, stop_edge: float, stop_db: float) -> Floats:
    """Symmetric low-pass taps of sum 1, edges in cycles a sample, `stop_db` (over 50) down (Kaiser 1974)."""
    half = math.ceil((stop_db - 7.95) / (14.36 * (stop_edge - pass_edge)) / 2)
    at = np.arange(-half, half + 1)
    taps = np.sinc(at * (pass_edge + stop_edge)) * np.kaiser(2 * half + 1, 0.1102 * (stop_db - 8.7))
    designed: Floats = taps / taps.sum()
    return designed


def whole_factor(rate_hz: float, new_rate_hz: float) -> int:
    """How many samples become one. ValueError where that is not whole; it names what can be had."""
    if not (math.isfinite(rate_hz) and math.isfinite(new_rate_hz) and 0.0 < new_rate_hz <= rate_hz):
        raise ValueError(f"{rate_hz:g} Hz cannot be decimated to {new_rate_hz:g} Hz")
    factor = round(rate_hz / new_rate_hz)
    if abs(factor * new_rate_hz - rate_hz) <= 1e-9 * rate_hz:
        return factor
    named = " and ".join(f"{rate:g} Hz" for rate in nearest_rates(rate_hz, new_rate_hz))
    raise ValueError(f"{rate_hz:g} Hz cannot be decimated to {new_rate_hz:g} Hz; nearest are {named}")


def nearest_rates(rate_hz: float, new_rate_hz: float) -> tuple[float, ...]:
    """The nearest rates below and above `new_rate_hz` that a whole factor gives, whole Hz where it can be."""
    quotient = rate_hz / new_rate_hz
    above = range(math.floor(quotient), 0, -1)
    below = range(math.floor(quotient) + 1, math.floor(quotient) + MOST_CANDIDATES)

    def first(factors: range) -> list[float]:
        whole = (rate_hz / k for k in factors if (rate_hz / k).is_integer())
        fallback = [rate_hz / factors[0]] if len(factors) else []
        return [found] if (found := next(whole, 0.0)) else fallback

    return tuple(first(below) + first(above))
