"""Mains and the stimulus rate: how much of it an average keeps, and which period keeps least.

A component of f Hz meets an average of n sweeps, `period` samples apart, at x = f * period / rate_hz turns
a sweep; |sin(pi n x) / (n sin(pi x))| of it is left (facts/clinical.md 1.E): all of it where x is whole, and
no number of sweeps and no agreement of halves betrays that. Counts whole samples only, since a trigger can
fall on no other, and harmonics 1-5 below rate_hz / 2. Refuses to know of tests and how mains is measured.

What a fixed period can do has a floor. Of the turns x, 2x .. 5x one is always within 1/6 of a whole one
(Dirichlet), and where the span of frequencies is as wide as a lobe, that harmonic is met on top of one: no
less than 1 / (n sin(pi/6)) is left, 3.1 % after 64 sweeps. A lobe of harmonic h is 1 / (h * 64 periods) Hz
wide, at 2.7 sweeps a second 0.04 Hz of the first and 0.008 Hz of the fifth, so +-0.1 Hz covers many. Only who
measures mains and tunes the period to it comes below.
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mains = float | tuple[float, ...]

HARMONICS = 5
SWEEPS = 64
NOMINAL_HZ = (50.0, 60.0)
GOOD, FAIR, LOCKED = 0.03, 0.10, 0.30
# How far mains may be from what it is taken for: the grid's, and that of `dsp.mains_meter`. A wider span than
# the meter's own error costs more than it guards against: at 2.7 sweeps a second 0.005 Hz is half a lobe.
UNMEASURED_OFF_HZ = 0.1
MEASURED_OFF_HZ = 0.005
# Mains moves while it is averaged, by so much in half a minute: between good periods that decides.
WANDER_HZ = 0.02
# How far from the wanted rate to look: no further than needed for GOOD.
WITHIN = (0.03, 0.05, 0.10)
# Periods that leave so little more than the best are as good: the nearest of them is taken.
_TIE = 0.002


@dataclass(frozen=True, slots=True)
class RateReport:
    """What one stimulus period leaves of mains; fractions of 1, per harmonic from the fundamental on.

    `left` at the frequency itself, `worst_left` at the worst one in the span, `worst` the largest of these,
    left of `harmonic` around `harmonic_hz` (0 where the converter carries none). `locked` are the harmonics
    that leave LOCKED or more. `best_period` samples leave `best_worst` at worst. `text` is one line.
    """

    period: int
    stimulus_hz: float
    left: tuple[float, ...]
    worst_left: tuple[float, ...]
    worst: float
    harmonic: int
    harmonic_hz: float
    locked: tuple[int, ...]
    best_period: int
    best_hz: float
    best_worst: float
    text: str

    @property
    def verdict(self) -> str:
        """`good`, `fair`, `poor` or `locked`."""
        if self.locked:
            return "locked"
        return "good" if self.worst <= GOOD else "fair" if self.worst <= FAIR else "poor"


def carried(rate_hz: float, mains_hz: float) -> int:
    """How many of the harmonics 1-5 of `mains_hz` are below half of `rate_hz`."""
    return sum(h * mains_hz < rate_hz / 2 for h in range(1, HARMONICS + 1))


def left(period: int, rate_hz: float, mains_hz: float, n: int = SWEEPS) -> Floats:
    """Fraction of each carried harmonic (harmonic,) that `n` sweeps at `period` samples leave."""
    harmonics = np.arange(1, carried(rate_hz, mains_hz) + 1, dtype=np.float64)
    return _kernel(harmonics * mains_hz * period / rate_hz, n)


def most_left(period: int, rate_hz: float, mains_hz: Mains, n: int, off_hz: float) -> Floats:
    """The most that is left of each harmonic (harmonic,) for mains anywhere within +-`off_hz`, exactly.

    Several `mains_hz` mean any of them; a harmonic that only one of them carries counts.
    """
    count = max(carried(rate_hz, f) for f in _each(mains_hz))
    return _most_left(np.array([period], dtype=np.float64), rate_hz, mains_hz, n, off_hz)[0, :count]


def best_period(
    wanted_hz: float,
    rate_hz: float,
    mains_hz: Mains,
    n: int = SWEEPS,
    off_hz: float = MEASURED_OFF_HZ,
    within: float = WITHIN[0],
) -> int:
    """The period in samples that leaves least at worst, its rate within `within` (a fraction) of `wanted_hz`.

    All that are GOOD count as least: of them the one that leaves least should mains wander by WANDER_HZ, of
    near ties the nearest to `wanted_hz`. Where no whole period is within, the nearest. Raises ValueError for
    values that mean no stimulus.
    """
    _check(rate_hz, mains_hz, n, off_hz)
    if not (math.isfinite(wanted_hz) and 0 < wanted_hz <= rate_hz and 0 <= within < 1):
        raise ValueError(f"no period of whole samples at {rate_hz:g} SPS is near {wanted_hz:g} Hz")
    wanted = rate_hz / wanted_hz
    first, last = math.ceil(wanted / (1 + within)), math.floor(wanted / (1 - within))
    if last < first:
        return max(1, round(wanted))
    periods = np.arange(max(1, first), last + 1, dtype=np.float64)
    leaves = _most_left(periods, rate_hz, mains_hz, n, off_hz).max(axis=1)
    least = float(leaves.min())
    near = periods[leaves <= (GOOD if least <= GOOD else least + _TIE)]
    wander = _most_left(near, rate_hz, mains_hz, n, max(off_hz, WANDER_HZ)).max(axis=1)
    near = near[wander <= wander.min() + _TIE]
    return int(near[int(np.argmin(np.abs(rate_hz / near - wanted_hz)))])


def tuned_period(
    wanted_hz: float, rate_hz: float, mains_hz: Mains, n: int = SWEEPS, off_hz: float = MEASURED_OFF_HZ
) -> int:
    """`best_period`, looked for as far as WITHIN goes, but no further than it takes to be GOOD."""
    found = []
    for within in WITHIN:
        period = best_period(wanted_hz, rate_hz, mains_hz, n, off_hz, within)
        found.append((period, _worst(period, rate_hz, mains_hz, n, off_hz)))
        if found[-1][1] <= GOOD:
            return period
    # Nothing is good: going further must pay.
    least = min(worst for _, worst in found)
    return next(period for period, worst in found if worst <= least + _TIE)


def judge(
    period: int,
    rate_hz: float,
    mains_hz: Mains,
    n: int = SWEEPS,
    off_hz: float = MEASURED_OFF_HZ,
) -> RateReport:
    """What stimulating every `period` samples leaves of mains, and what would leave less near that rate.

    ValueError for values that mean no stimulus.
    """
    _check(rate_hz, mains_hz, n, off_hz)
    if period < 1:
        raise ValueError(f"a period of {period} samples is no period")
    most = most_left(period, rate_hz, mains_hz, n, off_hz)
    exact = most_left(period, rate_hz, mains_hz, n, 0.0)
    worst = float(most.max(initial=0.0))
    harmonic = int(np.argmax(most)) + 1 if len(most) else 0
    best = tuned_period(rate_hz / period, rate_hz, mains_hz, n, off_hz)
    best_worst = _worst(best, rate_hz, mains_hz, n, off_hz)
    if worst <= max(GOOD, best_worst + _TIE):  # no reason to change
        best, best_worst = period, worst
    report = RateReport(
        period=period,
        stimulus_hz=rate_hz / period,
        left=tuple(exact.tolist()),
        worst_left=tuple(most.tolist()),
        worst=worst,
        harmonic=harmonic,
        harmonic_hz=harmonic * _culprit(period, rate_hz, mains_hz, n, off_hz, harmonic),
        locked=tuple(h for h, most_of_h in enumerate(most.tolist(), 1) if most_of_h >= LOCKED),
        best_period=best,
        best_hz=rate_hz / best,
        best_worst=best_worst,
        text="",
    )
    return _with_text(report, n)


def _with_text(report: RateReport, n: int) -> RateReport:
    """`report` with its line."""
    said = {
        "good": "is clean of mains",
        "fair": "lets some mains through",
        "poor": "lets mains through",
        "locked": "is locked to mains",
    }
    line = f"{report.stimulus_hz:.5g} Hz {said[report.verdict]}"
    if report.harmonic:
        of = f"harmonic {report.harmonic} ({report.harmonic_hz:.5g} Hz)"
        line += f": {of} leaves {percent(report.worst)} % after {n} sweeps"
    if report.best_period != report.period:
        line += (
            f"; {report.best_hz:.5g} Hz ({report.best_period} samples) leaves {percent(report.best_worst)} %"
        )
    elif report.verdict != "good":
        line += "; no rate near it leaves less"
    return replace(report, text=line)


def percent(fraction: float) -> str:
    """`fraction` in percent, tenths below ten and whole above."""
    return f"{100 * fraction:.1f}" if fraction < 0.0995 else f"{100 * fraction:.0f}"


def _check(rate_hz: float, mains_hz: Mains, n: int, off_hz: float) -> None:
    """ValueError for what nobody can mean."""
    lowest = min(_each(mains_hz), default=0.0)
    if not (math.isfinite(rate_hz) and rate_hz > 0 and lowest > off_hz >= 0 and n >= 1):
        raise ValueError(f"{rate_hz:g} SPS, mains {mains_hz} +-{off_hz:g} Hz and {n} sweeps cannot be judged")


def _each(mains_hz: Mains) -> tuple[float, ...]:
    return mains_hz if isinstance(mains_hz, tuple) else (mains_hz,)


def _worst(period: int, rate_hz: float, mains_hz: Mains, n: int, off_hz: float) -> float:
    """The most that is left of any harmonic."""
    return float(most_left(period, rate_hz, mains_hz, n, off_hz).max(initial=0.0))


def _culprit(period: int, rate_hz: float, mains_hz: Mains, n: int, off_hz: float, harmonic: int) -> float:
    """Which of several mains frequencies leaves the most of `harmonic`."""

    def leaves(f: float) -> float:
        most = most_left(period, rate_hz, f, n, off_hz)
        return float(most[harmonic - 1]) if 0 < harmonic <= len(most) else -1.0

    return max(_each(mains_hz), key=leaves)


def _most_left(periods: Floats, rate_hz: float, mains_hz: Mains, n: int, off_hz: float) -> Floats:
    """What `most_left` says, for each of `periods`: (period, HARMONICS), 0 where not carried."""
    out = np.zeros((len(periods), HARMONICS))
    for f in _each(mains_hz):
        count = carried(rate_hz, f)
        harmonics = np.arange(1, count + 1, dtype=np.float64)
        low = np.outer(periods, harmonics * (f - off_hz)) / rate_hz
        high = np.outer(periods, harmonics * (f + off_hz)) / rate_hz
        out[:, :count] = np.maximum(out[:, :count], _kernel_max(low, high, n))
    return out


def _kernel(x: Floats, n: int) -> Floats:
    """|sin(pi n x) / (n sin(pi x))|, 1 where x is whole."""
    off = x - np.round(x)
    whole = np.abs(off) < 1e-9
    safe = np.where(whole, 0.5, off)
    return np.where(whole, 1.0, np.abs(np.sin(np.pi * n * safe) / (n * np.sin(np.pi * safe))))


def _kernel_max(low: Floats, high: Floats, n: int) -> Floats:
    """The kernel's maximum over low..high, exactly, elementwise.

    From a whole x to the half its lobes only fall, so a stretch between them has its maximum at an end or on
    the first top that it holds. A span without a whole x is one such stretch on either side of the half.
    """
    base = np.floor(low)
    a, b = low - base, high - base
    left_side = np.where(a < 0.5, _stretch_max(np.minimum(a, 0.5), np.minimum(b, 0.5), n), 0.0)
    near, far = np.clip(1 - b, 0.0, 0.5), np.clip(1 - a, 0.0, 0.5)
    right_side = np.where(b > 0.5, _stretch_max(near, far, n), 0.0)
    whole = (b >= 1.0) | (a == 0.0)
    both = np.maximum(_kernel(low, n), np.maximum(left_side, right_side))
    return np.where(whole, 1.0, both)


def _stretch_max(a: Floats, b: Floats, n: int) -> Floats:
    """The kernel's maximum over a..b with 0 <= a <= b <= 1/2."""
    where, height = _tops(n)
    lobe = np.floor(a * n).astype(np.intp)
    out = np.maximum(_kernel(a, n), _kernel(b, n))
    for first in (lobe, lobe + 1):
        held = (where[first] >= a) & (where[first] <= b)
        out = np.where(held, np.maximum(out, height[first]), out)
    return out


@lru_cache(maxsize=16)
def _tops(n: int) -> tuple[Floats, Floats]:
    """Where in 0..1/2 lobe k, from k/n to (k+1)/n, has its top, and how high: (lobe,) each, one to spare.

    Lobe 0 falls from 1 at 0. The others solve n tan(pi x) = tan(pi n x), by Newton's steps from the middle.
    """
    x = (np.arange(n // 2 + 2) + 0.5) / n
    x[0] = 0.0
    for _ in range(8):
        value = n * np.cos(np.pi * n * x) * np.sin(np.pi * x) - np.sin(np.pi * n * x) * np.cos(np.pi * x)
        slope = np.pi * (1 - n * n) * np.sin(np.pi * n * x) * np.sin(np.pi * x)
        x = np.where(np.abs(slope) > 1e-12, x - value / np.where(slope == 0.0, 1.0, slope), x)
    height = _kernel(x, n)
    x.setflags(write=False)
    height.setflags(write=False)
    return x, height
