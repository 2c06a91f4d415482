"""The model patient's EEG rhythms above the 1/f background: what anaesthesia makes of them, and ischaemia.

Owns slow waves, delta, theta, alpha and beta by depth, their place on the scalp, perfusion by side, and burst
suppression as a gate over all that the brain does. Each process has its own child seed and knows no chunks.
Refuses to know of the background itself, of muscles, and of electrodes that are not on the head.
"""

import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hw.model.body import ELECTRODES
from hw.model.stochastic import OnePoleBank, SlowWander, child, rms_of, wander_phasors

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class BrainState:
    """Arrays of one length, by time. `depth`: 0 sedated, 0.5 surgical, 1 deep.

    `suppression`: probability to be suppressed, 0 to 1. `left`, `right`: perfusion of a hemisphere, 1 whole,
    0 none; from 0.7 down fast activity falls, from 0.5 down delta rises, near 0 all is gone.
    """

    depth: Floats
    suppression: Floats
    left: Floats
    right: Floats


State = Callable[[Floats], BrainState]
"""What the brain is like at given times in seconds."""


@dataclass(frozen=True, slots=True)
class _Rhythm:
    """Noise of `width_hz` about `centre_hz`, `uv` rms at `_DEPTHS`; more in front by `frontal` (0 to 1).

    `lag` radians from the frontal pole to the occiput; `fast` activity falls with perfusion, other may rise.
    """

    centre_hz: float
    width_hz: float
    uv: tuple[float, ...]
    frontal: float
    lag: float
    fast: bool


_DEPTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
# Propofol (Purdon 2015): beta when light, slow waves and frontal alpha at surgical depth, then slow waves.
# With them SEF95 falls from about 20 over 11 to 6 Hz (facts/clinical.md 1.C, 1.F).
_RHYTHMS = {
    "slow": _Rhythm(0.8, 0.25, (2.0, 5.0, 9.0, 14.0, 15.0), 0.4, 0.8, False),
    "delta": _Rhythm(2.2, 0.7, (2.5, 5.0, 9.0, 13.0, 15.0), 0.3, 0.6, False),
    "theta": _Rhythm(5.8, 0.9, (2.5, 3.0, 4.0, 5.0, 5.5), 0.1, 0.5, True),
    "alpha": _Rhythm(10.0, 0.6, (3.0, 6.5, 9.0, 3.5, 1.0), 0.6, 1.0, True),
    "beta": _Rhythm(18.5, 2.5, (5.5, 5.0, 1.6, 0.5, 0.2), 0.4, 1.2, True),
}
_PERFUSION = (0.0, 0.1, 0.25, 0.4, 0.5, 0.7, 1.0)
_FAST = (0.05, 0.1, 0.25, 0.45, 0.6, 1.0, 1.0)
_SLOW = (0.05, 0.8, 1.8, 1.3, 1.0, 1.0, 1.0)
# Of power: what both hemispheres share. Their own parts are as large on either side.
_SHARED = 0.75
_WAXES = {"alpha": 0.35, "beta": 0.25}
_WAX_PERIODS_S = (3.7, 7.9, 17.0, 41.0)

# 10-20 and 10-10 places: how far in front (1: frontal pole, -1: occiput), and the side.
_ROWS = {
    "Fp": 1.0,
    "F": 0.65,
    "FC": 0.3,
    "C": 0.0,
    "T": 0.0,
    "CP": -0.3,
    "P": -0.6,
    "O": -1.0,
    "A": -0.1,
    "M": -0.1,
}
_EARS = ("A", "M")
_EAR_SHARE = 0.4
_LEFT, _RIGHT, _MIDDLE, OFF_HEAD = 0, 1, 2, 3


@dataclass(frozen=True, slots=True)
class _Place:
    front: float
    side: int
    share: float


def _place(name: str) -> _Place | None:
    """Where a 10-20 name is: letters of its row, then z, or a number, odd on the left. A strip is across the
    central sulcus. None elsewhere."""
    electrode = ELECTRODES.get(name)
    if electrode is not None and electrode.stem.startswith("S*"):
        on = _LEFT if electrode.side == "left" else _RIGHT
        return _Place(0.02 * (4.5 - int(name[-1])), on, electrode.eeg)
    row, number = name.rstrip("z0123456789"), name[len(name.rstrip("z0123456789")) :]
    if row not in _ROWS or not (number == "z" or number.isdigit()):
        return None
    side = _MIDDLE if number == "z" else (_LEFT if int(number) % 2 else _RIGHT)
    return _Place(_ROWS[row], side, _EAR_SHARE if row in _EARS else 1.0)


def hemispheres(electrodes: tuple[str, ...]) -> NDArray[np.intp]:
    """Of each electrode: 0 left, 1 right, 2 midline, OFF_HEAD where there are no rhythms."""
    places = (_place(name) for name in electrodes)
    return np.array([OFF_HEAD if place is None else place.side for place in places], dtype=np.intp)


def fast_share(perfusion: Floats) -> Floats:
    """What perfusion leaves of fast activity."""
    left: Floats = np.interp(perfusion, _PERFUSION, _FAST)
    return left


class Rhythms:
    """The rhythms on each electrode, chunk by chunk; electrodes without a 10-20 name have none
    but cortical strips.

    `chunk_samples` is a multiple of 32. `gate` is for whoever adds the background: `next_uv` is without it.
    `state` is asked for these times, and for the gate's from -2 s on.
    """

    def __init__(
        self, electrodes: tuple[str, ...], rate_hz: float, seed: int, chunk_samples: int, state: State
    ) -> None:
        self._n = len(electrodes)
        places = [_place(name) for name in electrodes]
        self._scalp = np.array([k for k, place in enumerate(places) if place], dtype=np.intp)
        known = [place for place in places if place]
        self._side = np.array([place.side for place in known], dtype=np.intp)
        self._state = state
        self._waves = [
            _Wave(name, rhythm, known, rate_hz, seed, chunk_samples) for name, rhythm in _RHYTHMS.items()
        ]
        self._gate = SuppressionGate(seed, state)

    @property
    def suppressed_s(self) -> tuple[tuple[float, float], ...]:
        """Start and end of every suppression asked for so far; the last may go on."""
        return self._gate.suppressed_s

    def gate(self, times_s: Floats) -> Floats:
        """What all that comes of the brain is to be multiplied with (time,); ascending times, asked once."""
        return self._gate.gain(times_s)

    def next_uv(self, times_s: Floats) -> Floats:
        """The next samples, shape (electrode, time), without the gate."""
        out = np.zeros((self._n, len(times_s)))
        if len(self._scalp):
            state = self._state(times_s)
            sides = np.stack([state.left, state.right, 0.5 * (state.left + state.right)])
            uv = np.zeros((len(self._scalp), len(times_s)))
            for wave in self._waves:
                wave.add_to(uv, times_s, state.depth, sides, self._side)
            out[self._scalp] = uv
        return out


class _Wave:
    """One rhythm: complex noise of its width on its centre, one shared by all, one for each hemisphere."""

    def __init__(
        self,
        name: str,
        rhythm: _Rhythm,
        places: list[_Place],
        rate_hz: float,
        seed: int,
        chunk_samples: int,
    ) -> None:
        self._rhythm = rhythm
        # Two poles: the skirts fall with the fourth power of the distance.
        poles_hz = (rhythm.width_hz, 2.0 * rhythm.width_hz)
        gains = (2.0, -1.0)
        # Either part of rms 1: so is what they make on the carrier.
        scale = 1.0 / rms_of(poles_hz, gains, rate_hz)
        generators = [
            child(seed, f"rhythm {name}", f"{source} {part}")
            for source in ("left", "right", "both")
            for part in ("real", "imaginary")
        ]
        self._noise = OnePoleBank(generators, rate_hz, poles_hz, gains, scale)
        turn = np.array([np.exp(0.5j * rhythm.lag * (place.front - 1.0)) for place in places])
        front = np.array([place.front for place in places])
        size = np.array([place.share for place in places]) * (1.0 - 0.5 * rhythm.frontal * (1.0 - front))
        own = np.sqrt((1.0 - _SHARED) * _OWN[[place.side for place in places]])
        mix = np.column_stack([own, np.full(len(places), math.sqrt(_SHARED))])
        self._mix = mix * (size * turn)[:, None]
        wax = wander_phasors(
            [child(seed, f"rhythm {name}", "wax")], len(_WAX_PERIODS_S), _WAXES.get(name, 0.0)
        )
        self._wax = SlowWander(wax, _WAX_PERIODS_S, rate_hz, chunk_samples)

    def add_to(
        self, uv: Floats, times_s: Floats, depth: Floats, sides: Floats, side: NDArray[np.intp]
    ) -> None:
        """Add it to `uv` (electrode, time) in place."""
        rhythm = self._rhythm
        real, imaginary = self._noise.rows(len(times_s)).reshape(3, 2, -1).transpose(1, 0, 2)
        turn = 2.0 * np.pi * np.fmod(rhythm.centre_hz * times_s, 1.0)
        cosine, sine = np.cos(turn), np.sin(turn)
        along = real * cosine - imaginary * sine
        across = real * sine + imaginary * cosine
        level = np.interp(depth, _DEPTHS, rhythm.uv) * np.exp(self._wax.rows(float(times_s[0]))[0])
        perfused = np.interp(sides, _PERFUSION, _FAST if rhythm.fast else _SLOW) * level
        # Sums of three, and not a matrix product, whose rounding could depend on electrodes and chunk.
        wave = np.zeros_like(uv)
        for weights, one, other in zip(self._mix.T[:, :, None], along, across, strict=True):
            wave += weights.real * one
            wave -= weights.imag * other
        uv += wave * perfused[side]


# What the hemispheres' own noises count for, by side: on the midline half of each power.
_OWN = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])


class SuppressionGate:
    """Burst suppression: a two-state process whose share of suppression follows the state's probability.

    Steps of 50 ms from `-2 s` on, each with one random number, so that chunks leave no trace. A stretch lasts
    0.6 s at least and then ends at a constant rate; means are 2 s or more for the shorter kind.
    """

    STEP_S, LEAST_S, MEAN_S, EDGE_S, GAIN = 0.05, 0.6, 2.0, 0.08, 0.04
    NEVER = 0.01
    """Below this probability there is no suppression, above 1 less it nothing else."""

    def __init__(self, seed: int, state: State) -> None:
        self._generator = child(seed, "burst suppression")
        self._state = state
        self._step = round(-2.0 / self.STEP_S)
        self._suppressed = False
        self._age_s = math.inf  # it may begin suppressed
        self._edges_s: list[float] = []  # starts and ends in turn

    @property
    def suppressed_s(self) -> tuple[tuple[float, float], ...]:
        """Start and end of every suppression so far, from where the gain begins to move."""
        ends = [*self._edges_s[1::2], self._step * self.STEP_S]
        return tuple(zip(self._edges_s[::2], ends, strict=False))

    def suppressed(self, until_s: float) -> tuple[tuple[float, float], ...]:
        """Start and end of every suppression before `until_s`, asked for or not; the last may go on there."""
        self._run(until_s)
        return tuple((start, min(end, until_s)) for start, end in self.suppressed_s if start < until_s)

    def gain(self, times_s: Floats) -> Floats:
        """Gain (time,) at ascending times: 1, or 0.04 in suppression, edges half a cosine of 80 ms."""
        self._run(float(times_s[-1]))
        edges_s = self._edges_s
        if not edges_s or (len(edges_s) % 2 == 0 and times_s[0] >= edges_s[-1] + self.EDGE_S):
            return np.ones(len(times_s))
        # From the start of the last suppression that began before these times on.
        first = max(0, bisect_right(edges_s, float(times_s[0])) - 1)
        near_s = np.array(edges_s[first - first % 2 :])
        at = np.searchsorted(near_s, times_s, side="right") - 1
        since_s = times_s - np.concatenate([[-np.inf], near_s])[at + 1]
        moved = 0.5 - 0.5 * np.cos(np.pi * np.clip(since_s / self.EDGE_S, 0.0, 1.0))
        suppressing = at % 2 == 0
        share = np.where(at < 0, 0.0, np.where(suppressing, moved, 1.0 - moved))
        gain: Floats = (1.0 - share) + self.GAIN * share
        return gain

    def _run(self, until_s: float) -> None:
        steps = np.arange(self._step, math.floor(until_s / self.STEP_S) + 1)
        if not len(steps):
            return
        times_s = np.asarray(steps * self.STEP_S, np.float64)
        probability = self._state(times_s).suppression
        for at_s, p, drawn in zip(times_s, probability, self._generator.random(len(steps)), strict=True):
            if self._age_s >= self.LEAST_S and drawn < self._ends_at(float(p)):
                self._suppressed = not self._suppressed
                self._edges_s.append(float(at_s))
                self._age_s = 0.0
            self._age_s += self.STEP_S
        self._step = int(steps[-1]) + 1

    def _ends_at(self, p: float) -> float:
        """The chance that the present stretch ends in a step, where suppression has probability `p`."""
        own = p if self._suppressed else 1.0 - p
        if own < self.NEVER:
            return 1.0
        if own > 1.0 - self.NEVER:
            return 0.0
        mean_s = self.MEAN_S * max(1.0, own / (1.0 - own))
        return self.STEP_S / (mean_s - self.LEAST_S)
