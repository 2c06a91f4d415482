"""Displays and readers that promised to be heard of, and which of them have fallen silent. Pure.

Owns the promises (`hello` with `watch_s`) and when each was last heard. A display that nobody misses is no
alarm: who promises nothing is not watched, and a promise is taken back by another `hello`.
"""

from dataclasses import dataclass
from typing import Any

from hostd.alerts import Alerts
from hostd.endpoints import parse_bus
from hostd.errors import UsageError
from hostd.outgoing import Outgoing

MOST = 64
LOST, BACK = "link.lost", "link.back"
LINK = "link"
"""The kind of the alert."""


@dataclass(slots=True)
class _Promise:
    within_ns: int
    heard_ns: int
    lost: bool = False
    mirror: str = ""


class LinkWatch:
    """Of the clients of a box, by name: one that connects anew is the same one. Serving thread only."""

    def __init__(self) -> None:
        self._promises: dict[str, _Promise] = {}

    def promise(self, name: str, watch_s: float, now_ns: int, mirror: str = "") -> str:
        """A client wants to be missed after `watch_s` of silence (0: no longer); why it cannot be, or "".
        `mirror`: the bus on which it says everything again."""
        try:
            if mirror:
                parse_bus(mirror)
        except UsageError:
            return f"mirror {mirror[:60]!r} is not tcp://HOST:PORT"
        if mirror and not watch_s:
            return "a mirror must say by watch_s when it is to be missed"
        if not watch_s:
            self.heard(name, now_ns)  # who is back is told so before he goes
            if (known := self._promises.get(name)) is not None:
                known.within_ns = 0
            return ""
        if not name:
            return "watch_s needs a name: who is to be missed?"
        if name not in self._promises and len(self._promises) >= MOST:
            return f"{MOST} displays are watched already"
        before = self._promises.get(name)
        lost = before is not None and before.lost
        self._promises[name] = _Promise(round(watch_s * 1e9), now_ns, lost, mirror)
        return ""

    @property
    def mirrors(self) -> list[str]:
        """Buses on which everything is said again now."""
        return sorted({one.mirror for one in self._promises.values() if one.mirror and not one.lost})

    def heard(self, name: str, now_ns: int) -> None:
        """A client has asked for something."""
        if (known := self._promises.get(name)) is not None:
            known.heard_ns = now_ns

    def changed(self, now_ns: int) -> list[tuple[str, str]]:
        """(LOST or BACK, name) of every client that has fallen silent, or is heard again."""
        told = []
        for name, one in list(self._promises.items()):
            silent = one.within_ns > 0 and now_ns - one.heard_ns > one.within_ns
            if silent != one.lost:
                one.lost = silent
                told.append((LOST if silent else BACK, name))
            if not one.within_ns:
                del self._promises[name]
        return told


class LinkAlerts:
    """Those that are silent as one alert. Pipeline's thread only."""

    def __init__(self, alerts: Alerts) -> None:
        self._alerts = alerts
        self._silent: set[str] = set()

    def told(self, index: int, what: str, client: str) -> list[Outgoing]:
        """A display that promised to be there has fallen silent (`what` is LOST), or is heard again."""
        self._silent.discard(client)
        if what == LOST:
            self._silent.add(client)
        if not self._silent:
            return self._alerts.clear(index + 1, LINK, "")
        names = ", ".join(sorted(self._silent))
        evidence: dict[str, Any] = {"rule": "a display or reader has fallen silent", "index": index}
        evidence["clients"] = sorted(self._silent)
        text = f"nobody is heard of at {names}: who watches there?"
        return self._alerts.raise_(index, "", LINK, "medium", text, evidence, anew=True)
