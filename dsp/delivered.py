"""What a stimulator delivered, from its monitor outputs on two channels, and whether that is what was asked.

A pulse is far shorter than the converter's filter, but the filter keeps its area: the sum of its rows above
the baseline, times the sample period, over the pulse's width, is its height. Refuses to know who stimulates,
and to say a number without its error (95 %, from the rows before the pulse) or a verdict that the error does
not bear. Pulses of two phases have no area: not for them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hw.chips import FULL_SCALE_COUNTS, VREF_V

Floats = NDArray[np.float64]
Word = Literal["ok", "open", "low", "high", "short", "unknown"]

ROWS_BEFORE, ROWS_AFTER = 1, 4
"""Rows of a pulse around its trigger's; those behind it come on top of the pulse's width."""
BASELINE_ROWS, MIN_BASELINE_ROWS, BASELINE_S = 32, 8, 0.02
"""A whole period of the mains tells how much hum there may be in the pulse."""
OPEN_SHARE, SHORT_SHARE, SHORT_OHM = 0.2, 2.0, 50.0
TOLERANCE = 0.3
_OUTLIER_SDS = 6.0
_SLOW_RATIO = 2.5
_RAIL_SHARE, _HEIGHT_SHARE = 0.995, 0.95
# A verdict needs this many errors to the nearest limit, unless the error is so small that either will do.
_CLEAR, _SMALL_SHARE, _SMALL_OHM = 2.0, 0.045, 10.0
_LOAD_CLEAR = 3.0


@dataclass(frozen=True, slots=True)
class Monitor:
    """How the monitor outputs reach the converter: mA and V per mV at its input (None: no voltage monitor).

    Heights beyond 4.5 V / `gain` are cut before the filter, where no row shows it: 187.5 mV at gain 24.
    """

    ma_per_mv: float = 1.0
    v_per_mv: float | None = 4.0
    gain: int = 24

    def __post_init__(self) -> None:
        scales = (self.ma_per_mv, self.gain, 1.0 if self.v_per_mv is None else self.v_per_mv)
        if not all(math.isfinite(scale) and scale > 0 for scale in scales):
            raise ValueError(f"monitor scales {scales} are impossible; give more than 0")

    @property
    def full_scale_uv(self) -> float:
        """The converter's range."""
        return VREF_V * 1e6 / self.gain


@dataclass(frozen=True, slots=True)
class Delivered:
    """What the monitors say of one pulse, or of the mean of a train's. Errors are half of 95 % intervals.

    None where nothing can be said; `reason` says why there is no current.
    """

    pulses: int
    current_ma: float | None = None
    error_ma: float | None = None
    volts: float | None = None
    volts_error: float | None = None
    load_ohm: float | None = None
    load_error_ohm: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`word` and one line of text with the numbers."""

    word: Word
    text: str


def window_rows(width_us: float, rate_hz: float) -> int:
    """Rows of one pulse, and so the least spacing of triggers that are judged one by one."""
    return ROWS_BEFORE + 1 + ROWS_AFTER + math.ceil(width_us * 1e-6 * rate_hz)


def baseline_rows(rate_hz: float) -> int:
    """Free rows wanted before a pulse."""
    return max(BASELINE_ROWS, math.ceil(BASELINE_S * rate_hz))


def together(triggers: Sequence[int], width_us: float, rate_hz: float) -> list[tuple[int, ...]]:
    """Ascending triggers in groups whose rows overlap: each is one call of `delivered`."""
    rows = window_rows(width_us, rate_hz)
    groups: list[list[int]] = []
    for trigger in triggers:
        if groups and trigger - groups[-1][-1] < rows:
            groups[-1].append(trigger)
        else:
            groups.append([trigger])
    return [tuple(group) for group in groups]


def delivered(
    uv: Floats,
    triggers: Sequence[int],
    width_us: float,
    rate_hz: float,
    monitor: Monitor,
    earlier: Sequence[int] = (),
) -> Delivered:
    """What a pulse delivered, or the mean of a train whose rows overlap.

    `uv` (time, 1 or 2): microvolts of current and voltage monitor, unfiltered, without a gap. `triggers`:
    rows of `uv` at which the pulses' triggers are first seen, ascending; `earlier`: those of pulses before
    them, whose rows are no baseline. The last `baseline_rows` free rows before the train are, 8 at least.
    """
    first, end = triggers[0] - ROWS_BEFORE, triggers[-1] - ROWS_BEFORE + window_rows(width_us, rate_hz)
    pulses = len(triggers)
    if end > len(uv) or first < 0:
        return Delivered(pulses, reason="its samples are missing")
    free = np.ones(first, dtype=np.bool_)
    for trigger in earlier:
        start = trigger - ROWS_BEFORE
        free[max(start, 0) : max(start + window_rows(width_us, rate_hz), 0)] = False
    before = uv[:first][free][-baseline_rows(rate_hz) :]
    if len(before) < MIN_BASELINE_ROWS:
        return Delivered(pulses, reason=f"only {len(before)} samples of baseline before it")
    rows = pulses * width_us * 1e-6 * rate_hz
    current = _height(uv[first:end, 0], before[:, 0], rows, monitor)
    if current is None:
        return Delivered(pulses, reason=f"clipped at {monitor.full_scale_uv * 1e-3:g} mV")
    current_ma, error_ma = (value * 1e-3 * monitor.ma_per_mv for value in current)
    if monitor.v_per_mv is None or uv.shape[1] < 2:
        return Delivered(pulses, current_ma, error_ma)
    voltage = _height(uv[first:end, 1], before[:, 1], rows, monitor)
    if voltage is None:
        return Delivered(pulses, current_ma, error_ma)
    volts, volts_error = (value * 1e-3 * monitor.v_per_mv for value in voltage)
    if abs(current_ma) < _LOAD_CLEAR * error_ma or current_ma == 0.0:
        return Delivered(pulses, current_ma, error_ma, volts, volts_error)
    load_ohm = 1e3 * volts / current_ma
    error_ohm = 1e3 / abs(current_ma) * math.hypot(volts_error, volts * error_ma / current_ma)
    return Delivered(pulses, current_ma, error_ma, volts, volts_error, load_ohm, error_ohm)


def judge(
    commanded_ma: float | None,
    found: Delivered,
    kind: Literal["current", "voltage"] = "current",
    tolerance: float = TOLERANCE,
) -> Verdict:
    """Whether `found` is what was commanded, to `tolerance` (0.3: a loss of 40 % is found).

    `commanded_ma` of a constant-voltage stimulator is its voltage over the load that it should have.
    open: below 20 %. short: a load below 50 ohm, or with constant voltage more than 200 %. unknown: the error
    does not tell, nothing was commanded, or there is no number.
    """
    if found.current_ma is None or found.error_ma is None:
        return Verdict("unknown", f"unknown: {_whole(found)}{found.reason}")
    if commanded_ma is None or not commanded_ma > 0:
        return Verdict("unknown", f"unknown: {_numbers(found)}, but no current was commanded")
    share, error = abs(found.current_ma) / commanded_ma, found.error_ma / commanded_ma
    told = f"{_numbers(found)} of {commanded_ma:g} mA ({share:.0%})"
    limits = [OPEN_SHARE, 1.0 - tolerance, 1.0 + tolerance]
    if kind == "voltage":
        limits.append(SHORT_SHARE)
    if any(_between(share, limit, error, _SMALL_SHARE) for limit in limits):
        return Verdict("unknown", f"unknown: {told}: the error is too large to say")
    word: Word = "ok"
    if share < OPEN_SHARE:
        word = "open"
    elif found.load_ohm is not None and found.load_error_ohm is not None:
        if _between(found.load_ohm, SHORT_OHM, found.load_error_ohm, _SMALL_OHM):
            return Verdict("unknown", f"unknown: {told}: the load is too uncertain to say")
        word = "short" if found.load_ohm < SHORT_OHM else "ok"
    if word == "ok":
        if kind == "voltage" and share > SHORT_SHARE:
            word = "short"
        elif not 1.0 - tolerance <= share <= 1.0 + tolerance:
            word = "low" if share < 1.0 else "high"
    return Verdict(word, f"{word}: {told}")


def _between(value: float, limit: float, error: float, small: float) -> bool:
    """Whether a value with this error may lie on either side of the limit, and it matters."""
    return error > small and abs(value - limit) < _CLEAR * error


def _whole(found: Delivered) -> str:
    return f"train of {found.pulses} pulses as a whole: " if found.pulses > 1 else ""


def _numbers(found: Delivered) -> str:
    text = f"{_whole(found)}{found.current_ma:.4g} ± {found.error_ma:.2g} mA"
    if found.load_ohm is not None:
        return f"{text} at {found.volts:.3g} V into {_ohms(found.load_ohm, found.load_error_ohm or 0.0)}"
    return text if found.volts is None else f"{text} at {found.volts:.3g} ± {found.volts_error:.2g} V"


def _ohms(ohm: float, error_ohm: float) -> str:
    """A load in a unit that people read."""
    unit, name = next((u for u in ((1e6, "Mohm"), (1e3, "kohm")) if abs(ohm) >= u[0]), (1.0, "ohm"))
    return f"{ohm / unit:.3g} ± {error_ohm / unit:.2g} {name}"


def _height(rows: Floats, before: Floats, width_rows: float, monitor: Monitor) -> tuple[float, float] | None:
    """Mean height of pulses `width_rows` long in all, and its error, in microvolts; None when cut."""
    full_scale_uv = monitor.full_scale_uv
    level, area_sd, freedom = _baseline(before, len(rows), full_scale_uv / FULL_SCALE_COUNTS)
    height = float(rows.sum() - len(rows) * level) / width_rows
    railed = float(np.abs(rows).max()) >= _RAIL_SHARE * full_scale_uv
    if railed or abs(height + level) >= _HEIGHT_SHARE * full_scale_uv:
        return None
    return height, t_95(freedom) * area_sd / width_rows


def _baseline(before: Floats, n: int, lsb_uv: float) -> tuple[float, float, int]:
    """Level without outliers, standard deviation of a sum of `n` rows above it, degrees of freedom.

    White noise adds by its power; where the rows' spread is far above their neighbours' differences it is
    hum or drift, which may have one sign all along the pulse.
    """
    off = np.abs(before - np.median(before))
    kept = before[off <= max(_OUTLIER_SDS * 1.4826 * float(np.median(off)), lsb_uv)]
    variance = float(kept.var(ddof=1)) + lsb_uv**2 / 12
    white = float(np.mean(np.diff(kept) ** 2)) / 2 + lsb_uv**2 / 12
    if variance > _SLOW_RATIO * white:
        power = white * (n + n * n / len(kept)) + 2.0 * variance * n * n
    else:
        power = variance * (n + n * n / len(kept))
    return float(kept.mean()), math.sqrt(power), len(kept) - 1


def t_95(freedom: int) -> float:
    """Student's two-sided 95 % quantile, within 1 % from 3 degrees of freedom on (Cornish and Fisher)."""
    z = 1.959964
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + math.fsum(term / float(freedom) ** power for power, term in enumerate(terms, start=1))
