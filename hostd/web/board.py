"""What the displays know: the latest message per topic, a bounded journal, and the trend of every test.

Pure state, no sockets, no clock. Belongs to one daemon start (`boot`): a new one empties it, stragglers of an
old one are refused. Refuses malformed messages and whatever is not newer than what it has.
"""

from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np

from hostd import wire
from hostd.web.frame import pack_frame
from hostd.wire import Message

MAX_TOPICS = 256
MAX_MESSAGE_BYTES = 4 << 20
JOURNAL = 400
OLD_BOOTS = 32
JOURNAL_TOPICS = ("event", "alert", "stim")


class Board:
    """State of one daemon start. One thread."""

    def __init__(self) -> None:
        self.boot = ""
        self.refused = 0
        self._latest: dict[str, Message] = {}
        self._journal: deque[Message] = deque(maxlen=JOURNAL)
        self._alerts: dict[str, Message] = {}
        self._trends: dict[str, Trend] = {}
        self._old_boots: deque[str] = deque(maxlen=OLD_BOOTS)

    def accept(self, message: Message) -> bool:
        """Take `message` in if it is well formed and newer than what is known; False when it is not."""
        header = message.header
        boot, seq = header.get("boot"), header.get("seq")
        size = sum(len(part) for part in message.parts)
        if not isinstance(boot, str) or not boot or type(seq) is not int or size > MAX_MESSAGE_BYTES:
            self.refused += 1
            return False
        if boot in self._old_boots:
            return False
        if boot != self.boot:
            self._begin(boot)
        known = self._latest.get(message.topic)
        if known is None and len(self._latest) >= MAX_TOPICS:
            self.refused += 1
            return False
        if known is not None and seq <= known.header["seq"]:
            return False
        self._latest[message.topic] = message
        self._remember(message)
        return True

    def frames(self) -> Iterator[bytes]:
        """What a newly connected browser needs, oldest first: journal, trends, then the present state."""
        journaled = {id(message) for message in self._journal}
        for message in self._alerts.values():
            if id(message) not in journaled:
                yield pack_frame(message, past=True)
        for message in self._journal:
            yield pack_frame(message, past=True)
        for test, trend in self._trends.items():
            yield pack_frame(trend.message(test, self.boot))
        for message in self._latest.values():
            yield pack_frame(message)

    def _begin(self, boot: str) -> None:
        if self.boot:
            self._old_boots.append(self.boot)
        self.boot = boot
        self._latest.clear()
        self._journal.clear()
        self._alerts.clear()
        self._trends.clear()

    def _remember(self, message: Message) -> None:
        header, topic = message.header, message.topic
        if topic.startswith("measure."):
            self._trends.setdefault(topic.removeprefix("measure."), Trend()).add(message)
        if topic not in JOURNAL_TOPICS or (topic == "stim" and header.get("verified") is not False):
            return
        self._journal.append(message)
        if topic == "alert" and isinstance(header.get("id"), str):
            self._alerts.pop(header["id"], None)
            self._alerts[header["id"]] = message
            if len(self._alerts) > JOURNAL:
                del self._alerts[next(iter(self._alerts))]


class Trend:
    """Latency and amplitude of a test's leading peak over the case, thinned to `LIMIT` rows at most."""

    LIMIT = 1024

    def __init__(self) -> None:
        self._name = ""
        self._rows: list[tuple[float, ...]] = []
        self._spacing_ns = 1_000_000_000

    def add(self, message: Message) -> None:
        """Append the leading peak of a `measure` message; closer than the spacing replaces the newest row."""
        t_ns, peaks = message.header.get("t_ns"), message.header.get("peaks")
        if not isinstance(t_ns, int) or not isinstance(peaks, list) or not peaks:
            return
        named = [p for p in peaks if isinstance(p, dict)] or [{}]
        leading = message.header.get("leading")
        peak = next((p for p in named if p.get("name") == leading), named[0])
        self._name = str(peak.get("name", ""))
        row = (
            float(t_ns),
            _number(peak.get("latency_ms")),
            *_interval(peak.get("latency_ci_ms")),
            _number(peak.get("amplitude_uv")),
            *_interval(peak.get("amplitude_ci_uv")),
            float(peak.get("present") is True),
        )
        if len(self._rows) > 1 and t_ns - self._rows[-2][0] < self._spacing_ns:
            self._rows[-1] = row
            return
        self._rows.append(row)
        if len(self._rows) > self.LIMIT:
            self._rows = self._rows[::2]
            self._spacing_ns *= 2

    def message(self, test: str, boot: str) -> Message:
        """Message `trend.TEST`: `rows` (n, 8) <f8: t_ns, latency, lo, hi, amplitude, lo, hi, present."""
        rows = np.array(self._rows, dtype=np.float64).reshape(len(self._rows), 8)
        header, parts = wire.pack_arrays({"boot": boot, "name": self._name, "rows": rows})
        return Message(f"trend.{test}", header, parts)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")


def _interval(value: Any) -> tuple[float, float]:
    if isinstance(value, list | tuple) and len(value) == 2:
        return _number(value[0]), _number(value[1])
    return float("nan"), float("nan")
