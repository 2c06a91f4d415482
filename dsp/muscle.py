"""One evoked muscle, nerve or D-wave response in a single sweep or a few: present or absent, with errors.

Owns the decision and what is measured: onset, peak to peak, area, duration, turns, phases, flags. Nothing is
averaged over hundreds and nothing is dropped: a clipped response is flagged. Refuses to call present what the
quiet rows of the same sweep (and rows recorded before it) could explain, and tells the limit that it set.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp import waveform
from dsp.presence import Z_95

Floats = NDArray[np.float64]
Spans = tuple[tuple[float, float], ...]

NOISE_TIMES = 8.0
"""A response is present beyond so many times the rms of the noise (peak to peak): white noise of 50 ms at
16 kHz reaches 7.6 in one of a hundred."""
QUIET_TIMES = 1.35
"""And beyond so many times the largest peak to peak of the quiet rows: discharges and drift are none."""
ARTIFACT_SDS, ARTIFACT_SHARE, FIRST_MS = 6.0, 0.1, 1.0
"""The artifact reaches into the window if its first millisecond stands so far from the quiet level: standard
deviations of the noise, and share of the least response."""
TAIL_SDS = 3.0
"""A window that begins so far off may begin in the artifact's tail: what only comes back is no response."""
TURN_SDS, TURN_SHARE = 5.0, 0.05
LEAST_QUIET_ROWS = 16
AT_RAIL = 0.99
SURROGATES = 16
RISE_TIMES, RISE_ERROR, SPREAD_TIMES = 2.2, 0.8, 1.2
"""The noise has raised the reading by so many times what as much noise again raises it (it grows with the
noise's amplitude where peaks are wide against its ripples), and the error of that is so many times it.
The spread is told small where the noise has chosen the peak."""
SLOW, FAST, STEP_MS = 0.4, 0.8, 1.0
"""But by nothing in slow noise, which moves both extremes together: the rms of its difference over STEP_MS is
below SLOW times its rms, and from FAST on by all of it."""


@dataclass(frozen=True, slots=True)
class Response:
    """One derivation of one stimulus; None where absent or where nothing can be said. Intervals are 95 %.

    `noise_uv` is the robust rms of the quiet rows and `limit_uv` the least peak to peak that would have been
    present; both None where rows are missing, and then nothing is known. `onset_ms` is where the trace leaves
    the noise, late by what the noise hides: `onset_ci_ms` holds the true beginning. A present response
    without `onset_ms` begins behind a stimulus artifact. `area_uv_ms` is rectified, from onset to end.
    """

    name: str
    present: bool
    onset_ms: float | None
    onset_ci_ms: tuple[float, float] | None
    amplitude_uv: float | None
    amplitude_ci_uv: tuple[float, float] | None
    area_uv_ms: float | None
    duration_ms: float | None
    turns: int | None
    phases: int | None
    positive_ms: float | None
    negative_ms: float | None
    noise_uv: float | None
    limit_uv: float | None
    clipped: bool
    artifact: bool


class ResponseMeter:
    """Measures the response to one stimulus in every derivation; row k is at t0_ms + k x dt_ms.

    `search_ms` is where it may be, `quiet_ms` one or more spans without response (before the stimulus, behind
    the response; 16 rows at least, 30 ms or more are wanted), `least_uv` the smallest peak to peak that
    counts, for all or per derivation. Raises ValueError for what cannot be.
    """

    def __init__(
        self,
        search_ms: tuple[float, float],
        t0_ms: float,
        dt_ms: float,
        names: Sequence[str],
        quiet_ms: Spans,
        least_uv: float | Sequence[float],
        rail_uv: float | None = None,
    ) -> None:
        if not (dt_ms > 0.0 and math.isfinite(t0_ms) and math.isfinite(dt_ms)):
            raise ValueError(f"rows every {dt_ms} ms from {t0_ms} ms on")
        if not names:
            raise ValueError("no derivation to measure")
        least = np.atleast_1d(np.asarray(least_uv, np.float64))
        if len(least) == 1:
            least = np.full(len(names), least[0])
        if len(least) != len(names) or not (np.isfinite(least).all() and (least > 0.0).all()):
            raise ValueError(f"least response {least_uv} uV for {len(names)} derivations")
        if rail_uv is not None and not rail_uv > 0.0:
            raise ValueError(f"rail at {rail_uv} uV")
        self._t0, self._dt = t0_ms, dt_ms
        self._names, self._least, self._rail = tuple(names), least, rail_uv
        self._search = self._rows(search_ms)
        if self._search.stop - self._search.start < 4:
            raise ValueError(f"search window {search_ms} ms has no four rows")
        quiet = [self._rows(part) for part in quiet_ms]
        if sum(part.stop - part.start for part in quiet) < LEAST_QUIET_ROWS:
            raise ValueError(f"quiet spans {quiet_ms} ms have no {LEAST_QUIET_ROWS} rows")
        if any(part.start < self._search.stop and self._search.start < part.stop for part in quiet):
            raise ValueError(f"quiet spans {quiet_ms} ms overlap the search window {search_ms} ms")
        self._quiet = quiet
        self._n_rows = max(part.stop for part in [self._search, *quiet])

    def _rows(self, span_ms: tuple[float, float]) -> slice:
        low, high = span_ms
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise ValueError(f"span {span_ms} ms")
        first = math.ceil((low - self._t0) / self._dt - 1e-9)
        last = math.floor((high - self._t0) / self._dt + 1e-9)
        if first < 0:
            raise ValueError(f"span {span_ms} ms begins before the sweep ({self._t0} ms)")
        return slice(first, last + 1)

    def measure(self, uv: Floats, before_uv: Floats | None = None) -> tuple[Response, ...]:
        """One response per derivation of `uv`: (time, derivation), or (sweep, time, derivation), whose mean.

        `before_uv` (time, derivation): rows without stimulus from before, a second or two where muscles
        discharge by themselves: a single quiet span of a sweep seldom holds a discharge that the search
        window does. Sweeps shorter than the windows, and rows that are no number, give an empty answer.
        """
        sweeps = np.asarray(uv, np.float64)
        sweeps = sweeps[None] if sweeps.ndim == 2 else sweeps
        n = len(self._names)
        if sweeps.ndim != 3 or not len(sweeps) or sweeps.shape[1] < self._n_rows or sweeps.shape[2] != n:
            return tuple(_unknown(name, False) for name in self._names)
        before = None if before_uv is None else np.asarray(before_uv, np.float64)
        if before is not None and (before.ndim != 2 or before.shape[1] != n):
            before = None
        clipped = self._clipped(sweeps)
        rows = _mean(sweeps)
        return tuple(
            self._one(k, rows[:, k], None if before is None else before[:, k], bool(clipped[k]))
            for k in range(n)
        )

    def parts(self, uv: Floats) -> tuple[Floats, Floats]:
        """Rows of the search window of `uv` (time, derivation), and quiet rows, less the median of these."""
        quiet = np.concatenate([uv[part] for part in self._quiet])
        level = np.median(quiet, axis=0)
        return uv[self._search] - level, quiet - level

    def _clipped(self, sweeps: Floats) -> NDArray[np.bool_]:
        """Per derivation: a row of any sweep's search window at its rail, or an extreme that is flat."""
        part = sweeps[:, self._search]
        top, bottom = part.max(axis=1, keepdims=True), part.min(axis=1, keepdims=True)
        extreme = ((part == top) | (part == bottom)) & (top > bottom)
        flat = extreme[:, 2:] & (part[:, 2:] == part[:, 1:-1]) & (part[:, 1:-1] == part[:, :-2])
        told = flat.any(axis=(0, 1))
        if self._rail is not None:
            told |= (np.abs(part) >= AT_RAIL * self._rail).any(axis=(0, 1))
        return np.asarray(told)

    def _one(self, k: int, rows: Floats, before: Floats | None, clipped: bool) -> Response:
        parts = [rows[part] for part in self._quiet]
        quiet = np.concatenate(parts)
        quiet = quiet[np.isfinite(quiet)]
        trace = rows[self._search]
        if len(quiet) < LEAST_QUIET_ROWS or not np.isfinite(trace).all():
            return _unknown(self._names[k], clipped)
        level, noise = float(np.median(quiet)), robust_rms(quiet)
        x, quiet = trace - level, quiet - level
        least = float(self._least[k])
        largest = max(float(np.ptp(quiet)), _largest(before, len(x)))
        limit = max(least, NOISE_TIMES * noise, QUIET_TIMES * largest)
        first = max(1, round(FIRST_MS / self._dt))
        off = abs(float(np.median(x[:first])))
        artifact = off > max(ARTIFACT_SDS * noise, ARTIFACT_SHARE * least)
        start = 0
        if max(off, abs(float(x[0]))) > TAIL_SDS * noise:
            # What only comes back from the artifact is none: count from where the trace first turns.
            turned = waveform.turning_points(x, limit)
            start = turned[0] if turned else len(x) if artifact else waveform.crossing(x)
        if len(x) - start < 2 or float(np.ptp(x[start:])) < limit:
            return Response(self._names[k], False, *(None,) * 10, noise, limit, clipped, artifact)
        start = start if artifact else 0
        return self._present(k, x[start:], quiet, start, (noise, limit, clipped, artifact))

    def _present(
        self, k: int, y: Floats, quiet: Floats, start: int, told: tuple[float, float, bool, bool]
    ) -> Response:
        noise, limit, clipped, artifact = told
        (top_at, top), (low_at, low) = (waveform.vertex(y, int(row)) for row in (y.argmax(), y.argmin()))
        amplitude = top - low
        ms = self._t0 + self._dt * (self._search.start + start)
        found = waveform.span(y, noise, amplitude, self._dt)
        inside = y[math.floor(found.onset) : math.ceil(found.end) + 1]
        turn = max(TURN_SDS * noise, TURN_SHARE * amplitude)
        onset = onset_ci = duration = None
        if not artifact:
            onset = ms + self._dt * found.onset
            onset_ci = (ms + self._dt * found.onset_ci[0], ms + self._dt * found.onset_ci[1])
            duration = self._dt * (found.end - found.onset)
        return Response(
            self._names[k],
            True,
            onset,
            onset_ci,
            *amplitude_and_interval(y, quiet, amplitude, self._dt),
            float(np.abs(inside).sum() * self._dt),
            duration,
            len(waveform.turning_points(inside, turn)),
            waveform.phases(inside, turn),
            ms + self._dt * top_at,
            ms + self._dt * low_at,
            noise,
            limit,
            clipped,
            artifact,
        )


def _mean(sweeps: Floats) -> Floats:
    """The mean (time, derivation) of the sweeps that are whole, derivation by derivation; NaN of none."""
    if len(sweeps) == 1:
        return np.asarray(sweeps[0])
    whole: NDArray[np.bool_] = np.asarray(np.isfinite(sweeps).all(axis=1))
    total = np.where(whole[:, None], sweeps, 0.0).sum(axis=0)
    count = whole.sum(axis=0)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), math.nan))


def robust_rms(quiet: Floats) -> float:
    """The rms of `quiet` (time,) about its median, without what is three times as large as usual."""
    off = np.abs(quiet - np.median(quiet))
    usual = 3.0 * 1.4826 * float(np.median(off))
    kept = off[off <= usual] if usual > 0.0 else off
    return float(np.sqrt(np.mean(kept**2)))


def amplitude_and_interval(
    y: Floats, quiet: Floats, amplitude: float, dt_ms: float
) -> tuple[float, tuple[float, float]]:
    """The peak to peak of the response under the noise in `y`, read as `amplitude`, and its 95 % interval.

    The quiet rows, shifted round and with both signs, are added to the trace (a bootstrap of noise): the
    spread of what is read then is the error; what that adds on average the noise has added before, and it
    is taken off.
    """
    n, length = len(quiet), len(y)
    at = (np.arange(length) + (n * np.arange(SURROGATES) // SURROGATES)[:, None]) % n
    noisy = np.concatenate([y + quiet[at], y - quiet[at]])
    reads = noisy.max(axis=1) - noisy.min(axis=1)
    rise = max(float(reads.mean()) - amplitude, 0.0)
    spread = math.hypot(SPREAD_TIMES * float(reads.std(ddof=1)), RISE_ERROR * rise)
    told = amplitude - RISE_TIMES * _fast(quiet, dt_ms) * rise
    return told, (max(told - Z_95 * spread, 0.0), told + Z_95 * spread)


def _fast(quiet: Floats, dt_ms: float) -> float:
    """Which share of the rise in such noise is taken off: 0 (slow) to 1."""
    step = max(1, round(STEP_MS / dt_ms))
    power = float(np.mean(quiet**2))
    if power <= 0.0 or len(quiet) <= step:
        return 0.0
    speed = math.sqrt(float(np.mean((quiet[step:] - quiet[:-step]) ** 2)) / power)
    return min(1.0, max(0.0, (speed - SLOW) / (FAST - SLOW)))


def _largest(before: Floats | None, length: int) -> float:
    """The largest peak to peak of the rows before in windows of `length` rows, half overlapping."""
    if before is None:
        return 0.0
    rows = before[np.isfinite(before)]
    if len(rows) < 2:
        return 0.0
    starts = range(0, max(len(rows) - length, 0) + 1, max(length // 2, 1))
    return max(float(np.ptp(rows[at : at + length])) for at in starts)


def _unknown(name: str, clipped: bool) -> Response:
    return Response(name, False, *(None,) * 12, clipped, False)
