"""How somebody looks at what is known: which test, which page, which way is up. Pure; changes by keys alone.

Fires nothing: what a key asks of the box is told as a `Wish`, and no wish starts a stimulus.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Page = Literal["tests", "trends", "events", "alerts", "help"]
PAUSE_S = 120.0
GAINS = 6


@dataclass(frozen=True, slots=True)
class View:
    """`chosen` None: all tests at once. `gain`: steps of 1, 2, 5 from what fits. `scroll`: rows back in a
    list."""

    chosen: str | None = None
    page: Page = "tests"
    negative_up: bool = True
    gain: int = 0
    scroll: int = 0
    alert: str | None = None


@dataclass(frozen=True, slots=True)
class Rights:
    """What the box says that we may ask for; before it has said anything, to stop alone."""

    may: frozenset[str] = frozenset(("stim.stop",))
    role: str = ""

    def allows(self, command: str) -> bool:
        """Whether a key for `command` is offered."""
        return command == "stim.stop" or command in self.may


@dataclass(frozen=True, slots=True)
class Wish:
    """A request that a key stands for; `prompt` asks for a text first."""

    command: str
    args: dict[str, Any] = field(default_factory=dict)
    prompt: bool = False


@dataclass(frozen=True, slots=True)
class Press:
    """What one key comes to."""

    view: View
    wish: Wish | None = None
    quit: bool = False


@dataclass(frozen=True, slots=True)
class Offer:
    """A key in the footer; `command` "" is of the display alone."""

    key: str
    word: str
    short: str
    command: str = ""


OFFERS = (
    Offer("x", "STOP stim", "STOP", "stim.stop"),
    Offer("a", "acknowledge", "ack", "alert.acknowledge"),
    Offer("s", "pause sound", "pause", "alarm.signal"),
    Offer("m", "mark", "mark", "mark"),
    Offer("1-9", "test", "test"),
    Offer("0", "all", "all"),
    Offer("t", "trends", "trend"),
    Offer("e", "events", "event"),
    Offer("l", "alerts", "list"),
    Offer("p", "polarity", "±"),
    Offer("?", "help", ""),
    Offer("q", "quit", "quit"),
)


def press(
    view: View,
    key: str,
    tests: Sequence[str],
    alerts: Sequence[tuple[str, bool]],
    rights: Rights,
    paused: bool,
) -> Press:
    """What `key` (as Textual names it) does. `alerts`: (id, acknowledged) of those open, in the order shown;
    `paused`: the sound of alarms is paused now."""
    if key in ("q", "ctrl+q"):
        return Press(view, quit=True)
    if (wish := _wish(view, key, alerts, paused)) is not None:
        return Press(view, wish if rights.allows(wish.command) else None)
    return Press(_look(view, key, tests, [name for name, _ in alerts]))


def _wish(view: View, key: str, alerts: Sequence[tuple[str, bool]], paused: bool) -> Wish | None:
    if key in ("x", "X"):
        return Wish("stim.stop")
    if key == "m":
        return Wish("mark", prompt=True)
    if key == "s":
        args: dict[str, Any] = {"what": "audio", "state": "on"}
        return Wish("alarm.signal", args if paused else args | {"state": "paused", "seconds": PAUSE_S})
    if key == "a":
        wanted = to_acknowledge(view, alerts)
        return None if wanted is None else Wish("alert.acknowledge", {"id": wanted})
    return None


def to_acknowledge(view: View, alerts: Sequence[tuple[str, bool]]) -> str | None:
    """The alert that the acknowledging key means: the one picked in the list, else the first of those
    unseen."""
    unseen = [name for name, seen in alerts if not seen]
    if view.page == "alerts" and view.alert in unseen:
        return view.alert
    return unseen[0] if unseen else None


def _look(view: View, key: str, tests: Sequence[str], alerts: Sequence[str]) -> View:
    pages: dict[str, Page] = {
        "t": "trends",
        "e": "events",
        "l": "alerts",
        "question_mark": "help",
        "h": "help",
    }
    if key in pages:
        page: Page = "tests" if view.page == pages[key] else pages[key]
        return replace(view, page=page, scroll=0)
    if key == "escape":
        return replace(view, page="tests", scroll=0)
    if key in ("0", "g"):
        back = tests[0] if view.chosen is None and view.page == "tests" and key == "g" and tests else None
        return replace(view, chosen=back, page="tests", scroll=0)
    if len(key) == 1 and key in "123456789":
        at = int(key) - 1
        return replace(view, chosen=tests[at], page="tests", scroll=0) if at < len(tests) else view
    if key in ("tab", "shift+tab", "right", "left") and tests:
        return _step(view, tests, -1 if key in ("shift+tab", "left") else 1)
    if key == "p":
        return replace(view, negative_up=not view.negative_up)
    if key in ("plus", "minus", "equals_sign"):
        step = -1 if key == "minus" else 1
        return replace(view, gain=max(-GAINS, min(GAINS, view.gain + step)))
    return _scroll(view, key, alerts)


def _step(view: View, tests: Sequence[str], by: int) -> View:
    if view.page in ("events", "alerts", "help"):
        view = replace(view, page="tests")
    at = tests.index(view.chosen) if view.chosen in tests else -1 if by > 0 else 0
    return replace(view, chosen=tests[(at + by) % len(tests)], scroll=0)


def _scroll(view: View, key: str, alerts: Sequence[str]) -> View:
    by = {"up": -1, "down": 1, "pageup": -10, "pagedown": 10}.get(key)
    if by is None:
        return view
    if view.page == "alerts" and alerts:
        at = alerts.index(view.alert) if view.alert in alerts else 0
        return replace(view, alert=alerts[max(0, min(len(alerts) - 1, at + by))])
    return replace(view, scroll=max(0, view.scroll + by))
