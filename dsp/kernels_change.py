"""The kernels of `dsp.change`: the noise of single sweeps, and Page's test over them with its baseline.

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

HUGE = 1e9
"""A ratio or weight beyond it (or below its inverse) is none."""
NOISE_SWEEPS = 1024
MIN_NOISE_SWEEPS = 16
MEAN_SWEEPS = 64
CLIP = 9.0
"""Takes 1/200 of the power of normal deviates, as much as the running mean's own error adds."""
LOG_SHARE = 0.25
JUMP = 1.2
"""A sweep's log weight moves their level by LOG_SHARE of the way; beyond a JUMP (x 3.3) all the way."""

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

MEAN, MEAN_WEIGHT, SQUARES, WEIGHTS, LOG = range(1, 6)
NOISE_STATE = 6
"""Places of the noise's state, after SEEN."""
DELTA, INTERVAL, KEEP, SETTLED, ANSWERED = range(5)
SEEN, TOLD, INFORMATION, THRESHOLD, SUM, SINCE, ZERO, ALARM = range(8)
KNOWN, WITHHELD, N_WITHHELD = 8, 11, 14
"""Sums of w p, w and w^2 v, with w = 1/v and what has been forgotten of it: learned, and withheld."""
SETTINGS, STATE = 5, 15
COLUMN_EVIDENCE, COLUMN_THRESHOLD, COLUMN_ALARM, COLUMN_SINCE, COLUMNS = range(5)


@numba.njit(types.void(IN1, IN1, F1, F1), cache=True, nogil=True, error_model="numpy")
def sweep_noise(p, weights, state, out):
    """The variances (sweep,) of the ratios p (sweep,) of sweeps of these weights (sweep,), into `out`.

    Infinite where a sweep says nothing, and for the first MIN_NOISE_SWEEPS. The formulas are those of
    `dsp.projection.SweepNoise`.
    """
    for i in range(p.shape[0]):
        out[i] = np.inf
        x, given = p[i], weights[i]
        if not (abs(x) < HUGE and 1.0 / HUGE < given < HUGE):
            continue
        seen = state[SEEN]
        away = math.log(given) - state[LOG]
        state[LOG] += away if seen == 0.0 or abs(away) > JUMP else LOG_SHARE * away
        weight = math.exp(state[LOG])
        told = seen >= MIN_NOISE_SWEEPS
        if told:
            out[i] = state[SQUARES] / state[WEIGHTS] / weight
        if seen > 0.0:
            square = weight * (x - state[MEAN]) ** 2
            if told:
                square = min(square, CLIP * state[SQUARES] / state[WEIGHTS])
            share = 1.0 / min(seen, NOISE_SWEEPS)
            state[SQUARES] += (weight * square - state[SQUARES]) * share
            state[WEIGHTS] += (weight - state[WEIGHTS]) * share
        state[SEEN] = seen + 1.0
        sweeps = min(seen + 1.0, MEAN_SWEEPS)
        state[MEAN_WEIGHT] += (weight - state[MEAN_WEIGHT]) / sweeps
        state[MEAN] += (x - state[MEAN]) * weight / (state[MEAN_WEIGHT] * sweeps)


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


@numba.njit(types.void(types.float64, types.float64, types.float64, IN1, F1), cache=True, nogil=True)
def _weigh(p, v, error, settings, state):
    """One sweep's ratio p of variance v into the sum; `error`, squared, is that of what p is a ratio to."""
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
    state[SUM] += min(max(gain, -h / MIN_SWEEPS), h / MIN_SWEEPS)
    state[SINCE] += information / square
    shared = 1.0 + error * state[SINCE]
    if state[SUM] <= 0.0:
        state[SUM] = state[SINCE] = state[ALARM] = 0.0
        state[ZERO] = state[SEEN]
    elif state[SUM] >= ALL_OF_IT * h * shared:
        state[ALARM] = 1.0
        state[SUM] = min(state[SUM], 2.0 * h * shared)


@numba.njit(types.void(F1, types.float64), cache=True, nogil=True)
def learn_withheld(state, keep):
    """What was withheld from the baseline becomes part of it; what was known is forgotten by as much."""
    share = keep ** state[N_WITHHELD]
    state[KNOWN] = share * state[KNOWN] + state[WITHHELD]
    state[KNOWN + 1] = share * state[KNOWN + 1] + state[WITHHELD + 1]
    state[KNOWN + 2] = share * share * state[KNOWN + 2] + state[WITHHELD + 2]
    state[WITHHELD:] = 0.0


@numba.njit(types.void(F1), cache=True, nogil=True)
def clear_evidence(state):
    """The evidence, the alarm and what was withheld are dropped; counting goes on."""
    state[SUM] = state[SINCE] = state[ALARM] = 0.0
    state[ZERO] = state[SEEN]
    state[WITHHELD:] = 0.0


@numba.njit(types.void(IN1, IN1, IN1, F1, F2), cache=True, nogil=True, error_model="numpy")
def cusum(p, v, settings, state, out):
    """Page's (1954) test over the ratios p (sweep,) of variances v (sweep,): out (sweep, column).

    Its reference is the level of the sweeps so far: the mean of p, weighted 1/v, of which each sweep forgets
    all but settings[KEEP]; nothing more is learned once its relative error is settings[SETTLED]. Sweeps are
    withheld from it while there is evidence, and let in together when it is gone. `out`: evidence, threshold,
    whether the alarm is on, and the sweep since which a change is likely (from 0; -1: none is). With
    settings[ANSWERED] an alarm is cleared when it has been told; what was withheld is dropped (1) or learned
    (2).
    """
    keep = settings[KEEP]
    for i in range(p.shape[0]):
        level = max(state[KNOWN] / state[KNOWN + 1], MIN_LEVEL)
        error = state[KNOWN + 2] / (state[KNOWN + 1] * level) ** 2
        _weigh(p[i] / level, v[i] / (level * level), error, settings, state)
        if 0.0 <= v[i] < np.inf and abs(p[i]) < HUGE:
            more = 1.0 / max(v[i], 1.0 / HUGE)
            state[WITHHELD] = keep * state[WITHHELD] + more * p[i]
            state[WITHHELD + 1] = keep * state[WITHHELD + 1] + more
            state[WITHHELD + 2] = keep * keep * state[WITHHELD + 2] + more
            state[N_WITHHELD] += 1.0
        out[i, COLUMN_EVIDENCE] = state[SUM] / (1.0 + error * state[SINCE])
        out[i, COLUMN_THRESHOLD] = state[THRESHOLD]
        out[i, COLUMN_ALARM] = state[ALARM]
        out[i, COLUMN_SINCE] = state[ZERO] if state[SUM] > 0.0 else -1.0
        if state[SUM] == 0.0 and state[N_WITHHELD] > 0.0:
            if error > settings[SETTLED] * abs(settings[SETTLED]):
                learn_withheld(state, keep)
            else:
                state[WITHHELD:] = 0.0
        elif settings[ANSWERED] * state[ALARM] > 0.0:
            if settings[ANSWERED] > 1.0:
                learn_withheld(state, keep)
            clear_evidence(state)
