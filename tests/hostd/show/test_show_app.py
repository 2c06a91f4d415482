"""The application on a terminal that is none: keys, sizes, loss and return of the box, hostile texts."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from hostd.show.app import Picture, Show
from hostd.show.ear import Answer
from hostd.show.lines import plain_text
from hostd.show.view import Rights, View
from hostd.wire import Message
from tests.support.shown import OBSERVER, OPERATOR, S, Said, StubEar, alert, case


class Desk:
    """An application with a stub ear and a clock that is set by hand."""

    def __init__(self, rights: Rights = OPERATOR, view: View | None = None) -> None:
        self.now_ns = S
        self.ear = StubEar(rights)
        self.app = Show(self.ear, view or View(), clock=lambda: self.now_ns)

    def hear(self, *messages: Message) -> None:
        self.ear.heard += [(m, self.now_ns) for m in messages]
        self.app.tick()

    @property
    def text(self) -> str:
        return "\n".join(plain_text(line) for line in self.app.query_one(Picture).lines)

    def run(self, test: Callable[[Pilot[None]], Awaitable[None]], size: tuple[int, int] = (80, 24)) -> None:
        async def go() -> None:
            async with self.app.run_test(size=size) as pilot:
                await test(pilot)

        asyncio.run(go())


def test_keys_move_through_tests_and_pages() -> None:
    desk = Desk()

    async def test(pilot: Pilot[None]) -> None:
        desk.hear(*case(Said()))
        assert "2 right median" in desk.text
        await pilot.press("1")
        assert "sweeps 120/300" in desk.text and "latency ms" in desk.text
        await pilot.press("tab")
        assert desk.app.view.chosen == "right_median"
        await pilot.press("e")
        assert "Events, newest first" in desk.text
        await pilot.press("question_mark")
        assert "No key of this display fires a stimulus" in desk.text
        await pilot.press("escape", "p", "0", "q")

    desk.run(test)
    assert desk.app.view.chosen is None and not desk.app.view.negative_up
    assert not desk.ear.wishes


def test_an_alert_is_acknowledged_sound_paused_stimulation_stopped_by_requests() -> None:
    desk = Desk()

    async def test(pilot: Pilot[None]) -> None:
        said = Said()
        desk.hear(*case(said), said("alert", alert()))
        await pilot.press("a", "s", "x")
        desk.ear.told.append(Answer("acknowledged: there is no alert 'change-1'", False))
        desk.app.tick()
        assert "!! acknowledged: there is no" in desk.text

    desk.run(test, (140, 30))
    assert [w.command for w in desk.ear.wishes] == ["alert.acknowledge", "alarm.signal", "stim.stop"]
    assert desk.ear.wishes[0].args == {"id": "change-1"}


def test_an_observer_may_stop_and_mark_and_nothing_else() -> None:
    desk = Desk(OBSERVER)

    async def test(pilot: Pilot[None]) -> None:
        said = Said()
        desk.hear(*case(said), said("alert", alert()))
        await pilot.press("a", "s", "x")
        assert "ack" not in desk.text.splitlines()[-1]

    desk.run(test)
    assert [w.command for w in desk.ear.wishes] == ["stim.stop"]


def test_a_mark_is_written_in_a_prompt_that_takes_the_keys() -> None:
    desk = Desk()

    async def test(pilot: Pilot[None]) -> None:
        desk.hear(*case(Said()))
        await pilot.press("m", *"xq", "space", *"mac=1", "enter")
        assert not desk.app.query_one(Input).has_class("open")
        await pilot.press("m", "q", "escape", "t")
        assert not desk.app.query_one(Input).has_class("open") and desk.app.view.page == "trends"
        await pilot.press("m", "enter")

    desk.run(test)
    (wish,) = desk.ear.wishes
    assert wish.args == {"text": "xq mac=1", "kind": "note", "values": {"mac": 1.0}}


def test_a_resize_is_drawn_at_once() -> None:
    desk = Desk(view=View(chosen="left_median"))

    async def test(pilot: Pilot[None]) -> None:
        desk.hear(*case(Said()))
        for size in ((160, 48), (60, 16), (20, 5), (1, 1), (80, 24)):
            await pilot.resize_terminal(*size)
            lines = []
            for _ in range(500):  # Textual lays out by a timer of its own
                await pilot.pause()
                lines = desk.app.query_one(Picture).lines
                if len(lines) == size[1]:
                    break
            assert len(lines) == size[1] and all(len(plain_text(line)) == size[0] for line in lines)

    desk.run(test)


def test_the_loss_of_the_box_and_its_return_with_another_case() -> None:
    desk = Desk()

    async def test(pilot: Pilot[None]) -> None:
        old, new = Said("a"), Said("b")
        desk.hear(*case(old), old("alert", alert()))
        desk.now_ns = 6 * S
        desk.app.tick()
        assert "NO DATA for 5 s" in desk.text and "LIVE" not in desk.text.replace("NOT live", "")
        desk.hear(*case(new, {"only": "stopped"}))
        assert "● LIVE" in desk.text and "NO DATA" not in desk.text
        assert "HIGH" not in desk.text and "1 only" in desk.text
        desk.hear(old("alert", alert()))
        assert "HIGH" not in desk.text

    desk.run(test)


@pytest.mark.control("H16.6")
def test_what_reaches_the_terminal_has_no_control_and_markup_stays_text() -> None:
    desk = Desk(view=View(page="events"))

    async def test(pilot: Pilot[None]) -> None:
        said = Said()
        desk.hear(*case(said), said("event", text="\x1b[31m[red]x[/red]\x9b5A", kind="note", author="\x07"))
        await pilot.pause()
        picture = desk.app.query_one(Picture)
        shown = "".join(s.text for y in range(24) for s in picture.render_line(y))
        assert "[red]x[/red]" in shown and not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in shown)

    desk.run(test)


def test_what_the_bus_dropped_is_counted_and_why_it_is_closed_is_said() -> None:
    desk = Desk()

    async def test(pilot: Pilot[None]) -> None:
        desk.ear.why = "it asks for a key: give --keys"
        desk.app.tick()
        assert "it asks for a key: give --keys" in desk.text
        desk.ear.why, desk.ear.malformed = "", 3
        desk.hear(*case(Said()))
        desk.app.tick()
        assert "3 malformed dropped" in desk.text
        assert "by mirror" not in desk.text
        desk.ear.via = "tcp://10.0.0.6:5750"
        desk.app.tick()
        assert "by mirror tcp://10.0.0.6:5750" in desk.text

    desk.run(test, (140, 30))


def test_only_lines_that_changed_are_drawn_anew() -> None:
    desk = Desk()

    async def test(pilot: Pilot[None]) -> None:
        desk.hear(*case(Said()))
        await pilot.pause()
        picture = desk.app.query_one(Picture)
        drawn: list[int] = []
        before = picture.render_line
        picture.render_line = lambda y: drawn.append(y) or before(y)  # type: ignore[method-assign,func-returns-value]
        desk.ear.told.append(Answer("hello", True))
        desk.app.tick()
        await pilot.pause()
        assert set(drawn) == {22}

    desk.run(test)
