"""One evoked-response test as it runs: samples in, messages out. A pure function of samples and commands.

Whatever the block boundaries, the same samples give the same messages, bit for bit: every decision is taken
at a sample index, none at a time of day.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsp.averagers import averager
from dsp.droop import compensate_average, design
from dsp.limits import SUB_AVERAGES
from dsp.mains_fit import MainsFit
from dsp.nouns import Average, Measurement, Sweep, Trigger
from dsp.stream import Scale
from hostd.case import TestPlan
from hostd.comparison import UNKNOWN, peak_fields
from hostd.course import Course
from hostd.grading import NONE as NO_BASELINE
from hostd.grading import baseline_fields
from hostd.outgoing import Outgoing, event, finite
from hostd.polarity import NOTHING as NO_POLARITIES
from hostd.polarity import Polarities
from hostd.running import OfSweeps, Sweeping

PUBLISH_EVERY_S = 0.2


@dataclass(frozen=True, slots=True)
class Baseline:
    """What later averages are compared with; bound to the test's rate, band and montage."""

    index: int
    fields: dict[str, Any]
    measurements: tuple[Measurement, ...]


class Evoked(OfSweeps):
    """Averages one test. Raises ValueError when built with a plan that does not fit rate and channels."""

    def __init__(self, plan: TestPlan, rate_hz: float, scale: Scale, latency_offset_samples: float) -> None:
        self.plan = plan
        self._rate_hz = rate_hz
        measured_ms = max(
            (end for p in plan.peaks for _, end in (p.window_ms, p.to_ms or p.window_ms)), default=None
        )
        sweeping = Sweeping(plan, rate_hz, scale, latency_offset_samples, measured_ms)
        super().__init__(sweeping)
        self._names = names = sweeping.names
        self._t0_ms, self._dt_ms, self._rows = sweeping.t0_ms, sweeping.dt_ms, sweeping.rows
        self.stream, self._cutter, self._lines = sweeping.stream, sweeping.cutter, sweeping.lines
        self._fit: MainsFit | None = None
        self._response = math.ceil(plan.response_ms * rate_hz / 1e3)
        self._taps = design() if plan.droop == "compensate" else None
        self._averager = averager(plan.averaging, self._rows, len(names), plan.sweeps)
        self._polarities = Polarities(plan, self._rows) if plan.stimulus.alternate_line else None
        self._publish_every = max(1, round(PUBLISH_EVERY_S * rate_hz))
        self._published = -self._publish_every
        self._dirty = False
        self.running = False
        self.baseline: Baseline | None = None
        self._course = self._new_course()
        self._leading = plan.leading
        self._wants_baseline = plan.baseline == "auto"

    def planned(self, args: dict[str, Any]) -> None:
        """Averages do not ask how strong a stimulus is."""

    def start(self) -> None:
        """Begin a new average with the next trigger."""
        self._begin()
        self._dirty = False
        self.running = True

    def _begin(self) -> None:
        self._averager.restart()
        if self._polarities is not None:
            self._polarities.restart()
        self._course.restart()
        self._dirty = False

    def _new_course(self, version: int = 0) -> Course:
        return Course(self.plan, self._names, self._rows, self._t0_ms, self._dt_ms, version)

    def stop(self) -> None:
        """Take no further triggers; sweeps under way are dropped, the average stays as it is."""
        self._cutter.forget()
        self.running = False

    def change_rate(self, stimulus_hz: float, index: int) -> list[Outgoing]:
        """Another stimulus rate, and so another average and another baseline: amplitude follows the rate
        (facts: clinical 0.4). Sweeps under way are dropped; displays are told by a baseline of no sweeps."""
        messages = self.clear_baseline(index) if self.baseline is not None else []
        self.plan = replace(self.plan, stimulus_hz=stimulus_hz)
        self._cutter.forget()
        self._course = self._new_course(self._course.version)
        self._begin()
        self._wants_baseline = self.plan.baseline == "auto"
        return messages

    def mains(self, hz: float | None, amplitude_uv: list[float], index: int) -> None:
        """Mains as measured, from sample `index` on."""
        self._course.mains(hz, amplitude_uv, index)
        if self.plan.mains == "leave" or hz is None:
            return
        if self._fit is None:
            self._fit = MainsFit(self._rate_hz, hz, len(self._names))
            self.stream.take_out(self._fit)
        self._fit.follow(hz)

    def append(self, counts: NDArray[np.int32], triggers: list[Trigger]) -> list[Outgoing]:
        """The next contiguous samples and all stimuli (any line) in them; up to `stream.max_block` rows."""
        for trigger in triggers:
            self._cutter.trigger(trigger, self.running)
            if self._fit is not None:
                own = trigger.line in self._lines
                self._fit.exclude(
                    trigger.index, trigger.index + (self._response if own else self._sweeping.blank_samples)
                )
        self.stream.append(counts, [t.index for t in triggers])
        return self._take(self._cutter.cut(self.stream))

    def finish(self) -> list[Outgoing]:
        """Say what was not said yet: the samples have ended."""
        if not self._dirty:
            return []
        return self._publish(self._average())

    def set_baseline(self, index: int) -> list[Outgoing]:
        """Make the average so far the baseline. Raises ValueError below 16 accepted sweeps."""
        if self._averager.n_sweeps < SUB_AVERAGES:
            raise ValueError(f"a baseline needs {SUB_AVERAGES} sweeps, there are {self._averager.n_sweeps}")
        average = self._averager.average()
        return self._become_baseline(average, self._course.measure(average), index)

    def clear_baseline(self, index: int) -> list[Outgoing]:
        """Compare with nothing; displays are told by a baseline of no sweeps."""
        if self.baseline is None:
            raise ValueError(f"test {self.plan.name} has no baseline")
        empty = self.baseline.fields["mean_uv"][:0]
        gone = dict.fromkeys(("halves_uv", "sharp_uv", "virtual_uv", "polarities_uv"))
        nothing = {"mean_uv": empty, "n_sweeps": 0} | gone
        fields = self.baseline.fields | nothing | NO_BASELINE
        self.baseline = None
        self._course.clear_baseline()
        self._wants_baseline = False
        return [Outgoing(f"baseline.{self.plan.name}", index, fields)]

    def _take(self, sweeps: list[Sweep]) -> list[Outgoing]:
        messages: list[Outgoing] = []
        for sweep in sweeps:
            at = sweep.trigger.index
            messages.append(self._sweeping.sweep_message(sweep))
            self._averager.add(sweep)
            if self._polarities is not None:
                self._polarities.add(sweep)
            self._seen += self._course.add(sweep)
            self._dirty = True
            if at - self._published >= self._publish_every or self._averager.complete:
                messages += self._publish(self._average())
        return messages

    def _average(self) -> Average:
        """The average so far, the converter's droop given back where the case asks for that."""
        average = self._averager.average()
        return average if self._taps is None else compensate_average(average, self._taps)

    def _become_baseline(
        self, average: Average, measured: tuple[Measurement, ...], index: int
    ) -> list[Outgoing]:
        fields = self._average_fields(average)
        self._course.set_baseline(average, measured)
        replicates = self._course.replicates(average)
        fields |= baseline_fields(self._course.version, self._course.baseline_error, replicates)
        self.baseline = Baseline(index, fields, measured)
        return [Outgoing(f"baseline.{self.plan.name}", index, fields)]

    def _first_baseline_due(self, average: Average, measured: tuple[Measurement, ...]) -> bool:
        """The first average worth comparing with: sweeps enough, and its leading peak seen or target met."""
        enough = average.n_sweeps >= max(self.plan.baseline_sweeps, SUB_AVERAGES)
        led = self._leading is None or measured[self._leading].present
        return self._wants_baseline and self.baseline is None and enough and (led or average.final)

    def _publish(self, average: Average) -> list[Outgoing]:
        index = average.last_index
        self._published = index
        self._dirty = False
        measured = self._course.measure(average)
        verdict = self._course.verdict(average, measured)
        certain = self.plan.stop == "certain" and verdict is not None and verdict.done
        if certain and not average.final:
            average = replace(average, final=True)
        first: list[Outgoing] = []
        if self._first_baseline_due(average, measured):
            first = self._become_baseline(average, measured, index)
            text = f"baseline of {self.plan.site} set by itself: {average.n_sweeps} sweeps"
            first.append(event(index, text, "baseline", "auto", test=self.plan.name))
        fields = self._average_fields(average)
        before = self.baseline.measurements if self.baseline else (None,) * len(measured)
        normals = self.plan.normals or (UNKNOWN,) * len(measured)
        peaks = [peak_fields(*one) for one in zip(measured, before, normals, strict=True)]
        counted = {
            "leading": None if self._leading is None else self.plan.peaks[self._leading].name,
            "n_sweeps": average.n_sweeps,
            "last_index": average.last_index,
            "final": average.final,
            **self._course.fields(average, measured, verdict),
            "mains_fit": self._mains_fit(index),
        }
        if certain:
            self._begin()
        return [
            *first,
            Outgoing(f"average.{self.plan.name}", index, fields),
            Outgoing(f"measure.{self.plan.name}", index, {"peaks": peaks, **counted}),
        ]

    def _mains_fit(self, index: int) -> dict[str, Any] | None:
        """What was taken out of the samples at `index`; None where nothing is asked for or known."""
        if self._fit is None:
            return None
        fitted = self._fit.fitted_at(index)
        return {
            "hz": fitted.hz,
            "subtracted": fitted.believable.tolist(),
            "amplitude_uv": fitted.amplitude_uv.tolist(),
        }

    def _mean(self, average: Average) -> NDArray[np.float32]:
        """The mean; 0 where no sweep was good for a derivation, never NaN."""
        return self._known(average.mean_uv, average)

    def _halves(self, average: Average) -> NDArray[np.float32] | None:
        """The averages of every other sweep; None unless every derivation in use has both."""
        halves = average.halves_uv
        if halves is None or not average.n_sweeps:
            return None
        # A half of no weight is no number from its first row on.
        if np.isnan(halves[:, 0, average.n_effective > 0.0]).any():
            return None
        return self._known(halves, average)

    def _known(self, uv: NDArray[np.floating], average: Average) -> NDArray[np.float32]:
        told = self._sweeping.absolute(uv)
        return told if (average.n_effective > 0.0).all() else np.nan_to_num(told)

    def _average_fields(self, average: Average) -> dict[str, Any]:
        return self._sweeping.frame_fields() | {
            "mean_uv": self._mean(average),
            "halves_uv": self._halves(average),
            "noise_uv": [finite(x) for x in average.noise_uv],
            "n_sweeps": average.n_sweeps,
            "n_rejected": average.n_rejected,
            "n_effective": float(average.n_effective[0]),
            "n_effective_each": average.n_effective.tolist(),
            "sweeps_target": self.plan.sweeps,
            "first_index": average.first_index,
            "last_index": average.last_index,
            "rate_hz": self.plan.stimulus_hz or None,
            "band_hz": list(self.plan.band_hz) if self.plan.band_hz else None,
            "weighting": self.plan.weighting,
            "averaging": self.plan.averaging,
            "blanked_ms": [0.0, self.plan.blank_ms],
            "final": average.final,
            **self._course.traces(average),
            "stack_uv": None,
            **(NO_POLARITIES if self._polarities is None else self._polarities.fields()),
        }
