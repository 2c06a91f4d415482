"""What the displays know of one box: the latest message per topic, a bounded journal, and a bounded past.

Pure state, no sockets, no clock. Belongs to one daemon start (`boot`): a new one empties it, stragglers of an
old one are refused. Refuses malformed messages and whatever is not newer than what it has.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

from hostd.web.frame import pack_frame
from hostd.web.history import Spectra, Trend, Waterfall, leading_peak
from hostd.wire import Message

MAX_TOPICS = 256
MAX_MESSAGE_BYTES = 4 << 20
JOURNAL = 400
OLD_BOOTS = 32
LATE_BEATS = 10
JOURNAL_TOPICS = ("event", "alert", "stim", "emg")
PASSING = ("emg.audio", "raw")
"""Never the present state of anything: who comes late begins with the next."""
LEFT_OUT = ("halves_uv",)
"""Arrays that no page draws unasked; half of an average's bytes."""


class Board:
    """State of one daemon start. One thread."""

    def __init__(self) -> None:
        self.boot = ""
        self.refused = 0
        self.missed = 0  # messages that a hole in the numbers tells of
        self._behind: dict[str, tuple[int, int]] = {}  # what is waited for, and for how many beats
        self.latest: dict[str, Message] = {}
        self.good_ns: dict[str, int] = {}  # of each test: when its leading response was last seen
        self._journal: deque[Message] = deque(maxlen=JOURNAL)
        self._alerts: dict[str, Message] = {}
        self._trends: dict[str, Trend] = {}
        self._waterfalls: dict[str, Waterfall] = {}
        self._spectra = Spectra()
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
        known = self.latest.get(message.topic)
        if known is None and len(self.latest) >= MAX_TOPICS:
            self.refused += 1
            return False
        if known is not None and seq <= known.header["seq"]:
            return False
        if known is not None:
            self.missed += seq - known.header["seq"] - 1
        self.latest[message.topic] = message
        self._remember(message)
        return True

    def behind(self, beat: Message, topics: tuple[str, ...]) -> bool:
        """Whether a message of `topics` that a beat of a second ago named is still not here: lost, with
        nothing behind it to show the hole. True once of each."""
        told = beat.header.get("latest")
        late = False
        for topic, seq in told.items() if isinstance(told, Mapping) else ():
            if not isinstance(topic, str) or type(seq) is not int or not topic.startswith(topics):
                continue
            known = self.latest.get(topic)
            have = 0 if known is None else known.header["seq"]
            wanted, beats = self._behind.get(topic, (seq, 0))
            if have >= wanted:
                wanted, beats = seq, 0
            self._behind[topic] = wanted, beats + (have < wanted)
            late = late or self._behind[topic][1] == LATE_BEATS
        return late

    def frames(self) -> Iterator[bytes]:
        """What a newly connected browser needs, oldest first: journal, the past, then the present state."""
        journaled = {id(message) for message in self._journal}
        for message in self._alerts.values():
            if id(message) not in journaled:
                yield pack_frame(message, past=True)
        for message in self._journal:
            yield pack_frame(message, past=True)
        for message in self._past():
            yield pack_frame(message)
        for message in self.latest.values():
            if message.topic not in PASSING:
                yield pack_frame(message, without=LEFT_OUT)

    @property
    def alerts(self) -> list[Message]:
        """The newest of every alert of the case, cleared ones too, and open ones that were told before us."""
        alarms = self.latest.get("alarms")
        header: Mapping[str, Any] = {} if alarms is None else alarms.header
        told = header.get("open")
        earlier = [
            Message("alert", {"t_ns": header.get("t_ns"), **one})
            for one in (told if isinstance(told, list) else [])
            if isinstance(one, Mapping) and one.get("id") not in self._alerts
        ]
        return [*self._alerts.values(), *earlier]

    def _past(self) -> Iterator[Message]:
        for test, trend in self._trends.items():
            yield trend.message(test, self.boot)
        for test, waterfall in self._waterfalls.items():
            if (told := waterfall.message(test, self.boot)) is not None:
                yield told
        if (told := self._spectra.message(self.boot)) is not None:
            yield told

    def _begin(self, boot: str) -> None:
        if self.boot:
            self._old_boots.append(self.boot)
        self.boot = boot
        self._spectra = Spectra()
        for held in (self.latest, self.good_ns, self._behind, self._alerts, self._trends, self._waterfalls):
            held.clear()
        self._journal.clear()

    def _remember(self, message: Message) -> None:
        header, topic = message.header, message.topic
        family, _, test = topic.partition(".")
        if family == "measure":
            self._trends.setdefault(test, Trend()).add(message)
            peak = leading_peak(header)
            if peak.get("present") is True and isinstance(header.get("t_ns"), int):
                self.good_ns[test] = header["t_ns"]
        elif family == "average":
            self._waterfalls.setdefault(test, Waterfall()).add(message)
        elif topic == "spectrum":
            self._spectra.add(message)
        if topic not in JOURNAL_TOPICS or (topic == "stim" and header.get("verified") is not False):
            return
        self._journal.append(message)
        if topic == "alert" and isinstance(header.get("id"), str):
            self._alerts.pop(header["id"], None)
            self._alerts[header["id"]] = message
            if len(self._alerts) > JOURNAL:
                del self._alerts[next(iter(self._alerts))]
