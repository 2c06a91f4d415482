"""The sequential alarm over single answers: quick on a loss, slow to cry, following what drifts."""

import math

import numpy as np
import pytest

from dsp.sequential import FALL, THRESHOLD, Answers


def follow(logs: list[float], log_sd: float = 0.4, n: int = 5) -> list[bool]:
    series = Answers(log_sd, n)
    return [series.add(one).alarm for one in logs]


def test_one_answer_alone_is_no_alarm_and_two_that_are_gone_are() -> None:
    assert follow([-3.0]) == [False]
    assert follow([0.0] * 20 + [-3.0, -3.0]) == [False] * 21 + [True]


def test_a_short_baseline_needs_more_than_a_long_one() -> None:
    def until(n: int) -> int:
        return follow([-1.0] * 20, n=n).index(True)

    assert until(3) > until(30)


def test_false_alarms_are_rare_and_a_fall_by_60_percent_is_found_within_five() -> None:
    rng = np.random.default_rng(2)
    alarms, found = 0, []
    for _ in range(40):
        quiet = (0.4 * rng.normal(size=100)).tolist()
        alarms += sum(np.diff([False, *follow(quiet)]).tolist()[::1]) > 0
        fall = (0.4 * rng.normal(size=40) - FALL).tolist()
        told = follow(quiet[:30] + fall)[30:]
        found.append(told.index(True) + 1 if True in told else math.inf)
    assert alarms <= 8, "of 4,000 answers without a change"
    assert float(np.median(found)) <= 5


def test_slow_fade_is_followed_and_a_loss_after_it_is_found() -> None:
    fade = np.linspace(0.0, -0.9, 200).tolist()
    series = Answers(0.3, 10)
    assert not any(series.add(one).alarm for one in fade)
    assert -0.9 < series.level < -0.6
    told = [series.add(-3.0) for _ in range(3)]
    assert told[-1].alarm and told[-1].ago == 3


def test_what_is_withheld_is_dropped_or_learned() -> None:
    for learn, level in ((False, 0.0), (True, -0.5)):
        series = Answers(0.4, 5)
        for _ in range(5):
            series.add(-1.0)
        assert series.frozen and series.level == 0.0
        series.clear(learn)
        assert not series.frozen and series.level == pytest.approx(level, abs=0.05)


def test_evidence_goes_back_to_nothing_when_answers_do() -> None:
    series = Answers(0.4, 10)
    for _ in range(4):
        series.add(-3.0)
    told = [series.add(0.0) for _ in range(20)]
    assert not told[-1].alarm and told[-1].evidence == 0.0 and told[-1].threshold == THRESHOLD


@pytest.mark.parametrize("bad", [(0.4, 0), (-0.1, 3), (math.nan, 3), (math.inf, 3)])
def test_a_baseline_that_is_none_is_refused(bad: tuple[float, int]) -> None:
    with pytest.raises(ValueError, match="baseline"):
        Answers(*bad)
