"""Pulses of a train: which edge begins a stimulus, with the edge's word and without, however blocks fall."""

from dataclasses import replace
from typing import Any

import pytest

from dsp.nouns import Trigger
from hostd import casefile
from hostd.case import StimulusPlan
from hostd.case import TestPlan as Plan
from hostd.trains import Trains
from hw.limits import RETURN_WITHIN_SAMPLES

LEFT = casefile.procedure("median_ssep").tests[0]
RATE_HZ = 4000.0


def train(line: int = 1, **stimulus: Any) -> Plan:
    return replace(LEFT, line=line, stimulus=StimulusPlan(kind="transcranial", **stimulus))


def numbers(trains: Trains, edges: list[tuple[int, int]], told: dict[int, int] | None = None) -> list[int]:
    told = told or {}
    return [trains.pulse(Trigger(index, line), told.get(index)) for index, line in edges]


def test_single_pulses_each_begin_a_stimulus() -> None:
    trains = Trains([train(1), train(2)], RATE_HZ)
    assert numbers(trains, [(0, 1), (1, 2), (4, 1), (5, 2), (400, 1)]) == [1, 1, 1, 1, 1]


@pytest.mark.parametrize("late", [0, RETURN_WITHIN_SAMPLES])
def test_a_train_is_counted_until_its_last_pulse_may_have_come(late: int) -> None:
    trains = Trains([train(pulses=5, interval_ms=3.0)], RATE_HZ)
    span = 4 * 12
    at = [0, 12, 24, 36, span + late, span + RETURN_WITHIN_SAMPLES + 1, 4000]
    assert numbers(trains, [(index, 1) for index in at]) == [1, 2, 3, 4, 5, 1, 1]


def test_two_trains_are_one_stimulus() -> None:
    trains = Trains([train(pulses=2, interval_ms=3.0, trains=2, gap_ms=20.0)], RATE_HZ)
    second = 12 + 80
    stimuli = [0, 12, second, second + 12]
    assert numbers(trains, [(k, 1) for k in stimuli]) == [1, 2, 3, 4]
    assert numbers(trains, [(8000 + k, 1) for k in stimuli]) == [1, 2, 3, 4]
    double = Trains([train(trains=2, gap_ms=20.0)], RATE_HZ)
    assert numbers(double, [(0, 1), (80, 1), (4000, 1)]) == [1, 2, 1]


def test_lines_are_counted_by_themselves_and_the_alternate_one_is_the_tests_own() -> None:
    trains = Trains([train(1, pulses=2, interval_ms=3.0, alternate_line=3), train(2)], RATE_HZ)
    edges = [(0, 1), (2, 2), (12, 1), (4000, 3), (4002, 2), (4012, 3), (8000, 1)]
    assert numbers(trains, edges) == [1, 1, 2, 1, 1, 2, 1]


def test_a_line_of_no_test_begins_a_stimulus_with_each_edge() -> None:
    assert numbers(Trains([train(1)], RATE_HZ), [(0, 7), (3, 7)]) == [1, 1]


def test_the_edges_word_is_better_than_counting() -> None:
    trains = Trains([train(pulses=5, interval_ms=3.0)], RATE_HZ)
    # the second and third were lost in a gap, and so was the first of the next stimulus
    assert numbers(trains, [(0, 1), (36, 1)], {0: 1, 36: 4}) == [1, 4]
    assert numbers(trains, [(4012, 1), (4024, 1)], {4012: 2, 4024: 3}) == [2, 3]
    # a stimulus that comes at once after the last one, as only the edge can tell
    assert numbers(trains, [(4030, 1), (4042, 1)], {4030: 1}) == [1, 2]


def test_a_train_cut_short_does_not_count_into_the_next_one() -> None:
    trains = Trains([train(pulses=5, interval_ms=3.0)], RATE_HZ)
    assert numbers(trains, [(0, 1), (12, 1), (4000, 1), (4012, 1)]) == [1, 2, 1, 2]
