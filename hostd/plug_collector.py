"""What the stimulus of one test evokes in more than its own derivations, while its plugs are checked.

Owns a second stretch from samples to sweeps, of single electrodes, from which every derivation that an
exchange could have is made; averaged and measured by what averages and measures the test itself. Decides
nothing. A pure function of samples and commands.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dsp.average import Averager
from dsp.limits import SUB_AVERAGES
from dsp.measure import Measurer
from dsp.muscle import Response, ResponseMeter
from dsp.nouns import Average, Derivation, Measurement, Sweep, Trigger
from dsp.presence import T_PRESENT, Z_95, Evidence
from dsp.stream import Scale
from dsp.weights import NoiseWeights
from hostd.case import TestPlan
from hostd.plug_exchanges import Asked
from hostd.plug_readings import Found, Look, Reading, There
from hostd.running import Sweeping

FIRST_SWEEPS, EVERY_SWEEPS, LEAST_BOUND = 32, 16, 64
FIRST_TRAINS, LAST_TRAINS = 3, 10
SEEN_SHARE, ABSENT_SHARE = 0.3, 0.1
"""Of trains that a muscle answers: it is seen; it does not answer."""
LEAST_ANSWERS, LEAST_ONSETS = 2, 3
"""One answer is chance; an onset is that of so many, and of half the trains."""
LIMIT_SDS = T_PRESENT + 1.0
"""A response that stands so many standard errors high is seen five times of six."""
LOUD_TIMES = 8.0
"""Noise that hides so many times the usual response is no body's: nothing is read in it."""
MUSCLE_TIMES = 2.0
"""A muscle's answers vary by so much and more from train to train."""
BLIND = Reading(False, None, 0.0, 0.0, None)


class Collector(Protocol):
    """Of one test: samples in, looks out with the index of the sweep that each is made at."""

    sweeping: Sweeping
    running: bool

    def append(self, counts: NDArray[np.int32], triggers: list[Trigger]) -> list[tuple[int, Look]]:
        """The next contiguous samples and all stimuli (any line) in them."""
        ...

    def planned(self, args: dict[str, Any]) -> None:
        """A plan of this test goes to the edge."""
        ...

    def restart(self, index: int) -> None:
        """The signal begins anew at `index`."""
        ...

    def stop(self) -> None:
        """Take no further triggers."""
        ...


class _Sweeps:
    """What both kinds share."""

    def __init__(self, plan: TestPlan, sweeping: Sweeping, index: int) -> None:
        self.plan, self.sweeping, self.running = plan, sweeping, False
        sweeping.stream.restart(index)

    def restart(self, index: int) -> None:
        """The signal begins anew at `index`; a sweep that is lost is none."""
        self.sweeping.cutter.gap()
        self.sweeping.stream.restart(index)

    def stop(self) -> None:
        """Take no further triggers."""
        self.sweeping.cutter.forget()
        self.running = False

    def _cut(self, counts: NDArray[np.int32], triggers: list[Trigger]) -> list[Sweep]:
        for trigger in triggers:
            self.sweeping.cutter.trigger(trigger, self.running)
        self.sweeping.stream.append(counts, [t.index for t in triggers])
        return self.sweeping.cutter.cut(self.sweeping.stream)


def _places(asked: Sequence[Asked]) -> list[Derivation]:
    """Every derivation in which one of these responses may be, once."""
    return list(dict.fromkeys(d for one in asked for d in (one.own, *(d for _, d in one.under))))


class _Mixed:
    """Derivations of single electrodes: of each (electrode's column, weight)."""

    def __init__(self, parts: list[list[tuple[int, float]]]) -> None:
        self._parts = [[(at, np.float32(w)) for at, w in of] for of in parts]

    def __len__(self) -> int:
        return len(self._parts)

    def of(self, uv: NDArray[np.floating]) -> NDArray[np.float32]:
        """(time, electrode) as (time, derivation); no matrix product: its last digits hang on threads."""
        of = np.ascontiguousarray(uv.T)
        made = np.empty((len(self._parts), len(uv)), np.float32)
        for row, ((first, weight), *rest) in zip(made, self._parts, strict=True):
            np.multiply(of[first], weight, out=row, casting="same_kind")
            for at, weight in rest:
                row += weight * of[at]
        return np.ascontiguousarray(made.T)


class _MixedWeights(NoiseWeights):
    """The weights of sweeps in these derivations, as a test of them would have."""

    def __init__(self, mixed: _Mixed, band_hz: tuple[float, float] | None, rate_hz: float) -> None:
        low_hz, high_hz = band_hz or (None, None)
        super().__init__(len(mixed), low_hz, rate_hz, high_hz)
        self._mixed = mixed

    def weigh(self, *intervals: NDArray[np.floating]) -> NDArray[np.float64] | None:
        """As `NoiseWeights`, between intervals of electrodes."""
        return super().weigh(*(self._mixed.of(rows) for rows in intervals))


class Averaged(_Sweeps):
    """Of a test with peaks. Raises ValueError for a plan that does not fit the stream."""

    def __init__(
        self,
        plan: TestPlan,
        asked: tuple[Asked, ...],
        channels: tuple[str, ...],
        rate_hz: float,
        scale: Scale,
        offset_samples: float,
        index: int,
    ) -> None:
        self._asked = asked
        self._made = _places(asked)
        alone = [k for k in range(len(channels)) if any(d.weights[k] for d in self._made)]
        single = tuple(Derivation(channels[k], tuple(map(float, np.eye(len(channels))[k]))) for k in alone)
        bare = replace(plan, derivations=single, peaks=(), mains="leave", droop="leave", reject_uv=None)
        measured_ms = max(end for p in plan.peaks for _, end in (p.window_ms, p.to_ms or p.window_ms))
        self._mixed = _Mixed(
            [[(alone.index(k), w) for k, w in enumerate(d.weights) if w] for d in self._made]
        )
        noise = _MixedWeights(self._mixed, plan.band_hz, rate_hz)
        sweeping = Sweeping(bare, rate_hz, scale, offset_samples, measured_ms, noise)
        super().__init__(plan, sweeping, index)
        self._bound = max(plan.sweeps, LEAST_BOUND)
        self._averager = Averager(sweeping.rows, len(self._made), self._bound)
        self._measurers = [self._measurer(one) for one in asked]
        self._seen = self._looked = 0

    def planned(self, args: dict[str, Any]) -> None:
        """Averages do not ask how strong a stimulus is."""

    def append(self, counts: NDArray[np.int32], triggers: list[Trigger]) -> list[tuple[int, Look]]:
        """As `Collector`."""
        looks = []
        for sweep in self._cut(counts, triggers):
            self._seen += 1
            self._averager.add(self._derived(sweep))
            n = self._averager.n_sweeps
            last = n >= self._bound or self._seen >= 2 * self._bound
            due = n >= FIRST_SWEEPS and n % EVERY_SWEEPS == 0 and n != self._looked
            if (due or last) and self._looked >= 0:
                self._looked = -1 if last else n
                looks.append((sweep.trigger.index, self._look(n, last)))
        return looks

    def _derived(self, sweep: Sweep) -> Sweep:
        """A sweep of electrodes as one of derivations."""
        n = len(self._made)
        if not sweep.accepted:
            return replace(sweep, uv=np.empty((0, n), np.float32), weights=np.zeros(n))
        uv = self._mixed.of(sweep.uv)
        weights = sweep.weights if len(sweep.weights) == n else np.ones(n)
        if self.plan.reject_uv is not None:
            weights = np.where(np.abs(uv).max(axis=0) > self.plan.reject_uv, 0.0, weights)
        return replace(sweep, uv=uv, weights=weights, reason="" if weights.any() else "amplitude")

    def _measurer(self, one: Asked) -> tuple[Measurer, list[int]]:
        """What measures a peak in every derivation in which it may be, the own one first."""
        at = [self._made.index(d) for d in dict.fromkeys((one.own, *(d for _, d in one.under)))]
        peak = one.peak
        if peak is None:
            raise ValueError(f"{one.response} is no peak")
        s = self.sweeping
        peaks = tuple(replace(peak, derivation=k) for k in at)
        names = tuple(d.name for d in self._made)
        return Measurer(peaks, names, s.rows, s.t0_ms, s.dt_ms), at

    def _look(self, n: int, last: bool) -> Look:
        average = self._averager.average() if n >= SUB_AVERAGES else None
        found = []
        for one, (measurer, at) in zip(self._asked, self._measurers, strict=True):
            read = self._read(average, measurer, at, LOUD_TIMES * one.usual_uv)
            found.append(_found(one, {self._made[k]: reading for k, reading in read.items()}))
        return Look(self.plan.name, self.plan.site, n, last, tuple(found))

    def _read(
        self, average: Average | None, measurer: Measurer, at: list[int], loud_uv: float
    ) -> dict[int, Reading]:
        if average is None:
            return dict.fromkeys(at, BLIND)
        pairs = zip(at, measurer.measure(average), measurer.evidence(average), strict=True)
        return {k: _of_peak(found, evidence, loud_uv) for k, found, evidence in pairs}


class Answered(_Sweeps):
    """Of a test of muscles: each train by itself. Raises ValueError for a plan that fits no stream."""

    def __init__(
        self,
        plan: TestPlan,
        asked: tuple[Asked, ...],
        rate_hz: float,
        scale: Scale,
        offset_samples: float,
        index: int,
    ) -> None:
        self._asked = asked
        self._made = _places(asked)
        s = Sweeping(replace(plan, derivations=tuple(self._made)), rate_hz, scale, offset_samples, None)
        super().__init__(plan, s, index)
        how = plan.response
        if how is None:
            raise ValueError(f"test {plan.name} says nowhere where its responses are")
        quiet = tuple(s.held(span) for span in how.quiet_ms)
        self._meter = ResponseMeter(s.held(how.search_ms), s.t0_ms, s.dt_ms, s.names, quiet, plan.smallest_uv)
        self._control = False
        self._controls: deque[int] = deque(maxlen=16)
        self._trains: list[tuple[Response, ...]] = []

    def planned(self, args: dict[str, Any]) -> None:
        """The next stimuli are controls, or trains."""
        self._control = bool(args.get("control"))

    def append(self, counts: NDArray[np.int32], triggers: list[Trigger]) -> list[tuple[int, Look]]:
        """As `Collector`."""
        if self._control:
            self._controls.extend(t.index for t in triggers if t.line in self.sweeping.lines)
        looks = []
        for sweep in self._cut(counts, triggers):
            if (
                not sweep.accepted
                or sweep.trigger.index in self._controls
                or len(self._trains) >= LAST_TRAINS
            ):
                continue
            self._trains.append(self._meter.measure(sweep.uv.astype(np.float64)))
            if len(self._trains) >= FIRST_TRAINS:
                looks.append((sweep.trigger.index, self._look()))
        return looks

    def _look(self) -> Look:
        n = len(self._trains)
        read = {d: _of_muscle([train[k] for train in self._trains]) for k, d in enumerate(self._made)}
        found = tuple(_found(one, read) for one in self._asked)
        return Look(self.plan.name, self.plan.site, n, n >= LAST_TRAINS, found)


def _found(one: Asked, read: dict[Derivation, Reading]) -> Found:
    """What was read of a response, in its place and in others."""
    over = tuple(-w for w in one.own.weights)
    under = {h: There(d.name, read[d], d.weights == over) for h, d in one.under}
    own, muscle = read[one.own], one.peak is None
    place = one.own.name, one.electrodes, one.active
    matters = one.sided or one.leads
    return Found(one.response, *place, own, under, one.usual_uv, one.sided, matters, muscle)


def _of_peak(m: Measurement, evidence: Evidence, loud_uv: float) -> Reading:
    """A peak as it was measured; nothing where the noise would hide `loud_uv`: what floats looks like one."""
    limit = None if evidence.error_uv is None else LIMIT_SDS * evidence.error_uv
    if limit is None or limit > loud_uv:
        return BLIND
    if not m.present or m.amplitude_uv is None or evidence.error_uv is None:
        return Reading(False, None, 0.0, 0.0, limit)
    off_uv = Z_95 * evidence.error_uv
    return Reading(True, m.latency_ms, m.amplitude_uv - off_uv, m.amplitude_uv + off_uv, limit)


def _of_muscle(trains: Sequence[Response]) -> Reading:
    """A muscle over all trains so far; one that answers now and then is neither seen nor absent."""
    known = [one for one in trains if one.limit_uv is not None]
    if len(known) < FIRST_TRAINS:
        return BLIND
    answers = [one for one in known if one.present and one.amplitude_uv is not None]
    limit = median(one.limit_uv for one in known if one.limit_uv is not None)
    share = len(answers) / len(known)
    if share < SEEN_SHARE or len(answers) < LEAST_ANSWERS:
        return Reading(False, None, 0.0, 0.0, limit if share <= ABSENT_SHARE else None)
    size = median(one.amplitude_uv for one in answers if one.amplitude_uv is not None)
    onsets = [one.onset_ms for one in answers if one.onset_ms is not None]
    onset = median(onsets) if len(onsets) >= max(LEAST_ONSETS, len(known) / 2) else None
    return Reading(True, onset, size / MUSCLE_TIMES, size * MUSCLE_TIMES, limit)


@dataclass(frozen=True, slots=True)
class Bench:
    """What collectors are made with: the stream's channels, rate, scale and offset."""

    channels: tuple[str, ...]
    rate_hz: float
    scale: Scale
    offset_samples: float

    def collector(self, plan: TestPlan, asked: tuple[Asked, ...], index: int) -> Collector:
        """The one for a test, from sample `index` on."""
        rest = self.rate_hz, self.scale, self.offset_samples, index
        if plan.kind == "average":
            return Averaged(plan, asked, self.channels, *rest)
        return Answered(plan, asked, *rest)
