"""A train-of-four test: four answers of one muscle, how many, how they fade, and what that allows.

Owns the sweeps of the train under way and the first trains, which are the control that T1 is a share of; the
measuring is `dsp.train_of_four`'s. A pulse whose edge never came back is told as missing.
"""

from collections import deque
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsp.nouns import Sweep, Trigger
from dsp.stream import Scale
from dsp.train_of_four import PULSES, Control, Gate, TrainOfFour, TrainOfFourMeter, gate
from hostd.case import TestPlan
from hostd.outgoing import Outgoing
from hostd.running import OfSweeps, Sweeping

KEPT = 5
_WAIT = 1.5
"""A train is over so many of its intervals after its last pulse was due."""


class Tof(OfSweeps):
    """Reads the trains of one test. Raises ValueError for a plan that does not fit rate and channels."""

    def __init__(self, plan: TestPlan, rate_hz: float, scale: Scale, latency_offset_samples: float) -> None:
        if plan.response is None:
            raise ValueError(f"test {plan.name} says nowhere where its responses are")
        self.plan = plan
        s = Sweeping(plan, rate_hz, scale, latency_offset_samples, None)
        super().__init__(s)
        quiet = tuple(s.held(span) for span in plan.response.quiet_ms)
        search = s.held(plan.response.search_ms)
        self._meter = TrainOfFourMeter(search, s.t0_ms, s.dt_ms, quiet, plan.smallest_uv)
        self._interval = round(plan.stimulus.interval_ms * rate_hz / 1e3)
        self._due = round((PULSES - 1 + _WAIT) * self._interval)
        self._wants_control = plan.baseline == "auto"
        self._control: Control | None = None
        self._recent: deque[TrainOfFour] = deque(maxlen=KEPT)
        self._pulse_of: dict[int, int] = {}
        self._train: dict[int, NDArray[np.float32] | None] = {}
        self._reason = ""
        self._begun: int | None = None
        self._gates: list[tuple[int, dict[str, Gate]]] = []
        self.running = False

    def start(self) -> None:
        """Begin with the next train."""
        self.running = True

    def stop(self) -> None:
        """Take no further pulses; a train under way is dropped."""
        self._sweeping.cutter.forget()
        self._drop()
        self.running = False

    def change_rate(self, stimulus_hz: float, index: int) -> list[Outgoing]:
        """Trains come when they are asked for."""
        self.plan = replace(self.plan, stimulus_hz=stimulus_hz)
        self.stop()
        return []

    def planned(self, args: dict[str, Any]) -> None:
        """The current is supramaximal, whatever it is."""

    def mains(self, hz: float | None, amplitude_uv: list[float], index: int) -> None:
        """M waves stand far above the mains."""

    def append(self, counts: NDArray[np.int32], triggers: list[Trigger]) -> list[Outgoing]:
        """The next contiguous samples and all stimuli (any line) in them."""
        messages: list[Outgoing] = []
        for trigger in triggers:
            if trigger.line in self._sweeping.lines and self.running and trigger.pulse:
                messages += self._begin(trigger) if trigger.pulse == 1 else []
                self._pulse_of[trigger.index] = trigger.pulse
                trigger = replace(trigger, pulse=1)  # every pulse has a sweep of its own
            self._sweeping.cutter.trigger(trigger, self.running)
        stream = self._sweeping.stream
        stream.append(counts, [t.index for t in triggers])
        messages += self._take(self._sweeping.cutter.cut(stream))
        if self._begun is not None and stream.end >= self._begun + self._due:
            messages += self._whole()
        return messages

    def finish(self) -> list[Outgoing]:
        """A train that the samples end in is told as far as it came."""
        return self._whole() if self._begun is not None else []

    def set_baseline(self, index: int) -> list[Outgoing]:
        """The last train is the control. Raises ValueError without one of which T1 is present."""
        seen = [t for t in self._recent if t.amplitudes_uv[0] is not None and t.se_uv is not None]
        if not seen:
            raise ValueError("a control needs a train whose T1 is present, there is none")
        self._become_control(seen[-1])
        return []

    def clear_baseline(self, index: int) -> list[Outgoing]:
        """T1 is no share of anything any more. Raises ValueError without a control."""
        if self._control is None:
            raise ValueError(f"test {self.plan.name} has no control")
        self._control = None
        self._wants_control = False
        return []

    def _become_control(self, train: TrainOfFour) -> None:
        if train.amplitudes_uv[0] is not None and train.se_uv is not None:
            self._control = Control(train.amplitudes_uv[0], train.se_uv)
            self._wants_control = False

    def _begin(self, trigger: Trigger) -> list[Outgoing]:
        told = self._whole() if self._begun is not None else []
        self._drop()
        self._begun = trigger.index
        return told

    def _drop(self) -> None:
        self._train, self._pulse_of, self._reason, self._begun = {}, {}, "", None

    def _take(self, sweeps: list[Sweep]) -> list[Outgoing]:
        messages = []
        for sweep in sweeps:
            messages.append(self._sweeping.sweep_message(sweep))
            pulse = self._pulse_of.get(sweep.trigger.index)
            if pulse is None or self._begun is None:
                continue
            usable = len(sweep.uv) and sweep.reason in ("", "saturated")
            self._train[pulse] = sweep.uv if usable else None
            self._reason = self._reason or ("" if usable else sweep.reason)
            if len(self._train) == PULSES:
                messages += self._whole()
        return messages

    def _whole(self) -> list[Outgoing]:
        """The train is over: measure it."""
        index = self._begun or 0
        sweeps = [self._train.get(k + 1) for k in range(PULSES)]
        reason = self._reason
        self._drop()
        if reason or all(one is None for one in sweeps):
            return [self._told(index, None, None, reason or "no pulse")]
        nothing = np.zeros_like(next(one for one in sweeps if one is not None))
        uv = np.stack([(nothing if one is None else one)[:, 0] for one in sweeps]).astype(np.float64)
        told = self._meter.measure(uv, [one is not None for one in sweeps], self._control)
        allowed = gate(told, "mep", tuple(self._recent)), gate(told, "emg", tuple(self._recent))
        whole = (PULSES - 1) * self._interval + self._sweeping.stream.history
        holds_from = index + (whole if all(one is not None for one in sweeps) else max(whole, self._due))
        self._gates.append((holds_from, {"mep": allowed[0], "emg": allowed[1]}))
        self._recent.append(told)
        if self._wants_control and told.count == PULSES:
            self._become_control(told)
        return [self._told(index, told, allowed, "")]

    @property
    def known_after(self) -> int:
        """Samples after the first pulse of a train at which it is told at the latest, whole or not."""
        return max((PULSES - 1) * self._interval, self._due) + self.reach

    def new_gates(self) -> list[tuple[int, dict[str, Gate]]]:
        """What trains allow that were read since this was asked last, each from a sample on."""
        new, self._gates = self._gates, []
        return new

    def _told(
        self, index: int, told: TrainOfFour | None, allowed: tuple[Gate, Gate] | None, reason: str
    ) -> Outgoing:
        one = told
        text = f"{self.plan.site}: train of four "
        if one is None or one.count is None:
            text += f"not read, {reason or (one.why if one else '')}; repeat"
        else:
            text += f"{one.count} of 4" + ("" if one.ratio is None else f", ratio {one.ratio:.2f}")
        mep, emg = allowed or (None, None)
        fields = {
            "test": self.plan.name,
            "site": self.plan.site,
            "muscle": self._sweeping.names[0],
            "trigger_index": index,
            "count": None if one is None else one.count,
            "ratio": None if one is None else one.ratio,
            "ratio_ci": None if one is None or one.ratio_ci is None else list(one.ratio_ci),
            "share": None if one is None else one.share,
            "share_ci": None if one is None or one.share_ci is None else list(one.share_ci),
            "amplitudes_uv": [None] * PULSES if one is None else list(one.amplitudes_uv),
            "present": [False] * PULSES if one is None else list(one.present),
            "missing": [] if one is None else list(one.missing),
            "clipped": any(one.clipped) if one is not None else False,
            "noise_uv": None if one is None else one.noise_uv,
            "limit_uv": None if one is None else one.limit_uv,
            "mep_allowed": None if mep is None else mep.allowed,
            "mep_why": "" if mep is None else mep.why,
            "emg_allowed": None if emg is None else emg.allowed,
            "emg_why": "" if emg is None else emg.why,
            "reason": reason,
            "text": text,
        }
        return Outgoing("tof", index, fields)
