"""What every line has delivered, held against the ceilings of its kind: refused, or a fault, with figures."""

from dataclasses import replace

import pytest

from firmware.loop.state import D_CHARGE_NC, D_ENERGY_NJ, D_PULSES
from hw import limits
from hw.limits import KINDS
from hw.link import Reply, StimLimits, StimPlan
from tests.support.looped import Looped, plan, shot

RATE_HZ = 500.0
NERVE = {"kind": KINDS.index("nerve"), "current_ua": 2000, "width_us": 200}  # 0.4 uC, 0.8 uJ


def tighten(box: Looped, kind: str, **changes: float) -> str | None:
    k = KINDS.index(kind)
    ceiling = limits.tightened(limits.CEILINGS[k], changes)
    return box.sequencer.command(StimLimits(3, k, limits.figures(ceiling)))


def dose(box: Looped, line: int) -> tuple[int, int, int]:
    row = box.sequencer.state.doses[line - 1]
    return int(row[D_PULSES]), int(row[D_CHARGE_NC]), int(row[D_ENERGY_NJ])


def test_every_pulse_counts_on_its_line_with_charge_and_energy() -> None:
    box = Looped()
    box.sequencer.start(plan(1, line=1, period=1600, alternate=3, pulses=3, interval=40, **NERVE))
    box.sequencer.start(plan(2, line=2, period=1600, phase=800))
    box.run(8000)
    assert dose(box, 1) == (9, 9 * 400, 9 * 800)
    assert dose(box, 3) == (6, 6 * 400, 6 * 800)
    assert dose(box, 2) == (5, 0, 0)
    assert dose(box, 4) == (0, 0, 0)


def test_charge_and_energy_are_rounded_up() -> None:
    box = Looped()
    box.sequencer.start(shot(kind=1, current_ua=1, width_us=1))
    box.run(10)
    assert dose(box, 1) == (1, 1, 1)


@pytest.mark.control("H2.3")
def test_the_minute_slides() -> None:
    """Forty pulses a minute are allowed: then the line rests until the first of them is a minute old."""
    box = Looped(RATE_HZ)
    tighten(box, "sensory", minute_pulses=40)
    box.sequencer.start(plan(1, period=750, count=20, hold=2))  # every 1.5 s for half a minute
    box.run(30 * 500)
    box.sequencer.start(plan(1, period=750, count=20, hold=2))
    box.run(59 * 500)
    assert len(box.rises()) == 40
    assert box.sequencer.start(shot(2)) == (
        "line 1 would have had 41 pulses this minute, "
        "which exceeds the limit of 40 pulses this minute for sensory"
    )
    assert box.sequencer.start(shot(2, line=2)) is None  # of one line
    box.run(60 * 500 + 1)
    assert box.sequencer.start(shot(3)) is None
    box.run(60 * 500 + 100)
    assert "41 pulses" in str(box.sequencer.start(shot(4)))
    box.run(62 * 500)
    assert box.sequencer.start(shot(4)) is None
    box.run(190 * 500)
    for _ in range(40):
        assert box.sequencer.start(shot(5)) is None
        box.run(box.index + 10)
    assert "41 pulses" in str(box.sequencer.start(shot(5)))
    assert box.faults == []


@pytest.mark.parametrize("pause_s", [60, 61, 119, 120, 179, 600])
def test_a_line_that_rested_for_a_minute_has_the_whole_of_it_again(pause_s: int) -> None:
    box = Looped(RATE_HZ)
    tighten(box, "sensory", minute_pulses=1)
    box.sequencer.start(shot())
    box.run(10)
    assert "2 pulses" in str(box.sequencer.start(shot()))
    box.lose(pause_s * 500)
    box.sequencer.start(shot())
    box.run(box.index + 10)
    assert len(box.proofs) == 2


@pytest.mark.control("H2.3")
def test_a_plan_that_runs_beyond_the_minute_is_a_fault_that_names_limit_and_value() -> None:
    box = Looped(RATE_HZ)
    tighten(box, "sensory", minute_pulses=60)
    for n in (1, 2):
        assert box.sequencer.start(plan(n, period=500, phase=250 * n, hold=2)) == ""  # each of them may
    box.run(40 * 500)
    assert box.faults == [
        (
            "dose",
            "line 1 would have had 61 pulses this minute, "
            "which exceeds the limit of 60 pulses this minute for sensory",
        )
    ]
    assert len(box.rises()) == 60
    assert box.sequencer.outputs == 0
    assert box.sequencer.command(plan(1, period=500)) == "it is not armed; arm it first"


@pytest.mark.control("H2.3")
def test_the_case_sums_pulses_and_never_forgets() -> None:
    box = Looped(RATE_HZ)
    tighten(box, "sensory", case_pulses=10)
    assert box.sequencer.start(plan(period=100, hold=2, count=10)) == ""
    box.run(70_000)
    assert box.faults == []
    refusal = "line 1 would have had 11 pulses, which exceeds the limit of 10 pulses for sensory"
    assert box.sequencer.start(shot()) == refusal
    box.sequencer.stop()
    assert box.sequencer.start(plan(period=100, hold=2)) == refusal


def test_a_train_counts_whole_before_it_begins() -> None:
    box = Looped()
    tighten(box, "sensory", case_pulses=10)
    assert box.sequencer.start(plan(period=400, pulses=4, interval=10)) == ""
    box.run(2000)
    assert box.rises() == [0, 10, 20, 30, 400, 410, 420, 430]
    assert [text.split(",")[0] for _, text in box.faults] == ["line 1 would have had 12 pulses"]


@pytest.mark.control("H2.3")
def test_charge_of_the_case_is_limited() -> None:
    box = Looped()
    tighten(box, "nerve", case_charge_mc=0.002)  # five pulses of 0.4 uC
    assert box.sequencer.start(plan(period=400, **NERVE)) == ""
    box.run(4000)
    assert len(box.rises()) == 5
    assert box.faults == [
        ("dose", "line 1 would have had 0.0024 mC, which exceeds the limit of 0.002 mC for nerve")
    ]


@pytest.mark.control("H2.3")
def test_energy_of_the_case_is_limited() -> None:
    box = Looped()
    tighten(box, "nerve", case_energy_j=2.4e-6)  # three pulses of 0.8 uJ
    box.sequencer.start(plan(period=400, **NERVE))
    box.run(4000)
    assert len(box.rises()) == 3
    assert (
        box.faults[0][1] == "line 1 would have had 3.2e-06 J, which exceeds the limit of 2.4e-06 J for nerve"
    )


@pytest.mark.parametrize("line", [1, 2])
def test_both_lines_of_an_alternating_plan_are_held(line: int) -> None:
    box = Looped()
    tighten(box, "sensory", case_pulses=3)
    box.sequencer.start(plan(9, line=line, period=400, count=2))
    box.run(1000)
    box.sequencer.start(plan(1, line=1, alternate=2, period=400))
    box.run(5000)
    assert (dose(box, 1)[0], dose(box, 2)[0]) == ((3, 1) if line == 1 else (2, 3))
    assert box.faults[0][1].startswith(f"line {line} would have had 4 pulses")


def test_an_alternating_plan_is_refused_for_its_second_line() -> None:
    box = Looped()
    tighten(box, "sensory", case_pulses=3)
    box.sequencer.start(plan(9, line=2, period=400, count=3))
    box.run(1500)
    assert str(box.sequencer.start(plan(1, line=1, alternate=2))).startswith("line 2 would have had 4 pulses")


def test_a_single_stimulus_that_the_sum_overtakes_is_refused_and_a_fault() -> None:
    box = Looped()
    tighten(box, "sensory", case_pulses=1)
    box.sequencer.start(shot(1, guard=100))
    box.sequencer.start(shot(2))
    box.run(500)
    assert [code for code, _ in box.faults] == ["dose"]
    assert box.replies[-1] == Reply(102, "it was stopped before it could fire")


def test_sums_of_a_line_are_held_against_the_kind_of_whoever_fires() -> None:
    box = Looped()
    tighten(box, "nerve", case_pulses=5)
    box.sequencer.start(plan(1, period=400, count=5))
    box.run(2500)
    assert "6 pulses" in str(box.sequencer.start(shot(2, **NERVE)))
    assert box.sequencer.start(shot(3)) is None


@pytest.mark.parametrize(
    ("changes", "wanted", "refusal"),
    [
        ({"current_ma": 1.0}, {}, "current of 2 mA exceeds the limit of 1 mA for nerve"),
        ({"rate_hz": 2.0}, {}, "exceeds the rate limit of 2 Hz for nerve"),
        (
            {"pulses": 2},
            {"pulses": 3, "interval": 40, "period": 2000},
            "3 pulses in one stimulus exceed the limit of 2 for nerve",
        ),
        ({"rest_s": 1.5}, {"pulses": 2, "interval": 40, "period": 4000}, "a rest of 0.99 s between trains"),
    ],
)
def test_limits_of_the_case_hold_for_every_plan_of_the_kind(
    changes: dict[str, float], wanted: dict[str, int], refusal: str
) -> None:
    box = Looped()
    order = replace(plan(period=800, **NERVE), **wanted)
    assert box.sequencer.start(order) == ""
    assert tighten(box, "nerve", **changes) == ""
    assert refusal in str(box.sequencer.start(order))
    assert box.sequencer.start(plan(2, line=2, phase=200)) == ""  # another kind


@pytest.mark.control("H2.4")
def test_limits_are_never_loosened() -> None:
    box = Looped()
    tighten(box, "nerve", current_ma=1.0, case_pulses=100)
    tighten(box, "nerve", current_ma=10.0, case_charge_mc=7)
    k = KINDS.index("nerve")
    loose = limits.figures(replace(limits.CEILINGS[k], current_ma=1e6, case_pulses=1e9, case_charge_mc=1e9))
    assert box.sequencer.command(StimLimits(4, k, loose)) == ""
    assert "limit of 1 mA" in str(box.sequencer.start(shot(**NERVE)))
    assert box.sequencer.state.ceilings[k, :3].tolist() == [600, 100, 7_000_000]


@pytest.mark.parametrize(
    ("kind", "figures", "refusal"),
    [
        (5, (1.0,) * 14, "kind 5 with 14 figures is no ceiling of this version"),
        (0, (1.0,) * 13, "kind 0 with 13 figures is no ceiling of this version"),
        (0, (float("nan"),) * 14, "a figure of sensory is negative or no number"),
        (3, (-1.0,) * 14, "a figure of nerve is negative or no number"),
    ],
)
def test_limits_that_are_none_are_refused(kind: int, figures: tuple[float, ...], refusal: str) -> None:
    box = Looped()
    before = box.sequencer.state.ceilings.copy()
    assert box.sequencer.command(StimLimits(4, kind, figures)) == refusal
    assert (box.sequencer.state.ceilings == before).all()


def test_limits_of_zero_let_nothing_fire_and_break_nothing() -> None:
    box = Looped()
    assert box.sequencer.command(StimLimits(4, 0, (0.0,) * 14)) == ""
    orders: list[StimPlan] = [plan(), shot()]
    assert all(box.sequencer.start(order) for order in orders)
    box.run(1000)
    assert (box.rises(), box.faults) == ([], [])


def test_a_tighter_sum_holds_for_what_runs_already() -> None:
    box = Looped()
    box.sequencer.start(plan(period=400))
    box.run(1000)
    tighten(box, "sensory", case_pulses=4)
    box.run(5000)
    assert len(box.rises()) == 4
    assert [code for code, _ in box.faults] == ["dose"]
