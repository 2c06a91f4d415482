"""One window of an impedance measurement: its samples, gathered without a gap, and the verdict of each lead.

Owns which column is which lead's; refuses to know of registers and of what comes next. Arithmetic is
`hw.impedance`'s.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hw.impedance import Reading, electrode_ohms, missing, read_tone, unit_response
from hw.lead_off import Tone
from hw.leads.calibration import Calibration, Excited, Pin, Side
from hw.leads.current import Inputs
from hw.leads.rails import RAIL_COUNTS
from hw.leads.report import Verdict, measured, not_measured
from hw.samples import SampleBlock

OFF_OHM = 1e6
"""What reads more touches nothing."""


class Window:
    """The next `size` samples from `first_index` on."""

    def __init__(self, size: int, first_index: int) -> None:
        self._size, self._have = size, 0
        self._rows: list[NDArray[np.int32]] = []
        self.first_index = first_index

    @property
    def full(self) -> bool:
        """True when nothing more is needed."""
        return self._have == self._size

    def broken_by(self, block: SampleBlock) -> bool:
        """Whether samples that belong here were lost before `block`."""
        return block.first_index > self.first_index + self._have

    def take(self, block: SampleBlock) -> None:
        """What belongs here of `block`, which must not break the window."""
        start = max(0, self.first_index + self._have - block.first_index)
        rows = block.counts[start : start + self._size - self._have]
        if len(rows):
            self._rows.append(rows)
            self._have += len(rows)

    @property
    def counts(self) -> NDArray[np.int32]:
        """(size, channel) once full."""
        return np.concatenate(self._rows)


@dataclass(frozen=True, slots=True)
class Judge:
    """Makes verdicts of windows of the first channels of `info`; `tones` one for each chip.

    `phase_known` False: sample 0 is not the first conversion after START.
    """

    info: Inputs
    calibration: Calibration
    tones: tuple[Tone, ...]
    current_na: int
    phase_known: bool

    def verdicts(self, window: Window, side: Side, active: int) -> Mapping[int, Verdict]:
        """Of every channel (from 0) whose bit is in `active`, which were excited on `side`."""
        counts = window.counts
        volts = counts * (np.array(self.info.lsb_uv[: counts.shape[1]]) * 1e-6)
        found: dict[int, Verdict] = {}
        first = 0
        for chip, part in enumerate(self.info.chips):
            own = [k for k in range(first, min(first + part.channels, counts.shape[1])) if active >> k & 1]
            first += part.channels
            if not own:
                continue
            reading = read_tone(volts[:, own], window.first_index, self.tones[chip])
            response = unit_response(part, self.info.rate_hz, self.tones[chip])
            for column, k in enumerate(own):
                if int(np.abs(counts[:, k]).max()) >= RAIL_COUNTS:
                    found[k] = not_measured("the channel was at a rail")
                    continue
                pin = Pin(chip + 1, k - first + part.channels + 1, side)
                excited = Excited(pin, self.current_na, self.tones[chip].frequency_hz)
                found[k] = self._verdict(reading, column, excited, response)
        return found

    def _verdict(self, reading: Reading, column: int, excited: Excited, response: complex) -> Verdict:
        current_a, tolerance = self.calibration.current_a(excited)
        volts_per_ohm = current_a * response
        series_ohm = self.calibration.series_ohm
        amplitude_v, noise_v = complex(reading.amplitude_v[column]), float(reading.noise_v[column])
        why = missing(amplitude_v, noise_v, abs(volts_per_ohm) * series_ohm)
        if why:
            return not_measured(why)
        ohms = electrode_ohms(amplitude_v, noise_v, volts_per_ohm, series_ohm, tolerance, self.phase_known)
        if ohms.ohm > OFF_OHM:
            return not_measured(f"the electrode is off, it reads {ohms.ohm / 1e6:.3g} megohm", off=True)
        return measured(ohms, float(reading.drift_deg[column]), tolerance)
