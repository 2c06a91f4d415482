"""The check itself, step by step: what is done to the client, and what it must show afterwards.

Each step tries one thing, on topics of its own where the client reads any that have tests, so that a fault is
told once. A step whose client is gone is left out.
"""

from collections.abc import Callable, Iterator
from typing import Any

from hostd import wire
from hostd.client_check import malformed
from hostd.client_check.judge import SETTLE_S, Finding, Judge
from hostd.client_check.script import odd_arrays, proving, topics

SILENT_S, EARLY_S = 3.2, 1.2
BURST, AT_ONCE, CAUGHT_UP_S = 500, 25, 8.0
FAR = 9999
NEWER, OLDER = ("average", "wave", "alarms", "eeg"), ("measure", "sweep", "case", "spectrum")
"""Topics of which something newer than the first snapshot comes before it, or something older behind it."""
Verdict = tuple[bool | None, str]


class Check(Judge):
    """Of one client on a `stage`; `gone` tells why the client is there no longer, or ""."""

    def run(self, wait_s: float) -> Iterator[Finding]:
        """Every finding, as it is made. The client has `wait_s` to come."""
        for topic in topics():
            for _ in range(3):
                message = self._stage.script.message(topic)
            self._stage.keep(message)
        self._stage.on_snapshot = self._while_asked
        first = self._connect(wait_s)
        yield first
        steps = (
            self.snapshot, self.late_snapshot, self.live, self.empty_arrays, self.not_numbers, self.unknown,
            self.version, self.malformed, self.burst, self.hole, self.stale, self.restart, self.straggler,
        )  # fmt: skip
        lost = "" if first.ok else "no reports"
        for step in steps:
            name = step.__name__.replace("_", " ")
            if lost:
                yield Finding(name, None, lost)
                continue
            ok, text = step()
            if ok is False and (lost := self._lost()):
                text = f"{text}; {lost}"
            if ok is False and step == self.restart:
                lost = "the start before is still shown"
            yield Finding(name, ok, text)

    def _connect(self, wait_s: float) -> Finding:
        stage = self._stage
        if stage.until(lambda: stage.report is not None or bool(self._gone()), wait_s) and stage.report:
            reads = [topic for topic in topics() if stage.report.reads(topic)]
            if not reads:
                return Finding("connect", False, f"no topic begins with {stage.report.topics}")
            return Finding("connect", True, f"reports come; it reads {len(reads)} of {len(topics())} topics")
        if stage.wrong:
            return Finding("connect", False, stage.wrong)
        if gone := self._gone():
            return Finding("connect", False, gone)
        cure = (
            "send the request client.report four times a second (see hostd/clients/README.md, client-check)"
        )
        came = "it connects, but" if stage.clients or stage.asked else "nobody connects, and"
        return Finding("connect", False, f"{came} no report came within {wait_s:g} s; {cure}")

    def _while_asked(self) -> Callable[[], None]:
        """The first snapshot: on one topic something newer is said before the answer comes, on another
        something older behind it."""
        stage = self._stage
        for topic in _of(NEWER):
            stage.say(topic)
        stragglers = [stage.script.message(t, seq=stage.truth[t].seq - 1) for t in _of(OLDER)]

        def behind() -> None:
            for straggler in stragglers:
                stage.send(straggler)

        return behind

    def snapshot(self) -> Verdict:
        """What was said before it came."""
        report = self._stage.report
        if report is not None:
            self._family, self._tests = proving(report.topics)
        wanted = [t for t in topics() if t not in _of(NEWER + OLDER) and t != "raw"]
        if wrong := self._shows(wanted):
            cure = "subscribe, ask snapshot, and take every message of the answer as if it were live"
            asked = "" if self._stage.asked else " no snapshot was asked for;"
            return False, f"{wrong};{asked} {cure}"
        return True, "what was said before it came is shown"

    def late_snapshot(self) -> Verdict:
        """Live messages that are newer, and older, than the snapshot."""
        if not self._stage.asked:
            return None, "no snapshot was asked for"
        wrong = self._shows(_of(NEWER))
        self._stage.until(lambda: not self._stage.waiting, SETTLE_S)
        self._settle()
        if wrong := wrong or self._differs(_of(NEWER + OLDER)):
            cure = "keep the seq of what is shown, and drop whatever is not newer, live or of the snapshot"
            return False, f"{wrong}; {cure}; and ask only once the subscriptions are connected"
        return True, "what is not newer is dropped, whichever way it came"

    def live(self) -> Verdict:
        """A message of every topic."""
        wanted = topics()
        for topic in wanted:
            self._stage.say(topic)
        if wrong := self._shows(wanted):
            return False, f"{wrong}; read dtype, shape and part of the header, buffers are little-endian"
        return True, "every topic that it reads is decoded, arrays too"

    def empty_arrays(self) -> Verdict:
        """An array without rows."""
        return self._odd("empty", "an array without rows, shape [0, 3] and no bytes, is allowed")

    def not_numbers(self) -> Verdict:
        """NaN and infinities."""
        return self._odd("nan", "NaN and infinity are allowed in arrays: show a break in the line there")

    def _odd(self, name: str, cure: str) -> Verdict:
        topic, array = self._topic(name), odd_arrays()[name]
        key = {"average": "mean_uv", "sweep": "sweep_uv", "baseline": "mean_uv", "wave": "uv"}.get(
            self._family
        )
        self._stage.say(topic, {} if key is None else {key: array})
        wrong = self._shows([topic])
        return (False, f"{wrong}; {cure}") if wrong else (True, "they do no harm")

    def unknown(self) -> Verdict:
        """Topics and keys of a later time."""
        stage, topic = self._stage, self._topic("unknown")
        strange = stage.script.message(topics()[0])
        stage.send_frames("future", wire.encode("future.left_median", strange.header, [b"\x00" * 7]))
        more: dict[str, Any] = {
            "unknown_key": {"deep": [1, None, {"x": [[]]}]},
            "unknown_blob": b"\xff\x00",
            "unknown_none": None,
        }
        stage.say(topic, more)
        if wrong := self._shows([topic]):
            return False, f"{wrong}; ignore topics and keys that you do not know: they are only added"
        return True, "topics and keys that it cannot know do no harm"

    def version(self) -> Verdict:
        """A message of another schema version, then one of ours with the same number."""
        stage, topic = self._stage, self._topic("version")
        stage.say(topic)
        wrong = self._shows([topic])
        other = stage.script.message(topic, {"v": wire.SCHEMA_VERSION + 1, "text": "of another version"})
        stage.send(other)
        ours = stage.script.message(topic, seq=int(other.header["seq"]))
        stage.send(ours)
        stage.keep(ours)
        if wrong := wrong or self._shows([topic]):
            return False, f"{wrong}; drop messages whose v is not {wire.SCHEMA_VERSION}, and say so"
        return True, "messages of another schema version are dropped"

    def malformed(self) -> Verdict:
        """Frames that are no messages."""
        stage, topic = self._stage, self._topic("malformed")
        stage.say(topic)
        good = stage.script.message(topic)
        for frames in malformed.frames(good):
            stage.send_frames(topic, frames)
        stage.say(topic)
        if wrong := self._shows([topic]):
            types = "that boot is text, seq a whole number, and a buffer as long as its shape says"
            return False, f"{wrong}; check before use {types}, and drop what is not"
        return True, "frames that are no messages are dropped"

    def burst(self) -> Verdict:
        """Many messages at once."""
        stage, topic = self._stage, self._topic("burst")
        for sent in range(BURST):
            stage.say(topic)
            if sent % AT_ONCE == 0:
                stage.serve()
        wrong = self._shows([topic], CAUGHT_UP_S)
        if wrong:
            cure = "read everything that has arrived before you draw, set RCVHWM to some thousands"
            return False, f"{wrong}, {CAUGHT_UP_S:g} s after {BURST} messages; {cure}"
        return True, f"{BURST} messages at once are caught up with"

    def hole(self) -> Verdict:
        """A message is lost that is followed by another, and one that nothing follows."""
        stage, topic, quiet = self._stage, self._topic("hole"), self._topic("quiet")
        for each in {topic, quiet}:
            stage.say(each)
        wrong = self._shows([topic, quiet])
        asked, holes = stage.asked, 0 if stage.report is None else stage.report.holes
        if quiet != topic:
            stage.keep(stage.script.message(quiet))
        stage.script.message(topic)
        stage.say(topic)
        if wrong := wrong or self._shows([topic, quiet]):
            cure = "when seq jumps, count a hole and ask snapshot again"
            if stage.asked == asked:
                return False, f"a message was lost and no snapshot was asked for: {wrong}; {cure}"
            return False, f"{wrong}; {cure}"
        if stage.report is not None and stage.report.holes <= holes:
            return False, "a message was lost and holes stays as it was; count what is missing in seq"
        return True, "a lost message is counted, and made good by another snapshot"

    def stale(self) -> Verdict:
        """Silence."""
        stage = self._stage
        if not stage.until(lambda: stage.report is not None and not stage.report.stale, SETTLE_S):
            return False, "it says stale while ten beats a second come; a beat is a sign of life"
        stage.beats = False
        try:
            silent_s = stage.last_beat_s
            early = stage.until(lambda: self._stale_since(silent_s) is not None, EARLY_S)
            late = early or stage.until(lambda: self._stale_since(silent_s) is not None, SILENT_S - EARLY_S)
        finally:
            stage.beats = True
        cure = "stale is when nothing at all has come for 2 s"
        if early:
            return False, f"stale after less than {EARLY_S:g} s of silence; {cure}"
        if not late:
            return False, f"not stale after {SILENT_S:g} s of silence; {cure}, by a clock of your own"
        if not stage.until(lambda: stage.report is not None and not stage.report.stale, SETTLE_S):
            return False, f"still stale {SETTLE_S:g} s after the beats came back; the next message ends it"
        return True, "silence is shown as stale, and its end"

    def _stale_since(self, silent_s: float) -> float | None:
        report = self._stage.report
        return report.at_s if report is not None and report.stale and report.at_s > silent_s else None

    def restart(self) -> Verdict:
        """Another start of the box, with another boot and numbers from 1."""
        stage = self._stage
        self._before = stage.script.boot
        stage.restart()
        for topic in topics():
            stage.keep(stage.script.message(topic))
        wanted = [t for t in topics() if t != "raw"]
        wrong = self._shows(wanted, 2 * SETTLE_S)
        report = stage.report
        cure = "another boot is another case: forget everything, numbers too, and ask snapshot again"
        if wrong or report is None or report.boot != stage.script.boot:
            return False, f"{wrong or 'the boot before is reported'}; {cure}"
        if old := sorted(set(report.latest) - set(stage.truth) - {"beat"}):
            return False, f"{old[0]} of the boot before is still shown; {cure}"
        return True, "another boot begins anew"

    def straggler(self) -> Verdict:
        """A message of the start before."""
        stage, topic = self._stage, self._topic("late")
        stage.say(topic)
        wrong = self._shows([topic])
        self._settle()
        asked = stage.asked
        stage.beats = False  # the next beat would put things right again
        stage.send(stage.script.message(topic, {"boot": self._before}, seq=FAR))
        self._settle()
        stage.beats = True
        boot = "" if stage.report is None else stage.report.boot
        wrong = wrong or self._differs([topic]) or ("" if boot == stage.script.boot else "the old boot")
        if wrong := wrong or ("" if stage.asked == asked else "it was believed, and a snapshot asked for"):
            return False, f"{wrong}; remember the boots that are over and drop what still comes of them"
        return True, "messages of the boot before are dropped"


def _of(families: tuple[str, ...]) -> list[str]:
    return [topic for topic in topics() if topic.partition(".")[0] in families]
