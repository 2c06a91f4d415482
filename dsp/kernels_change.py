"""The kernels of `dsp.change`: Page's test over sweeps, and the baseline that rolls along with it.

Plain loops over arrays, state and output passed in, nothing allocated, `nogil`; the same numbers sweep by
sweep and in any pieces. Refuse nothing: a sweep that is no number, or of no weight, only counts. Slow twins:
`dsp.reference_change`.

`settings` (SETTINGS,) and `state` (STATE,) are the places below, a row of `out` the columns below them.
"""

import math

import numba
import numpy as np
from numba import types

from dsp.kernels_types import F1, F2, IN1

MIN_THRESHOLD = 2.0
OVERSHOOT = 1.166
MAX_INFORMATION = 400.0
INFORMATION_SWEEPS = 2048
THRESHOLD_EVERY = 32
MIN_SWEEPS = 3
"""No alarm out of fewer sweeps, however sure of themselves they are."""
ALL_OF_IT = 1.0 - 1e-12
"""Three thirds of a threshold, rounded, are the threshold."""
MIN_LEVEL = 0.1
HUGE = 1e9
"""A ratio or weight beyond it (or below its inverse) is none."""

DELTA, INTERVAL, KEEP, ANSWERED = range(4)
SEEN, TOLD, INFORMATION, THRESHOLD, EVIDENCE, ZERO, ALARM = range(7)
KNOWN, WITHHELD, N_WITHHELD = 7, 10, 13
"""Sums of w p, w and w^2 v, with w = 1/v and what has been forgotten of it: learned, and withheld."""
SETTINGS, STATE = 4, 14
COLUMN_EVIDENCE, COLUMN_THRESHOLD, COLUMN_ALARM, COLUMN_SINCE, COLUMNS = range(5)


@numba.njit(types.float64(types.float64, types.float64), cache=True, nogil=True)
def threshold(information, interval_sweeps):
    """The CUSUM threshold h for one false alarm in `interval_sweeps`, at the mean `information` of a sweep.

    Information is (delta^2 / variance), the squared distance of the two hypotheses. Siegmund (1985): the mean
    run is 2 (e^b - b - 1) / information with b = h + 1.166 root(information). Never below MIN_THRESHOLD.
    """
    want = 0.5 * interval_sweeps * information
    b = math.log1p(want + math.sqrt(2.0 * want))
    for _ in range(4):
        slope = math.expm1(b)
        if slope > 0.0:
            b -= (slope - b - want) / slope
    return max(MIN_THRESHOLD, b - OVERSHOOT * math.sqrt(information))


@numba.njit(types.void(types.float64, types.float64, IN1, F1), cache=True, nogil=True)
def _weigh(p, v, settings, state):
    """One sweep's ratio p of variance v into the evidence."""
    state[SEEN] += 1.0
    if not (0.0 <= v < np.inf and -np.inf < p < np.inf):
        return
    delta = settings[DELTA]
    square = delta * delta
    information = square / v if v > square / MAX_INFORMATION else MAX_INFORMATION
    told = state[TOLD]
    state[TOLD] = told + 1.0
    state[INFORMATION] += (information - state[INFORMATION]) * (1.0 / min(told + 1.0, INFORMATION_SWEEPS))
    if told % THRESHOLD_EVERY == 0.0:
        state[THRESHOLD] = threshold(state[INFORMATION], settings[INTERVAL])
    h = state[THRESHOLD]
    gain = information * (1.0 - 0.5 * delta - p) / delta
    evidence = state[EVIDENCE] + min(max(gain, -h / MIN_SWEEPS), h / MIN_SWEEPS)
    if evidence <= 0.0:
        evidence = 0.0
        state[ZERO] = state[SEEN]
        state[ALARM] = 0.0
    elif evidence >= ALL_OF_IT * h:
        state[ALARM] = 1.0
        evidence = min(evidence, 2.0 * h)
    state[EVIDENCE] = evidence


@numba.njit(types.void(IN1, F1, F2, types.int64), cache=True, nogil=True)
def _tell(settings, state, out, row):
    """The row of `out`; where alarms are answered at once, the evidence of one is dropped then."""
    out[row, COLUMN_EVIDENCE] = state[EVIDENCE]
    out[row, COLUMN_THRESHOLD] = state[THRESHOLD]
    out[row, COLUMN_ALARM] = state[ALARM] if state[EVIDENCE] > 0.0 else 0.0
    out[row, COLUMN_SINCE] = state[ZERO] if state[EVIDENCE] > 0.0 else -1.0
    if settings[ANSWERED] > 0.0 and out[row, COLUMN_ALARM] > 0.0:
        state[EVIDENCE] = state[ALARM] = 0.0
        state[ZERO] = state[SEEN]
        for k in range(WITHHELD, N_WITHHELD + 1):
            state[k] = 0.0


@numba.njit(types.void(IN1, IN1, IN1, F1, F2), cache=True, nogil=True, error_model="numpy")
def cusum(p, v, settings, state, out):
    """Page's (1954) test over the ratios p (sweep,) of variances v (sweep,): out (sweep, column).

    s = delta (1 - delta/2 - p) / v for each sweep, S = max(0, S + s), alarm at S >= h until S is back at 0.
    A sweep adds or takes at most h / MIN_SWEEPS; S stops at 2 h. `out`: evidence S, threshold h, whether the
    alarm is on, and the sweep since which a change is likely (counted from 0; -1: none is).
    """
    for i in range(p.shape[0]):
        _weigh(p[i], v[i], settings, state)
        _tell(settings, state, out, i)


@numba.njit(types.void(F1, types.float64), cache=True, nogil=True)
def learn_withheld(state, keep):
    """What was withheld from the baseline becomes part of it; what was known is forgotten by as much."""
    share = keep ** state[N_WITHHELD]
    state[KNOWN] = share * state[KNOWN] + state[WITHHELD]
    state[KNOWN + 1] = share * state[KNOWN + 1] + state[WITHHELD + 1]
    state[KNOWN + 2] = share * share * state[KNOWN + 2] + state[WITHHELD + 2]
    for k in range(WITHHELD, N_WITHHELD + 1):
        state[k] = 0.0


@numba.njit(types.void(IN1, IN1, IN1, F1, F2), cache=True, nogil=True, error_model="numpy")
def rolling_cusum(p, v, settings, state, out):
    """The same against a baseline that follows the sweeps while there is no evidence against it.

    Its level is the mean of p, weighted 1/v, of which each sweep forgets all but settings[KEEP]. Sweeps are
    withheld from it while S > 0 and let in together when S is back at 0.
    """
    keep = settings[KEEP]
    for i in range(p.shape[0]):
        level = max(state[KNOWN] / state[KNOWN + 1], MIN_LEVEL)
        _weigh(p[i] / level, v[i] / (level * level), settings, state)
        if 0.0 <= v[i] < np.inf and abs(p[i]) < HUGE:
            more = 1.0 / max(v[i], 1.0 / HUGE)
            state[WITHHELD] = keep * state[WITHHELD] + more * p[i]
            state[WITHHELD + 1] = keep * state[WITHHELD + 1] + more
            state[WITHHELD + 2] = keep * keep * state[WITHHELD + 2] + more
            state[N_WITHHELD] += 1.0
        if state[EVIDENCE] == 0.0 and state[N_WITHHELD] > 0.0:
            learn_withheld(state, keep)
        _tell(settings, state, out, i)
