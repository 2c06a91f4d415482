"""Where a display listens: at its box, at a mirror while that is silent, at home when it is heard again."""

from collections.abc import Iterator

import pytest

from hostd.client import Joined
from hostd.errors import UsageError
from hostd.route import ANSWERS_S, BACK_S, NEXT_S, SILENT_S, Route, buses
from hostd.wire import Message
from tests.support.fakebus import FakeBus
from tests.support.session import until

B, C = "tcp://127.0.0.1:6", "tcp://127.0.0.1:16"


class Clock:
    """Seconds that a test lets pass."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def home() -> Iterator[FakeBus]:
    with FakeBus() as bus:
        yield bus


def said(topic: str = "beat", **fields: object) -> list[Message]:
    return [Message(topic, dict(fields))]


def silent(route: Route, clock: Clock, joined: bool = True, seconds: float = SILENT_S) -> bool:
    """Whether it goes elsewhere just after so much silence; it must not before."""
    clock.now_s += seconds
    assert not route.moved(joined), "too early"
    clock.now_s += 0.01
    return route.moved(joined)


def test_a_box_that_is_heard_is_not_left_and_one_without_a_mirror_cannot_be(clock: Clock) -> None:
    route = Route([B, C], now_s=clock)
    for _ in range(10):
        clock.now_s += SILENT_S
        route.heard(said())
        assert not route.moved(True) and route.bus == B
    alone = Route([B], now_s=clock)
    clock.now_s += 100
    assert not alone.moved(True) and not alone.away


def test_a_silent_box_is_heard_at_the_mirror_that_it_named_and_again_itself_when_it_is_back(
    clock: Clock, home: FakeBus
) -> None:
    route = Route([home.address], now_s=clock)
    route.heard(said("status", mirrors=["no bus", 7, B, home.address]))
    assert route.mirrors == [B]
    assert silent(route, clock) and route.bus == B and route.away
    assert not route.moved(True), "once"
    home.wait_subscribed_any()
    for k in range(5):  # a quarter of a second apart, the first after the silence
        clock.now_s += BACK_S / 4
        home.publish("beat", {"latest": {}})
        came = until(lambda: route.moved(True) or _beat_s(route) == clock.now_s, f"beat {k}")
        assert route.bus == (B if k < 4 else home.address), came
    assert route.bus == home.address and not route.away
    assert silent(route, clock) and route.bus == B, "and away again"
    route.close()


def _beat_s(route: Route) -> float:
    """When the box itself was heard last."""
    return route._beat_s


def test_beats_too_far_apart_do_not_bring_it_home(clock: Clock, home: FakeBus) -> None:
    route = Route([home.address, B], now_s=clock)
    assert silent(route, clock)
    home.wait_subscribed_any()
    for k in range(6):
        clock.now_s += BACK_S + 0.1
        route.heard(said())  # the mirror hears the box
        home.publish("beat", {"latest": {}})
        until(lambda: route.moved(True) or _beat_s(route) == clock.now_s, f"beat {k}")
    assert route.bus == B
    route.close()


def test_a_mirror_that_does_not_answer_is_left_soon_and_one_without_news_late(clock: Clock) -> None:
    a = "tcp://127.0.0.1:26"
    route = Route([a, B, C], now_s=clock)
    assert silent(route, clock, joined=False) and route.bus == B
    assert silent(route, clock, False, ANSWERS_S) and route.bus == C
    assert silent(route, clock, True, NEXT_S) and route.bus == B, "round and round"
    route.heard(said())
    clock.now_s += 1.0
    assert not route.moved(False), "what is heard is not left"
    route.close()


def test_a_mirror_is_no_place_to_leave_for_itself(clock: Clock) -> None:
    route = Route(["tcp://127.0.0.1:26", B], now_s=clock)
    assert silent(route, clock) and route.bus == B
    clock.now_s += 100
    assert not route.moved(False) and route.bus == B
    route.close()


def test_who_moves_is_told_what_he_missed_and_nothing_twice(home: FakeBus) -> None:
    with FakeBus(boot=home.boot) as mirror, Joined(home.address) as display:
        for bus in (home, mirror):
            bus.publish("event", {"text": "one"})
            bus.publish("status", {"state": "running"})
        assert {m.topic for m in display.receive(1000)} == {"event", "status"} and display.joined
        mirror.publish("event", {"text": "two"})
        display.move(mirror.address)
        assert not display.joined
        assert [(m.topic, m.header["seq"]) for m in display.receive(1000)] == [("event", 2)]
        assert display.joined and display.holes == 0
        mirror.publish("status", {"state": "running"})
        assert until(lambda: display.receive(100), "live at the mirror")[0].header["seq"] == 2


def test_a_list_of_buses_is_read_and_what_is_none_is_told() -> None:
    assert buses(f"{B}, {C}") == [B, C]
    with pytest.raises(UsageError, match="is not an endpoint"):
        buses(f"{B},")
