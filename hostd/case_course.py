"""What alerts, baselines and people make of a case: its phase, the response ledger, the alarm's signals.

Owns the order in which these hear of each other, in the place of the timeline where each thing happened; the
deciding is `hostd.phases`', `hostd.ledger`'s and `hostd.alarm_signals`'. Knows no clock.
"""

from collections.abc import Collection
from functools import partial
from typing import Any

from hostd.alarm_signals import AlarmSignals
from hostd.alerts import Alerts
from hostd.ledger import KINDS, Ledger
from hostd.outgoing import Outgoing
from hostd.phases import RECOVERY_S, WAITING, CaseStand, Happened, step
from hostd.timeline import Timeline


class CaseCourse:
    """Of a case at `rate_hz` whose tests `compared` want baselines, and whose `plugged` ones a check of their
    plugs; `last` is the order of what is the whole case's, behind all tests."""

    def __init__(
        self,
        rate_hz: float,
        compared: Collection[str],
        alerts: Alerts,
        timeline: Timeline,
        last: int,
        plugged: Collection[str] = (),
    ) -> None:
        self._compared = frozenset(compared)
        self._alerts, self._timeline, self._last = alerts, timeline, last
        self._ledger = Ledger(rate_hz)
        self._signals = AlarmSignals(rate_hz)
        self._recovery = round(RECOVERY_S * rate_hz)
        self._stand = CaseStand(
            plugs=tuple((name, WAITING) for name in plugged),
            grades=tuple((name, WAITING) for name in compared),
        )

    def test(self, index: int, name: str, runs: bool) -> None:
        """A test was started or stopped."""
        if name in self._compared:
            self._later(index, "started" if runs else "stopped", name)

    def baseline(self, index: int, order: int, name: str, grade: str) -> None:
        """A test has a baseline of this grade, or ("") has none any more."""
        thing = partial(self._happened, Happened("based" if grade else "unbased", index, name, grade), "")
        self._timeline.put(index, order, thing)

    def measured(self, index: int) -> None:
        """The electrodes were measured."""
        self._later(index, "measured", "")

    def plugs(self, index: int, name: str, said: str) -> list[Outgoing]:
        """What the check says of a test's plugs, in its place of the timeline."""
        return self._happened(Happened("plugs", index, name, said), "")

    def critical(self, index: int, on: bool, text: str) -> None:
        """Somebody says that a critical step begins, or is over."""
        thing = partial(self._happened, Happened("critical" if on else "normal", index), text)
        self._timeline.put(index, self._last, thing)

    def close(self, index: int) -> None:
        """The samples have ended."""
        self._timeline.put(index, self._last, partial(self._happened, Happened("closed", index), ""))

    def note(self, index: int, args: dict[str, Any]) -> list[Outgoing]:
        """A step of the ledger that somebody took. Raises ValueError for one that is none."""
        return self._ledger.note(index, args["id"], args["step"], args["text"], args["author"])

    def signal(self, index: int, args: dict[str, Any]) -> list[Outgoing]:
        """Alarms sound and flash, or do not, from now on. Raises ValueError for what cannot be."""
        what, state = args["what"], args["state"]
        if what == "latching":
            if state == "paused":
                raise ValueError("latching is on or off")
            self._alerts.latching = self._signals.latching = state == "on"
        else:
            until = self._signals.set_(index, what, state, args["seconds"])
            if until is not None:
                self._timeline.now(until, self._last, partial(self._resume, until))
        return self._signals.told(index)

    def with_alerts(self, messages: list[Outgoing]) -> list[Outgoing]:
        """`messages` with what each alert among them means, right behind it."""
        if not any(message.topic == "alert" for message in messages):
            return messages
        return [one for message in messages for one in (message, *self._after(message))]

    def _after(self, message: Outgoing) -> list[Outgoing]:
        if message.topic != "alert":
            return []
        told = self._ledger.after(message) + self._signals.after(message)
        f = message.fields
        if f["kind"] not in KINDS:
            return told
        happened = Happened("cleared" if f["state"] == "cleared" else "raised", message.index, f["id"])
        return told + self._happened(happened, f["text"])

    def _later(self, index: int, kind: Any, name: str) -> None:
        self._timeline.put(index, self._last, partial(self._happened, Happened(kind, index, name), ""))

    def _resume(self, index: int) -> list[Outgoing]:
        self._signals.expire(index)
        return self._signals.told(index)

    def _happened(self, event: Happened, text: str) -> list[Outgoing]:
        """The next stand; told where the phase is another one by that, or who is waited for."""
        before, now = self._stand, step(self._stand, event, self._recovery)
        self._stand = now
        if now.recovers is not None and now.recovers != before.recovers:
            over = partial(self._happened, Happened("passed", now.recovers), "")
            self._timeline.put(now.recovers, self._last, over)
        shown = (before.phase, before.running - before.based, before.open, before.critical, before.steps)
        if shown == (now.phase, now.running - now.based, now.open, now.critical, now.steps):
            return []
        fields = {
            "phase": now.phase,
            "before": before.phase,
            "critical": now.critical,
            "waiting": sorted(now.running - now.based),
            "alerts": sorted(now.open),
            "steps": [{"step": what, "test": test, "state": said} for what, test, said in now.steps],
            "text": text,
        }
        return [Outgoing("case", event.index, fields)]
