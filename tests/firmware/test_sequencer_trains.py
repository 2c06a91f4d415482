"""Trains of pulses: exact in time at any rate, each pulse proven before the next, never continued blindly."""

import pytest

from firmware.loop.state import PLAN
from hw.link import NOT_SEEN, Stimulus, Unfired
from tests.support.looped import Looped, plan, shot

RATES = (1000.0, 4000.0, 16000.0)


def after(box: Looped, start: int) -> list[int]:
    return [at - start for at in box.rises()]


@pytest.mark.parametrize("rate_hz", RATES)
def test_a_train_is_exact_to_the_sample(rate_hz: float) -> None:
    ms = round(rate_hz / 1000)
    interval, hold = 5 * ms, max(2, ms // 2)
    box = Looped(rate_hz)
    train = plan(period=1000 * ms, phase=100 * ms, hold=hold, pulses=5, interval=interval)
    assert box.sequencer.start(train) == ""
    box.run(2200 * ms)
    expected = [start + k * interval for start in (100 * ms, 1100 * ms, 2100 * ms) for k in range(5)]
    assert box.rises() == expected
    assert set(box.highs()) == {hold}
    assert [(p.number, p.pulse) for p in box.proofs] == [(n, k) for n in (1, 2, 3) for k in range(1, 6)]
    assert box.proofs == [
        Stimulus(1, 101, p.number, 1, at, at + 1, p.pulse) for p, at in zip(box.proofs, expected, strict=True)
    ]
    assert (box.faults, box.unfired) == ([], [])


@pytest.mark.parametrize("rate_hz", RATES)
def test_a_double_train_is_exact_to_the_sample(rate_hz: float) -> None:
    ms = round(rate_hz / 1000)
    box = Looped(rate_hz).run(37)
    double = shot(hold=2, pulses=3, interval=4 * ms, trains=2, gap=11 * ms)
    assert box.sequencer.start(double) is None  # it is answered when it fires
    box.run(37 + 100 * ms)
    assert after(box, 37) == [k * ms for k in (0, 4, 8, 19, 23, 27)]
    assert [p.pulse for p in box.proofs] == [1, 2, 3, 4, 5, 6]
    assert box.replies[-1].refusal == ""
    assert box.faults == []


def test_two_trains_of_one_pulse_are_a_gap_apart() -> None:
    box = Looped()
    box.sequencer.start(shot(pulses=1, trains=2, gap=50))
    box.run(400)
    assert box.rises() == [0, 50]


def test_train_of_four_is_four_pulses_at_two_a_second() -> None:
    box = Looped(1000.0)
    tof = plan(period=20_000, hold=2, pulses=4, interval=500, kind=1, current_ua=60_000, width_us=200)
    assert box.sequencer.start(tof) == ""
    box.run(42_000)
    assert box.rises() == [s + k * 500 for s in (0, 20_000, 40_000) for k in range(4)]
    assert (box.faults, box.unfired) == ([], [])


@pytest.mark.parametrize(("lag", "interval"), [(1, 6), (2, 6), (3, 7)])
def test_pulses_may_follow_as_closely_as_their_return_allows(lag: int, interval: int) -> None:
    box = Looped(lag=lag)
    assert box.sequencer.start(plan(hold=4, pulses=3, interval=interval)) == ""
    box.run(100)
    assert box.rises() == [0, interval, 2 * interval]
    assert [p.seen - p.commanded for p in box.proofs] == [lag] * 3
    assert box.faults == []


def test_a_line_that_is_not_low_again_before_the_next_pulse_is_stuck() -> None:
    box = Looped(lag=3)
    box.sequencer.start(plan(hold=4, pulses=3, interval=6))
    box.run(100)
    assert box.faults == [("stuck", "line 1 is still high in the samples at 6")]
    assert box.rises() == [0]


@pytest.mark.control("H3.4")
@pytest.mark.parametrize("blind_from", [0, 1, 2])
def test_a_pulse_that_is_not_proven_ends_its_train(blind_from: int) -> None:
    box = Looped()
    box.sequencer.start(plan(period=400, pulses=4, interval=8))
    box.run(1000, lambda index, level: level if index <= 8 * blind_from else 0)
    n = blind_from + 1
    which = f"pulse {n} of stimulus 1" if n > 1 else "pulse 1"
    assert box.faults == [("missing", f"{which} on line 1 never came back in the samples")]
    assert box.rises() == [8 * k for k in range(n)]
    assert [p.seen == NOT_SEEN for p in box.proofs] == [False] * blind_from + [True]
    assert not any(box.outputs[8 * blind_from + 4 :])


@pytest.mark.parametrize(
    ("lost_at", "lost", "pulses"),
    [
        (13, 1, 2),  # in the second pulse, which was proven: all pulses can be
        (11, 1, 2),  # the proof of the second pulse
        (18, 4, 2),  # the third pulse itself
        (12, 60, 2),  # all the rest
    ],
)
def test_samples_lost_inside_a_train_end_it_and_the_plan_goes_on(
    lost_at: int, lost: int, pulses: int
) -> None:
    box = Looped()
    box.sequencer.start(plan(period=400, pulses=5, interval=10, hold=4))
    box.run(lost_at).lose(lost)
    box.run(500)
    first = [at for at in box.rises() if at < 400]
    if (lost_at, lost) == (13, 1):
        assert first == [0, 10, 20, 30, 40]
        assert box.unfired == []
    else:
        assert first == [0, 10][:pulses]
        assert box.unfired == [Unfired(1, 101, 20, 0xFFFF, "samples were lost")]
    assert [at for at in box.rises() if at >= 400] == [400, 410, 420, 430, 440]
    assert box.faults == []


def test_the_last_train_of_a_plan_that_is_ended_by_a_loss_ends_the_plan() -> None:
    box = Looped()
    box.sequencer.start(plan(period=400, pulses=3, interval=10, count=1))
    box.run(12).lose(20)
    box.run(1000)
    assert box.rises() == [0, 10]
    assert len(box.unfired) == 1
    assert (box.sequencer.state.plans[:, PLAN] == -1).all()
    assert box.sequencer.start(plan(1, line=2, period=400)) == ""


def test_count_is_of_stimuli_and_the_last_train_is_whole() -> None:
    box = Looped()
    box.sequencer.start(plan(period=400, pulses=3, interval=10, count=2))
    box.run(415)
    assert 1 in box.sequencer.state.plans[:, PLAN]
    box.run(2000)
    assert box.rises() == [0, 10, 20, 400, 410, 420]
    assert (box.sequencer.state.plans[:, PLAN] == -1).all()  # its row is free again


@pytest.mark.parametrize("at", [1, 5, 10, 11, 15, 19, 20, 25])
def test_stop_ends_a_train_at_once(at: int) -> None:
    box = Looped()
    box.sequencer.start(plan(period=400, pulses=3, interval=10))
    box.run(at)
    box.sequencer.stop(1)
    assert box.sequencer.outputs == 0
    box.run(900)
    assert not any(box.outputs[at:])
    assert box.faults == []


def test_a_plan_that_replaces_one_whose_train_is_under_way_begins_on_its_own() -> None:
    box = Looped()
    box.sequencer.start(plan(1, period=400, pulses=5, interval=10))
    box.run(12)
    assert box.sequencer.start(plan(1, line=2, period=400, phase=100)) == ""
    box.run(600)
    assert (box.rises(1), box.rises(2)) == ([0, 10], [100, 500])
    assert box.faults == []


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        ({"pulses": 11, "interval": 30}, "11 pulses in one stimulus exceed the limit of 10 for sensory"),
        ({"pulses": 2, "interval": 5}, "interval of 5 samples is under 6"),
        ({"trains": 2, "gap": 5}, "gap of 5 samples is under 6"),
        ({"trains": 3, "gap": 50}, "3 trains of 1 pulses"),
        ({"pulses": 0}, "1 trains of 0 pulses"),
        ({"pulses": 10, "interval": 45}, "overlaps the next one"),
        ({"alternate": 5}, "alternate line 5"),
        ({"alternate": 1}, "alternate line 1"),
    ],
)
def test_what_no_train_may_be_is_refused(options: dict[str, int], refusal: str) -> None:
    assert refusal in str(Looped().sequencer.start(plan(period=400, **options)))


def test_polarity_alternates_from_stimulus_to_stimulus() -> None:
    box = Looped()
    box.sequencer.start(plan(period=400, alternate=3, count=5))
    box.run(2500)
    assert (box.rises(1), box.rises(3)) == ([0, 800, 1600], [400, 1200])
    assert [(p.number, p.line) for p in box.proofs] == [(1, 1), (2, 3), (3, 1), (4, 3), (5, 1)]
    assert box.faults == []


def test_a_train_has_one_polarity_and_the_next_one_the_other() -> None:
    box = Looped()
    box.sequencer.start(plan(period=400, alternate=2, pulses=3, interval=8, trains=2, gap=20, count=3))
    box.run(2000)
    one = [0, 8, 16, 36, 44, 52]
    assert box.rises(1) == [s + k for s in (0, 800) for k in one]
    assert box.rises(2) == [400 + k for k in one]


def test_a_stimulus_that_was_left_out_does_not_change_the_polarity_of_the_next() -> None:
    box = Looped()
    box.sequencer.start(plan(1, period=400, alternate=2))
    box.sequencer.start(plan(2, line=3, period=1200, phase=400))
    box.run(2000)
    assert (box.rises(1), box.rises(2)) == ([0, 1200], [800])
    assert box.left_out(1) == [400, 1600]


def test_a_missing_pulse_of_the_other_polarity_names_its_line() -> None:
    box = Looped()
    box.sequencer.start(plan(period=400, alternate=2))
    box.run(1000, lambda index, level: level & 1)
    assert box.faults == [("missing", "pulse 2 on line 2 never came back in the samples")]


def test_a_fault_tells_the_pulse_that_was_under_way_on_another_line() -> None:
    box = Looped()
    box.sequencer.start(plan(1, line=1, period=400, hold=10))
    box.run(10, lambda index, level: 8 if index == 1 else 0)
    assert [code for code, _ in box.faults] == ["unexpected"]
    assert box.proofs == [Stimulus(1, 101, 1, 1, 0, NOT_SEEN)]


def test_a_proof_in_the_sample_of_a_fault_is_a_proof() -> None:
    box = Looped()
    box.sequencer.start(plan(1, line=2, period=400, hold=10))
    box.run(10, lambda index, level: level | (1 if index == 1 else 0))
    assert box.faults == [("unexpected", "line 1 rose at sample 1 without a command")]
    assert box.proofs == [Stimulus(1, 101, 1, 2, 0, 1)]
