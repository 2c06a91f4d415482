"""A patient and the pipeline, and nothing between them but the converter's steps and noise.

Many times as fast as the whole box, which says byte for byte what is left out here: the chip, the edge's loop
and its proofs. Stimuli come as the case's plans lay them on the sample grid; single ones when they are asked
for, in advance or by the case itself (a replicate). As at the edge single ones go first, then the longer
period; what else is due in their lockouts is left out.
"""

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hostd.arrangement import arrange
from hostd.case import Case
from hostd.daemon import configure_message
from hostd.outgoing import Outgoing
from hostd.pipeline import Pipeline
from hw.board import LATCH_LAG_SAMPLES, LATENCY_OFFSET_SAMPLES
from hw.chips import VREF_V
from hw.limits import span_samples
from hw.link import Description, StimPlan
from hw.model.converter_noise import noise_uv
from hw.model.patient import Patient
from hw.model.scenario import NO_CHANGE, Scenario
from hw.model.stochastic import child
from hw.samples import SampleBlock

START_S = 0.3
BLOCK = 256
REPLICATE_S = 2.5
"""A replicate goes out so long after the suspicion: the edge's rest, and a technologist's word."""


@dataclass(frozen=True, slots=True)
class Shot:
    """One single stimulus of a test, with a current of its own, or None: as the case has it. `control`: one
    pulse of it."""

    at_s: float
    test: str
    ma: float | None = None
    control: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """What somebody posts at `at_s`: vitals and doses."""

    at_s: float
    values: Mapping[str, float]
    text: str = "vitals"


@dataclass(frozen=True, slots=True, order=True)
class _Pulse:
    """The trigger's rise at sample `at`; `ma` and `us` None: nobody knows."""

    at: int
    line: int
    hold: int
    ma: float | None
    us: float | None


def describe(case: Case) -> Description:
    """What an edge with the case's channels would say."""
    n = len(case.channels)
    lsb_uv = 1e6 * VREF_V / case.gain / 2**23
    return Description(
        "simulated", case.rate_hz, case.channels, (lsb_uv,) * n, (0.0,) * n, LATENCY_OFFSET_SAMPLES, 8
    )


def monitored(
    case: Case,
    seconds: float,
    seed: int,
    scenario: Scenario = NO_CHANGE,
    converter: bool = True,
    shots: Sequence[Shot] = (),
    block: int = BLOCK,
    marks: Sequence[Mark] = (),
    replicates: bool = False,
) -> tuple[list[Outgoing], Patient]:
    """Every message of `seconds` of a case whose tests all run, and the patient for its truth. With
    `replicates` a test that asks for another stimulus gets it."""
    patient = Patient(case.channels, case.rate_hz, seed, scenario=scenario)
    bedside = Bedside(case, patient, seed, converter, shots, block, marks, replicates)
    return list(bedside.messages(seconds)), patient


class Bedside:
    """A case whose tests all run, beside a patient."""

    def __init__(
        self,
        case: Case,
        patient: Patient,
        seed: int,
        converter: bool = True,
        shots: Sequence[Shot] = (),
        block: int = BLOCK,
        marks: Sequence[Mark] = (),
        replicates: bool = False,
    ) -> None:
        self._case, self._replicates = case, replicates
        description = describe(case)
        self._pipeline = Pipeline(case, description)
        self._plans = arrange(case, case.rate_hz)
        self._room = _Room(case, patient, description, seed, converter, shots, block)
        self._shots = sorted(shots, key=lambda shot: shot.at_s)
        self._marks = sorted(marks, key=lambda mark: mark.at_s)

    def messages(self, seconds: float) -> Iterator[Outgoing]:
        """Every message, as it is said."""
        for test in self._case.tests:
            yield from self._pipeline.command("test.start", {"test": test.name, "author": ""})
        for samples in self._room.blocks(seconds):
            end_s = samples.end_index / self._case.rate_hz
            while self._shots and self._shots[0].at_s <= end_s:
                yield from self._planned(self._shots.pop(0))
            while self._marks and self._marks[0].at_s <= end_s:
                mark = self._marks.pop(0)
                about = {"text": mark.text, "kind": "vitals", "author": "monitor", "values": mark.values}
                yield from self._pipeline.command("mark", about)
            for message in self._pipeline.feed(samples):
                if self._replicates and message.topic == "event" and message.fields["kind"] == "replicate":
                    self._fire(message.fields["test"], end_s + REPLICATE_S)
                yield message
        yield from self._pipeline.finish()

    def _fire(self, test: str, at_s: float) -> None:
        """Another stimulus of `test`, unless one is on its way."""
        if any(abs(shot.at_s - at_s) < REPLICATE_S for shot in self._shots):
            return
        shot = Shot(at_s, test)
        self._room.add(shot)
        self._shots = sorted([*self._shots, shot], key=lambda one: one.at_s)

    def _planned(self, shot: Shot) -> list[Outgoing]:
        stated_ma = _stated_ma(self._case, shot)
        current_ma = self._plans[shot.test].current_ua / 1e3 if stated_ma is None else stated_ma
        args = {"test": shot.test, "command": 1, "current_ma": current_ma, "width_us": 0}
        return self._pipeline.command(
            "stim.plan", args | {"known": stated_ma is not None, "repeats": False, "control": shot.control}
        )


def _stated_ma(case: Case, shot: Shot) -> float | None:
    (stimulus,) = [test.stimulus for test in case.tests if test.name == shot.test]
    return shot.ma if shot.ma is not None else stimulus.current_ma or stimulus.volts


def recording(
    case: Case,
    patient: Patient,
    description: Description,
    seconds: float,
    seed: int,
    converter: bool,
    shots: Sequence[Shot] = (),
    block: int = BLOCK,
) -> Iterator[SampleBlock]:
    """The blocks of a recording of the patient under the case's stimuli."""
    return _Room(case, patient, description, seed, converter, shots, block).blocks(seconds)


class _Room:
    """The patient, stimulated and converted, block by block."""

    def __init__(
        self,
        case: Case,
        patient: Patient,
        description: Description,
        seed: int,
        converter: bool,
        shots: Sequence[Shot],
        block: int,
    ) -> None:
        self._patient, self._rate_hz, self._block = patient, case.rate_hz, block
        self._sites = dict(enumerate(configure_message(case).lines, start=1))
        self._pulses = _Pulses(case, shots)
        self._noise = child(seed, "converter")
        self._level_uv = noise_uv(case.gain, case.rate_hz) if converter else 0.0
        self._lsb_uv = description.lsb_uv[0]
        self.add = self._pulses.add

    def blocks(self, seconds: float) -> Iterator[SampleBlock]:
        """Blocks of samples with their trigger bits."""
        block = self._block
        carried = np.zeros(block, np.uint8)
        for first in range(0, int(seconds * self._rate_hz), block):
            bits: NDArray[np.uint8] = np.concatenate([carried, np.zeros(block, np.uint8)])
            for pulse in self._pulses.before(first + block):
                self._stimulate(pulse, first)
                bits[pulse.at - first : pulse.at - first + pulse.hold] |= 1 << (pulse.line - 1)
            volts = self._patient.read_block(first, block)
            uv = 1e6 * volts + self._level_uv * self._noise.standard_normal(volts.shape)
            yield SampleBlock(first, np.rint(uv / self._lsb_uv).astype(np.int32), bits[:block])
            carried = bits[block:]

    def _stimulate(self, pulse: _Pulse, first: int) -> None:
        """One pulse, as far as the stimulator's leads let it through."""
        at = max(float(pulse.at - LATCH_LAG_SAMPLES), first - 1.0)
        lead = self._patient.scenario.stimulator_at(at / self._rate_hz, pulse.line)
        ma, us = pulse.ma, pulse.us
        if lead.condition in ("open", "short"):
            ma, us = 0.0, us if us else 1.0
        elif lead.condition == "loss" and ma is not None:
            ma *= 1.0 - lead.lost
        site = self._sites.get(self._patient.scenario.line_at(at / self._rate_hz, pulse.line))
        if site:
            self._patient.stimulate(at, site, ma, us)


class _Pulses:
    """Every pulse in order of time; single stimuli may be added while time goes on."""

    def __init__(self, case: Case, shots: Sequence[Shot]) -> None:
        self._case = case
        self._plans = arrange(case, case.rate_hz)
        self._window = {plan.line: _window(plan) for plan in self._plans.values()}
        self._asked: list[tuple[int, StimPlan]] = []
        self._singles: list[_Pulse] = []
        start = int(START_S * case.rate_hz)
        self._grids = [(start + plan.phase, plan) for plan in self._plans.values() if plan.period]
        self._repeated = [_Grid(plan, start + plan.phase, *self._strength(plan)) for _, plan in self._grids]
        for shot in shots:
            self.add(shot)

    def add(self, shot: Shot) -> None:
        """One more single stimulus, of a time that has not come."""
        plan = self._plans[shot.test]
        first = round(shot.at_s * self._case.rate_hz)
        self._asked.append((first, plan))
        ma = _stated_ma(self._case, shot)
        us = float(plan.width_us) if ma is not None else None
        for k in (0,) if shot.control else _train(plan):
            heapq.heappush(self._singles, _Pulse(first + k, plan.line, plan.hold, ma, us))

    def before(self, end: int) -> list[_Pulse]:
        """Those before sample `end` that were not told yet."""
        told = []
        while self._singles and self._singles[0].at < end:
            told.append(heapq.heappop(self._singles))
        for grid in self._repeated:
            told += grid.before(end, self._clashes)
        return sorted(told, key=lambda pulse: pulse.at)

    def _clashes(self, at: int, plan: StimPlan) -> bool:
        """Whether something that goes first is under way, or begins in the window of a stimulus at `at`."""
        mine = self._window[plan.line]
        longer = [one for one in self._grids if one[1].period > plan.period]
        begun = [*self._asked, *(_last(at + mine, *one) for one in longer)]
        return any(at < start + self._window[other.line] and start < at + mine for start, other in begun)

    def _strength(self, plan: StimPlan) -> tuple[float | None, float | None]:
        """Current and width where the case says how strong."""
        (test,) = [test.name for test in self._case.tests if test.line == plan.line]
        ma = _stated_ma(self._case, Shot(0.0, test))
        return ma, float(plan.width_us) if ma is not None else None


@dataclass(slots=True)
class _Grid:
    """The stimuli of a test that repeats."""

    plan: StimPlan
    at: int
    ma: float | None
    us: float | None
    number: int = 0
    left: list[_Pulse] = field(default_factory=list)

    def before(self, end: int, clashes: Callable[[int, StimPlan], bool]) -> list[_Pulse]:
        plan = self.plan
        while self.at < end:
            if not clashes(self.at, plan):
                line = plan.alternate if plan.alternate and self.number % 2 else plan.line
                self.left += [_Pulse(self.at + k, line, plan.hold, self.ma, self.us) for k in _train(plan)]
                self.number += 1
            self.at += plan.period
        told = [pulse for pulse in self.left if pulse.at < end]
        self.left = [pulse for pulse in self.left if pulse.at >= end]
        return told


def _last(before: int, first: int, plan: StimPlan) -> tuple[int, StimPlan]:
    """When `plan`, on its grid since `first`, began last before a sample."""
    return first + (before - 1 - first) // plan.period * plan.period, plan


def _window(plan: StimPlan) -> int:
    """Samples from a stimulus on during which no other test fires."""
    return span_samples(plan) + plan.guard


def _train(plan: StimPlan) -> Iterator[int]:
    """Samples of the pulses of a stimulus after its first."""
    span = (plan.pulses - 1) * plan.interval
    return (t * (span + plan.gap) + k * plan.interval for t in range(plan.trains) for k in range(plan.pulses))
