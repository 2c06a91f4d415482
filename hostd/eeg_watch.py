"""EEG: its wave at 250 a second, spectra and trends every second, suppression, the rule for carotid clamps.

Owns the way from the case's sampling rate to the EEG's own, what is kept to compare with, and the words; the
numbers are dsp's, each with its interval. Time that is no EEG is told as such and makes no number.
"""

import math
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsp import carotid
from dsp.decimate import Decimator
from dsp.filters import ForwardFilter, butterworth
from dsp.nouns import Trigger
from dsp.spectra import EegSpectra, EegSpectrum
from dsp.stream import Scale, Stream
from dsp.suppression import Suppression, SuppressionMeter
from dsp.trends import BANDS_HZ, BINS_HZ, Estimates
from hostd.case import WatchPlan
from hostd.outgoing import Outgoing, event, finite

EEG_HZ = 250.0
MOST_S = 1.0
WAVE_ROWS = 25
WAVE_FROM_HZ = 0.5
SUPPRESSION_BEHIND_S = 3
"""Suppression is told later than a spectrum; with a spectrum goes that of so many seconds before."""
KEPT_S, BASELINE_S, CHANGES_S = 600, 180, 180


class EegWatch:
    """Follows the derivations of one watch. Raises ValueError for a rate that 250 is no whole part of."""

    def __init__(self, plan: WatchPlan, rate_hz: float, scale: Scale) -> None:
        self.plan, self._rate_hz = plan, rate_hz
        self._names = names = tuple(d.name for d in plan.derivations)
        most = math.ceil(MOST_S * rate_hz)
        self._stream = Stream(plan.derivations, scale, np.empty((0, 6)), 0, 1, most)
        self._decimator = Decimator(len(names), rate_hz, EEG_HZ)
        self._factor = self._decimator.factor
        self._spectra = EegSpectra(names, EEG_HZ, plan.pairs)
        self._suppression = SuppressionMeter(len(names), EEG_HZ)
        self._sides: carotid.Sides | None = None
        if plan.pairs:
            left, right = zip(*plan.pairs, strict=True)
            self._sides = tuple(map(names.index, left)), tuple(map(names.index, right))
        self._high_pass = ForwardFilter(butterworth(2, WAVE_FROM_HZ, "high", EEG_HZ), len(names))
        self._wave_uv = np.empty((0, len(names)))
        self._wave_first = 0
        self._open: dict[tuple[int, str], bool] = {}
        self._suppressed: deque[Suppression] = deque(maxlen=2 * SUPPRESSION_BEHIND_S + 4)
        self._told: deque[EegSpectrum] = deque(maxlen=KEPT_S)
        self._changes: deque[carotid.CarotidChange] = deque(maxlen=CHANGES_S)
        self._baseline: carotid.Baseline | None = None
        self._wants_baseline = self._sides is not None and plan.baseline == "auto"

    @property
    def max_block(self) -> int:
        """As `hostd.watching`."""
        return self._stream.max_block

    def restart(self, index: int) -> list[Outgoing]:
        """The signal begins anew at `index`; trends begin their windows anew, baselines stay."""
        self._stream.restart(index)
        self._decimator.restart(index)
        self._high_pass.reset()
        self._wave_uv = self._wave_uv[:0]
        return []

    def exclude(self, first: int, end: int | None, reason: str) -> None:
        """No EEG: what the decimation's filter sees of it neither."""
        self._open.pop((first, reason), None)
        if end is None:
            self._open[first, reason] = True
        else:
            self._leave_out(first, end)

    def _leave_out(self, first: int, end: int) -> None:
        reach = self._decimator.delay
        span = (first - reach) // self._factor, -(-(end + reach) // self._factor)
        self._spectra.exclude(*span)
        self._suppression.exclude(*span)

    def append(self, counts: NDArray[np.int32], triggers: list[Trigger]) -> list[Outgoing]:
        """The next contiguous samples; stimuli do not matter to what lies below 30 Hz."""
        first = self._stream.end
        self._stream.append(counts, [])
        for begun, _ in self._open:
            self._leave_out(begun, self._stream.end)
        rows = self._stream.rows(first, self._stream.end).astype(np.float64)
        slow = self._decimator.append(rows, first)
        if not len(slow.uv):
            return []
        self._suppressed.extend(self._suppression.append(slow.uv, slow.first_index))
        messages: list[Outgoing] = []
        for spectrum in self._spectra.append(slow.uv, slow.first_index):
            messages += self._spectrum(spectrum)
        return messages + self._wave(slow.uv, slow.first_index)

    def finish(self) -> list[Outgoing]:
        """Everything was said when it was so."""
        return []

    def set_baseline(self, index: int) -> list[Outgoing]:
        """Later minutes are compared with the last ones. Raises ValueError where they are too few."""
        if self._sides is None:
            raise ValueError(f"{self.plan.name} has no pairs of left and right derivations to compare")
        made = carotid.baseline(list(self._told)[-KEPT_S:], self._sides)
        if made is None:
            raise ValueError("a baseline needs two minutes of EEG without artifact")
        self._baseline = made
        self._changes.clear()
        self._wants_baseline = False
        return []

    def clear_baseline(self, index: int) -> list[Outgoing]:
        """Compare with nothing. Raises ValueError without a baseline."""
        if self._baseline is None:
            raise ValueError(f"{self.plan.name} has no baseline")
        self._baseline, self._wants_baseline = None, False
        self._changes.clear()
        return []

    def _spectrum(self, spectrum: EegSpectrum) -> list[Outgoing]:
        index = spectrum.end_index * self._factor
        self._told.append(spectrum)
        messages = self._first_baseline(index)
        sustained = self._clamp()
        suppression = self._suppression_at(spectrum.end_index)
        frame = {"test": self.plan.name, "modality": self.plan.modality, "derivations": list(self._names)}
        density = {
            "first_index": spectrum.first_index * self._factor,
            "hz": BINS_HZ.tolist(),
            "density_db": spectrum.density_db.astype(np.float32),
            "interval_db": list(spectrum.interval_db),
            "artifact": list(spectrum.artifact),
        }
        trends = {
            "artifact": list(spectrum.artifact),
            "quiet": spectrum.quiet.tolist(),
            "rms_uv": [finite(x) for x in spectrum.rms_uv],
            "sef95_hz": _each(spectrum.sef95_hz),
            "sef90_hz": _each(spectrum.sef90_hz),
            "median_hz": _each(spectrum.median_hz),
            "bands_uv2": dict(zip(BANDS_HZ, map(_each, _rows(spectrum.bands_uv2)), strict=True)),
            "alpha_delta": _each(spectrum.alpha_delta),
            "fast_slow": _each(spectrum.fast_slow),
            "pairs": [list(pair) for pair in self.plan.pairs],
            "asymmetry": dict(zip(BANDS_HZ, map(_each, _rows(spectrum.asymmetry)), strict=True)),
            "suppression": suppression,
            "ischaemia": sustained,
            "text": self._sentence(spectrum, suppression, sustained),
        }
        messages.append(Outgoing("spectrum", index, frame | density))
        messages.append(Outgoing("eeg", index, frame | trends))
        return messages

    def _first_baseline(self, index: int) -> list[Outgoing]:
        if not self._wants_baseline or len(self._told) < BASELINE_S or self._sides is None:
            return []
        made = carotid.baseline(list(self._told)[-BASELINE_S:], self._sides)
        if made is None:
            return []
        self._baseline, self._wants_baseline = made, False
        text = f"baseline of {self.plan.name} set by itself: {made.n * carotid.LOOK_S} s of EEG"
        return [event(index, text, "baseline", "auto", test=self.plan.name)]

    def _clamp(self) -> dict[str, Any] | None:
        """How the last half minute stands to the baseline, and for how long."""
        if self._baseline is None or self._sides is None:
            return None
        now = carotid.look(list(self._told)[-carotid.LOOK_S :], self._sides)
        change = carotid.change(self._baseline, now)
        self._changes.append(change)
        lasting = carotid.sustained(list(self._changes))
        return {
            "level": lasting.level,
            "side": lasting.side,
            "seconds": lasting.seconds,
            "told": lasting.told,
            "fast_ratio": _each(change.fast),
            "delta_ratio": _each(change.delta),
        }

    def _suppression_at(self, end_index: int) -> dict[str, Any] | None:
        """What is known of suppression some seconds before, so that blocks leave no trace."""
        wanted = end_index - SUPPRESSION_BEHIND_S * int(EEG_HZ)
        told = next((one for one in self._suppressed if one.end_index == wanted), None)
        if told is None:
            return None
        return {
            "end_index": wanted * self._factor,
            "ratio_pct": _each(told.ratio),
            "ratio_by_variance_pct": _each(told.ratio_by_variance),
            "probability": _each(told.probability),
            "good_s": told.good_s.tolist(),
            "artifact_share": told.artifact_share.tolist(),
        }

    def _sentence(
        self, spectrum: EegSpectrum, suppression: dict[str, Any] | None, sustained: dict[str, Any] | None
    ) -> str:
        edges = spectrum.sef95_hz.value[np.isfinite(spectrum.sef95_hz.value)]
        parts = [f"SEF95 {np.median(edges):.1f} Hz"] if len(edges) else ["no EEG to measure"]
        ratios = [] if suppression is None else [r[0] for r in suppression["ratio_pct"] if r[0] is not None]
        if ratios:
            parts.append(f"suppressed {np.median(ratios):.0f} % of the time")
        if sustained is not None and sustained["told"]:
            where = "both sides" if sustained["side"] == "both" else f"the {sustained['side']}"
            parts.append(f"{sustained['level']} loss on {where} for {sustained['seconds']} s")
        return f"{self.plan.name}: {', '.join(parts)}"

    def _wave(self, uv: NDArray[np.float64], first_index: int) -> list[Outgoing]:
        """The EEG as it is looked at, without its slowest part; a tenth of a second at a time."""
        rows = uv.copy()
        self._high_pass.run(rows)
        if first_index != self._wave_first + len(self._wave_uv):
            self._wave_uv, self._wave_first = self._wave_uv[:0], first_index
        self._wave_uv = np.concatenate([self._wave_uv, rows])
        told: list[Outgoing] = []
        while True:
            start = -(-self._wave_first // WAVE_ROWS) * WAVE_ROWS
            end = start + WAVE_ROWS
            if end > self._wave_first + len(self._wave_uv):
                return told
            part = self._wave_uv[start - self._wave_first : end - self._wave_first]
            fields = {
                "test": self.plan.name,
                "modality": self.plan.modality,
                "derivations": list(self._names),
                "rate_hz": EEG_HZ,
                "first_index": start * self._factor,
                "rows_per": self._factor,
                "uv": part.astype(np.float32),
                "low_uv": None,
            }
            told.append(Outgoing(f"wave.{self.plan.name}", end * self._factor, fields))
            self._wave_uv, self._wave_first = self._wave_uv[end - self._wave_first :], end


def _each(one: Estimates) -> list[list[float | None]]:
    """Value, low, high of every derivation; null where nothing can be said."""
    return [
        [finite(v), finite(low), finite(high)]
        for v, low, high in zip(one.value.tolist(), one.low.tolist(), one.high.tolist(), strict=True)
    ]


def _rows(of: Estimates) -> list[Estimates]:
    """Band by band."""
    return [Estimates(*row) for row in zip(of.value, of.low, of.high, strict=True)]
