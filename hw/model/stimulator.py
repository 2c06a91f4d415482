"""The executable datasheet of a stimulator behind a trigger line, and of its monitors at the converter.

Owns what a pulse delivers into a load, sound or broken, and how the converter sees the two monitors. Refuses
to know who triggers, and how the body answers. Currents are those through the load: the current monitor's
sensor sits in the electrode's lead, so that current which takes another way is missing in it.
"""

import math
from collections import deque
from dataclasses import dataclass
from typing import Literal, get_args

from hw.board import SINC3_DELAY_SAMPLES
from hw.model.sinc3 import step_response

Kind = Literal["current", "voltage"]
Condition = Literal["ok", "open", "short", "loss"]

LEAKAGE_OHM = 20e6
"""What is left between the outputs when a lead is off: 20 uA at 400 V."""
SHORT_OHM = 5.0
TURN_ON_US = 10.0
"""From the trigger's edge to the pulse's."""
_FILTER_SAMPLES = 2 * SINC3_DELAY_SAMPLES


@dataclass(frozen=True, slots=True)
class Delivery:
    """One pulse: current through the load, volts across the outputs, and its width."""

    current_ma: float
    volts: float
    width_us: float


@dataclass(frozen=True, slots=True)
class _Setting:
    level: float
    width_us: float


class Stimulator:
    """One output stage for all lines, with a level and a width per line.

    Constant current drives up to `compliance_v`; constant voltage gives up to `limit_ma`. A loss flows beside
    the load: constant current then lacks it in the load, constant voltage gives it on top until its limit.
    ValueError for impossible values and for a line that is not set.
    """

    def __init__(
        self,
        kind: Kind = "current",
        *,
        compliance_v: float = 400.0,
        limit_ma: float = 1500.0,
        load_ohm: float = 1000.0,
    ) -> None:
        if kind not in get_args(Kind):
            raise ValueError(f"stimulator: kind = {kind!r} is unknown; use current or voltage")
        for name, value in (("compliance_v", compliance_v), ("limit_ma", limit_ma), ("load_ohm", load_ohm)):
            _positive("stimulator", name, value)
        self.kind = kind
        self.load_ohm = load_ohm
        self._compliance_v = compliance_v
        self._limit_ma = limit_ma
        self._settings: dict[int, _Setting] = {}
        self._condition: Condition = "ok"
        self._lost = 0.0

    def set_current(self, line: int, current_ma: float, width_us: float) -> None:
        """What `line` triggers from now on; ValueError for a constant-voltage stimulator."""
        self._set("current", line, current_ma, width_us)

    def set_voltage(self, line: int, volts: float, width_us: float) -> None:
        """What `line` triggers from now on; ValueError for a constant-current stimulator."""
        self._set("voltage", line, volts, width_us)

    def break_down(self, condition: Condition, lost: float = 0.4) -> None:
        """The output's condition from now on; `lost` is the share of a loss: 0 to 1."""
        if condition not in get_args(Condition):
            raise ValueError(f"stimulator: condition = {condition!r} is unknown; use ok, open, short or loss")
        if not 0.0 <= lost <= 1.0:
            raise ValueError(f"stimulator: lost = {lost} is impossible; give 0 to 1")
        self._condition = condition
        self._lost = lost if condition == "loss" else 0.0

    def fire(self, line: int) -> Delivery:
        """What one pulse on `line` delivers."""
        setting = self._settings.get(line)
        if setting is None:
            raise ValueError(f"stimulator: line {line} is not set; set its level and width first")
        ohm = {"open": LEAKAGE_OHM, "short": SHORT_OHM}.get(self._condition, self.load_ohm)
        passed = 1.0 - self._lost
        # What is lost flows beside the load, so that the outputs see less resistance than the load has.
        seen_ohm = ohm * passed
        if self.kind == "current":
            out_ma = (
                setting.level if seen_ohm == 0 else min(setting.level, 1e3 * self._compliance_v / seen_ohm)
            )
        else:
            out_ma = self._limit_ma if seen_ohm == 0 else min(1e3 * setting.level / seen_ohm, self._limit_ma)
        return Delivery(out_ma * passed, out_ma * 1e-3 * seen_ohm, setting.width_us)

    def _set(self, kind: Kind, line: int, level: float, width_us: float) -> None:
        if kind != self.kind:
            raise ValueError(f"stimulator: a constant-{self.kind} stimulator has no set {kind}")
        if line < 1:
            raise ValueError(f"stimulator: line {line} is impossible; lines count from 1")
        if not (math.isfinite(level) and level >= 0):
            raise ValueError(f"stimulator: {kind} = {level} is impossible; give 0 or more")
        _positive("stimulator", "width_us", width_us)
        self._settings[line] = _Setting(level, width_us)


@dataclass(frozen=True, slots=True)
class _Pulse:
    """On the monitors: from `start` to `end` in conversions, seen in rows `first` to `last`."""

    start: float
    end: float
    last: int
    current_v: float
    voltage_v: float


class MonitorChannels:
    """The two monitor outputs as the converter gives them: rectangular pulses through its filter, exact.

    The filter is in here; do not put it behind `hw.model.sinc3.Filtered`. A row's aperture is centred
    `delay_samples` before its conversion's end: 1.5 is the filter alone, more adds what lies before it. The
    sum of a pulse's rows is height x width / sample period, however short it is. `clip_mv`: the converter's
    input range, which cuts a pulse before the filter flattens it (187.5 at gain 24; none by default). No
    noise: that is the converter's. ValueError for impossible values. One thread.
    """

    def __init__(
        self,
        rate_hz: float,
        delay_samples: float = SINC3_DELAY_SAMPLES,
        *,
        ma_per_mv: float = 1.0,
        v_per_mv: float = 4.0,
        turn_on_us: float = TURN_ON_US,
        clip_mv: float = math.inf,
    ) -> None:
        for name, value in (("rate_hz", rate_hz), ("ma_per_mv", ma_per_mv), ("v_per_mv", v_per_mv)):
            _positive("monitors", name, value)
        if not (math.isfinite(delay_samples) and delay_samples >= SINC3_DELAY_SAMPLES):
            raise ValueError(
                f"monitors: delay_samples = {delay_samples} is impossible; the filter alone has "
                f"{SINC3_DELAY_SAMPLES}"
            )
        if not (math.isfinite(turn_on_us) and turn_on_us >= 0):
            raise ValueError(f"monitors: turn_on_us = {turn_on_us} is impossible; give 0 or more")
        self._samples_per_us = rate_hz * 1e-6
        self._late = delay_samples - SINC3_DELAY_SAMPLES + turn_on_us * self._samples_per_us
        self._ma_per_mv, self._v_per_mv = ma_per_mv, v_per_mv
        self._clip_mv = clip_mv
        self._pulses: deque[_Pulse] = deque()
        self._newest = -math.inf
        self._last = -1

    def pulse(self, at_samples: float, line: int, current_ma: float, volts: float, width_us: float) -> None:
        """A pulse whose trigger on `line` rises `at_samples` after conversion 0's end.

        Ascending; ValueError before the last pulse or the last row read, and for impossible values.
        """
        if line < 1:
            raise ValueError(f"monitors: line {line} is impossible; lines count from 1")
        if not (math.isfinite(current_ma) and math.isfinite(volts)):
            raise ValueError(f"monitors: {current_ma} mA at {volts} V is impossible; give finite numbers")
        _positive("monitors", "width_us", width_us)
        if not (math.isfinite(at_samples) and at_samples >= max(self._newest, self._last, 0)):
            raise ValueError(
                f"monitors: a pulse at sample {at_samples} comes too late: the last one was at "
                f"{self._newest}, conversion {self._last} has been read; give pulses in ascending order"
            )
        self._newest = at_samples
        start = at_samples + self._late
        end = start + width_us * self._samples_per_us
        last = math.ceil(end + _FILTER_SAMPLES) - 1
        self._pulses.append(
            _Pulse(
                start,
                end,
                last,
                self._clipped(current_ma / self._ma_per_mv),
                self._clipped(volts / self._v_per_mv),
            )
        )

    def read(self, index: int) -> tuple[float, float]:
        """Volts of current and voltage monitor at conversion `index`; ascending, else ValueError."""
        if index <= self._last:
            raise ValueError(f"conversion {index} was asked for after {self._last}; read in ascending order")
        self._last = index
        current_v = voltage_v = 0.0
        for pulse in self._pulses:
            share = step_response(index - pulse.start) - step_response(index - pulse.end)
            current_v += share * pulse.current_v
            voltage_v += share * pulse.voltage_v
        while self._pulses and self._pulses[0].last <= index:
            self._pulses.popleft()
        return current_v, voltage_v

    def _clipped(self, height_mv: float) -> float:
        """A pulse's height in volts."""
        return 1e-3 * min(max(height_mv, -self._clip_mv), self._clip_mv)


def _positive(owner: str, name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{owner}: {name} = {value} is impossible; give more than 0")
