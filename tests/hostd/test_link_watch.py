"""Displays that promised to be there: missed when they fall silent, told when they are back, by name."""

import pytest

from hostd.link_watch import BACK, LOST, MOST, LinkWatch
from tests.support.session import Ear, LiveHost

S = 1_000_000_000


def test_a_silent_display_is_lost_once_and_back_once() -> None:
    watch = LinkWatch()
    assert watch.promise("ward", 5.0, 0) == ""
    assert watch.changed(5 * S) == []
    assert watch.changed(5 * S + 1) == [(LOST, "ward")] and watch.changed(9 * S) == []
    watch.heard("ward", 10 * S)
    assert watch.changed(10 * S) == [(BACK, "ward")] and watch.changed(11 * S) == []


def test_who_promises_nothing_is_not_missed_and_a_promise_can_be_taken_back() -> None:
    watch = LinkWatch()
    watch.heard("cart", 0)
    assert watch.changed(100 * S) == []
    watch.promise("ward", 1.0, 0)
    assert watch.changed(2 * S) == [(LOST, "ward")]
    assert watch.promise("ward", 0.0, 3 * S) == ""
    assert watch.changed(3 * S) == [(BACK, "ward")] and watch.changed(100 * S) == []


def test_a_name_is_needed_and_there_is_an_end() -> None:
    watch = LinkWatch()
    assert "name" in watch.promise("", 5.0, 0)
    for k in range(MOST):
        assert watch.promise(f"d{k}", 5.0, 0) == ""
    assert "64" in watch.promise("one more", 5.0, 0)
    assert watch.promise("d3", 9.0, 0) == "", "the same one again"


@pytest.mark.control("H11.4")
def test_a_display_that_falls_silent_is_an_alert_and_its_return_clears_it() -> None:
    with LiveHost() as host, Ear(host.bus, ("alert",)) as ear:
        host.ok("hello", name="ward", watch_s=0.3)
        lost = ear.until(lambda m: m.header["kind"] == "link", "the alert").header
        assert (lost["state"], lost["priority"], lost["test"]) == ("raised", "medium", "")
        assert "ward" in lost["text"] and lost["evidence"]["clients"] == ["ward"]
        host.ok("hello", name="ward", watch_s=60)
        back = ear.until(lambda m: m.header["state"] == "cleared", "the end", True).header
        assert back["id"] == lost["id"] == "link-1"
        assert host.error("hello", watch_s=5)[0] == "bad_request"
        assert host.error("hello", name="x", watch_s=61)[0] == "bad_request"
