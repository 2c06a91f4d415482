"""The full screen: a thin Textual application that puts `screen`'s lines on the terminal and keys into
`view`.

Knows nothing by itself. Only lines that changed are sent, so that a slow line (ssh, a serial console) keeps
up; texts are segments, never markup.
"""

import asyncio
import signal
import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import ClassVar, Protocol

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Input

from hostd.show.ear import Answer, Heard
from hostd.show.known import Known
from hostd.show.lines import Line
from hostd.show.screen import Moment, screen
from hostd.show.theme import BACKGROUND, look
from hostd.show.view import Rights, View, Wish, press
from hostd.show.words import harmless, number

TICK_S = 0.25
NOTE_S = 6.0
CALLED = {
    "stim.stop": "all stimulation stopped",
    "alert.acknowledge": "acknowledged",
    "alarm.signal": "alarm sound set",
    "mark": "marked",
}


class Bus(Protocol):
    """What the screen needs of the bus (`ear.Ear`)."""

    rights: Rights
    why: str
    malformed: int

    @property
    def via(self) -> str:
        """The mirror by which the box is heard, "" while it is heard itself."""

    def drain(self) -> list[Heard]:
        """What has been heard since."""

    def answers(self) -> list[Answer]:
        """What became of wishes since."""

    def wish(self, wish: Wish, called: str) -> None:
        """Ask the box."""


@lru_cache(maxsize=512)
def _style(name: str) -> Style:
    return Style.parse(look(name)) + Style(bgcolor=BACKGROUND if " on " not in look(name) else None)


class Picture(Widget, can_focus=True):
    """Lines on the terminal; sends those that changed."""

    def __init__(self, pressed: Callable[[str], None], resized: Callable[[], None]) -> None:
        super().__init__()
        self.lines: list[Line] = []
        self._pressed, self._resized = pressed, resized

    def put(self, lines: list[Line]) -> None:
        """Show `lines`."""
        old, self.lines = self.lines, lines
        if len(old) != len(lines):
            self.refresh()
            return
        changed = [y for y, line in enumerate(lines) if line != old[y]]
        if changed:
            self.refresh(*(Region(0, y, self.size.width, 1) for y in changed))

    def render_line(self, y: int) -> Strip:
        """One line of the terminal."""
        line = self.lines[y] if y < len(self.lines) else []
        strip = Strip([Segment(text, _style(style)) for text, style in line])
        return strip.adjust_cell_length(self.size.width, _style(""))

    def on_key(self, event: events.Key) -> None:
        """Keys are the view's."""
        event.stop()
        event.prevent_default()
        self._pressed(event.key)

    def on_resize(self) -> None:
        """Another size is another screen, at once."""
        self._resized()


class Show(App[None]):
    """The terminal display. `clock` is monotonic ns; `sounding` says in a word how the sound is."""

    TITLE = "evokd"
    ENABLE_COMMAND_PALETTE = False
    CSS = f"""
    Screen {{ background: {BACKGROUND}; layers: picture prompt; }}
    Picture {{ width: 100%; height: 100%; layer: picture; }}
    Input {{ display: none; layer: prompt; dock: bottom; height: 1; border: none; padding: 0 1;
             background: #26323d; color: #ffffff; }}
    Input.open {{ display: block; }}
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c", "leave", "quit", priority=True, show=False),
        Binding("ctrl+q", "leave", "quit", priority=True, show=False),
    ]

    def __init__(
        self,
        bus: Bus,
        view: View,
        clock: Callable[[], int] = time.monotonic_ns,
        sounding: Callable[[], str] = str,
    ) -> None:
        super().__init__()
        self.known, self.view = Known(), view
        self._bus, self._clock, self._sounding = bus, clock, sounding
        self._note, self._note_ns = "", 0
        self._counted = 0
        self._ticks = 0
        self._picture = Picture(self.pressed, self.draw)
        self._prompt = Input(placeholder="mark: what happened (map_mmhg=62 ... adds numbers); esc leaves")

    def compose(self) -> ComposeResult:
        """The picture, and a line to write marks in."""
        yield self._picture
        yield self._prompt

    def on_mount(self) -> None:
        """Begin."""
        self._picture.focus()
        self.set_interval(TICK_S, self.tick)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.exit)

    def tick(self) -> None:
        """Take up what was heard, and show it. Flashes go by ticks: a tick that comes late shortens none."""
        self._ticks += 1
        for message, at_ns in self._bus.drain():
            self.known.accept(message, at_ns)
        self.known.malformed += self._bus.malformed - self._counted
        self._counted = self._bus.malformed
        for answer in self._bus.answers():
            self._say(answer.text if answer.ok else f"!! {answer.text}")
        self.draw()

    def draw(self) -> None:
        """The screen as it is now."""
        now_ns = self._clock()
        if self._note and now_ns - self._note_ns > NOTE_S * 1e9:
            self._note = ""
        flash_ns = round((self._ticks + 0.5) * TICK_S * 1e9)
        at = Moment(
            now_ns, flash_ns, self._note, harmless(self._bus.why, 200), self._sounding(), self._bus.via
        )
        size = (self._picture.size.width, self._picture.size.height)
        self._picture.put(screen(self.known, self.view, self._bus.rights, at, size))

    def _say(self, text: str) -> None:
        self._note, self._note_ns = text, self._clock()

    def pressed(self, key: str) -> None:
        """One key, as Textual names it."""
        alerts = [(str(h.get("id")), h.get("state") == "acknowledged") for h in self.known.open_alerts()]
        paused = self.known.latest.get("alarms", {}).get("audio") == "paused"
        came = press(self.view, key, self.known.tests(), alerts, self._bus.rights, paused)
        self.view = came.view
        if came.quit:
            self.exit()
        elif came.wish is not None and came.wish.prompt:
            self._prompt.add_class("open")
            self._prompt.focus()
        elif came.wish is not None:
            self._bus.wish(came.wish, CALLED.get(came.wish.command, came.wish.command))
            self._say(f"{came.wish.command} …")
        self.draw()

    def on_key(self, event: events.Key) -> None:
        """Esc leaves the prompt."""
        if event.key == "escape" and self._prompt.has_class("open"):
            self._leave_prompt()
            event.stop()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """A mark was written."""
        text, values = marked(event.value)
        if text:
            args = {"text": text, "kind": "note"} | ({"values": values} if values else {})
            self._bus.wish(Wish("mark", args), CALLED["mark"])
        self._leave_prompt()

    def _leave_prompt(self) -> None:
        self._prompt.value = ""
        self._prompt.remove_class("open")
        self._picture.focus()

    def action_leave(self) -> None:
        """Quit; the case goes on."""
        self.exit()


def marked(text: str) -> tuple[str, dict[str, float]]:
    """The text of a mark, and the numbers in it (`map_mmhg=62`)."""
    values = dict(_numbers(text.split()))
    return text.strip(), values


def _numbers(words: Iterable[str]) -> Iterable[tuple[str, float]]:
    for word in words:
        name, equals, said = word.partition("=")
        if equals and name.isidentifier():
            try:
                value = number(float(said))
            except ValueError:
                continue
            if value is not None:
                yield name[:40], value
