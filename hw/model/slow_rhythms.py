"""The EEG's rhythms at any rate: made some 250 times a second, which holds all of them, and drawn smooth.

Owns the cubic between (Catmull and Rom 1974), whose images lie 80 dB and more below the rhythms. Refuses to
know what rhythms are.
"""

import numpy as np
from numpy.typing import NDArray

from hw.model.rhythms import Rhythms, State

Floats = NDArray[np.float64]

LEAST_HZ = 200.0
"""Rhythms end at some 30 Hz; they are made at the lowest rate from this on, a power of two below the own."""
_BLOCK = 256
# The four samples about a place in an interval, by powers of the place (0 to 1).
_CUBIC = 0.5 * np.array(
    [[0.0, 2.0, 0.0, 0.0], [-1.0, 0.0, 1.0, 0.0], [2.0, -5.0, 4.0, -1.0], [-1.0, 3.0, -3.0, 1.0]]
)


class SlowRhythms:
    """`Rhythms` on each electrode, sample by sample; sample k speaks of time (k - delay_samples) / rate_hz.

    The same whatever the chunks but for the rounding of sums.
    """

    def __init__(
        self, electrodes: tuple[str, ...], rate_hz: float, seed: int, state: State, delay_samples: float
    ) -> None:
        self._step = step = 2 ** max(0, int(np.log2(rate_hz / LEAST_HZ)))
        self._rate_hz, self._delay_samples = rate_hz, delay_samples
        self._source = Rhythms(electrodes, rate_hz / step, seed, _BLOCK, state)
        # Made sample j stands at sample (j - 1) * step: one is needed before the first.
        self._made = np.empty((len(electrodes), 0))
        self._first, self._next = 0, 0
        self._between: dict[tuple[int, int], Floats] = {}

    def rows(self, n_samples: int) -> Floats:
        """The next `n_samples`, shape (electrode, time)."""
        start, phase = divmod(self._next, self._step)
        between = self._between.get((phase, n_samples))
        if between is None:
            between = self._between[phase, n_samples] = self._weights(phase, n_samples)
        self._next += n_samples
        end = start + len(between)
        while self._first + self._made.shape[1] < end:
            self._make(start)
        here: Floats = self._made[:, start - self._first : end - self._first] @ between
        return here

    def _make(self, start: int) -> None:
        """One block more; what lies before `start` is over."""
        at = self._first + self._made.shape[1] - 1 + np.arange(_BLOCK)
        block = self._source.next_uv((at * self._step - self._delay_samples) / self._rate_hz)
        self._made = np.hstack([self._made[:, start - self._first :], block])
        self._first = start

    def _weights(self, phase: int, n_samples: int) -> Floats:
        """What each made sample counts for in each sample, (made, time)."""
        number, place = np.divmod(phase + np.arange(n_samples), self._step)
        four = (place[:, None] / self._step) ** np.arange(4) @ _CUBIC
        weights = np.zeros((int(number[-1]) + 4, n_samples))
        for k in range(4):
            weights[number + k, np.arange(n_samples)] = four[:, k]
        return weights
