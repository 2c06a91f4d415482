"""A patient and the pipeline, and nothing between them but the converter's steps and noise: for campaigns.

Thirty times as fast as the box of `tests.support.lockstep`, which says byte for byte what is left out here:
the chip, the edge's loop and its proofs. Stimuli come as the case's plans lay them on the sample grid.
"""

from collections.abc import Iterator
from itertools import count

import numpy as np
from numpy.typing import NDArray

from hostd.arrangement import arrange
from hostd.case import Case
from hostd.daemon import configure_message
from hostd.outgoing import Outgoing
from hostd.pipeline import Pipeline
from hw.board import LATCH_LAG_SAMPLES, LATENCY_OFFSET_SAMPLES
from hw.chips import VREF_V
from hw.link import Description
from hw.model.converter_noise import noise_uv
from hw.model.patient import Patient
from hw.model.scenario import NO_CHANGE, Scenario
from hw.model.stochastic import child
from hw.samples import SampleBlock

START_S = 0.3
BLOCK = 256


def describe(case: Case) -> Description:
    """What an edge with the case's channels would say."""
    n = len(case.channels)
    lsb_uv = 1e6 * VREF_V / case.gain / 2**23
    return Description(
        "simulated", case.rate_hz, case.channels, (lsb_uv,) * n, (0.0,) * n, LATENCY_OFFSET_SAMPLES, 8
    )


def monitored(
    case: Case, seconds: float, seed: int, scenario: Scenario = NO_CHANGE, converter: bool = True
) -> tuple[list[Outgoing], Patient]:
    """Every message of `seconds` of a case whose repeated tests all run, and the patient for its truth."""
    description = describe(case)
    pipeline = Pipeline(case, description)
    patient = Patient(case.channels, case.rate_hz, seed, scenario=scenario)
    messages: list[Outgoing] = []
    for test in case.tests:
        messages += pipeline.command("test.start", {"test": test.name, "author": ""})
    for block in samples(case, patient, description, seconds, seed, converter):
        messages += pipeline.feed(block)
    return messages + pipeline.finish(), patient


def samples(
    case: Case, patient: Patient, description: Description, seconds: float, seed: int, converter: bool
) -> Iterator[SampleBlock]:
    """The blocks of a recording of the patient under the case's stimuli."""
    rate_hz, sites = case.rate_hz, dict(enumerate(configure_message(case).lines, start=1))
    pulses = _pulses(case)
    at, line, hold = next(pulses)
    noise = child(seed, "converter")
    level_uv = noise_uv(case.gain, rate_hz) if converter else 0.0
    lsb_uv = description.lsb_uv[0]
    for first in range(0, int(seconds * rate_hz), BLOCK):
        bits: NDArray[np.uint8] = np.zeros(BLOCK, np.uint8)
        # A pulse of the next block may begin in this one's last samples.
        while at < first + BLOCK:
            patient.stimulate(float(at - LATCH_LAG_SAMPLES), sites[line])
            bits[at - first : at - first + hold] |= 1 << (line - 1)
            at, line, hold = next(pulses)
        volts = np.array([patient.read(first + k) for k in range(BLOCK)])
        uv = 1e6 * volts + level_uv * noise.standard_normal(volts.shape)
        yield SampleBlock(first, np.rint(uv / lsb_uv).astype(np.int32), bits, ())


def _pulses(case: Case) -> Iterator[tuple[int, int, int]]:
    """(index of the trigger bit, line, hold) of every stimulus in order of time, for ever."""
    plans = [plan for plan in arrange(case, case.rate_hz).values() if plan.period]
    start = int(START_S * case.rate_hz)
    turns = [(start + plan.phase, 0, plan) for plan in plans]
    for _ in count():
        turns.sort(key=lambda turn: turn[0])
        at, number, plan = turns[0]
        line = plan.alternate if plan.alternate and number % 2 else plan.line
        yield at, line, plan.hold
        turns[0] = (at + plan.period, number + 1, plan)
