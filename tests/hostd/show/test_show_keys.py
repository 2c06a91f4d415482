"""Keys, purely: what they look at, what they wish for, and that none of them fires anything."""

import string

import pytest

from hostd.show.app import marked
from hostd.show.view import Rights, View, press
from tests.support.shown import OBSERVER, OPERATOR

TESTS = ["a", "b", "c"]
ALERTS = [("one", False), ("two", False), ("seen", True)]
KEYS = [
    *string.printable,
    "tab",
    "shift+tab",
    "up",
    "down",
    "pageup",
    "pagedown",
    "left",
    "right",
    "escape",
    "enter",
]
KEYS += ["question_mark", "plus", "minus", "equals_sign", "ctrl+c", "ctrl+q", "f1", "space", "delete"]


def after(view: View, *keys: str) -> View:
    for key in keys:
        view = press(view, key, TESTS, ALERTS, OPERATOR, False).view
    return view


def test_tests_are_chosen_by_number_and_in_turn() -> None:
    assert after(View(), "2").chosen == "b"
    assert after(View(), "9").chosen is None
    assert [after(View(), *["tab"] * n).chosen for n in range(1, 5)] == ["a", "b", "c", "a"]
    assert after(View(), "shift+tab").chosen == "c"
    assert after(View(), "2", "0").chosen is None
    assert after(View(), "g").chosen == "a" and after(View(), "2", "g").chosen is None


def test_pages_come_and_go() -> None:
    for key, page in (("t", "trends"), ("e", "events"), ("l", "alerts"), ("question_mark", "help")):
        assert after(View(), key).page == page
        assert after(View(), key, key).page == after(View(), key, "escape").page == "tests"
    assert after(View(), "e", "1").page == "tests"
    assert after(View(), "t", "tab") == View(chosen="a", page="trends")


def test_polarity_gain_and_scroll() -> None:
    assert not after(View(), "p").negative_up and after(View(), "p", "p").negative_up
    assert after(View(), *["plus"] * 50).gain == -after(View(), *["minus"] * 50).gain == 6
    assert after(View(), "e", "down", "pagedown").scroll == 11 and after(View(), "e", "up").scroll == 0


def test_acknowledging_means_the_alert_that_is_shown_or_picked() -> None:
    def acknowledged(view: View, alerts: list[tuple[str, bool]]) -> object:
        wish = press(view, "a", TESTS, alerts, OPERATOR, False).wish
        return wish and wish.args["id"]

    assert acknowledged(View(), ALERTS) == "one"
    assert acknowledged(after(View(), "l", "down"), ALERTS) == "two"
    assert acknowledged(View(page="alerts", alert="seen"), ALERTS) == "one"
    assert acknowledged(View(), [("seen", True)]) is None


def test_the_pause_of_sound_is_two_minutes_and_ends_by_the_same_key() -> None:
    wish = press(View(), "s", TESTS, [], OPERATOR, False).wish
    assert wish and wish.args == {"what": "audio", "state": "paused", "seconds": 120.0}
    wish = press(View(), "s", TESTS, [], OPERATOR, True).wish
    assert wish and wish.args == {"what": "audio", "state": "on"}


@pytest.mark.parametrize("rights", [OPERATOR, OBSERVER, Rights()])
def test_no_key_fires_and_every_wish_is_allowed(rights: Rights) -> None:
    wished = set()
    for key in KEYS:
        for view in (View(), View(page="alerts"), View(chosen="b")):
            wish = press(view, key, TESTS, ALERTS, rights, False).wish
            if wish is not None:
                assert rights.allows(wish.command)
                wished.add(wish.command)
    assert "stim.stop" in wished
    assert wished <= {"stim.stop", "mark", "alert.acknowledge", "alarm.signal"}


def test_quitting_needs_no_right() -> None:
    assert press(View(), "q", [], [], Rights(), False).quit


def test_numbers_of_a_mark_are_taken_from_its_text() -> None:
    assert marked(" MAP falls map_mmhg=62 mac=0.7 ") == (
        "MAP falls map_mmhg=62 mac=0.7",
        {"map_mmhg": 62.0, "mac": 0.7},
    )
    assert marked("a=b 1=2 x=nan y=inf =3")[1] == {}
