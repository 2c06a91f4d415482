"""The display's ear on real sockets: late join, rights, requests, and a box that goes and comes back."""

import time
from collections.abc import Callable, Iterator

import pytest

from hostd.route import Route
from hostd.show.ear import Ear
from hostd.show.known import Known
from hostd.show.view import Wish
from tests.support.fakebus import FakeBus, free_block, median_ssep, status_fields
from tests.support.shown import OPERATOR, alert

MAY = {"may": sorted(OPERATOR.may), "role": "operator"}


class Hearing:
    """An ear and what it makes known; `until` waits for a condition, never for a time."""

    def __init__(self, address: str) -> None:
        self.known, self.ear = Known(), Ear(Route([address]), None, "anna")
        self.ear.start()

    def until(self, met: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 10
        while not met():
            assert time.monotonic() < deadline
            self.ear.arrived.wait(0.05)
            for message, at_ns in self.ear.drain():
                self.known.accept(message, at_ns)


@pytest.fixture
def bus() -> Iterator[FakeBus]:
    with FakeBus() as made:
        made.results["hello"] = MAY
        yield made


@pytest.fixture
def hearing(bus: FakeBus) -> Iterator[Hearing]:
    bus.publish("status", status_fields({"left_median": "running"}))
    bus.publish(
        "average.left_median",
        {"derivations": ["a", "b", "c", "d"], "t0_ms": 0.0, "dt_ms": 1.0} | {"mean_uv": median_ssep(0.1)},
    )
    made = Hearing(bus.address)
    yield made
    made.ear.stop()


def test_a_late_joiner_has_all_and_follows(bus: FakeBus, hearing: Hearing) -> None:
    hearing.until(lambda: "average.left_median" in hearing.known.frames)
    bus.publish("alert", alert())
    hearing.until(lambda: len(hearing.known.open_alerts()) == 1)


def test_rights_are_those_that_the_box_tells(bus: FakeBus, hearing: Hearing) -> None:
    hearing.until(lambda: hearing.ear.rights.role == "operator")
    assert hearing.ear.rights.allows("alert.acknowledge") and not hearing.ear.rights.allows("stim.fire")
    assert bus.greeted[0] == {"name": "evokd show"}


def test_wishes_are_asked_for_with_their_author_and_answered(bus: FakeBus, hearing: Hearing) -> None:
    bus.refusals["stim.stop"] = "stim.stop"
    hearing.ear.wish(Wish("alert.acknowledge", {"id": "change-1"}), "acknowledged")
    answers: list[object] = []
    hearing.until(lambda: bool(answers.extend(hearing.ear.answers()) or answers))
    hearing.ear.wish(Wish("stim.stop"), "stopped")
    hearing.until(lambda: bool(answers.extend(hearing.ear.answers()) or len(answers) == 2))
    assert ("alert.acknowledge", {"id": "change-1", "author": "anna"}) in bus.asked
    assert ("stim.stop", {}) in bus.asked
    assert [(a.text, a.ok) for a in answers] == [("acknowledged", True), ("stopped: stim.stop", False)]  # type: ignore[attr-defined]


def test_garbage_is_counted_and_the_rest_is_heard(bus: FakeBus, hearing: Hearing) -> None:
    hearing.until(lambda: bool(hearing.known.tests()))
    for frames in ([b"event"], [b"event", b"\xc1"], [b"event\xff", b"\x80"]):
        bus.send_raw(frames)
    bus.publish("event", {"text": "after", "kind": "note"})
    hearing.until(lambda: any(e.header["text"] == "after" for e in hearing.known.journal))
    assert hearing.ear.malformed == 3


def test_a_box_that_is_not_there_yet_is_waited_for_and_one_that_comes_back_is_joined_anew() -> None:
    port = free_block()
    made = Hearing(f"tcp://127.0.0.1:{port}")
    try:
        with FakeBus(port, boot="a1") as bus:
            bus.publish("status", status_fields({"old": "running"}))
            made.until(lambda: made.known.tests() == ["old"])
        with FakeBus(port, boot="b2") as bus:
            bus.results["hello"] = {"may": ["mark"], "role": "observer"}
            bus.publish("event", {"text": "before it was joined", "kind": "note"})
            bus.wait_subscribed()
            bus.publish("status", status_fields({"new": "running"}))
            made.until(lambda: made.known.tests() == ["new"] and made.ear.rights.role == "observer")
            made.until(lambda: bool(made.known.journal))
    finally:
        made.ear.stop()
