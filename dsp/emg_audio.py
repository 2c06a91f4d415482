"""Free-running EMG to listen to: microvolts of chosen derivations as 8 kHz int16, in packets of 20 ms.

Owns its filter (60-3000 Hz), an exact rational resampling aligned to the absolute index, the ramps of muted
spans, the limiter and the squelch. Time stays true: mutes and gaps are silence of their length. Refuses rates
that 8 kHz is no sensible ratio of, and to raise for any data.
"""

import itertools
import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from dsp.emg_range import HIGHEST_HZ, LOWEST_HZ, MOST_PHASES, OUT_HZ
from dsp.filters import ForwardFilter, butterworth

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

PACKET = 160
RATES_HZ = (LOWEST_HZ, HIGHEST_HZ)
HIGH_PASS_HZ, LOW_PASS_HZ, STOP_HZ = 60.0, 3000.0, 3900.0
OF_NYQUIST = 0.85
"""Where the input carries less than LOW_PASS_HZ."""
STOPPED_DB = 60.0
RAMP_S = 0.002
RAMP = round(RAMP_S * OUT_HZ)
KNEE = 0.7
"""Of full scale: what is below is linear, what is above is bent towards full scale."""
SQUELCH_BLOCK, SQUELCH_HOLD_S = 20, 0.25
LONGEST_SILENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Packet:
    """160 samples at 8 kHz, read-only; sample k was at (first + k) / 8000 s of the input's index / rate.

    `silent`: nothing of it can be heard, since it is muted, in a gap, or squelched.
    """

    first: int
    samples: NDArray[np.int16]
    silent: bool


class EmgAudio:
    """The stream of the weighted sum of derivations. `full_scale_uv` is the fixed gain: what is full scale.

    Packets come as soon as their input is there; the same to the bit whatever the blocks, as long as a span
    is excluded at most `late_rows` behind its first row. `squelch_uv`: 0 for none; else silence until a
    sample passes it and from 0.25 s after the last on. Adds `latency_s` at most. ValueError for a rate
    outside 2-26 kSPS or one that 8 kHz is no ratio of, for weights that are none, and for scales that are
    not positive.
    """

    def __init__(
        self,
        rate_hz: float,
        weights: tuple[float, ...],
        full_scale_uv: float,
        squelch_uv: float = 0.0,
        late_rows: int = 0,
    ) -> None:
        if not RATES_HZ[0] <= rate_hz <= RATES_HZ[1]:
            raise ValueError(f"rate {rate_hz:g} Hz is outside {RATES_HZ[0]:g}..{RATES_HZ[1]:g} Hz")
        ratio = OUT_HZ / Fraction(rate_hz)
        if ratio.numerator > MOST_PHASES:
            raise ValueError(
                f"{OUT_HZ} Hz is {ratio} of {rate_hz:g} Hz: no ratio of at most {MOST_PHASES} phases"
            )
        if not any(weights) or not all(math.isfinite(w) for w in weights):
            raise ValueError(
                f"weights {weights} choose no derivation; give each its share, one at least not 0"
            )
        if not 0.0 < full_scale_uv < math.inf:
            raise ValueError(f"full_scale_uv = {full_scale_uv:g} is not above 0")
        if not 0.0 <= squelch_uv < math.inf:
            raise ValueError(f"squelch_uv = {squelch_uv:g} is negative")
        self._rate_hz, self._weights = rate_hz, weights
        self._up, self._down = ratio.numerator, ratio.denominator
        self._ramp_rows = math.ceil(RAMP_S * rate_hz)
        self._taps: Floats = _phases(rate_hz, self._up, self._ramp_rows + 2)
        self._half, self._late = len(self._taps[0]) // 2, late_rows
        self._scale, self._squelch_uv = 1.0 / full_scale_uv, squelch_uv
        self._filter = ForwardFilter(butterworth(2, HIGH_PASS_HZ, "high", rate_hz), 1)
        self._spans: list[tuple[int, float]] = []
        self._gain, self._held = 0, 0
        self.next_index = 0
        self._begun = False

    @property
    def latency_s(self) -> float:
        """From a row to the packet with its sample, at most: the packet, the filter's half, late spans."""
        return PACKET / OUT_HZ + (self._half + self._late + 1) / self._rate_hz

    def exclude(self, first: int, end: int | None) -> None:
        """Mute rows `first` to `end`; None: until the span that begins at `first` is told with its end.

        Told late, it mutes what has not become a packet yet, from a ramp on.
        """
        until = math.inf if end is None else float(end)
        self._spans = [span for span in self._spans if span[0] != first]
        self._spans.append((first, until))
        if self._begun and first < self.next_index:
            late = slice(max(first - self._from, 0), max(int(min(until, self.next_index)) - self._from, 0))
            self._mute[late], self._y[late] = True, 0.0  # as if it had been known when they came

    def append(self, first: int, uv: Floats) -> list[Packet]:
        """Take rows `uv` (time, derivation) from index `first` on; the packets that they complete.

        Where `first` lies ahead there was a gap: up to a minute of silence, and beyond that the packets' own
        index tells. Where it lies behind, the stream begins anew.
        """
        packets: list[Packet] = []
        if self._begun and 0 < first - self.next_index <= LONGEST_SILENCE_S * self._rate_hz:
            packets = self._take(None, first - self.next_index)
        elif not self._begun or first != self.next_index:
            self._begin(first)
        return packets + self._take(uv, len(uv))

    def _begin(self, index: int) -> None:
        """Row `index` is the first; silence was before it, from the beginning of its packet."""
        self._begun, self.next_index = True, index
        self._packet = index * self._up // self._down // PACKET
        self._from = self._packet * PACKET * self._down // self._up - self._reach()
        self._y, self._mute = np.zeros(index - self._from), np.ones(index - self._from, dtype=np.bool_)
        self._gain = self._held = 0
        self._filter.reset()

    def _reach(self) -> int:
        """Rows before its own that a sample may need."""
        return int(self._half + self._ramp_rows + 1)

    def _take(self, uv: Floats | None, n: int) -> list[Packet]:
        """The next `n` rows; None: a gap."""
        y, mute = np.zeros(n), np.ones(n, dtype=np.bool_)
        if uv is not None:
            for column, weight in enumerate(self._weights):
                if weight != 0.0:
                    y += weight * uv[:, column]
            mute = ~(np.abs(y) < 1e9)  # nan neither
            self._mark(mute)
        if not mute.any() and not (len(self._mute) and self._mute[-1]):
            self._run(y)
        else:
            self._in_parts(y, mute)
        self._y, self._mute = np.concatenate([self._y, y]), np.concatenate([self._mute, mute])
        self.next_index += n
        packets = []
        while self._last_needed() < self.next_index:
            packets.append(self._make())
        return packets

    def _mark(self, mute: Flags) -> None:
        """The rows within spans."""
        first, n = self.next_index, len(mute)
        self._spans = [span for span in self._spans if span[1] > first]
        for start, end in self._spans:
            if start < first + n:
                mute[max(start - first, 0) : (n if math.isinf(end) else int(end) - first)] = True

    def _in_parts(self, y: Floats, mute: Flags) -> None:
        """Filter what is not muted; the filter begins anew behind every mute, and mutes are nothing."""
        before = bool(self._mute[-1]) if len(self._mute) else True
        edges = [0, *(np.flatnonzero(mute[1:] != mute[:-1]) + 1).tolist(), len(mute)]
        for start, end in itertools.pairwise(edges):
            if end == start:
                continue
            if mute[start]:
                y[start:end] = 0.0
            else:
                if start > 0 or before:
                    self._filter.reset()
                self._run(y[start:end])

    def _run(self, y: Floats) -> None:
        """Filter rows (time,) in place."""
        rows = np.ascontiguousarray(y[:, None])
        self._filter.run(rows)
        y[:] = rows[:, 0]

    def _last_needed(self) -> int:
        """The last row that the next packet needs, behind which nothing of it can be excluded any more."""
        return (self._packet * PACKET + PACKET - 1) * self._down // self._up + self._half + self._late

    def _make(self) -> Packet:
        """The next packet: always the same operations on the same rows."""
        at = (self._packet * PACKET + np.arange(PACKET)) * self._down
        rows, phase = at // self._up - self._from, at % self._up
        windows = np.lib.stride_tricks.sliding_window_view(self._y, 2 * self._half)
        uv = np.sum(windows[rows - self._half + 1] * self._taps[phase], axis=1)
        open_ = self._open(rows) & self._loud(uv)
        gain = self._ramps(open_)
        level = uv * self._scale * gain
        samples = np.rint(32767.0 * limited(level)).astype(np.int16)
        samples.flags.writeable = False
        packet = Packet(self._packet * PACKET, samples, not gain.any())
        self._packet += 1
        keep = self._packet * PACKET * self._down // self._up - self._reach() - self._from
        if keep > 0:
            self._y, self._mute = self._y[keep:].copy(), self._mute[keep:].copy()
            self._from += keep
        return packet

    def _open(self, rows: NDArray[np.int64]) -> Flags:
        """Where no mute is nearer than a ramp: the gain is down when it begins, and stays so for as long."""
        if not self._mute.any():
            return np.ones(PACKET, dtype=np.bool_)
        muted = np.concatenate([[0], np.cumsum(self._mute)])
        near = muted[np.minimum(rows + self._ramp_rows + 1, len(self._mute))] - muted[rows - self._ramp_rows]
        return np.asarray(near == 0)

    def _loud(self, uv: Floats) -> Flags:
        """Where the squelch is open."""
        loud = np.ones(PACKET, dtype=np.bool_)
        if self._squelch_uv == 0.0:
            return loud
        peaks = np.abs(uv).reshape(-1, SQUELCH_BLOCK).max(axis=1)
        for block, peak in enumerate(peaks.tolist()):
            self._held = (
                round(SQUELCH_HOLD_S * OUT_HZ) if peak >= self._squelch_uv else self._held - SQUELCH_BLOCK
            )
            loud[block * SQUELCH_BLOCK : (block + 1) * SQUELCH_BLOCK] = self._held > 0
        return loud

    def _ramps(self, is_open: Flags) -> Floats:
        """The gain (sample,): smooth steps of 2 ms towards open and shut, from where it was."""
        steps = np.empty(PACKET, dtype=np.int64)
        edges = [0, *(np.flatnonzero(is_open[1:] != is_open[:-1]) + 1).tolist(), PACKET]
        for start, end in itertools.pairwise(edges):
            towards = 1 if is_open[start] else -1
            steps[start:end] = np.clip(self._gain + towards * np.arange(1, end - start + 1), 0, RAMP)
            self._gain = int(steps[end - 1])
        linear = steps / RAMP
        gain: Floats = linear * linear * (3.0 - 2.0 * linear)
        return gain


def limited(level: Floats) -> Floats:
    """Levels of full scale 1, bent from KNEE on so that they never pass 1: smooth, rising, odd."""
    size = np.abs(level)
    over = np.maximum(size - KNEE, 0.0) / (1.0 - KNEE)
    bent: Floats = np.sign(level) * (np.minimum(size, KNEE) + (1.0 - KNEE) * np.tanh(over))
    return bent


def _phases(rate_hz: float, up: int, least_half: int) -> Floats:
    """The low-pass as (phase, row): a Kaiser-windowed sinc (Crochiere and Rabiner 1981)."""
    half_hz = min(rate_hz, OUT_HZ) / 2.0
    passed = min(LOW_PASS_HZ, OF_NYQUIST * half_hz)
    stopped = max(STOP_HZ, passed + 600.0) if passed == LOW_PASS_HZ else 2.0 * half_hz - passed
    length_s = (STOPPED_DB - 8.0) / (2.285 * 2.0 * math.pi * (stopped - passed))
    half = max(math.ceil(0.5 * length_s * rate_hz), least_half)
    corner = 0.5 * (passed + stopped) / rate_hz
    beta = 0.1102 * (STOPPED_DB - 8.7)
    # Row j of phase p weighs the row j - half + 1 rows behind that at or before the sample.
    away = np.arange(-half + 1, half + 1)[None, :] - np.arange(up)[:, None] / up
    inside = np.maximum(1.0 - (away / half) ** 2, 0.0)
    taps = 2.0 * corner * np.sinc(2.0 * corner * away) * np.i0(beta * np.sqrt(inside)) / np.i0(beta)
    phases: Floats = taps / taps.sum(axis=1, keepdims=True)
    return phases
