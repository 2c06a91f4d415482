"""The box's time in LSL's: exact on one machine, bounded and never backwards from another."""

import pytest

from hostd.bridges.lsl_clock import SLEW, STEP_S, LslClock

LSL_S = 5000.0


class Time:
    """Two readings of one clock, LSL's `ahead_s` of the other."""

    def __init__(self, ahead_s: float = 0.0) -> None:
        self.now_ns, self.ahead_s = 1_000_000_000_000, ahead_s

    def lsl_s(self) -> float:
        self.now_ns += 100
        return self.now_ns * 1e-9 + self.ahead_s

    def monotonic_ns(self) -> int:
        self.now_ns += 100
        return self.now_ns


def test_on_one_machine_the_offset_is_read_and_no_arrival_moves_it() -> None:
    time = Time(ahead_s=12.5)
    clock = LslClock(time.lsl_s, True, time.monotonic_ns)
    for late_ms in (3, 800, 1):
        clock.heard(time.now_ns - late_ms * 1_000_000, time.lsl_s())
    assert clock.same and clock.steps == 0
    assert clock.at(2_000_000_000_000) == pytest.approx(2012.5, abs=2e-6)


@pytest.mark.parametrize("off_s", [3.0, -0.002], ids=["too late at first", "before it was taken"])
def test_a_clock_that_cannot_be_this_machines_is_tracked_instead(off_s: float) -> None:
    time = Time()
    clock = LslClock(time.lsl_s, True, time.monotonic_ns)
    now_s = time.lsl_s()
    clock.heard(round((now_s - off_s) * 1e9), now_s)
    assert not clock.same and clock.steps == 1 and "another clock" in clock.text
    assert clock.at(round((now_s - off_s) * 1e9)) == pytest.approx(now_s, abs=1e-6)


def test_a_late_sample_of_this_machine_does_not_change_its_clock() -> None:
    time = Time()
    clock = LslClock(time.lsl_s, True, time.monotonic_ns)
    clock.heard(time.now_ns, time.lsl_s())
    clock.heard(time.now_ns - 9_000_000_000, time.lsl_s())
    assert clock.same


def test_another_clock_is_late_by_the_shortest_way_alone_and_follows_drift() -> None:
    clock = LslClock(lambda: LSL_S, False)
    drift, shortest_s = 50e-6, 0.004
    way_s = [0.004, 0.012, 0.011, 0.009, 0.006, 0.008]
    before_s, now_s, off_s = -1.0, 0.0, []
    for k in range(12_000):
        t_s = k * 0.01
        delay_s = 0.25 if k % 200 == 50 else way_s[k % len(way_s)]
        now_s = max(now_s, LSL_S + t_s * (1 + drift) + delay_s)  # in order
        clock.heard(round(t_s * 1e9), now_s)
        at_s = clock.at(round(t_s * 1e9))
        assert at_s > before_s, "time stamps run forward"
        before_s = at_s
        off_s.append(at_s - (LSL_S + t_s * (1 + drift)))
    assert max(off_s) <= shortest_s + 1e-9 and min(off_s) >= shortest_s - 1.1e-3
    assert clock.steps == 0


def test_the_offset_is_followed_slowly_unless_the_clock_was_set() -> None:
    clock = LslClock(lambda: LSL_S, False)
    clock.heard(0, LSL_S + 0.020)
    clock.heard(1_000_000_000, LSL_S + 1.0)
    assert clock.offset_s == pytest.approx(LSL_S + 0.020 - SLEW)
    clock.heard(60_000_000_000, LSL_S + 2.0)
    assert clock.steps == 1 and clock.offset_s == pytest.approx(LSL_S - 58.0) and STEP_S < 58


def test_what_comes_late_when_ten_seconds_are_over_moves_nothing() -> None:
    clock = LslClock(lambda: LSL_S, False)
    clock.heard(0, LSL_S + 0.004)
    for t_s in (10.1, 11.0, 12.0):
        clock.heard(round(t_s * 1e9), LSL_S + t_s + 0.04)
    assert clock.offset_s == pytest.approx(LSL_S + 0.004)
