"""The model patient's free-running EMG: motor units that discharge once, in bursts, trains, or all the time.

Owns the units' potentials, when they fire, and what the electrodes of their muscle see of it: `FreeEmg` adds
what the `Discharge`s of a scenario ask for. Refuses to know of resting interference (that is
`hw.model.sources.Muscle`) and of channels.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hw.model.discharges import ALL, PATTERNS, Discharge, Kind
from hw.model.stochastic import child

Floats = NDArray[np.float64]

_DURATION_S = (0.005, 0.015)
# An A-train is nearly a sine: its potentials touch each other, without the sharp phases of near units.
_SINE_PERIODS = (0.95, 1.15)
_SINE_WIDER = 2.0
# Where the three phases lie, in durations from the middle, how wide and how large they are.
_PHASE_AT = ((-0.30, -0.18), (0.0, 0.0), (0.16, 0.32))
_PHASE_WIDTH = ((0.06, 0.09), (0.05, 0.075), (0.07, 0.12))
_PHASE_SIZE = ((0.2, 0.5), (-1.0, -1.0), (0.25, 0.6))
_REFERENCE = (-0.4, -0.1)
# Intervals keep a unit's refractory time.
_REFRACTORY_S = 0.003
_DRIFT_OF_RATE = 0.08
_TONIC_RATES = (0.6, 1.5)
_TONIC_LATE_S = 1.0
_REACH = 5.5
"""Widths to either side beyond which a phase is nothing (3e-7)."""
# Electrodes of the 10-10 system that look like the two of a muscle.
_SCALP = frozenset({"AF", "CP", "FC", "FT", "Fp", "FP", "PO", "TP"})
_BELLIES = frozenset({"APBL", "APBR", "AHL", "AHR"})


@dataclass(frozen=True, slots=True)
class Firing:
    """What one discharge did in one muscle; of a spike, from `start_s` to `end_s` its potential stands."""

    muscle: str
    kind: Kind
    start_s: float
    end_s: float
    level_uv: float
    rate_hz: float


def muscles(electrodes: Sequence[str]) -> dict[str, list[tuple[int, bool]]]:
    """The electrodes (place, whether active) of every muscle among `electrodes`.

    A muscle of two electrodes has names that end in 1 and 2, of at least two letters before it; one of them
    is enough. A single one is a muscle's where the model patient has it on a belly (APBL and the like).
    """
    found: dict[str, list[tuple[int, bool]]] = {}
    for place, name in enumerate(electrodes):
        stem = name[:-1]
        if name in _BELLIES:
            found.setdefault(name, []).append((place, True))
        elif name[-1:] in ("1", "2") and len(stem) > 1 and stem.isalpha() and stem not in _SCALP:
            found.setdefault(stem, []).append((place, name[-1] == "1"))
    return found


class FreeEmg:
    """All discharges of a scenario, on all electrodes; without any it adds nothing and costs nothing.

    Each discharge, muscle and unit has its own child seed: neither another choice of electrodes nor another
    discharge changes what a unit does. The same to the bit whatever the chunks. A muscle that is not recorded
    is not seen.
    """

    def __init__(
        self,
        electrodes: tuple[str, ...],
        rate_hz: float,
        seed: int,
        chunk_samples: int,
        discharges: Sequence[Discharge],
    ) -> None:
        del chunk_samples, rate_hz  # potentials are closed forms in time
        here = muscles(electrodes)
        for name in {d.muscle for d in discharges} & set(electrodes):
            here.setdefault(name, [(electrodes.index(name), True)])
        self._discharges = tuple(discharges)
        self._muscles = tuple(here)
        self._units = [
            unit
            for number, discharge in enumerate(discharges)
            for name, places in here.items()
            if discharge.muscle in (ALL, name)
            for unit in _units(seed, number, discharge, name, places)
        ]

    def add_to(self, uv: Floats, times_s: Floats) -> None:
        """Add microvolts to `uv` (electrode, time) in place; `times_s` of its columns, always ascending."""
        for unit in self._units:
            unit.add_to(uv, times_s)

    def truth(self, until_s: float = math.inf) -> tuple[Firing, ...]:
        """What fires in muscles that are recorded and begins before `until_s`, by its start."""
        told = []
        for d in self._discharges:
            lasts_s = 2 * _DURATION_S[0] if d.kind == "spike" else d.for_s
            rate_hz = d.rate_hz or PATTERNS[d.kind].rate_hz
            told += [
                Firing(name, d.kind, d.at_s, d.at_s + lasts_s, d.level_uv, rate_hz)
                for name in self._muscles
                if d.muscle in (ALL, name) and d.at_s < until_s
            ]
        return tuple(sorted(told, key=lambda firing: (firing.start_s, firing.muscle)))


def _units(
    seed: int, number: int, discharge: Discharge, muscle: str, places: list[tuple[int, bool]]
) -> list["_Unit"]:
    """The units that one discharge recruits in one muscle: the first is the largest."""
    pattern = PATTERNS[discharge.kind]
    few, many = pattern.units
    count = int(child(seed, f"discharge {number}", muscle).integers(few, many + 1))
    return [
        _Unit(seed, f"discharge {number} unit {u}", discharge, muscle, places, u == 0) for u in range(count)
    ]


class _Unit:
    """One unit in one discharge: its potential at both electrodes, and its times, drawn as they come."""

    def __init__(
        self,
        seed: int,
        source: str,
        discharge: Discharge,
        muscle: str,
        places: list[tuple[int, bool]],
        largest: bool,
    ) -> None:
        pattern = PATTERNS[discharge.kind]
        shape = child(seed, f"{source} shape", muscle)
        self._draw = child(seed, source, muscle)
        self._size_cv = pattern.size_cv
        self._rate_hz = discharge.rate_hz or pattern.rate_hz
        self._cv = float(shape.uniform(*pattern.interval_cv))
        duration_s = float(shape.uniform(*_DURATION_S))
        wider = 1.0
        if discharge.kind == "A-train":
            duration_s, wider = float(shape.uniform(*_SINE_PERIODS)) / self._rate_hz, _SINE_WIDER
        phases = np.array(
            [[shape.uniform(*of) for of in row] for row in (_PHASE_AT, _PHASE_WIDTH, _PHASE_SIZE)]
        )
        self._at_s, self._width_s = phases[0] * duration_s, wider * phases[1] * duration_s
        self._reach_s = float(np.max(np.abs(self._at_s) + _REACH * self._width_s))
        size = float(shape.uniform(pattern.smallest, 1.0)) if not largest else 1.0
        grid = np.linspace(-self._reach_s, self._reach_s, 400)
        active = phases[2] / np.ptp(phases[2] @ self._phases(grid)) * discharge.level_uv * size
        turned = active * shape.uniform(0.5, 1.0, 3) * float(shape.uniform(*_REFERENCE))
        self._gains = np.array([active if is_active else turned for _, is_active in places])
        self._rows = [place for place, _ in places]
        self._end_s = discharge.at_s + discharge.for_s
        self._start_s, self._drift = discharge.at_s, float(shape.uniform(-1.0, 1.0)) * _DRIFT_OF_RATE
        late_s = 0.0 if largest and discharge.kind != "tonic" else 1.0 / max(self._rate_hz, 1.0)
        if discharge.kind == "tonic":
            self._rate_hz *= float(shape.uniform(*_TONIC_RATES))
            late_s = min(_TONIC_LATE_S, 0.5 * discharge.for_s)
        self._once = discharge.kind == "spike"
        # A potential stands around its time: the first begins where the discharge does.
        self._next_s = discharge.at_s + (duration_s / 2) + float(self._draw.uniform(0.0, late_s))
        self._recent: list[tuple[float, float]] = []
        self._next_size = self._size()

    def _phases(self, since_s: Floats) -> Floats:
        """The three phases (phase, time) of height 1."""
        away = (since_s[None, :] - self._at_s[:, None]) / self._width_s[:, None]
        phases: Floats = np.exp(-0.5 * away * away)
        return phases

    def _size(self) -> float:
        return max(0.2, 1.0 + self._size_cv * float(self._draw.standard_normal()))

    def _advance(self) -> None:
        """Draw the next time: a gamma interval around one over the rate, which drifts by some percent."""
        if self._once:
            self._next_s = math.inf
            return
        lasts_s = self._end_s - self._start_s
        share = (self._next_s - self._start_s) / lasts_s if lasts_s > 0 else 0.0
        mean_s = 1.0 / (self._rate_hz * (1.0 + self._drift * (share - 0.5)))
        order = 1.0 / self._cv**2
        self._next_s += max(_REFRACTORY_S, float(self._draw.gamma(order)) * mean_s / order)
        self._next_size = self._size()
        if self._next_s >= self._end_s:
            self._next_s = math.inf

    def add_to(self, uv: Floats, times_s: Floats) -> None:
        """As `FreeEmg.add_to`."""
        until_s = float(times_s[-1]) + self._reach_s
        while self._next_s <= until_s:
            self._recent.append((self._next_s, self._next_size))
            self._advance()
        if not self._recent:
            return
        self._recent = [firing for firing in self._recent if firing[0] + self._reach_s >= times_s[0]]
        for at_s, size in self._recent:
            first, end = (
                int(k) for k in np.searchsorted(times_s, (at_s - self._reach_s, at_s + self._reach_s))
            )
            if first == end:
                continue
            phases = self._phases(times_s[first:end] - at_s) * size
            for row, (a, b, c) in zip(self._rows, self._gains, strict=True):
                uv[row, first:end] += a * phases[0] + b * phases[1] + c * phases[2]
