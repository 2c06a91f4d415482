"""Machines about the model patient, and its being moved: drill, ultrasonic aspirator, warmer, movement.

Owns what each puts on the electrodes, in the manner of `hw.model.electrosurgery`: each record and each
electrode has its own child seed (facts/clinical.md 1.G). Refuses to know of saturation, which is the chip's.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from hw.model.body import known
from hw.model.checks import choice, number
from hw.model.mains import MainsCycles
from hw.model.stochastic import SlowWander, child, wander_phasors

Floats = NDArray[np.float64]
Machine = Literal["drill", "ultrasound", "warmer", "movement"]

LEVELS_UV: dict[Machine, float] = {"drill": 60.0, "ultrasound": 40.0, "warmer": 15.0, "movement": 300.0}
"""Usual rms on an electrode of share 1."""
_SHARE = (0.5, 1.5)
_EDGE_S = {"drill": 0.15, "ultrasound": 0.05, "warmer": 0.02, "movement": 0.4}
# The motor under load: within a tenth of its speed, and quick changes of it that blur the lines.
_MOTOR_HZ = (200.0, 480.0)
_MOTOR_LINES = (1.0, 0.5, 0.25)
_MOTOR_PERIODS_S = (0.043, 0.11, 0.37, 1.9, 7.3)
_MOTOR_WANDER = 0.025
# Demodulated and aliased, the tip's 23-36 kHz come out anywhere below half the rate; its load moves them.
_TIP_OF_RATE = (0.05, 0.4)
_TIP_WANDER = 0.02
_PRESS_PERIODS_S = (0.21, 0.57, 1.3, 3.1)
_PRESS_RMS = 0.3
# Of the power, on muscles and scalp, which are shaken and excited; electrodes inside have the lines alone.
_BROADBAND = {"drill": 0.4, "ultrasound": 0.6}
_SHAKEN = frozenset(("scalp", "neck", "back", "pelvis"))
_SWING_PERIODS_S = (0.45, 0.83, 1.7, 3.4, 8.9)


@dataclass(frozen=True, slots=True)
class Interference:
    """From `at_s` on, for `for_s`, a machine of this `kind` is on; several at once add up.

    `level_uv`: rms on an electrode of share 1 (each has 0.5 to 1.5); 0: as usual for the kind. `drill`: lines
    of its motor, and broadband on muscles and scalp; `ultrasound`: a tone that wanders, and broadband;
    `warmer`: twice the mains; `movement`: slow swings. ValueError (one line) for impossible values.
    """

    at_s: float
    for_s: float
    kind: Machine
    level_uv: float = 0.0

    def __post_init__(self) -> None:
        number("interference", "at_s", self.at_s, 0.0, 1e6)
        number("interference", "for_s", self.for_s, 0.0, 1e6)
        choice("interference", "kind", self.kind, get_args(Machine))
        number("interference", "level_uv", self.level_uv, 0.0, 1e6)


class Machines:
    """All machines of a scenario, on all electrodes; without any it adds nothing and costs nothing."""

    def __init__(
        self,
        electrodes: tuple[str, ...],
        rate_hz: float,
        seed: int,
        chunk_samples: int,
        cycles: MainsCycles,
        records: Sequence[Interference],
    ) -> None:
        self._parts = [
            _Running(electrodes, rate_hz, seed, chunk_samples, cycles, nth, record)
            for nth, record in enumerate(records)
        ]

    def add_to(self, uv: Floats, times_s: Floats) -> None:
        """Add microvolts to `uv` (electrode, time) in place; `times_s` of its columns, a chunk, ascending."""
        for part in self._parts:
            part.add_to(uv, times_s)


class _Running:
    """One machine, from its start to its end."""

    def __init__(
        self,
        electrodes: tuple[str, ...],
        rate_hz: float,
        seed: int,
        chunk_samples: int,
        cycles: MainsCycles,
        nth: int,
        record: Interference,
    ) -> None:
        self._record, self._rate_hz, self._cycles = record, rate_hz, cycles
        self._start_s, self._end_s = record.at_s, record.at_s + record.for_s
        source = f"interference {nth}"
        own = [child(seed, source, name) for name in electrodes]
        share = np.array([g.uniform(*_SHARE) for g in own])
        self._level_uv = (record.level_uv or LEVELS_UV[record.kind]) * share[:, None]
        common = child(seed, source)
        self._phases = common.uniform(0.0, 2 * np.pi, len(_MOTOR_LINES))
        self._turned = np.array([g.uniform(-1.0, 1.0) for g in own])[:, None]
        self._white = own
        self._shaken = np.array([_shaken(name) for name in electrodes])
        self._hz = common.uniform(*_MOTOR_HZ)
        if record.kind == "ultrasound":
            self._hz = common.uniform(*_TIP_OF_RATE) * rate_hz
        periods_s = _MOTOR_PERIODS_S if record.kind == "drill" else _PRESS_PERIODS_S
        share_hz = (_MOTOR_WANDER if record.kind == "drill" else _TIP_WANDER) * self._hz
        speed = wander_phasors([common], len(periods_s), share_hz)
        turn = 2j * np.pi / np.asarray(periods_s)
        self._wander = SlowWander(speed / turn, periods_s, rate_hz, chunk_samples)
        press = wander_phasors([common], len(_PRESS_PERIODS_S), _PRESS_RMS)
        self._press = SlowWander(press, _PRESS_PERIODS_S, rate_hz, chunk_samples)
        swings = wander_phasors([common, *own], len(_SWING_PERIODS_S), math.sqrt(0.5))
        self._swings = SlowWander(swings, _SWING_PERIODS_S, rate_hz, chunk_samples)

    def add_to(self, uv: Floats, times_s: Floats) -> None:
        """As `Machines.add_to`."""
        first, end = (int(k) for k in np.searchsorted(times_s, (self._start_s, self._end_s)))
        if first == end:
            return
        here = times_s[first:end]
        edge_s = np.minimum(here - self._start_s, self._end_s - here) / _EDGE_S[self._record.kind]
        envelope = 0.5 - 0.5 * np.cos(np.pi * np.clip(edge_s, 0.0, 1.0))
        match self._record.kind:
            case "drill":
                wave = self._lines(times_s, _MOTOR_LINES)[:, first:end]
                wave = self._with_broadband(wave)
            case "ultrasound":
                wave = self._with_broadband(self._lines(times_s, (1.0,))[:, first:end])
                envelope = envelope * (1.0 + self._press.rows(float(times_s[0]))[0, first:end])
            case "warmer":
                turn = 2 * np.pi * 2.0 * self._cycles.at(times_s)[first:end]
                wave = math.sqrt(2.0) * np.sin(turn + self._phases[0] + 0.5 * self._turned)
                wave *= self._cycles.carried(2)
            case "movement":
                swings = self._swings.rows(float(times_s[0]))[:, first:end]
                wave = swings[0] + swings[1:]
        uv[:, first:end] += self._level_uv * wave * envelope

    def _lines(self, times_s: Floats, sizes: Sequence[float]) -> Floats:
        """Lines on one another's multiples, of rms 1 (electrode, time): electrodes differ in their phase."""
        cycles = self._hz * times_s + self._wander.rows(float(times_s[0]))[0]
        wave = np.zeros((len(self._level_uv), len(times_s)))
        power = 0.5 * sum(size**2 for size in sizes)
        for harmonic, (size, phase) in enumerate(zip(sizes, self._phases, strict=False), 1):
            if harmonic * self._hz < 0.45 * self._rate_hz:
                turn = 2 * np.pi * harmonic * cycles + phase
                wave += size / math.sqrt(power) * np.sin(turn + self._turned)
        return wave

    def _with_broadband(self, lines: Floats) -> Floats:
        """Lines and noise of rms 1 together; drawn sample by sample, so that chunks leave no trace."""
        drawn = np.array([generator.standard_normal(lines.shape[1]) for generator in self._white])
        share = (_BROADBAND[self._record.kind] * self._shaken)[:, None]
        mixed: Floats = np.sqrt(1.0 - share) * lines + np.sqrt(share) * drawn
        return mixed


def _shaken(name: str) -> float:
    electrode = known(name)
    return float(electrode.region in _SHAKEN or electrode.region.split()[-1] in ("arm", "leg", "face"))
