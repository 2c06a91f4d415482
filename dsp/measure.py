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

from dsp.intervals import Found, intervals
from dsp.kernels_measure import EXTREME, ROW
from dsp.limits import SUB_AVERAGES
from dsp.nouns import Average, Measurement, Peak
from dsp.picker import ambiguous, best_in_order, bounds, candidates, picker
from dsp.presence import (
    Evidence,
    Look,
    Noise,
    Scratch,
    energetic,
    evidence_of,
    gathered,
    look,
    noise_of,
    outstanding,
)

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
        self._derivations = np.array(list(self._groups), dtype=np.int64)
        self._traces = np.zeros((len(self._groups), SUB_AVERAGES, n_rows))
        self._scratch = Scratch(n_rows)
        self._average: Average | None = None
        self._noises: dict[int, Noise | None] = {}
        self._looks: dict[int, Look] = {}

    def measure(self, average: Average) -> list[Measurement]:
        """One measurement per peak, in their order."""
        self._see(average)
        found: dict[int, Found] = {}
        for derivation, members in self._groups.items():
            noise = self._noises[derivation]
            if noise is not None:
                found |= self._derivation(members, noise, self._ordered[derivation])
        return [self._record(k, found.get(k), average) for k in range(len(self._peaks))]

    def evidence(self, average: Average) -> list[Evidence]:
        """One per peak, in their order, of the largest value in its window alone."""
        return [self.evidence_of_peak(average, k) for k in range(len(self._peaks))]

    def evidence_of_peak(self, average: Average, k: int) -> Evidence:
        """That of peak `k` alone; what `measure` found out about the same average is used again."""
        self._see(average)
        noise = self._noises.get(self._peaks[k].derivation)
        return evidence_of(None if noise is None else self._look(k, noise), noise)

    def _see(self, average: Average) -> None:
        """Noise of the derivations; kept while it is the same average, which is held so that it stays so."""
        if average is self._average:
            return
        self._average = None
        self._looks.clear()
        gathered(average, self._derivations, self._traces)
        self._noises = {
            d: noise_of(average, d, self._traces[i], self._scratch) for i, d in enumerate(self._groups)
        }
        self._average = average

    def _look(self, k: int, noise: Noise) -> Look | None:
        where = self._pickers[k]
        if k not in self._looks and not where.empty:
            self._looks[k] = look(where, noise, self._scratch)
        return self._looks.get(k)

    def _derivation(self, members: list[int], noise: Noise, ordered: bool) -> dict[int, Found]:
        looks = {k: self._look(k, noise) for k in members}
        tries = {k: seen for k, seen in looks.items() if seen is not None and _present(seen, noise)}
        if tries:
            tries = self._chosen(tries, noise, ordered)
        told = {k: intervals(seen, noise, self._scratch) for k, seen in tries.items()}
        return {k: found for k, found in told.items() if found is not None}

    def _chosen(self, tries: dict[int, Look], noise: Noise, ordered: bool) -> dict[int, Look]:
        """The tries as they are if they are certain; else chosen together, and tested again where they
        differ."""
        rows = {k: int(seen.picks[0, ROW]) for k, seen in tries.items()}
        trace = noise.traces[0]
        unsure = {k for k, s in tries.items() if ambiguous(trace, s.where, rows[k], s.rms_uv)}
        crossed = ordered and any(b <= a for a, b in pairwise(rows.values()))
        if not unsure and not crossed:
            return tries
        chosen = _chosen_rows(tries, trace, rows, None if crossed else unsure, ordered)
        kept = {}
        for k, seen in tries.items():
            row = chosen[k]
            if row == rows[k]:
                kept[k] = seen
            elif row is not None:
                narrow = seen.where.narrowed(*bounds(trace * seen.where.sign, seen.where, row))
                again = None if narrow.empty else look(narrow, noise, self._scratch)
                if again is not None and _present(again, noise):
                    kept[k] = again
                elif not crossed:
                    kept[k] = seen
        return kept

    def _record(self, k: int, found: Found | None, average: Average) -> Measurement:
        peak = self._peaks[k]
        noise = float(average.noise_uv[peak.derivation])
        told = noise if math.isfinite(noise) else None
        name = self._names[peak.derivation]
        if found is None:
            return Measurement(peak.name, name, False, None, None, None, None, told)
        place, (first, last), amplitude, interval_uv = found
        latency, low, high = (self._t0 + self._dt * x for x in (place, first, last))
        return Measurement(peak.name, name, True, latency, (low, high), amplitude, interval_uv, told)


def _present(seen: Look, noise: Noise) -> bool:
    return bool(seen.picks[0, EXTREME]) and (outstanding(seen) or energetic(seen, noise))


def _chosen_rows(
    tries: dict[int, Look], trace: Floats, rows: dict[int, int], unsure: set[int] | None, ordered: bool
) -> dict[int, int | None]:
    """The best row of each try that is `unsure` (None: all are), in rising order if `ordered`."""
    offered = {
        k: candidates(trace, s.where, s.rms_uv) if unsure is None or k in unsure else [(rows[k], 1e9)]
        for k, s in tries.items()
    }
    if ordered:
        return dict(zip(tries, best_in_order(list(offered.values())), strict=True))
    return {k: best_in_order([offer])[0] for k, offer in offered.items()}
