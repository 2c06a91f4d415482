"""Zero-phase band-pass: a causal Butterworth cascade in the stream, the same one backwards over each sweep.

Running the second pass over the sweep (with a tail behind the window in which it settles) cancels the phase
of the first exactly, so a latency is the latency whatever the corners. Corners are those of the two passes
together: -3 dB at `low_hz` and `high_hz`. Refuses nothing at run time; bad corners raise when designed.
"""

import math
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from dsp import kernels
from dsp.aligned import aligned_empty

Real = TypeVar("Real", bound=np.floating)
PASS_ORDER = 2
SETTLED = 0.005
AT_ONCE = 64
ROWS_A_PERIOD = 4.0
ANTI_ALIAS = 0.4


def butterworth(
    order: int, corner_hz: float, kind: Literal["low", "high"], rate_hz: float
) -> NDArray[np.float64]:
    """Biquads (section, 6) of an even-order Butterworth filter by the bilinear transform with prewarping.

    Raises ValueError for an odd order or a corner outside 0..rate/2.
    """
    if order < 2 or order % 2:
        raise ValueError(f"filter order {order} is not even and positive")
    if not 0.0 < corner_hz < rate_hz / 2:
        raise ValueError(f"corner {corner_hz:g} Hz is outside 0..{rate_hz / 2:g} Hz")
    return _butterworth(order, math.tan(math.pi * corner_hz / rate_hz), kind)


def _butterworth(order: int, warped: float, kind: Literal["low", "high"]) -> NDArray[np.float64]:
    sections = []
    for k in range(order // 2):
        damping = 2.0 * math.sin(math.pi * (2 * k + 1) / (2 * order))
        norm = 1.0 / (1.0 + damping * warped + warped * warped)
        a1 = 2.0 * (warped * warped - 1.0) * norm
        a2 = (1.0 - damping * warped + warped * warped) * norm
        if kind == "low":
            b = warped * warped * norm
            sections.append([b, 2.0 * b, b, 1.0, a1, a2])
        else:
            sections.append([norm, -2.0 * norm, norm, 1.0, a1, a2])
    return np.array(sections, dtype=np.float64)


def band_pass(low_hz: float, high_hz: float, rate_hz: float, order: int = PASS_ORDER) -> NDArray[np.float64]:
    """Biquads of one pass, such that forward and backward pass together are -3 dB at both corners.

    Raises ValueError unless 0 < low_hz < high_hz < rate_hz / 2.
    """
    if not 0.0 < low_hz < high_hz < rate_hz / 2:
        raise ValueError(f"band {low_hz:g}..{high_hz:g} Hz is not within 0..{rate_hz / 2:g} Hz")
    shift = (math.sqrt(2.0) - 1.0) ** (1.0 / (2 * order))
    low = math.tan(math.pi * low_hz / rate_hz) * shift
    high = math.tan(math.pi * high_hz / rate_hz) / shift
    return np.vstack([_butterworth(order, low, "high"), _butterworth(order, high, "low")])


def thinning(rate_hz: float, keeps_hz: float, high_hz: float) -> int:
    """Of how many samples one is enough for what ends at `high_hz`: no fewer than `keeps_hz` stay a second
    (0: all), and four a period of `high_hz`."""
    least_hz = max(keeps_hz, ROWS_A_PERIOD * high_hz)
    return max(1, math.floor(rate_hz / least_hz + 1e-9)) if keeps_hz > 0.0 else 1


def thinned(sos: NDArray[np.float64], rate_hz: float, every: int) -> NDArray[np.float64]:
    """The biquads of a band-pass after which every `every`-th sample is enough: with a low-pass at 0.4 of
    what is kept, whose two passes leave 0.4 % at the band's edge of what lies beyond and would fold onto it.
    """
    if every == 1:
        return sos
    return np.vstack([sos, butterworth(4, ANTI_ALIAS * rate_hz / every, "low", rate_hz)])


def step_state(sos: NDArray[np.float64]) -> NDArray[np.float64]:
    """State (section, 2) of a cascade that has seen a constant 1 for ever (scipy's `sosfilt_zi`)."""
    state = np.zeros((len(sos), 2))
    level = 1.0
    for s, (b0, b1, b2, _, a1, a2) in enumerate(sos):
        out = level * (b0 + b1 + b2) / (1.0 + a1 + a2)
        state[s, 1] = b2 * level - a2 * out
        state[s, 0] = b1 * level - a1 * out + state[s, 1]
        level = out
    return state


def settle_samples(sos: NDArray[np.float64]) -> int:
    """Samples until a transient has decayed to `SETTLED` of itself, from the slowest pole."""
    radius = max((float(np.max(np.abs(np.roots([1.0, s[4], s[5]])))) for s in sos), default=0.0)
    return 0 if radius <= 0.0 else math.ceil(math.log(SETTLED) / math.log(radius))


def level_gain(sos: NDArray[np.float64]) -> float:
    """What a cascade leaves of a constant: 0 of a band-pass, exactly."""
    gain = 1.0
    for b0, b1, b2, _, a1, a2 in sos:
        gain *= (b0 + b1 + b2) / (1.0 + a1 + a2)
    return gain


class ForwardFilter:
    """The causal pass: float64 state per derivation, kept from block to block.

    It runs over what differs from the first row, which is where an electrode's offset goes: its digits would
    else be the recursion's, and low corners make much of their rounding.
    """

    def __init__(self, sos: NDArray[np.float64], n_derivations: int) -> None:
        self._sos = np.ascontiguousarray(sos)
        self._gain = level_gain(self._sos)
        self._state = aligned_empty((len(self._sos), 2, n_derivations))
        self._state[:] = 0.0
        self._level = self._levels = np.zeros(n_derivations)
        self._fresh = True

    def reset(self) -> None:
        """Forget the past: the next row starts the filter as if it had always been there."""
        self._fresh = True

    def run(self, x: NDArray[np.float64]) -> None:
        """Filter x (time, derivation) in place."""
        if not len(x):
            return
        if self._fresh:
            self._state[:] = 0.0
            self._level = x[0].copy()
            self._levels = np.tile(self._level, AT_ONCE)
            self._fresh = False
        # Many rows at a time: numpy is slow where the last axis is short.
        many = len(x) // AT_ONCE
        x[: many * AT_ONCE].reshape(many, AT_ONCE * x.shape[1])[:] -= self._levels
        x[many * AT_ONCE :] -= self._level
        kernels.cascade(x, self._sos, self._state)
        if self._gain != 0.0:
            x += self._gain * self._level


def backward(
    x: NDArray[Real], sos: NDArray[np.float64], rows: int | None = None, gain: float | None = None
) -> NDArray[Real]:
    """The backward pass over x (time, derivation), as if its last row went on for ever; a new array of the
    first `rows` (default: all), of the kind that x is. `gain`: `level_gain` of the filter, if it is known.

    What really follows is not known yet: rows nearer to the end than `settle_samples` still show it.
    """
    reverse, level = np.empty(x.shape), (level_gain(sos) if gain is None else gain) * x[-1]
    if x.dtype != np.float32 or not x.flags.c_contiguous:
        np.subtract(x[::-1], x[-1], out=reverse)
        kernels.cascade(reverse, sos, np.zeros((len(sos), 2, x.shape[1])))
        return np.ascontiguousarray((reverse + level)[::-1][:rows], dtype=x.dtype)
    kernels.turn(x, reverse)
    kernels.cascade(reverse, sos, np.zeros((len(sos), 2, x.shape[1])))
    out = np.empty((len(x) if rows is None else min(rows, len(x)), x.shape[1]), dtype=np.float32)
    kernels.turn_back(reverse, level.astype(np.float32), out)
    return out  # type: ignore[return-value]
