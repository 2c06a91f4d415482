"""Says what mains is and what every test's stimulus rate leaves of it: the `mains` message.

Owns when that is told: every ten seconds of samples since the last restart, and as soon as the frequency has
moved. The measuring is `dsp.mains_meter`'s, the judging `dsp.mains`'s. Changes no rate: that is a person's.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsp.limits import MAINS_MIN_RATE_HZ
from dsp.mains import (
    MEASURED_OFF_HZ,
    NOMINAL_HZ,
    SWEEPS,
    UNMEASURED_OFF_HZ,
    Mains,
    RateReport,
    judge,
)
from dsp.mains_meter import MainsMeter, MainsReading
from hostd.outgoing import Outgoing

MOST_JUDGED_S = 5.0
"""Stimuli farther apart are not judged: mains wanders more while 64 of them are averaged than any rate could
avoid, and looking for one takes seconds."""
TELL_EVERY = 10
"""Readings, one a second of samples, from one message to the next."""
MOVED_HZ = 0.02
# A frequency less certain than this has not moved, it has been guessed.
_CERTAIN_HZ = 0.005


class MainsWatch:
    """Watches mains in one signal of `rate_hz` for `tests` (name -> stimulus period in samples).

    Tells nothing below `dsp.limits.MAINS_MIN_RATE_HZ`. One thread, in order of sample index.
    """

    def __init__(self, rate_hz: float, tests: Mapping[str, int]) -> None:
        self._rate_hz = rate_hz
        self._periods: dict[str, int] = {}
        for name, period in tests.items():
            self.set_period(name, period)
        self._meter = MainsMeter(rate_hz) if rate_hz >= MAINS_MIN_RATE_HZ else None
        self.restart(0)

    def set_period(self, name: str, period: int) -> None:
        """Test `name` is stimulated every `period` samples from now on; what is not judged is not told."""
        self._periods.pop(name, None)
        if period <= MOST_JUDGED_S * self._rate_hz:
            self._periods[name] = period

    def restart(self, index: int) -> None:
        """Begin anew at sample `index`: start of a recording, or the first sample after a gap."""
        if self._meter is not None:
            self._meter.restart(index)
        self._count = 0
        self._told_hz: float | None = None

    def append(self, first_index: int, uv: NDArray[np.float64]) -> list[Outgoing]:
        """Take the next samples (time,), the mean over channels in microvolts; the messages that are due.

        Starts anew by itself where `first_index` is not the next sample.
        """
        if self._meter is None:
            return []
        if first_index != self._meter.end:
            self.restart(first_index)
        messages = []
        for reading in self._meter.append(uv):
            self._count += 1
            if self._count % TELL_EVERY == 0 or self._moved(reading):
                self._told_hz = reading.hz
                messages.append(self._message(reading))
        return messages

    def _moved(self, reading: MainsReading) -> bool:
        """True when the frequency is known and no longer what was told."""
        if reading.hz is None or reading.hz_sd is None or reading.hz_sd > _CERTAIN_HZ:
            return False
        return self._told_hz is None or abs(reading.hz - self._told_hz) > MOVED_HZ

    def _message(self, reading: MainsReading) -> Outgoing:
        mains_hz: Mains = NOMINAL_HZ
        off_hz = UNMEASURED_OFF_HZ
        if reading.hz is not None and reading.hz_sd is not None:
            mains_hz, off_hz = reading.hz, max(MEASURED_OFF_HZ, 2 * reading.hz_sd)
        fields = {
            "hz": reading.hz,
            "hz_sd": reading.hz_sd,
            "nominal_hz": reading.nominal_hz,
            "amplitude_uv": list(reading.amplitude_uv),
            "phase_cycles": reading.phase_cycles,
            "tests": {
                name: _fields(_judge(period, self._rate_hz, mains_hz, off_hz), reading.hz is not None)
                for name, period in self._periods.items()
            },
        }
        return Outgoing("mains", reading.index, fields)


@lru_cache(maxsize=64)
def _judge(period: int, rate_hz: float, mains_hz: Mains, off_hz: float) -> RateReport:
    """`judge`, once for all tests of a period and for as long as mains is not known."""
    return judge(period, rate_hz, mains_hz, SWEEPS, off_hz)


def _fields(report: RateReport, measured: bool) -> dict[str, Any]:
    """What `report` says of one test."""
    unknown = "" if measured else f"mains not measurable, 50 or 60 +-{UNMEASURED_OFF_HZ:g} Hz assumed: "
    return {
        "rate_hz": report.stimulus_hz,
        "period_samples": report.period,
        "left_pct": [100 * one for one in report.left],
        "worst_pct": 100 * report.worst,
        "locked": bool(report.locked),
        "best_rate_hz": report.best_hz,
        "best_period_samples": report.best_period,
        "text": unknown + report.text,
    }
