"""Electrodes of the model patient that come loose or off, as a scenario says, and the common reference too.

Owns what such a lead shows in place of the body, or on top of it. Refuses to know of impedances, which are
`hw.model.electrodes`', and of saturation.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from hw.model.body import known
from hw.model.checks import choice, number
from hw.model.mains import HARMONICS, MainsCycles
from hw.model.stochastic import SlowWander, child, wander_phasors

Floats = NDArray[np.float64]
Contact = Literal["ok", "loose", "off"]

REFERENCE = "reference"
"""The electrode that all others are measured against."""
# An open lead: mains by its capacitance, drift of the amplifier's own currents, noise of a high impedance.
_OFF_MAINS_UV = (50.0, 200.0)
_OFF_STEP_UV = (2_000.0, 15_000.0)
_OFF_DRIFT_UV = 1_500.0
_OFF_NOISE_UV = 4.0
_DRIFT_PERIODS_S = (1.9, 5.3, 13.0, 41.0)
# A loose one: the body, and more mains, noise, steps that fade, and crackle.
_LOOSE_MAINS_UV = (10.0, 40.0)
_LOOSE_NOISE_UV = (3.0, 8.0)
_STEP_GAP_S, _STEP_UV, _STEP_FADES_S = 0.7, (60.0, 500.0), (0.05, 0.6)
_CRACKLE_GAP_S, _CRACKLE_UV, _CRACKLE_S = 1.1, (30.0, 150.0), (0.03, 0.25)
_FORGOTTEN = 12.0
"""Fading times after which a step is over (6e-6 of it)."""


@dataclass(frozen=True, slots=True)
class ElectrodeChange:
    """From `at_s` on the electrode `name` is `off` (touches nothing), `loose`, or `ok`.

    "reference" is the common one, whose trouble is on all the others. ValueError (one line) for impossible
    values.
    """

    at_s: float
    name: str
    condition: Contact

    def __post_init__(self) -> None:
        number("electrode", "at_s", self.at_s, 0.0, 1e6)
        if self.name != REFERENCE:
            if not isinstance(self.name, str):
                raise ValueError(
                    f"electrode: name = {self.name!r} is no name; write for example name = 'CP3'"
                )
            try:
                known(self.name)
            except ValueError as fault:
                raise ValueError(f"electrode: name = {self.name!r}: {fault}, or 'reference'") from None
        choice("electrode", "condition", self.condition, get_args(Contact))


class Contacts:
    """All leads in trouble; without any it changes nothing and costs nothing."""

    def __init__(
        self,
        electrodes: tuple[str, ...],
        rate_hz: float,
        seed: int,
        chunk_samples: int,
        cycles: MainsCycles,
        records: Sequence[ElectrodeChange],
    ) -> None:
        self._parts: list[tuple[int | None, _Trouble]] = []
        self._n = len(electrodes)
        places: list[tuple[int | None, str]] = [(None, REFERENCE), *enumerate(electrodes)]
        for row, name in places if records else ():
            own = sorted((r for r in records if r.name == name), key=lambda r: r.at_s)
            for k, record in enumerate(own):
                end_s = own[k + 1].at_s if k + 1 < len(own) else math.inf
                if record.condition != "ok" and record.at_s < end_s:
                    trouble = _Trouble(f"{name} {k}", record, end_s, rate_hz, seed, chunk_samples, cycles)
                    self._parts.append((row, trouble))

    def replace(self, uv: Floats, times_s: Floats) -> Floats | None:
        """Put what the leads show in place of what the body gives, in `uv` (electrode, time).

        `times_s` of its columns: a chunk. Returned, of the same shape: 1 where an electrode touches
        the body and 0 where not; None: all do.
        """
        touching: Floats | None = None
        for row, trouble in self._parts:
            first, end = trouble.within(times_s)
            if first == end:
                continue
            added = trouble.uv(times_s, first, end)
            if row is None:
                uv[:, first:end] -= added
                continue
            if trouble.off:
                if touching is None:
                    touching = np.ones((self._n, len(times_s)))
                touching[row, first:end] = 0.0
                uv[row, first:end] = 0.0
            uv[row, first:end] += added
        return touching


class _Trouble:
    """One lead from one record to its next."""

    def __init__(
        self,
        source: str,
        record: ElectrodeChange,
        end_s: float,
        rate_hz: float,
        seed: int,
        chunk_samples: int,
        cycles: MainsCycles,
    ) -> None:
        self.off = record.condition == "off"
        self._start_s, self._end_s, self._cycles = record.at_s, end_s, cycles
        draw = child(seed, "contact", source)
        size_uv = draw.uniform(*(_OFF_MAINS_UV if self.off else _LOOSE_MAINS_UV))
        phases = draw.uniform(0.0, 2 * np.pi, len(HARMONICS))
        self._mains = [
            (harmonic, size_uv * level, phase)
            for harmonic, (level, phase) in enumerate(zip(HARMONICS, phases, strict=True), 1)
            if cycles.carried(harmonic)
        ]
        self._noise_uv = _OFF_NOISE_UV if self.off else draw.uniform(*_LOOSE_NOISE_UV)
        self._step_uv = draw.choice((-1.0, 1.0)) * draw.uniform(*_OFF_STEP_UV)
        drift = wander_phasors([child(seed, "contact drift", source)], len(_DRIFT_PERIODS_S), _OFF_DRIFT_UV)
        self._drift = SlowWander(drift, _DRIFT_PERIODS_S, rate_hz, chunk_samples)
        self._white = child(seed, "contact noise", source)
        self._crackling = child(seed, "contact crackle noise", source)
        self._steps = _Events(child(seed, "contact steps", source), record.at_s, _STEP_GAP_S)
        self._crackles = _Events(child(seed, "contact crackles", source), record.at_s, _CRACKLE_GAP_S)

    def within(self, times_s: Floats) -> tuple[int, int]:
        """First and end of the columns that it touches."""
        first, end = np.searchsorted(times_s, (self._start_s, self._end_s))
        # What is so from 0 s on is so in the rows before it too, whose input lies before index 0.
        return (0 if self._start_s <= 0.0 else int(first)), int(end)

    def uv(self, times_s: Floats, first: int, end: int) -> Floats:
        """What it adds at columns `first` to `end` of a chunk, (time,); asked for once each, in order."""
        here = times_s[first:end]
        turn = 2 * np.pi * self._cycles.at(times_s)[first:end]
        added: Floats = self._noise_uv * self._white.standard_normal(end - first)
        for harmonic, size_uv, phase in self._mains:
            added += size_uv * np.sin(harmonic * turn + phase)
        if self.off:
            added += self._step_uv + self._drift.rows(float(times_s[0]))[0, first:end]
            return added
        for at_s, (sign, size, fades) in self._steps.seen(here, _FORGOTTEN * _STEP_FADES_S[1]):
            fades_s = _between(_STEP_FADES_S, fades)
            since_s = here - at_s
            step = np.where(since_s >= 0.0, np.exp(-np.maximum(since_s, 0.0) / fades_s), 0.0)
            added += np.sign(sign - 0.5) * _between(_STEP_UV, size) * step
        crackle_uv = np.zeros(len(here))
        for at_s, (size, lasts, _) in self._crackles.seen(here, _CRACKLE_S[1]):
            inside = (here >= at_s) & (here < at_s + _between(_CRACKLE_S, lasts))
            crackle_uv += inside * _between(_CRACKLE_UV, size)
        added += crackle_uv * self._crackling.standard_normal(end - first)
        return added


class _Events:
    """Events at random (Poisson) times from `start_s` on, each with three numbers of 0 to 1."""

    def __init__(self, draw: np.random.Generator, start_s: float, gap_s: float) -> None:
        self._draw, self._gap_s = draw, gap_s
        self._next_s = start_s + draw.exponential(gap_s)
        self._open: list[tuple[float, tuple[float, float, float]]] = []

    def seen(self, times_s: Floats, lasts_s: float) -> list[tuple[float, tuple[float, float, float]]]:
        """Those whose time, and `lasts_s` behind it, touches ascending `times_s`."""
        while self._next_s <= times_s[-1]:
            one, two, three = self._draw.random(3)
            self._open.append((self._next_s, (float(one), float(two), float(three))))
            self._next_s += self._draw.exponential(self._gap_s)
        self._open = [event for event in self._open if event[0] + lasts_s > times_s[0]]
        return self._open


def _between(low_high: tuple[float, float], share: float) -> float:
    """Evenly in the logarithm."""
    low, high = low_high
    return float(low * (high / low) ** share)
