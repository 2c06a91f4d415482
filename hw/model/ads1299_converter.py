"""The converter of the modelled ADS1299: volts in, the bytes of one frame out, a few microseconds each.

Owns noise, waves, the filter's memory of a changed input, clipping and packing; refuses to know of commands
and of time beyond the ticks that it is told. Noise and waves are worked out by the block of conversions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from struct import Struct

import numpy as np
from numpy.typing import NDArray

from hw.chips import COUNTS_MAX, COUNTS_MIN, FCLK_HZ, SETTLING_CONVERSIONS
from hw.model.ads1299_inputs import Inputs
from hw.model.ads1299_options import Trouble
from hw.model.ads1299_registers import RegisterFile
from hw.model.sinc3 import square_wave, step_response

_BLOCK = 128  # twice as long ones cost as much in all, and make a rig in real time late at each
_STILL_BLOCK = 4096
_MAINS_HZ = 50.0
READY_TCLK = 9
"""From the end of a conversion's aperture to data-ready, the 9 tCLK of tSETTLE."""


@dataclass(frozen=True, slots=True)
class _Setup:
    """Inputs with the period that they are converted at."""

    inputs: Inputs
    sample_tclk: int


@cache
def _words(channels: int) -> Struct:
    return Struct(f">{channels + 1}i")


class Converter:
    """One chip's modulators and filter. `dead_codes` of `trouble` override what a channel gives."""

    def __init__(
        self, channels: int, registers: RegisterFile, trouble: Trouble, generator: np.random.Generator
    ) -> None:
        self._registers, self._trouble, self._generator = registers, trouble, generator
        self._words = _words(channels)
        self._setup: _Setup | None = None
        self._past: list[tuple[_Setup, int]] = []  # earlier inputs, each until its tick
        self._rows: list[list[float]] = []
        self._at = 0
        self._plain = False

    def configure(self, inputs: Inputs, sample_tclk: int, at_tclk: int | None) -> None:
        """From now on `inputs`, every `sample_tclk`. With `at_tclk` the filter remembers those before it."""
        if at_tclk is None or self._setup is None or self._setup.sample_tclk != sample_tclk:
            self._past = []
        elif not (self._past and self._past[-1][1] == at_tclk):  # else it was never seen
            self._past.append((self._setup, at_tclk))
        self._setup = _Setup(inputs, sample_tclk)
        self._per_volt = inputs.per_volt
        self._high = min(COUNTS_MAX, inputs.clip_counts)
        self._low = max(COUNTS_MIN, -inputs.clip_counts)
        self._restart_rows()

    def forget(self) -> None:
        """The filter is restarted: nothing of earlier inputs is left."""
        self._past = []
        self._restart_rows()

    def _restart_rows(self) -> None:
        self._rows, self._at = [], 0
        self._choose_way()

    def _choose_way(self) -> None:
        now, trouble = self._setup, self._trouble
        special = trouble.dead_codes or trouble.reference_noise or trouble.crosstalk or self._past
        self._plain = not (special or now is None or now.inputs.mixing)

    def frame(self, volts: Sequence[float], elapsed_tclk: int) -> bytes:
        """The conversion whose aperture ends `elapsed_tclk` after START, of `volts` per channel.

        Raises ValueError for another number of voltages or one that is not a number.
        """
        if self._at == len(self._rows):
            self._fill(elapsed_tclk)
        row = self._rows[self._at]
        self._at += 1
        if self._plain:
            exact = [v * s + o for v, s, o in zip(volts, self._per_volt, row, strict=True)]
        else:
            exact = self._troubled(volts, row, elapsed_tclk)
        if max(exact) > self._high or min(exact) < self._low:
            low, high = self._low, self._high
            exact = [min(max(x, low), high) for x in exact]
        frame = bytearray(self._words.pack(self._registers.status_word, *map(round, exact)))
        del frame[::4]  # the top byte of every 32-bit word only repeats the sign
        return bytes(frame)

    def _fill(self, elapsed_tclk: int) -> None:
        """Constant, waves, hum and noise for the conversions from `elapsed_tclk` on."""
        setup = self._setup
        if setup is None:
            raise ValueError("the converter is not configured")
        now = setup.inputs
        self._at = 0
        if not (now.waves or any(now.noise) or any(now.mains)):
            self._rows = [list(now.constant)] * _STILL_BLOCK
            return
        rows = _moving(setup, elapsed_tclk, _BLOCK)
        if any(now.noise):
            rows += self._generator.standard_normal(rows.shape) * now.noise
        self._rows = rows.tolist()

    def _troubled(self, volts: Sequence[float], row: list[float], elapsed_tclk: int) -> list[float]:
        """A conversion with a changed input in its aperture, mixed channels or broken parts."""
        setup, trouble = self._setup, self._trouble
        if setup is None:
            raise ValueError("the converter is not configured")
        now = setup.inputs
        exact = _exact(volts, now, row)
        if self._past:
            exact = self._blend(exact, volts, elapsed_tclk, setup)
        if trouble.reference_noise:
            factor = 1 + trouble.reference_noise * float(self._generator.standard_normal())
            exact = [x * factor for x in exact]
        if trouble.crosstalk is not None:
            source, into, share = trouble.crosstalk
            exact[into] += share * exact[source]
        for channel, code in trouble.dead_codes.items():
            exact[channel] = code
        return exact

    def _blend(
        self, exact: list[float], volts: Sequence[float], elapsed_tclk: int, setup: _Setup
    ) -> list[float]:
        """Each input weighs as much as of the filter's aperture it was there for (step response)."""
        period = setup.sample_tclk
        self._past = [
            past for past in self._past if elapsed_tclk - past[1] < (SETTLING_CONVERSIONS - 1) * period
        ]
        if not self._past:
            self._choose_way()
            return exact
        newer = step_response((elapsed_tclk - self._past[-1][1]) / period)
        total = [newer * x for x in exact]
        starts = [None, *(until for _, until in self._past)]
        for (past, until_tclk), start_tclk in zip(self._past, starts, strict=False):
            since = 1.0 if start_tclk is None else step_response((elapsed_tclk - start_tclk) / period)
            weight = since - step_response((elapsed_tclk - until_tclk) / period)
            old = _exact(volts, past.inputs, _moving(past, elapsed_tclk, 1)[0].tolist())
            total = [t + weight * x for t, x in zip(total, old, strict=True)]
        return [t if on else x for t, x, on in zip(total, exact, setup.inputs.live, strict=True)]


def _exact(volts: Sequence[float], now: Inputs, row: Sequence[float]) -> list[float]:
    """Counts before clipping."""
    if now.mixing is not None:
        volts = [sum(m * v for m, v in zip(mix, volts, strict=True)) for mix in now.mixing]
    return [v * s + o for v, s, o in zip(volts, now.per_volt, row, strict=True)]


def _moving(setup: _Setup, elapsed_tclk: int, rows: int) -> NDArray[np.float64]:
    """Constant, waves and hum of `rows` conversions, (conversion, channel) in counts."""
    now, sample_tclk = setup.inputs, setup.sample_tclk
    out = np.tile(np.asarray(now.constant, np.float64), (rows, 1))
    steps = elapsed_tclk // sample_tclk + np.arange(rows)
    for wave in now.waves:
        for channel, (counts, mesh) in enumerate(zip(wave.counts, wave.meshes, strict=True)):
            if counts and (mesh is None or mesh.parts):
                table = square_wave(wave.period_tclk, sample_tclk, elapsed_tclk % sample_tclk, mesh)
                out[:, channel] += counts * table[steps % len(table)]
    if any(now.mains):
        seconds = (elapsed_tclk + sample_tclk * np.arange(rows)) / FCLK_HZ
        out += np.sin(2 * np.pi * _MAINS_HZ * seconds)[:, None] * np.asarray(now.mains)
    return out
