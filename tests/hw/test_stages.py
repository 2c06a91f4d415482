"""The watchdog's rule: it may be fed only while every stage has been heard of in time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw.stages import Stages, feed_every_s, notify_address, status

S = 1_000_000_000


def test_a_process_without_stages_yet_may_be_fed() -> None:
    assert Stages(1.0).late(10**18) is None


@pytest.mark.control("H16.7")
def test_one_frozen_stage_stops_the_feeding_whatever_the_others_do() -> None:
    stages = Stages(1.0)
    stages.beat("intake", 0)
    stages.beat("server", 0)
    assert stages.late(S) is None  # to the nanosecond
    stages.beat("server", S)
    assert stages.late(S + 1) == "intake is 0.0 s late"
    assert stages.late(2 * S + S // 2) == "intake is 1.5 s late"
    stages.beat("intake", 2 * S)
    assert stages.late(2 * S) is None


def test_a_stage_that_waits_for_somebody_else_says_how_long_and_is_late_after_it() -> None:
    stages = Stages(1.0)
    stages.beat("server", 0, within_s=10.0)
    assert stages.late(10 * S) is None
    assert stages.late(11 * S) == "server is 1.0 s late"
    stages.beat("server", 11 * S)
    assert stages.late(12 * S + 1) is not None, "the next promise is the usual one again"


def test_a_stage_that_ended_is_not_waited_for() -> None:
    stages = Stages(1.0)
    stages.beat("link reader", 0)
    stages.leave("link reader")
    stages.leave("never there")
    assert stages.late(100 * S) is None


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 10**6), min_size=1), st.integers(0, 10**6))
def test_late_is_the_stage_that_is_overdue_the_longest(beats: dict[str, int], now: int) -> None:
    stages = Stages(1.0)
    for name, at in beats.items():
        stages.beat(name, at * S)
    overdue = {name: now - at - 1 for name, at in beats.items() if now > at + 1}
    said = stages.late(now * S)
    if not overdue:
        assert said is None
    else:
        assert said is not None and said.endswith(f" is {max(overdue.values()):.1f} s late")


@pytest.mark.parametrize(
    ("words", "every_s"),
    [("2000000", 0.5), ("1", 2.5e-7), ("", None), ("0", None), ("-1", None), ("2 s", None), ("²", None)],
)
def test_the_watchdog_is_fed_four_times_in_its_time_where_there_is_one(words: str, every_s: float) -> None:
    assert feed_every_s({"WATCHDOG_USEC": words}) == every_s
    assert feed_every_s({}) is None


@pytest.mark.parametrize(
    ("name", "address"),
    [("/run/notify", "/run/notify"), ("@abstract", "\0abstract"), ("relative", None), ("", None)],
)
def test_the_socket_may_be_a_path_or_abstract(name: str, address: str | None) -> None:
    assert notify_address({"NOTIFY_SOCKET": name}) == address
    assert notify_address({}) is None


def test_a_status_is_one_line_whatever_was_said() -> None:
    assert status("a\nREADY=1\r b") == "STATUS=a READY=1 b"
    assert len(status("x" * 1000)) < 250
