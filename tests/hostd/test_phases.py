"""The case's phases: what moves them, in order; and what a baseline says of itself."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostd import schema
from hostd.alerts import Alerts
from hostd.case_course import CaseCourse
from hostd.grading import grade
from hostd.outgoing import Outgoing
from hostd.phases import CaseStand, Happened, step
from hostd.schema_header import Header
from hostd.timeline import Timeline

RATE_HZ = 100.0


def walk(*events: tuple[str, int, str]) -> list[str]:
    stand, phases = CaseStand(), []
    for kind, index, name in events:
        stand = step(stand, Happened(kind, index, name), 12_000)  # type: ignore[arg-type]
        phases.append(stand.phase)
    return phases


def test_a_case_from_set_up_to_its_end() -> None:
    assert CaseStand().phase == "setup"
    assert walk(
        ("started", 1, "a"),
        ("started", 1, "b"),
        ("based", 50, "a"),
        ("based", 60, "b"),
        ("critical", 70, ""),
        ("raised", 80, "change-1"),
        ("raised", 81, "change-1"),
        ("cleared", 500, "change-1"),
        ("passed", 12_499, ""),
        ("passed", 12_500, ""),
        ("normal", 13_000, ""),
        ("stopped", 14_000, "a"),
        ("stopped", 14_000, "b"),
        ("closed", 15_000, ""),
    ) == [
        *["baseline"] * 3,
        "monitoring",
        "critical",
        *["alert"] * 2,
        *["recovery"] * 2,
        "critical",
        *["monitoring"] * 2,
        "setup",
        "closed",
    ]


def test_another_alert_ends_the_recovery_and_a_cleared_stranger_begins_none() -> None:
    base = [("started", 1, "a"), ("based", 2, "a")]
    raised = [("raised", 3, "x"), ("cleared", 9, "x"), ("raised", 20, "y"), ("passed", 12_009, "")]
    assert walk(*base, *raised)[-1] == "alert"
    assert walk(*base, ("cleared", 9, "x"))[-1] == "monitoring"
    assert walk(*base, ("unbased", 9, "a"))[-1] == "baseline", "a cleared baseline is to be set again"


KINDS = ["started", "stopped", "based", "unbased", "raised", "cleared", "critical", "normal", "passed"]


@given(
    st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 99), st.sampled_from(["a", "b"])), max_size=30)
)
def test_an_open_alert_is_always_the_phase_and_a_closed_case_stays(
    events: list[tuple[str, int, str]],
) -> None:
    stand, open_ = CaseStand(), set()
    for kind, index, name in events:
        stand = step(stand, Happened(kind, index, name), 50)  # type: ignore[arg-type]
        open_ = open_ | {name} if kind == "raised" else open_ - {name} if kind == "cleared" else open_
        assert (stand.phase == "alert") == bool(open_)
    closed = step(stand, Happened("closed", 100), 50)
    assert step(closed, Happened("raised", 101, "a"), 50).phase == "closed"


def test_set_up_lasts_while_plugs_of_a_test_without_a_baseline_are_judged() -> None:
    plugs, grades = (("a", "waiting"), ("b", "waiting")), (("a", "waiting"), ("b", "waiting"))
    stand, phases = CaseStand(plugs=plugs, grades=grades), []
    events = [
        Happened("started", 1, "a"),
        Happened("plugs", 2, "a", "swapped sides"),
        Happened("started", 3, "b"),
        Happened("based", 4, "b", "fair"),
        Happened("based", 5, "a", "poor"),
        Happened("plugs", 6, "a", "waiting"),
        Happened("unbased", 7, "b"),
        Happened("plugs", 8, "b", "unsure"),
    ]
    for event in events:
        stand = step(stand, event, 50)
        phases.append(stand.phase)
    assert phases == [
        "setup",
        "baseline",
        "setup",
        "baseline",
        "monitoring",
        "monitoring",
        "setup",
        "baseline",
    ]


def test_steps_say_in_order_what_set_up_wants() -> None:
    stand = CaseStand(plugs=(("a", "waiting"), ("b", "waiting")), grades=(("a", "waiting"),))
    assert stand.steps == (
        ("impedance", "", "not measured"),
        ("plugs", "a", "waiting"),
        ("plugs", "b", "waiting"),
        ("baseline", "a", "waiting"),
    )
    for event in (
        Happened("based", 1, "a", "good"),
        Happened("plugs", 1, "b", "ok"),
        Happened("measured", 2),
        Happened("based", 3, "a", "poor"),
    ):
        stand = step(stand, event, 50)
    assert [said for _, _, said in stand.steps] == ["measured", "waiting", "ok", "poor"]
    assert [said for _, _, said in step(stand, Happened("unbased", 4, "a"), 50).steps][-1] == "waiting"


def test_a_step_alone_is_told_and_the_same_again_is_not() -> None:
    alerts, timeline = Alerts(), Timeline(10)
    course = CaseCourse(RATE_HZ, ["a"], alerts, timeline, 3, ["a"])
    course.measured(5)
    course.measured(6)
    (told,) = timeline.due(None)
    assert told.fields["steps"][0] == {"step": "impedance", "test": "", "state": "measured"}
    assert [m.fields["phase"] for m in course.plugs(9, "a", "ok")] == ["setup"]
    assert course.plugs(9, "a", "ok") == []


def test_the_case_is_told_when_it_changes_and_recovery_ends_at_its_sample() -> None:
    alerts, timeline = Alerts(), Timeline(10)
    course = CaseCourse(RATE_HZ, ["a"], alerts, timeline, 3)
    course.test(0, "a", True)
    course.test(0, "tof", True)
    course.baseline(100, 0, "a", "good")
    told = timeline.due(200)
    evidence = {"index": 300, "since_index": 250}
    told += course.with_alerts(alerts.raise_(300, "a", "change", "high", "down", evidence, "focal"))
    told += course.with_alerts(alerts.clear(400, "change", "a"))
    told += timeline.due(400 + 12_000 - 1)
    course.critical(12_390, True, "clamp")
    told += timeline.due(400 + 12_000)
    told += timeline.due(None)
    case = [m for m in told if m.topic == "case"]
    assert [m.fields["phase"] for m in case] == [
        "baseline",
        "monitoring",
        "alert",
        "recovery",
        "recovery",
        "critical",
    ]
    assert [m.index for m in case] == [0, 100, 300, 400, 12_390, 12_400]
    assert case[0].fields["waiting"] == ["a"] and case[2].fields["alerts"] == ["change-1"]
    own = set(schema.kind_of("case").__struct_fields__) - set(Header.__struct_fields__)
    head = dict.fromkeys(("boot", "case"), "x") | dict.fromkeys(("v", "seq", "index", "t_ns", "utc_ns"), 1)
    for m in case:
        assert set(m.fields) == own
        msgspec.convert(head | dict(m.fields), schema.kind_of("case"), strict=True)


def test_a_technical_alert_is_no_phase_but_it_sounds() -> None:
    alerts, timeline = Alerts(), Timeline(10)
    course = CaseCourse(RATE_HZ, ["a"], alerts, timeline, 3)
    told = course.with_alerts(alerts.raise_(5, "a", "delivery", "high", "open", {"index": 5}))
    assert [m.topic for m in told] == ["alert", "alarms"]
    assert course.with_alerts([Outgoing("stim", 1, {})]) == [Outgoing("stim", 1, {})]


@pytest.mark.control("H10.2")
@pytest.mark.parametrize(
    ("error", "word"),
    [(None, "none"), (0.05, "good"), (0.1, "good"), (0.15, "fair"), (0.2, "fair"), (0.21, "poor")],
)
def test_a_baseline_is_graded_by_its_error(error: float | None, word: str) -> None:
    assert grade(error) == word
