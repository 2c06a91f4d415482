"""Peaks of an average, each with intervals, present or absent: no number without its error.

A peak is present when the null averages (the noise that this very average carries) cannot explain it:
either the mean's energy over the peak's span is beyond theirs (F test), or its amplitude is beyond the
amplitudes that the same picking reads in them (t test, which slow noise under a sharp peak does not blind);
0.1 % in all. Intervals come from the mean plus and minus each null average, a bootstrap over the 16
interleaved blocks with fixed multipliers, and for latencies also from how far the mean falls beside its peak
against the noise there (dsp/README). An absent response is reported absent.
"""

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from dsp.intervals import Found, Try, intervals
from dsp.nouns import Average, Measurement, Peak
from dsp.picker import Picker, ambiguous, best_in_order, bounds, candidates, picker
from dsp.presence import Evidence, Noise, energetic, evidence_of, noise_of, outstanding

Floats = NDArray[np.float64]


def measure(
    average: Average, peaks: tuple[Peak, ...], names: tuple[str, ...], t0_ms: float, dt_ms: float
) -> list[Measurement]:
    """One measurement per peak; `names` are those of the derivations; time of row k is t0_ms + k*dt_ms."""
    return Measurer(peaks, names, len(average.mean_uv), t0_ms, dt_ms).measure(average)


class Measurer:
    """Measures the same peaks in one average after another of `n_rows` rows.

    Raises ValueError for a polarity that is not +1 or -1, a derivation without a name, or no sampling step.
    """

    def __init__(
        self, peaks: tuple[Peak, ...], names: tuple[str, ...], n_rows: int, t0_ms: float, dt_ms: float
    ) -> None:
        if not (dt_ms > 0.0 and math.isfinite(t0_ms)):
            raise ValueError(f"rows every {dt_ms} ms from {t0_ms} ms on")
        for peak in peaks:
            if peak.polarity not in (1, -1) or not 0 <= peak.derivation < len(names):
                raise ValueError(f"peak {peak.name}: polarity {peak.polarity}, derivation {peak.derivation}")
        self._peaks, self._names = peaks, names
        self._t0, self._dt = t0_ms, dt_ms
        self._pickers = [picker(peak, n_rows, t0_ms, dt_ms) for peak in peaks]
        self._groups: dict[int, list[int]] = {}
        for k, peak in enumerate(peaks):
            if not self._pickers[k].empty:
                self._groups.setdefault(peak.derivation, []).append(k)
        # The list's order is that of latencies, unless the windows say otherwise.
        centres = [sum(peak.window_ms) for peak in peaks]
        self._ordered = {
            d: len(ks) > 1 and all(centres[a] < centres[b] for a, b in pairwise(ks))
            for d, ks in self._groups.items()
        }

    def measure(self, average: Average) -> list[Measurement]:
        """One measurement per peak, in their order."""
        found: dict[int, Found] = {}
        with np.errstate(all="ignore"):
            for derivation, members in self._groups.items():
                noise = noise_of(average, derivation)
                if noise is not None:
                    found |= self._derivation(members, noise, self._ordered[derivation])
        return [self._record(k, found.get(k), average) for k in range(len(self._peaks))]

    def evidence(self, average: Average) -> list[Evidence]:
        """One per peak, in their order, of the largest value in its window alone."""
        noises = {d: noise_of(average, d) for d in self._groups}
        with np.errstate(all="ignore"):
            return [
                evidence_of(self._pickers[k], noises.get(peak.derivation))
                for k, peak in enumerate(self._peaks)
            ]

    def _derivation(self, members: list[int], noise: Noise, ordered: bool) -> dict[int, Found]:
        tries = {k: t for k in members if (t := _try(self._pickers[k], noise)) is not None}
        if tries:
            tries = _chosen(tries, noise, ordered)
        return {k: found for k, t in tries.items() if (found := intervals(t)) is not None}

    def _record(self, k: int, found: Found | None, average: Average) -> Measurement:
        peak = self._peaks[k]
        noise = float(average.noise_uv[peak.derivation])
        told = noise if math.isfinite(noise) else None
        name = self._names[peak.derivation]
        if found is None:
            return Measurement(peak.name, name, False, None, None, None, None, told)
        place, (first, last), amplitude, half = found
        latency, low, high = (self._t0 + self._dt * x for x in (place, first, last))
        interval_uv = (amplitude - half, amplitude + half)
        return Measurement(peak.name, name, True, latency, (low, high), amplitude, interval_uv, told)


def _try(where: Picker, noise: Noise) -> Try | None:
    """The largest value of the window, or None when absent."""
    if where.empty:
        return None
    up, baseline = where.cut(noise.traces)
    picked = where.pick(_both(up), None if baseline is None else _both(baseline))
    if not picked.extreme[0]:
        return None
    if not (outstanding(picked.amplitude_uv) or energetic(noise, where.span)):
        return None
    return Try(where, up, picked, noise)


def _both(values: Floats) -> Floats:
    """Mean and nulls as given, then mean + nulls, then mean - nulls: in such pairs what is linear cancels."""
    return np.concatenate([values, values[0] + values[1:], values[0] - values[1:]])


def _chosen(tries: dict[int, Try], noise: Noise, ordered: bool) -> dict[int, Try]:
    """The tries as they are if they are certain; else chosen together, and tested again where they differ."""
    rows = {k: int(t.picked.row[0]) for k, t in tries.items()}
    order = list(rows.values())
    level = {k: _level(t) for k, t in tries.items()}
    trace = noise.traces[0]
    unsure = {k for k, t in tries.items() if ambiguous(trace * t.where.sign, t.where, rows[k], level[k])}
    crossed = ordered and any(b <= a for a, b in pairwise(order))
    if not unsure and not crossed:
        return tries
    offered = {
        k: candidates(trace * t.where.sign, t.where, level[k]) if crossed or k in unsure else [(rows[k], 1e9)]
        for k, t in tries.items()
    }
    if ordered:
        chosen = dict(zip(tries, best_in_order(list(offered.values())), strict=True))
    else:
        chosen = {k: best_in_order([offer])[0] for k, offer in offered.items()}
    kept = {}
    for k, t in tries.items():
        row = chosen[k]
        if row == rows[k]:
            kept[k] = t
        elif row is not None:
            again = _try(t.where.narrowed(*bounds(trace * t.where.sign, t.where, row)), noise)
            if again is not None:
                kept[k] = again
            elif not crossed:
                kept[k] = t
    return kept


def _level(t: Try) -> float:
    """Rms of the null averages over the span."""
    nulls = t.up[1:]
    return math.sqrt(float(np.einsum("it,it->", nulls, nulls)) / nulls.size)
