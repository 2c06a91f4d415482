"""Whether alarms sound and flash: on, paused, off, after IEC 60601-1-8; acknowledged is an alert's own. Pure.

Owns the states of the signals and when a pause ends, by sample index. Suppresses nothing: an alert is raised,
told and kept whatever the signals do; what displays sound and flash by is `sounding`.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

from hostd.alerts import RANK, Priority
from hostd.outgoing import Outgoing

What = Literal["audio", "alarm"]
Signal = Literal["on", "paused", "off"]
LONGEST_PAUSE_S = 120.0
TOLD = ("id", "test", "kind", "priority", "state", "cause", "text")
"""What is told of each open alert."""
SIGNALLED: tuple[Priority, ...] = ("high", "medium", "low")


@dataclass(frozen=True, slots=True)
class _State:
    audio: Signal = "on"
    alarm: Signal = "on"
    audio_until: int | None = None
    alarm_until: int | None = None


class AlarmSignals:
    """Of a case at `rate_hz`; `latching`: an alert that nobody acknowledged stays when its cause has gone."""

    def __init__(self, rate_hz: float) -> None:
        self._rate_hz = rate_hz
        self._state = _State()
        self.latching = False
        self._open: dict[str, dict[str, Any]] = {}
        self._last: dict[str, Any] | None = None

    def set_(self, index: int, what: What, signal: Signal, seconds: float) -> int | None:
        """Set a signal; the sample at which a pause ends, None of what is no pause. Raises ValueError for a
        pause longer than LONGEST_PAUSE_S."""
        if signal == "paused" and not 0.0 < seconds <= LONGEST_PAUSE_S:
            raise ValueError(f"a pause of {seconds:g} s; give 1 to {LONGEST_PAUSE_S:g} s, or state=off")
        until = index + round(seconds * self._rate_hz) if signal == "paused" else None
        if what == "audio":
            self._state = replace(self._state, audio=signal, audio_until=until)
        else:
            self._state = replace(self._state, alarm=signal, alarm_until=until)
        return until

    def expire(self, index: int) -> None:
        """Pauses that end at `index` do."""
        s = self._state
        if s.audio_until is not None and s.audio_until <= index:
            s = replace(s, audio="on", audio_until=None)
        if s.alarm_until is not None and s.alarm_until <= index:
            s = replace(s, alarm="on", alarm_until=None)
        self._state = s

    def after(self, message: Outgoing) -> list[Outgoing]:
        """What is new of the signals once an alert has said something."""
        f = message.fields
        if f["state"] == "cleared":
            self._open.pop(f["id"], None)
        else:
            self._open[f["id"]] = {key: f[key] for key in TOLD}
        return self.told(message.index)

    def told(self, index: int) -> list[Outgoing]:
        """What is new of the signals, given the alerts that are open; an acknowledged one is silent."""
        s, alerts = self._state, self._open.values()
        unseen = [
            a["priority"] for a in alerts if a["state"] != "acknowledged" and a["priority"] in SIGNALLED
        ]
        worst = min(unseen, key=lambda priority: RANK[priority], default=None)
        fields: dict[str, Any] = {
            "audio": s.audio,
            "audio_until": s.audio_until,
            "alarm": s.alarm,
            "alarm_until": s.alarm_until,
            "latching": self.latching,
            "flashing": worst if s.alarm == "on" else None,
            "sounding": worst if s.alarm == "on" and s.audio == "on" else None,
            "open": [dict(alert) for alert in alerts],
        }
        if fields == self._last:
            return []
        self._last = fields
        return [Outgoing("alarms", index, fields)]
