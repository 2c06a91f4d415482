"""One test of single stimuli or short trains: every answer read by itself, in every muscle, against repeats.

Owns the last sweeps, each muscle's standing against its baseline, and
the gate that a train of four holds; the measuring is dsp's. An answer is told with the one stimulus that it
is of; nothing is averaged away and nothing dropped: what clipped is told as clipped. A pure function of
samples and commands.
"""

import math
from collections import deque
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsp.muscle import Response, ResponseMeter
from dsp.nouns import Sweep, Trigger
from dsp.reflex import Reflex, ReflexMeter
from dsp.repeats import Repeats, Rule, baseline, look
from dsp.stream import Scale
from dsp.train_of_four import Gate
from hostd.case import ResponsePlan, TestPlan
from hostd.grading import NONE as NO_BASELINE
from hostd.grading import baseline_fields
from hostd.outgoing import Outgoing, event, finite
from hostd.places import pooled
from hostd.polarity import NOTHING as NO_POLARITIES
from hostd.response_fields import NO_COURSE, NO_TRACES, peak_of, response_fields, sentence
from hostd.running import OfSweeps, Sweeping
from hostd.seen import Seen
from hostd.spread import Fired, Spread
from hostd.thresholds import Thresholds

LEAST_BASELINE = 2
KEPT_GATES = 16


class Responses(OfSweeps):
    """Reads the answers of one test. Raises ValueError for a plan that does not fit rate and channels."""

    def __init__(self, plan: TestPlan, rate_hz: float, scale: Scale, latency_offset_samples: float) -> None:
        if plan.response is None:
            raise ValueError(f"test {plan.name} says nowhere where its responses are")
        self.plan, self._how, self._rate_hz = plan, plan.response, rate_hz
        s = Sweeping(plan, rate_hz, scale, latency_offset_samples, None)
        super().__init__(s)
        self._names = s.names
        self._meter, self._reflexes, self._spread = _meters(plan, self._how, s)
        self._rule = Rule(self._how.drop_pct or 100.0, self._how.confirm)
        self._wants_baseline = plan.baseline == "auto"
        self._gates: deque[tuple[int, Gate]] = deque(maxlen=KEPT_GATES)
        self.running = False
        self._number = self._version = 0
        self._alike = not plan.stimulus.steps_ma and self._how.track is None
        self._forget()

    def _forget(self) -> None:
        """No sweep was seen yet, and nothing is to be compared with."""
        k = max(self._how.stack, self._how.confirm)
        self._stack: deque[NDArray[np.float32]] = deque(maxlen=max(self._how.stack, self._how.pooled))
        self._repeats = [Repeats(self._rule, k) for _ in self._names]
        self._first: list[list[float | None]] = []
        self._thresholds = Thresholds(self.plan, self._names, self._rate_hz)

    def start(self) -> None:
        """Begin with the next trigger; repeats and baseline go on, a threshold is searched anew."""
        self._thresholds.restart()
        self.running = True

    def stop(self) -> None:
        """Take no further triggers; sweeps under way are dropped."""
        self._sweeping.cutter.forget()
        self._spread.forget()
        self.running = False

    def change_rate(self, stimulus_hz: float, index: int) -> list[Outgoing]:
        """Another rate: answers are compared with none that came before."""
        messages = self.clear_baseline(index) if self._has_baseline else []
        self.plan = replace(self.plan, stimulus_hz=stimulus_hz)
        self._sweeping.cutter.forget()
        self._spread.forget()
        self._forget()
        self._wants_baseline = self.plan.baseline == "auto"
        return messages

    def planned(self, args: dict[str, Any]) -> None:
        """The next stimuli have this current, where anybody said so, and are controls or not."""
        self._spread.planned(args)

    @property
    def asks(self) -> str:
        """The train-of-four test that must allow it; "" asks none."""
        return self._how.gate

    def gated(self, index: int, gates: dict[str, Gate]) -> None:
        """What the train of four allows from sample `index` on."""
        self._gates.append((index, gates[self._how.gate_for]))

    def mains(self, hz: float | None, amplitude_uv: list[float], index: int) -> None:
        """Single answers stand far above the mains, or are told to be absent beside them."""

    def append(self, counts: NDArray[np.int32], triggers: list[Trigger]) -> list[Outgoing]:
        """The next contiguous samples and all stimuli (any line) in them."""
        for trigger in triggers:
            self._sweeping.cutter.trigger(trigger, self.running)
            if self.running and trigger.pulse == 1 and trigger.line in self._sweeping.lines:
                self._spread.fired(trigger.index)
        self._sweeping.stream.append(counts, [t.index for t in triggers])
        return self._take(self._sweeping.cutter.cut(self._sweeping.stream))

    def finish(self) -> list[Outgoing]:
        """Everything was said when it was so."""
        return []

    @property
    def _has_baseline(self) -> bool:
        return any(one.baseline is not None for one in self._repeats)

    def set_baseline(self, index: int) -> list[Outgoing]:
        """Compare with the last answers. Raises ValueError where there are fewer than two."""
        looks = [[one.amplitude_uv for one in repeats.looks if one.known] for repeats in self._repeats]
        if min(map(len, looks), default=0) < LEAST_BASELINE:
            raise ValueError(f"a baseline needs {LEAST_BASELINE} answers, there are {len(self._stack)}")
        return self._become_baseline(looks, index)

    def clear_baseline(self, index: int) -> list[Outgoing]:
        """Compare with nothing. Raises ValueError without a baseline."""
        if not self._has_baseline:
            raise ValueError(f"test {self.plan.name} has no baseline")
        self._repeats = [Repeats(self._rule, one.k, None, one.looks) for one in self._repeats]
        self._wants_baseline = False
        fields = self._average_fields(index) | {"n_sweeps": 0, "stack_uv": None} | NO_BASELINE
        fields["mean_uv"] = fields["mean_uv"][:0]
        return [Outgoing(f"baseline.{self.plan.name}", index, fields)]

    def _become_baseline(self, amplitudes: list[list[float | None]], index: int) -> list[Outgoing]:
        made = [baseline(each) for each in amplitudes]
        self._repeats = [replace(r, baseline=b) for r, b in zip(self._repeats, made, strict=True)]
        self._version += 1
        self._wants_baseline = False
        known = [one.baseline for one in self._repeats if one.baseline is not None]
        # Of the best muscle: what answers is what is watched.
        error = min((one.log_sd / math.sqrt(one.n) for one in known), default=None)
        fields = self._average_fields(index) | baseline_fields(self._version, error)
        return [Outgoing(f"baseline.{self.plan.name}", index, fields)]

    def _take(self, sweeps: list[Sweep]) -> list[Outgoing]:
        messages: list[Outgoing] = []
        for sweep in sweeps:
            self._number += 1
            messages.append(self._sweeping.sweep_message(sweep))
            fired = self._spread.of(sweep.trigger.index)
            # What stood at a rail is told as clipped, not thrown away; what is no signal of the body is.
            if not len(sweep.uv) or sweep.reason not in ("", "saturated"):
                messages.append(self._told(sweep, fired, []))
            elif fired.control:
                messages.append(self._read_control(sweep, fired))
            else:
                messages += self._read(sweep, fired)
        return messages

    def _read_control(self, sweep: Sweep, fired: Fired) -> Outgoing:
        """A single pulse before its train: told, and compared with nothing but that train."""
        found = _clipped(sweep, self._spread.read(sweep.trigger.index, sweep.uv))
        nothing = Repeats(self._rule, self._how.confirm)
        return self._told(sweep, fired, [response_fields(one, nothing, None, None) for one in found])

    def _read(self, sweep: Sweep, fired: Fired) -> list[Outgoing]:
        index = sweep.trigger.index
        self._stack.append(sweep.uv)
        pooled = np.stack(list(self._stack)[-self._how.pooled :]).astype(np.float64)
        reflexes: tuple[Reflex, ...] = () if self._reflexes is None else self._reflexes.measure(pooled)
        found = _clipped(sweep, tuple(one.h for one in reflexes) or self._meter.measure(pooled))
        self._repeats = [r.add(look(one)) for r, one in zip(self._repeats, found, strict=True)]
        self._seen += self._beside_baseline(found, index)
        messages = self._first_baseline(found, index)
        spread = self._spread.judge(fired, found)
        rows = [
            response_fields(one, repeats, reflexes[k] if reflexes else None, spread[k])
            for k, (one, repeats) in enumerate(zip(found, self._repeats, strict=True))
        ]
        peaks = [peak_of(one, repeats) for one, repeats in zip(found, self._repeats, strict=True)]
        counted = {"n_sweeps": len(self._stack), "last_index": index, "final": True}
        measure = {"peaks": peaks, "leading": self._names[0], **counted, **NO_COURSE}
        return [
            *messages,
            self._told(sweep, fired, rows, found),
            Outgoing(f"average.{self.plan.name}", index, self._average_fields(index)),
            Outgoing(f"measure.{self.plan.name}", index, measure),
        ]

    def _beside_baseline(self, found: tuple[Response, ...], index: int) -> list[Seen]:
        """What each answer says beside its baseline, and each limb's together; what is absent was no larger
        than its limit. Nothing of stimuli that differ on purpose."""
        seen: list[Seen] = []
        if not self._alike:
            return seen
        for one, repeats in zip(found, self._repeats, strict=True):
            before, at_most_uv = repeats.baseline, one.amplitude_uv if one.present else one.limit_uv
            if before is None or at_most_uv is None or not at_most_uv > 0.0:
                continue
            log = math.log(at_most_uv) - before.log_mean
            seen.append(
                Seen(
                    index,
                    self.plan.name,
                    one.name,
                    "answer",
                    log,
                    absent=not one.present,
                    version=self._version,
                    error=before.log_sd,
                    count=before.n,
                )
            )
        return seen + pooled(self.plan, seen)

    def _first_baseline(self, found: tuple[Response, ...], index: int) -> list[Outgoing]:
        """The first answers worth comparing with: so many, and at least one muscle in all of them."""
        if not self._wants_baseline:
            return []
        self._first = [*self._first, [one.amplitude_uv for one in found]][-self.plan.baseline_sweeps :]
        each = [list(one) for one in zip(*self._first, strict=True)]
        if len(self._first) < self.plan.baseline_sweeps or not any(None not in one for one in each):
            return []
        messages = self._become_baseline(each, index)
        text = f"baseline of {self.plan.site} set by itself: {len(self._first)} answers"
        return [*messages, event(index, text, "baseline", "auto", test=self.plan.name)]

    def _told(
        self,
        sweep: Sweep,
        fired: Fired,
        rows: list[dict[str, Any]],
        found: tuple[Response, ...] = (),
    ) -> Outgoing:
        """One stimulus and its answers; with what is `found` thresholds go on."""
        index, ma = sweep.trigger.index, fired.current_ma
        threshold = self._thresholds.searched(found, ma) if found else None
        tracked = self._thresholds.tracked(found, ma, index) if found else None
        known = [one for at, one in self._gates if at <= sweep.trigger.index]
        gate = {"allowed": known[-1].allowed, "why": known[-1].why} if known else None
        fields = {
            "site": self.plan.site,
            "modality": self.plan.modality,
            "number": self._number,
            "trigger_index": sweep.trigger.index,
            "current_ma": fired.current_ma,
            "control": fired.control,
            "accepted": bool(rows),
            "reason": sweep.reason,
            "responses": rows,
            "threshold": threshold,
            "tracked": tracked,
            "gate": gate,
            "text": sentence(self.plan.site, rows, sweep.reason, threshold, gate, fired.control),
        }
        return Outgoing(f"response.{self.plan.name}", sweep.trigger.index, fields)

    def _average_fields(self, index: int) -> dict[str, Any]:
        """The last answers, one above the other, and their mean."""
        stack = np.stack(list(self._stack)[-self._how.stack :])
        mean = stack.mean(axis=0, dtype=np.float64)
        quiet = self._meter.parts(mean)[1]
        n = len(stack)
        return self._sweeping.frame_fields() | {
            "mean_uv": self._sweeping.absolute(mean.astype(np.float32)),
            "stack_uv": stack,
            "halves_uv": None,
            "noise_uv": [finite(x) for x in quiet.std(axis=0)],
            "n_sweeps": n,
            "n_rejected": 0,
            "n_effective": float(n),
            "n_effective_each": [float(n)] * len(self._names),
            "sweeps_target": self._how.stack,
            "first_index": index,
            "last_index": index,
            "rate_hz": self.plan.stimulus_hz or None,
            "band_hz": list(self.plan.band_hz) if self.plan.band_hz else None,
            "weighting": "none",
            "averaging": "moving",
            "blanked_ms": [0.0, self.plan.blank_ms],
            "final": True,
            **NO_TRACES,
            **NO_POLARITIES,
        }


def _clipped(sweep: Sweep, found: tuple[Response, ...]) -> tuple[Response, ...]:
    """What was read in a sweep, flagged where that stood at a rail."""
    return tuple(replace(one, clipped=True) for one in found) if sweep.reason else found


def _meters(
    plan: TestPlan, how: ResponsePlan, s: Sweeping
) -> tuple[ResponseMeter, ReflexMeter | None, Spread]:
    """What measures the sweeps, the H reflex beside its M wave where the test is one, and the controls."""
    quiet = tuple(s.held(span) for span in how.quiet_ms)
    search = s.held(how.search_ms)
    meter = ResponseMeter(search, s.t0_ms, s.dt_ms, s.names, quiet, plan.smallest_uv)
    spread = Spread(plan, s, search, quiet)
    if how.m_ms is None:
        return meter, None, spread
    reflexes = ReflexMeter(s.held(how.m_ms), search, s.t0_ms, s.dt_ms, s.names, quiet, plan.smallest_uv)
    return meter, reflexes, spread
