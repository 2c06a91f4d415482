"""The screen as text: what must be there at 80 x 24 and on a wide terminal, and what must never be."""

import random
from itertools import pairwise

import pytest

from hostd import wire
from hostd.show import banner
from hostd.show.known import Known
from hostd.show.screen import Moment, screen
from hostd.show.view import Rights, View
from tests.support.fakebus import status_fields
from tests.support.shown import OBSERVER, OPERATOR, S, Said, alert, case, golden, known, text

SIZES = [(80, 24), (100, 30), (160, 48), (240, 70), (60, 16)]
VIEWS = [
    *(View(chosen=name) for name in (None, "left_median", "right_median", "gone")),
    *(View(page=page) for page in ("trends", "events", "alerts", "help")),
    View(chosen="left_median", page="trends", negative_up=False, gain=3),
]


@pytest.mark.parametrize("size", SIZES)
def test_every_page_of_every_size_fits_to_the_cell(size: tuple[int, int]) -> None:
    said = Said()
    k = known([*case(said), said("alert", alert())])
    for view in VIEWS:
        text(k, view, size)


@pytest.mark.parametrize("size", [(1, 1), (0, 0), (3, 40), (79, 5), (20, 10)])
def test_no_terminal_is_too_small_to_draw(size: tuple[int, int]) -> None:
    said = Said()
    k = known([*case(said), said("alert", alert())])
    for view in VIEWS:
        assert len(screen(k, view, OPERATOR, Moment(S), size)) == size[1]


def test_a_test_at_80_by_24_has_all_that_is_looked_for() -> None:
    said = Said()
    said.at_s = 61.0
    k = known([*case(said), said("stim", test="left_median", verified=True, lag_samples=1)])
    shown = text(k, View(chosen="left_median"))
    for wanted in (
        *(
            "Scoliosis",
            "● REC",
            "lost 0",
            "● LIVE",
            "0:01:01",
            "✓ no alert",
            "1 left median ▶",
            "2 right median ■",
        ),
        *(
            "CP4-CP3 ±0.05",
            "N20 20.1",
            "µV",
            "ms",
            "sweeps 120/300",
            "✓ stimulus proven",
            "verdict in about 34 s",
        ),
        *("20.10 ±0.20", "2.40 ±0.30", "−51 %", "LOST", "open", "x STOP", "q quit"),
    ):
        assert wanted in shown, wanted
    assert "+0.30" in shown  # the latency's shift


def test_a_wide_terminal_has_the_numbers_and_the_course_beside_the_curves() -> None:
    k = known(case(Said()))
    shown = text(k, View(chosen="left_median"), (160, 48)).splitlines()
    beside = next(line for line in shown if "sweeps 120/300" in line)
    assert beside.index("sweeps") > 80
    assert any("N20 amplitude" in line for line in shown)
    assert all(any(name in line for line in shown) for name in ("CP4-CP3", "CP4-Fpz", "C5S-Fpz", "EPL-EPR"))


def test_the_worst_alert_is_in_the_banner_with_its_cause_and_how_many_more_there_are() -> None:
    said = Said()
    said.at_s = 125.0
    k = known(
        [*case(said), said("alert", alert()), said("alert", alert(id="b", priority="low", text="drifts"))]
    )
    shown = text(k, size=(120, 30))
    assert "!!! HIGH raised 0:02:05" in shown and "cause focal 82 %" in shown
    assert "N20 down 72 %" in shown and "+1 more [l]" in shown and "[a] acknowledge" in shown


@pytest.mark.control("H11.5")
@pytest.mark.parametrize(("priority", "sign"), [("high", "!!!"), ("medium", "!! "), ("low", "!  ")])
def test_priority_is_told_by_sign_and_word_as_well_as_colour(priority: str, sign: str) -> None:
    said = Said()
    k = known([*case(said), said("alert", alert(priority=priority))])
    assert f" {sign} {priority.upper()}" in text(k)


@pytest.mark.control("H11.5")
def test_high_flashes_at_2_hz_medium_at_0_6_low_not_at_all() -> None:
    seen = {}
    for priority in ("high", "medium", "low"):
        lit = [banner.lit(priority, k * S // 100) for k in range(1000)]  # ten seconds
        seen[priority] = sum(a != b for a, b in pairwise(lit)) / 2 / 10
        assert 0.2 <= sum(lit) / 1000 <= 0.6 or priority == "low"
    assert 1.4 <= seen["high"] <= 2.8 and 0.4 <= seen["medium"] <= 0.8 and seen["low"] == 0


def test_flashing_changes_colours_alone_and_stops_where_signals_are_paused() -> None:
    said = Said()
    messages = [*case(said), said("alert", alert())]

    def looks(k: Known) -> set[str]:
        found = set()
        for step in range(8):
            lines = screen(k, View(), OPERATOR, Moment(S, step * S // 8), (80, 24))
            found |= {style for _, style in lines[1]}
        return found

    flashing, steady = (
        known(messages),
        known([*messages, said("alarms", open=[], flashing=None, alarm="paused")]),
    )
    steady.alerts = flashing.alerts
    assert looks(flashing) == {"high", "high off"}
    listed = {"id": "change-1", "test": "", "kind": "change", "priority": "high", "state": "raised"}
    steady = known([*messages, said("alarms", open=[listed], flashing=None, alarm="paused")])
    assert looks(steady) == {"high"}


def test_an_acknowledged_alert_is_shown_and_quiet() -> None:
    said = Said()
    k = known([*case(said), said("alert", alert(state="acknowledged"))])
    assert "HIGH acknowledged" in text(k) and "[a]" not in text(k)
    assert {style for _, style in screen(k, View(), OPERATOR, Moment(S), (80, 24))[1]} == {"info"}


def test_an_edge_that_is_lost_is_said_and_for_how_long() -> None:
    for link, says in (({"lost_s": 7.4}, " EDGE NOT CONNECTED for 7 s "), ({}, " EDGE NOT CONNECTED ")):
        status = status_fields({"x": "stopped"}, link={"connected": False, **link})
        assert says in text(known([Said()("status", status)]), size=(160, 48))


@pytest.mark.control("H8.2")
def test_after_two_seconds_of_silence_all_is_grey_and_says_for_how_long() -> None:
    said = Said()
    k = known([*case(said), said("alert", alert())])
    assert "NO DATA" not in text(k, now_ns=S + 19 * S // 10)
    shown = text(k, now_ns=8 * S, size=(100, 30))
    assert (
        "NO DATA for 7 s: nothing comes from the box" in shown and "NOT live" in shown and "LIVE" not in shown
    )
    styles = {style for line in screen(k, View(), OPERATOR, Moment(8 * S), (80, 24)) for _, style in line}
    assert styles <= {"grey", "silence", "key", "bar bad"}


@pytest.mark.control("H8.2")
def test_samples_that_stand_still_are_no_data_though_the_box_answers() -> None:
    said = Said()
    k = known(case(said))
    k.accept(said("beat", latest={}), 6 * S)
    assert "the box answers but its samples stand still" in text(k, now_ns=6 * S, size=(100, 30))


@pytest.mark.control("H8.2")
def test_before_anything_is_heard_it_does_not_say_that_there_is_no_alert() -> None:
    shown = text(Known())
    assert "NO DATA yet" in shown and "no alert" not in shown and "not known" in shown
    stale = text(known(case(Said())), now_ns=9 * S)
    assert "no alert" not in stale


def test_a_closed_case_says_so_and_is_no_loss() -> None:
    said = Said()
    k = known([said("status", status_fields({"x": "stopped"}, state="closed"))])
    shown = text(k, now_ns=60 * S)
    assert "CASE CLOSED" in shown and "NO DATA" not in shown


def test_losses_and_trouble_with_the_recording_are_in_the_header() -> None:
    tests = {"x": "stopped"}
    k = known([Said()("status", status_fields(tests, lost_samples=40, gaps=2))])
    assert "lost 40 in 2 gaps" in text(k, size=(120, 30)) and "lost 40" in text(k)
    for recording, said in (
        ({"path": "/x", "state": "failing", "lost_samples": 0}, "REC FAILING"),
        ({"path": "/x", "state": "ok", "lost_samples": 7}, "7 MISSING"),
        ({"path": "/x", "state": "slow", "lost_samples": 0}, "disk slow"),
        ({"path": None, "state": "off"}, "NOT recorded"),
    ):
        assert said in text(known([Said()("status", status_fields(tests, recording=recording))]))


def test_keys_are_offered_by_right_and_by_need() -> None:
    said = Said()
    quiet, loud = known(case(said)), known([*case(Said("other")), Said("other")("alert", alert())])
    for shown, wanted in (
        (text(quiet, rights=OPERATOR, size=(160, 48)), {"mark": True, "acknowledge": False, "pause": True}),
        (text(loud, rights=OPERATOR, size=(160, 48)), {"mark": True, "acknowledge": True, "pause": True}),
        (text(loud, rights=OBSERVER, size=(160, 48)), {"mark": True, "acknowledge": False, "pause": False}),
        (text(loud, rights=Rights(), size=(160, 48)), {"mark": False, "acknowledge": False, "pause": False}),
    ):
        footer = shown.splitlines()[-1]
        assert {word: word in footer for word in wanted} == wanted
        assert "STOP" in footer
    assert "q quit" in text(loud).splitlines()[-1]  # all of it at 80 columns too


def test_a_stimulus_that_was_not_proven_is_said() -> None:
    said = Said()
    k = known([*case(said), said("stim", test="left_median", verified=False)])
    assert "!! stimulus NOT proven" in text(k, View(chosen="left_median"))
    k.accept(said("stim", test="left_median", verified=True, delivery="open"), S)
    assert "!! current open" in text(k, View(chosen="left_median"))


def test_hostile_texts_are_shown_harmlessly() -> None:
    evil = "\x1b[31mred\x1b]0;title\x07 [bold red]markup[/] \u202eback\u202c \x9b2J a\nb"
    said = Said()
    k = known(
        [
            said("status", status_fields({evil: "running"}, source=evil, faults=[evil]), name=evil),
            said("event", text=evil, author=evil, kind=evil),
            said("alert", alert(text=evil, test=evil, state=evil, id=evil, cause=evil)),
            said("stim", test=evil, site=evil, verified=False),
            said(
                "case",
                phase=evil,
                waiting=[evil],
                steps=[{"step": evil, "state": "not measured", "test": evil}],
            ),
        ]
    )
    for view in (*VIEWS, View(chosen=evil)):
        shown = text(k, view, (200, 40))
        assert all(letter.isprintable() or letter == "\n" for letter in shown)
    assert "[bold red]markup[/]" in text(k, View(page="events"), (200, 40))


def test_wide_letters_do_not_break_the_layout() -> None:
    said = Said()
    k = known(
        [*case(said), said("alert", alert(text="脊髄 の 誘発電位 " * 30)), said("event", text="麻酔" * 60)]
    )
    for view in VIEWS:
        text(k, view, (80, 24))


def test_a_real_case_is_shown_on_every_page() -> None:
    k = Known()
    for message in golden():
        k.accept(message, S)
    for name in (None, *k.tests()):
        for size in ((80, 24), (160, 48)):
            shown = text(k, View(chosen=name), size)
            assert "Everything, shortly" in shown or size == (80, 24)
    for page in ("trends", "events", "alerts"):
        text(k, View(page=page), (160, 48))


def test_nothing_on_the_bus_brings_the_screen_down() -> None:
    """Real messages with any of their fields replaced by junk: dropped or shown, the display stays up."""
    rng = random.Random(7)
    junk = [
        None,
        True,
        -1,
        1 << 80,
        1e308,
        float("nan"),
        "x",
        "",
        [],
        [None],
        [[1]],
        {},
        {"a": 1},
        {"part": 9},
        b"\xff",
    ]
    messages = [m for m in golden() if not m.topic.startswith(("raw", "sweep"))]
    k = Known()
    for n in range(1500):
        message = rng.choice(messages)
        header = {**message.header, "seq": n}
        for key in rng.sample(sorted(header), 2):
            if key not in ("boot", "seq"):
                header[key] = rng.choice(junk)
        for key, value in header.items():
            if isinstance(value, list) and value and isinstance(value[0], dict) and rng.random() < 0.5:
                header[key] = [{**one, rng.choice(sorted(one)): rng.choice(junk)} for one in value if one]
        k.accept(wire.Message(message.topic, header, message.parts), S)
        if n % 50 == 0:
            for view in (
                View(),
                View(chosen=(k.tests() or [None])[n % max(len(k.tests()), 1)]),
                View(page="trends"),
            ):
                text(k, view, rng.choice([(80, 24), (160, 48)]))
            text(k, View(page=rng.choice(["events", "alerts"])))  # type: ignore[arg-type]
    assert k.malformed > 0
