"""What every pulse delivered, as a stimulator's monitor shows it on channels of the converter: the `stim`
messages wait here until the monitor's samples have come.

Owns the monitor's samples of the last second and which plan a pulse belongs to; the measuring is
`dsp.delivered`'s. A pure function of samples, proofs and plans, whatever the blocks.
"""

import bisect
import math
from collections import OrderedDict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsp.delivered import Delivered, Monitor, delivered, judge, window_rows
from hostd.case import Case
from hw.link import Description

MOST_PLANS = 1000
HISTORY_S = 0.5
TOGETHER_S = 0.1
"""Pulses whose rows overlap are measured as one, as far as this to either side."""
STOPPING = ("open", "short")


class Delivery:
    """Measures pulses over `description`'s stream; without a monitor in the case it says nothing of them."""

    def __init__(self, case: Case, description: Description) -> None:
        self._rate_hz = description.rate_hz
        self._volts = {t.name: t.stimulus.volts is not None for t in case.tests}
        self._plans: OrderedDict[int, dict[str, Any]] = OrderedDict()
        self._columns: list[int] = []
        self._monitor: Monitor | None = None
        if case.monitor is not None and case.monitor.current in description.channels:
            names = [case.monitor.current, *filter(None, [case.monitor.voltage])]
            self._columns = [description.channels.index(name) for name in names]
            v_per_mv = case.monitor.v_per_mv if case.monitor.voltage else None
            self._monitor = Monitor(case.monitor.ma_per_mv, v_per_mv, case.gain)
        self._lsb_uv = np.array([description.lsb_uv[c] for c in self._columns])
        self._offset_uv = np.array([description.offset_uv[c] for c in self._columns])
        self._keep = math.ceil(HISTORY_S * self._rate_hz)
        self._reach = math.ceil(TOGETHER_S * self._rate_hz)
        self._rows = np.empty((0, len(self._columns)))
        self._first = 0
        self._pulses: list[int] = []

    @property
    def watched(self) -> bool:
        """Whether there is a monitor."""
        return self._monitor is not None

    def planned(self, args: dict[str, Any]) -> None:
        """A plan goes to the edge: what its pulses are to be."""
        self._plans[args["command"]] = args
        if len(self._plans) > MOST_PLANS:
            self._plans.popitem(last=False)

    def restart(self, index: int) -> None:
        """The samples begin anew at `index`."""
        self._rows, self._first, self._pulses = self._rows[:0], index, []

    def pulsed(self, index: int) -> None:
        """A pulse begins at sample `index`; told in order, before `append` has brought it."""
        if self._monitor is not None:
            self._pulses.append(index)

    def append(self, counts: NDArray[np.int32]) -> None:
        """The next contiguous samples."""
        if self._monitor is None:
            return
        oldest = self._first + len(self._rows) - 2 * self._keep
        self._pulses = self._pulses[bisect.bisect_left(self._pulses, oldest) :]
        uv = counts[:, self._columns] * self._lsb_uv + self._offset_uv
        rows = np.concatenate([self._rows, uv])
        drop = max(0, len(rows) - self._keep - len(counts))
        self._rows, self._first = rows[drop:].copy(), self._first + drop

    def ready_at(self, index: int, command: int | None) -> int:
        """The first sample that is not needed to measure the pulse seen at `index` and those that it cannot
        be told from; known as soon as that sample is."""
        plan = self._plans.get(command or 0)
        if self._monitor is None or plan is None:
            return index
        rows = window_rows(plan["width_us"], self._rate_hz)
        return self._together(index, rows)[-1] + rows

    def fields(self, test: str | None, index: int, command: int | None) -> dict[str, Any]:
        """What a `stim` message says of the current of the pulse seen at `index`."""
        plan = self._plans.get(command or 0)
        commanded = plan["current_ma"] if plan is not None and plan["known"] else None
        said: dict[str, Any] = {
            "commanded_ma": commanded,
            "current_ma": None,
            "current_error_ma": None,
            "load_ohm": None,
            "delivery": None,
            "delivery_text": None,
        }
        if self._monitor is None or plan is None:
            return said
        if not plan["width_us"]:
            text = "unknown: the case does not say how wide its pulses are (width_us)"
            return said | ({"delivery": "unknown", "delivery_text": text} if plan["current_ma"] else {})
        found = self._found(index, plan["width_us"], self._monitor)
        voltage = self._volts.get(test or "", False)
        verdict = judge(commanded, found, "voltage" if voltage else "current")
        return said | {
            "current_ma": found.current_ma,
            "current_error_ma": found.error_ma,
            "load_ohm": found.load_ohm,
            "delivery": verdict.word,
            "delivery_text": verdict.text,
        }

    def _found(self, index: int, width_us: float, monitor: Monitor) -> Delivered:
        """One pulse, or the mean of those whose rows lie in each other's."""
        rows = window_rows(width_us, self._rate_hz)
        group = self._together(index, rows)
        at = [p - self._first for p in group]
        before = [p - self._first for p in self._pulses if p < group[0]]
        end = at[-1] + rows
        return delivered(self._rows[:end], at, width_us, self._rate_hz, monitor, before)

    def _together(self, index: int, rows: int) -> list[int]:
        """The pulse at `index` and those before and behind it, each less than `rows` from the next."""
        first = last = bisect.bisect_left(self._pulses, index)
        near = range(index - self._reach, index + self._reach + 1)
        while first > 0 and self._pulses[first] - self._pulses[first - 1] < rows:
            if self._pulses[first - 1] not in near:
                break
            first -= 1
        while last + 1 < len(self._pulses) and self._pulses[last + 1] - self._pulses[last] < rows:
            if self._pulses[last + 1] not in near:
                break
            last += 1
        return self._pulses[first : last + 1]
