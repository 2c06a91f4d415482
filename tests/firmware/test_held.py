"""What a machine was measured to hold, and what is refused by it: figures in the line, no guess without."""

import json

import pytest

from firmware.held import Held, RateHeld, held_path, read_held, refuse, write_held

GOOD = RateHeld(1000.0, 3000, 0, 120.0, 320.0, 60.0)
LATE = RateHeld(4000.0, 12000, 0, 120.0, 300.0, 60.0)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "held.json"


def test_nothing_is_refused_before_anything_was_measured(path) -> None:
    assert refuse(16_000, 4, path) == ""


@pytest.mark.control("H15.2")
def test_a_rate_beyond_the_tail_is_refused_with_the_figures(path) -> None:
    write_held(Held(1, (GOOD, LATE)), "2026-01-01T00:00:00+00:00", path)
    assert refuse(1000, 1, path) == ""
    assert refuse(250, 1, path) == ""
    text = refuse(4000, 1, path)
    assert "measured tail 300 us + transfer 60 us against a period of 250 us less 10" in text
    assert "the highest that holds is 1000 Hz" in text
    assert "\n" not in text


def test_the_ten_microseconds_count(path) -> None:
    for tail_us, refused in ((929.0, False), (931.0, True)):
        write_held(Held(1, (RateHeld(1000.0, 100, 0, 1.0, tail_us, 60.0),)), "", path)
        assert bool(refuse(1000, 1, path)) is refused


def test_more_chips_take_longer_to_read(path) -> None:
    write_held(Held(1, (RateHeld(1000.0, 100, 0, 1.0, 500.0, 200.0),)), "", path)
    assert refuse(1000, 2, path) == ""
    assert "transfer 600 us" in refuse(1000, 3, path)
    assert "no rate holds" in refuse(1000, 3, path)


def test_a_rate_that_lost_samples_does_not_hold(path) -> None:
    write_held(Held(1, (RateHeld(1000.0, 98, 2, 1.0, 100.0, 60.0),)), "", path)
    assert "2 of 100 samples were lost" in refuse(1000, 1, path)
    assert refuse(500, 1, path) == ""  # of another rate it only says how late


def test_a_rate_between_is_judged_by_the_nearest(path) -> None:
    write_held(Held(1, (GOOD, LATE)), "", path)
    assert refuse(2000, 1, path) == ""  # tail of 1000 Hz: 380 us fit into 490
    assert refuse(8000, 1, path)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: content["machine"].update(kernel="another"),
        lambda content: content.pop("rates"),
        lambda content: content["rates"][0].pop("tail_us"),
        lambda content: content["rates"][0].update(more=1),
        lambda content: content.update(chips=0),
    ],
)
def test_a_file_of_another_machine_or_form_counts_as_never_measured(path, spoil) -> None:
    write_held(Held(1, (LATE,)), "", path)
    assert refuse(4000, 1, path)
    content = json.loads(path.read_text())
    spoil(content)
    path.write_text(json.dumps(content))
    assert read_held(path) is None
    assert refuse(4000, 1, path) == ""
    path.write_text("{")
    assert refuse(4000, 1, path) == ""


def test_it_is_kept_where_the_user_keeps_state_and_replaced_in_one_step(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert held_path() == tmp_path / "evokd" / "held.json"
    write_held(Held(1, (LATE,)), "")
    write_held(Held(2, (GOOD,)), "2026-01-01T00:00:00+00:00")
    assert read_held() == Held(2, (GOOD,))
    assert [file.name for file in (tmp_path / "evokd").iterdir()] == ["held.json"]
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert str(held_path()) == "/home/somebody/.local/state/evokd/held.json"
