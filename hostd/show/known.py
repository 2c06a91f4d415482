"""What the terminal display knows: the latest of every topic, open alerts, a bounded journal. Pure, one
place.

Belongs to one daemon start (`boot`): a new one empties it, stragglers of an old one are refused. Malformed
messages are dropped and counted. Time is given, never asked for: `at_ns` is monotonic.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hostd.show.courses import Courses
from hostd.show.frames import Frame, frame
from hostd.show.words import maps, number, strings, whole
from hostd.wire import Message

MOST_TOPICS = 256
MOST_BYTES = 4 << 20
MOST_TESTS = 64
JOURNAL = 400
MUSCLES = 200
STALE_S = 2.0
RANK = {"high": 0, "medium": 1, "low": 2, "info": 3}
SINGLE = (
    "tcmep",
    "h_reflex",
    "bcr",
    "facial_nerve",
    "vagus_nerve",
    "lateral_spread",
    "pedicle_screw",
    "comep",
)
FRAMES = ("average.", "baseline.")
OF_TEST = ("tof", "eeg", "spectrum")


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the journal: an `event`, an `alert`, a `stim` fault or an A-train (`emg`)."""

    topic: str
    header: Mapping[str, Any]


@dataclass(slots=True)
class Silence:
    """When the bus was last heard, and when its samples last went on; monotonic ns, None: never."""

    heard_ns: int | None = None
    moved_ns: int | None = None

    def age_s(self, now_ns: int) -> float | None:
        """Seconds since anything was heard, or since the samples stand still; None when nothing ever was."""
        if self.heard_ns is None or self.moved_ns is None:
            return None
        return max(now_ns - min(self.heard_ns, self.moved_ns), 0) / 1e9


@dataclass(slots=True)
class Known:
    """State of one daemon start. One thread."""

    boot: str = ""
    malformed: int = 0
    silence: Silence = field(default_factory=Silence)
    latest: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    frames: dict[str, Frame] = field(default_factory=dict)
    by_test: dict[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    stims: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    alerts: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    journal: deque[Entry] = field(default_factory=lambda: deque(maxlen=JOURNAL))
    muscles: deque[Mapping[str, Any]] = field(default_factory=lambda: deque(maxlen=MUSCLES))
    courses: Courses = field(default_factory=Courses)
    newest_index: int = -1
    newest_utc_ns: int | None = None
    _old_boots: deque[str] = field(default_factory=lambda: deque(maxlen=32))

    def accept(self, message: Message, at_ns: int) -> bool:
        """Take `message` in if it is well formed and newer than what is known; False when it is not."""
        header = message.header
        boot, seq = header.get("boot"), whole(header.get("seq"))
        index = whole(header.get("index"))
        if not isinstance(boot, str) or not boot or seq is None or index is None:
            return self._drop()
        if sum(len(part) for part in message.parts) > MOST_BYTES or boot in self._old_boots:
            return self._drop() if boot not in self._old_boots else False
        if boot != self.boot:
            self._begin(boot)
        known = self.latest.get(message.topic)
        if known is not None and seq <= known["seq"]:
            return False
        if known is None and len(self.latest) >= MOST_TOPICS:
            return self._drop()
        try:
            self._take(message)
        except ValueError:
            return self._drop()
        self.latest[message.topic] = header
        self._hear(header, index, at_ns)
        return True

    def _drop(self) -> bool:
        self.malformed += 1
        return False

    def _begin(self, boot: str) -> None:
        if self.boot:
            self._old_boots.append(self.boot)
        self.boot = boot
        for kept in (
            self.latest,
            self.frames,
            self.by_test,
            self.stims,
            self.alerts,
            self.journal,
            self.muscles,
        ):
            kept.clear()
        self.courses = Courses()
        self.silence = Silence()
        self.newest_index, self.newest_utc_ns = -1, None

    def _hear(self, header: Mapping[str, Any], index: int, at_ns: int) -> None:
        self.silence.heard_ns = at_ns
        if index > self.newest_index:
            self.newest_index, self.silence.moved_ns = index, at_ns
            self.newest_utc_ns = whole(header.get("utc_ns"))

    def _take(self, message: Message) -> None:
        """What a topic changes besides the latest message. Raises ValueError for what it cannot be."""
        topic, header = message.topic, message.header
        if topic.startswith(FRAMES):
            self.frames[topic] = frame(message)
        elif topic == "alert":
            self._alert(header)
        elif topic == "event":
            self.journal.append(Entry(topic, header))
        elif topic == "stim":
            self._stim(header)
        elif topic == "emg":
            self._muscle(header)
        elif topic in OF_TEST:
            self._of_test(topic, header)
        self.courses.add(message, self.seconds(header))

    def _of_test(self, topic: str, header: Mapping[str, Any]) -> None:
        test = header.get("test")
        if isinstance(test, str) and ((topic, test) in self.by_test or len(self.by_test) < MOST_TESTS):
            self.by_test[topic, test] = header

    def _alert(self, header: Mapping[str, Any]) -> None:
        if not isinstance(name := header.get("id"), str):
            raise ValueError("an alert has an id")
        self.journal.append(Entry("alert", header))
        self.alerts.pop(name, None)
        self.alerts[name] = header
        if len(self.alerts) > JOURNAL:
            # What is over goes first: an alert that is open is never forgotten for one that is not.
            closed = (k for k, h in self.alerts.items() if h.get("state") == "cleared")
            del self.alerts[next(closed, next(iter(self.alerts)))]

    def _stim(self, header: Mapping[str, Any]) -> None:
        test = header.get("test")
        if isinstance(test, str) and (test in self.stims or len(self.stims) < MOST_TESTS):
            self.stims[test] = header
        if header.get("verified") is False:
            self.journal.append(Entry("stim", header))

    def _muscle(self, header: Mapping[str, Any]) -> None:
        """Spikes come by the thousand: the journal has A-trains alone, once each, as they were last told."""
        if self.muscles and _same(self.muscles[-1], header):
            self.muscles[-1] = header
        else:
            self.muscles.append(header)
        if header.get("train") != "A":
            return
        if self.journal and self.journal[-1].topic == "emg" and _same(self.journal[-1].header, header):
            self.journal[-1] = Entry("emg", header)
        else:
            self.journal.append(Entry("emg", header))

    def status(self) -> Mapping[str, Any]:
        """The latest `status`; empty before there was one."""
        return self.latest.get("status", {})

    def rate_hz(self) -> float | None:
        """Samples a second."""
        rate = number(self.status().get("rate_hz"))
        return rate if rate and rate > 0 else None

    def seconds(self, header: Mapping[str, Any]) -> float | None:
        """The time in the case that a message speaks for."""
        rate, index = self.rate_hz(), whole(header.get("index"))
        return None if rate is None or index is None else index / rate

    def now_s(self) -> float | None:
        """The time in the case of the newest sample."""
        rate = self.rate_hz()
        return None if rate is None or self.newest_index < 0 else self.newest_index / rate

    def tests(self) -> list[str]:
        """Names of tests and watches, as the case names them."""
        told = self.status().get("tests")
        names = [name for name in told if isinstance(name, str)] if isinstance(told, Mapping) else []
        names += [t.partition(".")[2] for t in self.latest if t.startswith(("average.", "wave."))]
        return list(dict.fromkeys(names))[:MOST_TESTS]

    def kind(self, test: str) -> str:
        """How a test is shown: `average`, `single`, `tof`, `emg` or `eeg`."""
        if (wave := self.latest.get(f"wave.{test}")) is not None:
            return "eeg" if wave.get("modality") == "eeg" or ("eeg", test) in self.by_test else "emg"
        average = self.frames.get(f"average.{test}")
        if ("tof", test) in self.by_test or (average and average.modality == "train_of_four"):
            return "tof"
        single = f"response.{test}" in self.latest or (average and average.modality in SINGLE)
        return "single" if single else "average"

    def baseline(self, test: str) -> Frame | None:
        """The baseline that an average is compared with; None without one."""
        kept = self.frames.get(f"baseline.{test}")
        return kept if kept is not None and kept.n_sweeps and len(kept.mean_uv) > 1 else None

    def open_alerts(self) -> list[Mapping[str, Any]]:
        """Alerts that are open, the worst and newest first, those that somebody acknowledged last.

        What `alarms` lists and nobody told us of (we joined later) is shown without its sentence.
        """
        alarms = self.latest.get("alarms", {})
        listed = {h["id"]: h for h in maps(alarms.get("open")) if isinstance(h.get("id"), str)}
        told_at = whole(alarms.get("index"))
        found: dict[str, Mapping[str, Any]] = {}
        for name, header in self.alerts.items():
            index = whole(header.get("index"))
            gone = told_at is not None and index is not None and index < told_at and name not in listed
            if header.get("state") != "cleared" and not gone:
                found[name] = header
        for name, header in listed.items():
            if name not in self.alerts:
                found[name] = header
        order = sorted(found.values(), key=lambda h: -(whole(h.get("seq")) or 0))
        return sorted(order, key=lambda h: (h.get("state") == "acknowledged", _rank(h)))

    def faults(self) -> list[str]:
        """Faults of the daemon, as it says them."""
        return strings(self.status().get("faults"))


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """The same event of a muscle, told again as it goes on."""
    return all(one.get(key) == other.get(key) for key in ("test", "derivation", "first_index"))


def _rank(header: Mapping[str, Any]) -> int:
    priority = header.get("priority")
    return RANK.get(priority, 4) if isinstance(priority, str) else 4
