"""Sweeps of stimuli of several pulses and of two lines, and spans of several kinds that no average sees."""

import numpy as np
import pytest

from dsp.nouns import Sweep, Trigger
from dsp.sweeps import MOST_EXCLUDED, SweepCutter, Window, window
from dsp.weights import NoiseWeights
from tests.support.streams import LSB_UV, Counts, cut_sweeps, stream

RATE_HZ, LOW_HZ = 1000.0, 30.0
NO_FILTER = np.empty((0, 6))
GEOMETRY: Window = window((-10.0, 50.0), 80.0, 0.0, RATE_HZ, NO_FILTER)


def noise(n: int = 1100) -> Counts:
    return np.rint(np.random.default_rng(4).standard_normal((n, 1)) * 500).astype(np.int32)


def cutter(*lines: int, weighted: bool = True) -> SweepCutter:
    weights = NoiseWeights(1, LOW_HZ, RATE_HZ) if weighted else None
    return SweepCutter(GEOMETRY, NO_FILTER, 1, lines, None, weights)


def sweeps(cut: SweepCutter, *triggers: Trigger, counts: Counts | None = None) -> list[Sweep]:
    made = stream(NO_FILTER, history=GEOMETRY.history)
    return cut_sweeps(made, cut, noise() if counts is None else counts, triggers)


def train(at: int, line: int = 1, pulses: int = 4, apart: int = 20) -> list[Trigger]:
    return [Trigger(at + apart * k, line, k + 1) for k in range(pulses)]


def test_a_train_is_one_sweep_of_its_first_pulse() -> None:
    found = sweeps(cutter(1), *train(200), *train(600))
    assert [s.trigger for s in found] == [Trigger(200, 1), Trigger(600, 1)]
    assert all(s.accepted for s in found)


def test_the_response_lasts_from_the_last_pulse_of_the_train_before() -> None:
    counts = noise()
    counts[260:340] *= 40  # the last pulse at 260 and its response of 80
    late = Trigger(420, 2)
    (own,) = sweeps(cutter(2), *train(200), late, counts=counts)
    assert own.weights[0] == pytest.approx(1.0 / np.var(counts[340:419] * LSB_UV), rel=0.5)
    (blind,) = sweeps(cutter(2), *train(200, pulses=1), late, counts=counts)
    assert blind.weights[0] < 0.01 * own.weights[0]


@pytest.mark.parametrize("lines", [(1, 3), (3, 1)])
def test_both_polarities_of_a_test_are_its_sweeps_and_no_other_line_is(lines: tuple[int, int]) -> None:
    stimuli = [*train(150, 1), *train(400, 3), Trigger(520, 2), *train(650, 1), *train(900, 3)]
    found = sweeps(cutter(*lines), *stimuli)
    assert [(s.trigger.index, s.trigger.line) for s in found] == [(150, 1), (400, 3), (650, 1), (900, 3)]


def test_two_reasons_at_one_sample_stand_side_by_side() -> None:
    """A fault in the sample with which the impedance current began must not end that span."""
    cut = cutter(1, weighted=False)
    cut.exclude(300, None, "impedance")
    cut.exclude(300, 301, "stimulus fault")
    assert [s.reason for s in sweeps(cut, Trigger(200, 1), Trigger(800, 1))] == ["", "impedance"]
    cut = cutter(1, weighted=False)
    cut.exclude(300, None, "impedance")
    cut.exclude(300, 301, "stimulus fault")
    cut.exclude(300, 500, "impedance")
    assert [s.accepted for s in sweeps(cut, Trigger(280, 1), Trigger(800, 1))] == [False, True]


def test_a_span_that_is_open_is_not_forgotten_for_many_that_are_over() -> None:
    cut = cutter(1, weighted=False)
    cut.exclude(300, None, "electrosurgery")
    for k in range(3 * MOST_EXCLUDED):
        cut.exclude(310 + k, 311 + k, "stimulus fault")
    assert [s.reason for s in sweeps(cut, Trigger(900, 1))] == ["electrosurgery"]
    cut = cutter(1, weighted=False)
    for k in range(3 * MOST_EXCLUDED):  # nothing but open ones: the newest are kept
        cut.exclude(300 + k, None, f"{k}")
    assert [s.reason != "" for s in sweeps(cut, Trigger(900, 1))] == [True]
