"""A patient and the pipeline, and nothing between them but the converter's steps and noise: for campaigns.

Many times as fast as the box of `tests.support.lockstep`, which says byte for byte what is left out here:
the chip, the edge's loop and its proofs. Stimuli come as the case's plans lay them on the sample grid; single
ones when they are asked for. As at the edge single ones go first, then the longer period; what else is due in
their lockouts is left out.
"""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Shot:
    """One single stimulus of a test, with a current of its own, or None: as the case has it. `control`: one
    pulse of it."""

    at_s: float
    test: str
    ma: float | None = None
    control: bool = False


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
) -> tuple[list[Outgoing], Patient]:
    """Every message of `seconds` of a case whose tests all run, and the patient for its truth."""
    description = describe(case)
    pipeline = Pipeline(case, description)
    patient = Patient(case.channels, case.rate_hz, seed, scenario=scenario)
    messages: list[Outgoing] = []
    for test in case.tests:
        messages += pipeline.command("test.start", {"test": test.name, "author": ""})
    waiting = sorted(shots, key=lambda shot: shot.at_s)
    plans = arrange(case, case.rate_hz)
    for samples in recording(case, patient, description, seconds, seed, converter, shots, block):
        while waiting and waiting[0].at_s * case.rate_hz <= samples.end_index:
            shot = waiting.pop(0)
            stated_ma = _stated_ma(case, shot)
            current_ma = plans[shot.test].current_ua / 1e3 if stated_ma is None else stated_ma
            args = {"test": shot.test, "command": 1, "current_ma": current_ma, "width_us": 0}
            messages += pipeline.command(
                "stim.plan",
                args | {"known": stated_ma is not None, "repeats": False, "control": shot.control},
            )
        messages += pipeline.feed(samples)
    return messages + pipeline.finish(), patient


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
    rate_hz, sites = case.rate_hz, dict(enumerate(configure_message(case).lines, start=1))
    pulses = _pulses(case, shots)
    pulse = next(pulses)
    noise = child(seed, "converter")
    level_uv = noise_uv(case.gain, rate_hz) if converter else 0.0
    lsb_uv = description.lsb_uv[0]
    carried = np.zeros(block, np.uint8)
    for first in range(0, int(seconds * rate_hz), block):
        bits: NDArray[np.uint8] = np.concatenate([carried, np.zeros(block, np.uint8)])
        while pulse is not None and pulse.at < first + block:
            at = float(pulse.at - LATCH_LAG_SAMPLES)
            patient.stimulate(max(at, first - 1.0), sites[pulse.line], pulse.ma, pulse.us)
            bits[pulse.at - first : pulse.at - first + pulse.hold] |= 1 << (pulse.line - 1)
            pulse = next(pulses, None)
        volts = np.array([patient.read(first + k) for k in range(block)])
        uv = 1e6 * volts + level_uv * noise.standard_normal(volts.shape)
        yield SampleBlock(first, np.rint(uv / lsb_uv).astype(np.int32), bits[:block])
        carried = bits[block:]


def _pulses(case: Case, shots: Sequence[Shot]) -> Iterator[_Pulse | None]:
    """Every pulse in order of time, then None for ever."""
    plans = arrange(case, case.rate_hz)
    single = sorted(pulse for shot in shots for pulse in _shot(case, plans[shot.test], shot))
    asked = [(round(shot.at_s * case.rate_hz), plans[shot.test]) for shot in shots]
    first = int(START_S * case.rate_hz)
    grids = [(first + plan.phase, plan) for plan in plans.values() if plan.period]
    streams = [_repeated(case, plan, asked, grids) for _, plan in grids]
    yield from heapq.merge(*streams, iter(single))
    while True:
        yield None


def _repeated(
    case: Case, plan: StimPlan, asked: Sequence[tuple[int, StimPlan]], grids: Sequence[tuple[int, StimPlan]]
) -> Iterator[_Pulse]:
    at, number = int(START_S * case.rate_hz) + plan.phase, 0
    ma, us = _strength(case, plan)
    longer = [one for one in grids if one[1].period > plan.period]
    while True:
        begun = [*asked, *(_last(at + _window(plan), *one) for one in longer)]
        if not any(at < start + _window(other) and start < at + _window(plan) for start, other in begun):
            line = plan.alternate if plan.alternate and number % 2 else plan.line
            yield from (_Pulse(at + k, line, plan.hold, ma, us) for k in _train(plan))
            number += 1
        at += plan.period


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


def _strength(case: Case, plan: StimPlan) -> tuple[float | None, float | None]:
    """Current and width where the case says how strong."""
    (test,) = [test.name for test in case.tests if test.line == plan.line]
    ma = _stated_ma(case, Shot(0.0, test))
    return ma, float(plan.width_us) if ma is not None else None


def _shot(case: Case, plan: StimPlan, shot: Shot) -> list[_Pulse]:
    first = round(shot.at_s * case.rate_hz)
    ma = _stated_ma(case, shot)
    us = float(plan.width_us) if ma is not None else None
    train = (0,) if shot.control else _train(plan)
    return [_Pulse(first + k, plan.line, plan.hold, ma, us) for k in train]
