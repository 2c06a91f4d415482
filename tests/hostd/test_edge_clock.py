"""The host's time of an edge with a clock of its own, from when its blocks arrive."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostd.edge_clock import LATE_FOR_NS, MOST_DRIFT, EdgeClock, side_below
from tests.support.usb_delays import Wire, errors_us

S, MS, US = 1_000_000_000, 1_000_000, 1000
LEAST_US = 300.0


@pytest.mark.parametrize(
    ("wire", "off_us"),
    [
        (Wire(burst_s=0.0), 10),
        (Wire(), 10),
        (Wire(burst_every_s=0.05), 15),
        (Wire(burst_s=0.5, burst_every_s=3.0), 15),
        (Wire(drift=-50e-6, tail_s=3e-3), 40),
        (Wire(wander=1e-6), 15),
        (Wire(wander=5e-6, wander_s=120.0), 40),
    ],
    ids=["tail", "bursts", "many bursts", "long bursts", "heavy tail", "wander", "more wander"],
)
def test_the_clock_is_known_to_some_microseconds_beside_the_shortest_delay(wire: Wire, off_us: float) -> None:
    off = errors_us(wire, 60.0, 1) - LEAST_US
    assert abs(np.median(off[500:])) < off_us / 2
    assert np.percentile(np.abs(off[500:]), 99) < off_us
    assert np.percentile(np.abs(off), 99) < 200, "in the first seconds the drift is not known"


def test_what_cannot_be_told_is_the_shortest_delay() -> None:
    """One way alone shows no difference between a delay that all have and an offset."""
    off = errors_us(Wire(drift=0.0, tail_s=0.0, burst_s=0.0, least_s=2e-3), 10.0, 1)
    assert np.all(np.abs(off - 2000) < 0.01)


def test_a_drift_without_delays_is_found_exactly() -> None:
    clock = EdgeClock()
    for k in range(2000):
        t_ns = 10 * MS * k
        clock.hear(t_ns, 7 * S + t_ns + t_ns * 80 // 1_000_000)
    assert clock.drift == pytest.approx(80e-6, abs=1e-9)
    assert clock.host_ns(40 * S) == pytest.approx(47 * S + 3200 * US, abs=100)


@given(st.integers(-(1 << 60), 1 << 60), st.integers(-(1 << 60), 1 << 60), st.integers(0, 999))
def test_where_the_clocks_began_changes_nothing(edge_ns: int, host_ns: int, seed: int) -> None:
    plain, moved = EdgeClock(), EdgeClock()
    rng = random.Random(seed)
    for k in range(60):
        t_ns = 100 * MS * k
        arrival_ns = t_ns + rng.randrange(5 * MS)
        plain.hear(t_ns, arrival_ns)
        moved.hear(t_ns + edge_ns, arrival_ns + host_ns)
        assert moved.host_ns(t_ns + edge_ns) == plain.host_ns(t_ns) + host_ns


@given(st.integers(0, 99), st.floats(-90e-6, 90e-6), st.sampled_from([1, 50]))
def test_nothing_is_said_to_have_come_before_it_was_sent(seed: int, drift: float, bursts: int) -> None:
    clock = EdgeClock()
    for t_ns, _, arrival_ns in Wire(drift=drift, burst_every_s=0.05 * bursts).blocks(8.0, seed):
        clock.hear(t_ns, arrival_ns)
        assert clock.host_ns(t_ns) <= arrival_ns


@given(st.lists(st.tuples(st.integers(1, 1000), st.integers(0, 1000)), min_size=2, max_size=12), st.data())
def test_the_side_below_is_the_best_of_all_lines_below(
    steps: list[tuple[int, int]], data: st.DataObject
) -> None:
    """Against every line through two points: below all of them, the highest at the place asked for."""
    x = np.cumsum([dx for dx, _ in steps]).tolist()
    points = [(int(a), y) for a, (_, y) in zip(x, steps, strict=True)]
    at = data.draw(st.floats(points[0][0], points[-1][0]))

    def height(a: tuple[int, int], b: tuple[int, int], where: float) -> float:
        return a[1] + (b[1] - a[1]) / (b[0] - a[0]) * (where - a[0])

    sides = [(a, b) for k, a in enumerate(points) for b in points[k + 1 :]]
    below = [s for s in sides if all(height(*s, p[0]) <= p[1] + 1e-6 for p in points)]
    found = side_below(points, at)
    assert found in sides and height(*found, at) == pytest.approx(max(height(*s, at) for s in below))
    assert all(height(*found, p[0]) <= p[1] + 1e-6 for p in points)


def heard(wire: Wire, seconds: float, clock: EdgeClock | None = None) -> tuple[EdgeClock, int, int]:
    """A clock after so long, and what edge and host showed at its last block."""
    clock = clock or EdgeClock()
    blocks = wire.blocks(seconds, 1)
    for t_ns, _, arrival_ns in blocks:
        clock.hear(t_ns, arrival_ns)
    return clock, blocks[-1][0], blocks[-1][1]


def test_a_gap_of_a_minute_costs_some_microseconds() -> None:
    clock, t_ns, true_ns = heard(Wire(), 40.0)
    later = round(60 * S / (1 - 50e-6))
    assert clock.host_ns(t_ns + 60 * S) - true_ns - later == pytest.approx(300 * US, abs=100 * US)
    clock.hear(t_ns + 90 * S, true_ns + round(90 * S / (1 - 50e-6)) + 400 * US)  # longer than the window
    clock.hear(t_ns + 91 * S, true_ns + round(91 * S / (1 - 50e-6)) + 300 * US)
    at_ns = clock.host_ns(t_ns + 91 * S) - true_ns - round(91 * S / (1 - 50e-6))
    assert at_ns == pytest.approx(300 * US, abs=20 * US)


def test_what_all_comes_late_after_a_long_gap_is_late_and_no_clock_that_was_set() -> None:
    """An edge that held its samples: nothing prompt is left in the window, and the line stays."""
    clock, t_ns, true_ns = heard(Wire(), 10.0)
    for k in range(1200):
        at_ns = 52 * S + 10 * MS * k
        clock.hear(t_ns + at_ns, true_ns + round(at_ns / (1 - 50e-6)) + 400 * MS - 10 * MS * (k // 60))
        off_ns = clock.host_ns(t_ns + at_ns) - true_ns - round(at_ns / (1 - 50e-6))
        assert off_ns == pytest.approx(300 * US, abs=100 * US)


def test_a_crystal_that_is_known_is_known_at_once() -> None:
    fresh, told = EdgeClock(), EdgeClock(heard(Wire(), 30.0)[0].drift)
    wire = Wire(least_s=0.0, tail_s=0.0, burst_s=0.0)
    for clock, off_us in ((fresh, 100.0), (told, 2.0)):
        _, t_ns, true_ns = heard(wire, 2.0, clock)
        assert abs(clock.host_ns(t_ns) - true_ns) == pytest.approx(0, abs=off_us * US)
    assert abs(fresh.host_ns(t_ns) - true_ns) > 30 * US


@pytest.mark.parametrize("step_ns", [-3 * S, 8 * MS, 50 * MS, 3 * S])
def test_a_clock_that_is_set_is_followed(step_ns: int) -> None:
    """The edge's clock jumps: forward, so that arrivals are earlier than they can be, or back."""
    clock, t_ns, true_ns = heard(Wire(), 20.0)
    for k in range(1, 1500):
        at_ns = 10 * MS * k
        clock.hear(t_ns + at_ns + step_ns, true_ns + at_ns + at_ns * 50 // 1_000_000 + 300 * US)
        off_ns = clock.host_ns(t_ns + at_ns + step_ns) - true_ns - at_ns - at_ns * 50 // 1_000_000
        assert off_ns == pytest.approx(300 * US, abs=MS)
        assert clock.drift == pytest.approx(50e-6, abs=5e-6), "what was before says nothing of it"


def test_what_is_late_for_long_enough_is_not_late() -> None:
    """The host's clock was set forward by less than it can tell from a delay at once."""
    clock, t_ns, true_ns = heard(Wire(), 20.0)
    for k in range(1, 2500):
        at_ns = 10 * MS * k
        true_at_ns = true_ns + at_ns + at_ns * 50 // 1_000_000
        clock.hear(t_ns + at_ns, true_at_ns + 50 * MS)
        off_ns = clock.host_ns(t_ns + at_ns) - true_at_ns
        believed = 300 * US if at_ns <= LATE_FOR_NS else 50 * MS
        assert off_ns == pytest.approx(believed, abs=MS) or LATE_FOR_NS < at_ns < LATE_FOR_NS + S // 10


def test_a_clock_that_differs_by_more_than_crystals_do_is_followed_without_its_drift() -> None:
    clock = EdgeClock()
    for k in range(1000):
        clock.hear(10 * MS * k, 10 * MS * k - 30 * US * k)  # 0.3 % fast
        assert clock.host_ns(10 * MS * k) == 10 * MS * k - 30 * US * k
    assert clock.drift == 0.0


def test_what_goes_at_another_speed_than_time_does_not_take_the_drift_along() -> None:
    clock = EdgeClock()
    for k in range(2000):
        clock.hear(40 * MS * k, 10 * MS * k)  # four times as fast
    assert abs(clock.drift) < MOST_DRIFT
    assert clock.host_ns(40 * MS * 1999) == pytest.approx(10 * MS * 1999, abs=50 * MS)


def test_nothing_heard_is_no_time() -> None:
    with pytest.raises(ValueError, match="nothing was heard"):
        EdgeClock().host_ns(0)
