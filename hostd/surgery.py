"""Electrosurgery as the samples show it, in words: what of the samples is spoilt, and for how long in all.

Owns the spans and the sums; the deciding is `dsp.electrosurgery`'s, keeping sweeps out is the tests'.
"""

import numpy as np
from numpy.typing import NDArray

from dsp.electrosurgery import Change, ElectrosurgeryDetector

ELECTROSURGERY = "electrosurgery"
LEAST_RATE_HZ = 1000.0
"""Electrosurgery is looked for from this sampling rate on: below, its noise is not told from others'."""


class SurgeryWatch:
    """Watches `channels` channels at `rate_hz`; below LEAST_RATE_HZ, and without any, it sees nothing."""

    def __init__(self, rate_hz: float, channels: int, rail_uv: float) -> None:
        self._rate_hz = rate_hz
        watched = channels and rate_hz >= LEAST_RATE_HZ
        self._detector = ElectrosurgeryDetector(rate_hz, channels, rail_uv) if watched else None
        self._begun: int | None = None
        self._loud_from = self._lost = 0

    def append(self, first_index: int, uv: NDArray[np.float64]) -> list[Change]:
        """Take the next samples (time, channel); what changes, to be taken at its sample."""
        return [] if self._detector is None else self._detector.append(first_index, uv)

    def take(self, change: Change) -> tuple[tuple[int, int | None] | None, str]:
        """The span of samples that enter no average from now on (its end None: still open), and what is to be
        told ("": nothing)."""
        if self._detector is None:
            return None, ""
        if change.loud:
            self._loud_from = max(change.index - self._detector.reach, 0)
            text = "electrosurgery has begun" if self._begun is None else ""
            if self._begun is None:
                self._begun, self._lost = self._loud_from, 0
            return (self._loud_from, None), text
        if change.on:
            quiet_from = change.index - self._detector.pause
            self._lost += quiet_from - self._loud_from
            return (self._loud_from, quiet_from), ""
        lasted_s = (change.index - (self._begun or 0)) / self._rate_hz
        self._begun = None
        lost_s = self._lost / self._rate_hz
        text = f"electrosurgery has ended: {lasted_s:.1f} s, {lost_s:.1f} s of them kept out of averages"
        return None, text
