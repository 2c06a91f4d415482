"""Phase reversal over a strip: between which contacts N20 turns into P20, the central sulcus.

Owns the polarity of every contact and the probability of every gap, from one average. Refuses to find a
turn that noise could have made, or in a strip whose polarities do not fit one turn; says "none" instead.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dsp.covariance import toeplitz
from dsp.muscle import Spans

Floats = NDArray[np.float64]
Polarity = Literal["N20", "P20"]

CLEAR_SDS, BESIDE_SHARED = 4.0, 3.0
"""A contact has a polarity beyond so many standard errors (the pairs of a strip are many), and so many beyond
what noise that contacts share (a reference) makes of itself."""
SURE = 0.98
"""A turn is told from this probability on."""
FIRST_PEAK_MS = (17.0, 23.0)
LEAST_QUIET_ROWS = 16
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Contact:
    """One contact: its polarity at 20 ms (None: not clear of noise, or bad), signed size of the shared shape
    (peak to peak, positive where N20 is negative) and its standard error."""

    name: str
    polarity: Polarity | None
    amplitude_uv: float | None
    se_uv: float | None


@dataclass(frozen=True, slots=True)
class Reversal:
    """`between` two contacts (neighbours among the good ones), with the probability that it is there; None
    with `why` in words. `gaps`: probability of each gap between good contacts, by their names."""

    found: bool
    between: tuple[str, str] | None
    confidence: float
    gaps: tuple[tuple[str, str, float], ...]
    contacts: tuple[Contact, ...]
    why: str


class PhaseReversal:
    """Looks at averages of one strip; row k is at t0_ms + k x dt_ms, contacts in the order of the strip.

    `window_ms` holds N20 and what follows, `quiet_ms` rows without response (16 at least), whose
    autocovariance is taken for that of the noise. Raises ValueError for what cannot be.
    """

    def __init__(
        self,
        names: Sequence[str],
        t0_ms: float,
        dt_ms: float,
        quiet_ms: Spans,
        window_ms: tuple[float, float] = (15.0, 30.0),
    ) -> None:
        if len(names) < 3 or len(set(names)) < len(names):
            raise ValueError(f"contacts {tuple(names)}: three or more of different names")
        if not (dt_ms > 0.0 and math.isfinite(t0_ms) and math.isfinite(dt_ms)):
            raise ValueError(f"rows every {dt_ms} ms from {t0_ms} ms on")
        self._names, self._t0, self._dt = tuple(names), t0_ms, dt_ms
        self._window = self._rows(window_ms)
        self._quiet = [self._rows(part) for part in quiet_ms]
        if self._window.stop - self._window.start < 4:
            raise ValueError(f"window {window_ms} ms has no four rows")
        if sum(part.stop - part.start for part in self._quiet) < LEAST_QUIET_ROWS:
            raise ValueError(f"quiet spans {quiet_ms} ms have no {LEAST_QUIET_ROWS} rows")
        if not (window_ms[0] < FIRST_PEAK_MS[1] and window_ms[1] > FIRST_PEAK_MS[0]):
            raise ValueError(f"window {window_ms} ms does not hold N20")

    def _rows(self, span_ms: tuple[float, float]) -> slice:
        low, high = span_ms
        if not (math.isfinite(low) and math.isfinite(high) and self._t0 <= low < high):
            raise ValueError(f"span {span_ms} ms in a window from {self._t0} ms on")
        first = math.ceil((low - self._t0) / self._dt - 1e-9)
        return slice(first, math.floor((high - self._t0) / self._dt + 1e-9) + 1)

    def find(self, mean_uv: Floats, noise_uv: Sequence[float] | Floats) -> Reversal:
        """The reversal in an average `mean_uv` (time, contact) of residual noise `noise_uv` (contact,), rms.

        Every contact is projected on the shape that the others share (the first singular vector of traces in
        units of their noise), so that its own noise is not in what it is compared with. A gap's probability
        is Bayes' over one turn in each gap (one half in all) and none, of signs alone (`gap_probabilities`).
        """
        mean, noise = np.asarray(mean_uv, np.float64), np.asarray(noise_uv, np.float64)
        last = max(part.stop for part in [self._window, *self._quiet])
        if mean.ndim != 2 or noise.shape != mean.shape[1:] or mean.shape[1] != len(self._names):
            return self._none({}, "not an average of these contacts")
        if len(mean) < last:
            return self._none({}, "the average ends before the window")
        used = np.concatenate([mean[part] for part in [self._window, *self._quiet]])
        good = np.flatnonzero(np.isfinite(used).all(axis=0) & np.isfinite(noise) & (noise > 0.0))
        if len(good) < 3:
            return self._none({}, "fewer than three good contacts")
        quiet = np.concatenate([mean[part][:, good] for part in self._quiet])
        level = np.median(quiet, axis=0)
        scaled = ((mean[self._window][:, good] - level) / noise[good]).T
        z, size, clear = self._projected(scaled, (quiet - level).T)
        told = {
            int(k): Contact(
                self._names[k],
                None if abs(z[i]) < clear else "N20" if z[i] > 0.0 else "P20",
                float(z[i] * size * noise[k]),
                float(size * noise[k]),
            )
            for i, k in enumerate(good)
        }
        return self._verdict(z, told)

    def _projected(self, traces: Floats, quiet: Floats) -> tuple[Floats, float, float]:
        """Of `traces` (contact, time) in units of noise: deviates, positive for N20; what one of them is in
        peak to peak of the shape; and from where on one is clear."""
        unit = quiet / np.sqrt(np.maximum(np.mean(quiet**2, axis=1, keepdims=True), 1e-30))
        n, rows = traces.shape
        root = np.linalg.cholesky(toeplitz(unit, rows))
        white = np.linalg.solve(root, traces.T).T
        whole = np.linalg.svd(white, full_matrices=False)[2][0]
        shape = root @ whole
        whole = whole if self._first_peak(shape) < 0.0 else -whole
        z = np.empty(n)
        for k in range(n):
            others = np.linalg.svd(np.delete(white, k, axis=0), full_matrices=False)[2][0]
            z[k] = white[k] @ (others if others @ whole > 0.0 else -others)
        clear = max(CLEAR_SDS, BESIDE_SHARED + math.sqrt(rows * _shared(unit)))
        return z, float(np.ptp(shape)), clear

    def _first_peak(self, shape: Floats) -> float:
        """The extreme value of the shape about 20 ms."""
        at_ms = self._t0 + self._dt * np.arange(self._window.start, self._window.start + len(shape))
        about = shape[(at_ms >= FIRST_PEAK_MS[0]) & (at_ms <= FIRST_PEAK_MS[1])]
        return float(about[np.argmax(np.abs(about))]) if len(about) else 1.0

    def _verdict(self, z: Floats, told: dict[int, Contact]) -> Reversal:
        names = [contact.name for contact in told.values()]
        none, turns, signs = gap_probabilities(z)
        gaps = tuple((a, b, float(p)) for a, b, p in zip(names, names[1:], turns, strict=False))
        best = int(np.argmax(turns))
        clear = [contact.polarity for contact in told.values()]
        if not any(clear):
            return self._none(told, "no contact is clear of noise", gaps)
        if len({one for one in clear if one}) < 2:
            return self._none(told, "all clear contacts have one polarity", gaps)
        expected = [signs[best] if i <= best else -signs[best] for i in range(len(names))]
        if any(one and (one == "N20") != (sign > 0) for one, sign in zip(clear, expected, strict=True)):
            return self._none(told, "polarity turns more than once", gaps)
        if 1.0 - none < SURE:
            return self._none(told, f"a turn is not sure ({1.0 - none:.2f})", gaps)
        return Reversal(
            True, (names[best], names[best + 1]), float(turns[best]), gaps, self._contacts(told), ""
        )

    def _none(
        self, told: dict[int, Contact], why: str, gaps: tuple[tuple[str, str, float], ...] = ()
    ) -> Reversal:
        return Reversal(False, None, 0.0, gaps, self._contacts(told), why)

    def _contacts(self, told: dict[int, Contact]) -> tuple[Contact, ...]:
        return tuple(told.get(k, Contact(name, None, None, None)) for k, name in enumerate(self._names))


def _shared(unit: Floats) -> float:
    """Share of the power of noise `unit` (contact, time) that all contacts have in common: of the largest
    eigenvalue of their correlation, after whitening in time."""
    n, rows = unit.shape
    white = np.linalg.solve(np.linalg.cholesky(toeplitz(unit, rows)), unit.T).T
    power = np.sqrt(np.maximum(np.mean(white**2, axis=1), 1e-30))
    correlation = white @ white.T / rows / np.outer(power, power)
    return float(min(max((np.linalg.eigvalsh(correlation)[-1] - 1.0) / (n - 1), 0.0), 1.0))


def gap_probabilities(z: Floats) -> tuple[float, Floats, Floats]:
    """Of deviates along a strip: probability of no turn, of one in each gap, and the sign before it.

    Each hypothesis gives every contact a sign; its likelihood, flat in the sizes, is Phi(sign x z).
    """
    up = np.array([_log_phi(float(v)) for v in z])
    down = np.array([_log_phi(-float(v)) for v in z])
    logs = np.empty((2, len(z)))
    for k in range(len(z)):
        # k contacts of the first sign, the rest of the other; none of it: no turn.
        logs[0, k] = up[:k].sum() + down[k:].sum()
        logs[1, k] = down[:k].sum() + up[k:].sum()
    weights = np.exp(logs - logs.max())
    weights[:, 1:] /= len(z) - 1
    weights /= weights.sum()
    first = np.where(weights[0, 1:] >= weights[1, 1:], 1.0, -1.0)
    return float(weights[:, 0].sum()), np.asarray(weights[:, 1:].sum(axis=0)), first


def _log_phi(z: float) -> float:
    """log Phi(z); below -8 by its asymptote."""
    if z > -8.0:
        return math.log(_NORMAL.cdf(z))
    return -0.5 * z * z - math.log(-z) - 0.5 * math.log(2.0 * math.pi)
