"""The display without a screen: a line for each thing that changes, for logs, pipes and screen readers.

Every line has wall time (UTC) and the time in the case. Says what changed and nothing twice; what is told
in lines is decided here without a clock or a stream.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TextIO

from hostd.show import banner, tables
from hostd.show.ear import Ear
from hostd.show.known import Known
from hostd.show.words import (
    clock,
    fixed,
    harmless,
    listed,
    mapping,
    maps,
    micro,
    number,
    percent,
    spread,
    strings,
    title,
    utc,
    whole,
)
from hostd.wire import Message

WAIT_S = 0.25
FIRST_S = 5.0
"""So long a bus may take to let us in, or to say why it does not, before that is told."""
UNWELL = ("slow", "failing")


@dataclass(slots=True)
class Teller:
    """Turns messages into lines; remembers what was said last. `test`: only what concerns it, and the
    case."""

    test: str | None = None
    known: Known = field(default_factory=Known)
    _said: dict[str, object] = field(default_factory=dict)
    _boot: str = ""
    _silent: bool = False

    def hear(self, message: Message, at_ns: int) -> list[str]:
        """The lines that a message is worth."""
        if not self.known.accept(message, at_ns):
            return []
        lines: list[str] = []
        if self.known.boot != self._boot:
            again = self._boot != ""
            self._boot = self.known.boot
            self._said.clear()
            name = harmless(message.header.get("case"), 80)
            lines.append(
                self._line(message.header, f"CASE {name}{' (the box was started anew)' if again else ''}")
            )
        family, _, of = message.topic.partition(".")
        header = message.header
        test = of or (header.get("test") if isinstance(header.get("test"), str) else "")
        if self.test is not None and test not in ("", self.test) and family not in ("event",):
            return lines
        tell = {
            "event": self._event,
            "alert": self._alert,
            "stim": self._stim,
            "status": self._status,
            "measure": self._measure,
            "response": self._response,
            "case": self._case,
            "tof": self._tof,
            "plugs": self._plugs,
            "impedance": self._impedance,
            "alarms": self._alarms,
            "emg": self._emg,
        }.get(family)
        return lines + ([self._line(header, text) for text in tell(header, of)] if tell is not None else [])

    def silence(self, now_ns: int, now_utc_ns: int, why: str) -> list[str]:
        """That nothing comes, or comes again; once each."""
        age = banner.stale_s(self.known, now_ns)
        closed = banner.closed(self.known)
        silent = age is not None and not closed
        if silent == self._silent:
            return []
        self._silent = silent
        at = f"{utc(now_utc_ns)} {clock(self.known.now_s()):>8}"
        if not silent:
            return [f"{at}  LIVE data comes again"]
        reason = f": {harmless(why, 300)}" if why else ""
        since = "yet" if self.known.silence.heard_ns is None else f"for {age or 0:.0f} s"
        return [f"{at}  !! NO DATA {since}{reason}"]

    def _line(self, header: Mapping[str, Any], text: str) -> str:
        return f"{utc(header.get('utc_ns'))} {clock(self.known.seconds(header)):>8}  {text}"

    def _new(self, key: str, value: object) -> bool:
        """Whether `value` is another one than was last said under `key`."""
        if key in self._said and self._said[key] == value:
            return False
        if len(self._said) > 4096:
            self._said.clear()
        self._said[key] = value
        return True

    def _event(self, h: Mapping[str, Any], _: str) -> list[str]:
        author = harmless(h.get("author"), 60)
        values = [
            f"{harmless(k, 40)}={number(v):g}"
            for k, v in mapping(h.get("values")).items()
            if number(v) is not None
        ]
        text = " ".join(
            filter(None, (harmless(h.get("text")) or harmless(h.get("kind"), 40), " ".join(values)))
        )
        return [f"EVENT {text}" + (f" ({author})" if author else "")]

    def _alert(self, h: Mapping[str, Any], _: str) -> list[str]:
        priority = h.get("priority")
        sign = banner.SIGN.get(priority, "i") if isinstance(priority, str) else "i"
        cause = h.get("cause")
        likely = mapping(h.get("likelihood")).get(cause) if isinstance(cause, str) else None
        said = f", cause {harmless(cause, 14)} {percent(likely)}" if number(likely) is not None else ""
        head = f"{sign} ALERT {harmless(priority, 10)} {harmless(h.get('state'), 14)}"
        return [f"{head} [{harmless(h.get('id'), 40)}] {harmless(h.get('text'))}{said}"]

    def _stim(self, h: Mapping[str, Any], _: str) -> list[str]:
        where = f"{title(h.get('test'))} {harmless(h.get('site'), 60)}".strip()
        lines: list[str] = []
        verified, delivery = h.get("verified") is True, h.get("delivery")
        before = self._said.get(f"proof {h.get('test')}", True)
        if self._new(f"proof {h.get('test')}", verified) and before is not verified:
            lines.append(
                f"STIMULUS proven again: {where}" if verified else f"!! STIMULUS not proven: {where}"
            )
        well = delivery in (None, "ok", "unknown")
        before = self._said.get(f"delivery {h.get('test')}", True)
        if self._new(f"delivery {h.get('test')}", well or delivery) and (not well or before is not True):
            text = harmless(h.get("delivery_text"), 200) or harmless(delivery, 20)
            lines.append(f"STIMULUS delivered again: {where}" if well else f"!! STIMULUS {text}: {where}")
        return lines

    def _status(self, h: Mapping[str, Any], _: str) -> list[str]:
        lines = []
        if self._new("state", h.get("state")):
            lines.append(f"STATE {harmless(h.get('state'), 20)}, source {harmless(h.get('source'), 60)}")
        if self._new("lost", lost := whole(h.get("lost_samples")) or 0) and lost:
            lines.append(f"!! LOST {lost} samples in {whole(h.get('gaps')) or 0} gaps")
        recording = mapping(h.get("recording"))
        if self._new("recording", state := recording.get("state")):
            path = harmless(recording.get("path"), 200)
            lines.append(f"{'!! ' if state in UNWELL else ''}RECORDING {harmless(state, 20)} {path}".rstrip())
        if self._new("missing", missing := whole(recording.get("lost_samples")) or 0) and missing:
            lines.append(f"!! RECORDING {missing} samples are missing in the file")
        if self._new("edge", linked := mapping(h.get("link")).get("connected") is not False) and not linked:
            lines.append("!! EDGE not connected")
        for name, state in list(mapping(h.get("tests")).items())[:64]:
            if (self.test is None or name == self.test) and self._new(f"test {name}", state):
                lines.append(f"TEST {title(name)} {harmless(state, 20)}")
        leads = mapping(h.get("leads"))
        if self._new("leads", off := tuple(strings(leads.get("off")) + strings(leads.get("railed")))):
            lines += (
                [f"!! LEADS off: {listed(off, 8)}"] if off else ["LEADS ok"] if leads.get("watched") else []
            )
        return lines + self._differences("FAULT", "faults", self.known.faults())

    def _differences(self, word: str, key: str, now: list[str]) -> list[str]:
        """What is new in a list, and what is gone from it."""
        said = self._said.get(key)
        before = said if isinstance(said, list) else []
        self._said[key] = now
        lines = [f"!! {word} {harmless(one, 300)}" for one in now if one not in before]
        return lines + [f"{word} gone: {harmless(one, 300)}" for one in before if one not in now]

    def _measure(self, h: Mapping[str, Any], test: str) -> list[str]:
        lines: list[str] = []
        if f"response.{test}" in self.known.latest:  # each answer is told by itself
            return lines
        for peak in maps(h.get("peaks"))[:32]:
            verdict = tables.verdict(peak)
            key = f"peak {test} {peak.get('name')} {peak.get('derivation')}"
            before = self._said.get(key)
            if not self._new(key, verdict) or (verdict == "open" and before is None):
                continue
            name = f"{title(test)} {harmless(peak.get('name'), 20)}"
            sweeps = f"{whole(h.get('n_sweeps')) or 0} sweeps"
            if verdict == "present":
                back = "back" if before in ("absent", "LOST") else "present"
                latency, amplitude = peak.get("latency_ms"), peak.get("amplitude_uv")
                ms = f"{fixed(latency, 2)} {spread(latency, peak.get('latency_ci_ms'), 2)} ms"
                uv = f"{micro(amplitude)} {spread(amplitude, peak.get('amplitude_ci_uv'))} µV"
                lines.append(f"PEAK {name} {back}: {ms}, {uv} ({sweeps})")
            elif verdict == "open":
                lines.append(f"PEAK {name} open: too few sweeps to tell ({sweeps})")
            else:
                was = number(peak.get("baseline_amplitude_uv"))
                said = f", was {micro(was)} µV" if was is not None else ""
                sign = "!! " if verdict == "LOST" else ""
                lines.append(
                    f"{sign}PEAK {name} absent: noise {micro(peak.get('noise_uv'))} µV{said} ({sweeps})"
                )
        return lines

    def _response(self, h: Mapping[str, Any], test: str) -> list[str]:
        lines = []
        if h.get("accepted") is not True or h.get("control") is True:
            return []
        for answer in maps(h.get("responses"))[:32]:
            verdict = tables.muscle_verdict(answer)
            key = f"muscle {test} {answer.get('name')}"
            before = self._said.get(key)
            if not self._new(key, verdict):
                continue
            name = f"{title(test)} {harmless(answer.get('name'), 40)}"
            was = number(answer.get("baseline_uv"))
            if verdict == "present":
                uv = f"{micro(answer.get('amplitude_uv'))} µV, onset {fixed(answer.get('onset_ms'), 1)} ms"
                lines.append(f"MUSCLE {name} {'back' if before in ('absent', 'LOST') else 'present'}: {uv}")
            else:
                said = f", was {micro(was)} µV" if was is not None else ""
                lines.append(f"{'!! ' if was is not None else ''}MUSCLE {name} {verdict}{said}")
        return lines

    def _case(self, h: Mapping[str, Any], _: str) -> list[str]:
        return [f"PHASE {harmless(h.get('phase'), 20)}"] if self._new("phase", h.get("phase")) else []

    def _tof(self, h: Mapping[str, Any], _: str) -> list[str]:
        state = (h.get("count"), h.get("mep_allowed"), h.get("emg_allowed"))
        return [f"TOF {harmless(h.get('text'), 200)}"] if self._new(f"tof {h.get('test')}", state) else []

    def _plugs(self, h: Mapping[str, Any], test: str) -> list[str]:
        state = h.get("state")
        if not self._new(f"plugs {test}", state) or state == "waiting":
            return []
        return [f"{'' if state in ('ok', 'unsure') else '!! '}PLUGS {harmless(h.get('text'), 300)}"]

    def _impedance(self, h: Mapping[str, Any], _: str) -> list[str]:
        said = []
        for lead in maps(h.get("leads"))[:128]:
            ohm = number(lead.get("ohm"))
            value = (
                f"{ohm / 1000:.1f} kΩ"
                if ohm is not None
                else harmless(lead.get("note"), 60) or "not measured"
            )
            said.append(f"{harmless(lead.get('lead'), 20)} {value}")
        return [f"IMPEDANCE {', '.join(said)}"]

    def _alarms(self, h: Mapping[str, Any], _: str) -> list[str]:
        state = (h.get("audio"), h.get("alarm"))
        before = self._said.get("signals")
        if not self._new("signals", state) or (before is None and state == ("on", "on")):
            return []
        return [f"ALARM SIGNALS sound {harmless(state[0], 10)}, all {harmless(state[1], 10)}"]

    def _emg(self, h: Mapping[str, Any], _: str) -> list[str]:
        key = (h.get("derivation"), h.get("first_index"), h.get("ongoing"))
        if h.get("train") != "A" or not self._new(f"emg {h.get('test')}", key):
            return []
        return [f"!! EMG {harmless(h.get('text'), 200)}"]


def tell(
    ear: Ear, teller: Teller, out: TextIO, stop: threading.Event, sound: Callable[[], str] = str
) -> None:
    """Write lines until `stop`. Raises BrokenPipeError when nobody reads any more."""
    unreadable, told_sound, told_via, greeted = 0, "", "", False
    began_ns = time.monotonic_ns()
    while not stop.is_set():
        lines: list[str] = []
        for message, at_ns in ear.drain():
            lines += teller.hear(message, at_ns)
        now_ns, utc_ns = time.monotonic_ns(), time.time_ns()
        greeted = greeted or teller.known.silence.heard_ns is not None
        if greeted or ear.why or (now_ns - began_ns) / 1e9 > FIRST_S:
            lines += teller.silence(now_ns, utc_ns, ear.why)
        at = f"{utc(utc_ns)} {clock(teller.known.now_s()):>8}"
        if (count := ear.malformed + teller.known.malformed) > unreadable:
            lines.append(f"{at}  !! {count - unreadable} malformed messages dropped")
            unreadable = count
        if (via := ear.via) != told_via:
            told_via = via
            where = f"at its mirror {via}" if via else "itself again"
            lines.append(f"{at}  HEARD the box is heard {where}")
        if (state := sound()) != told_sound:
            told_sound = state
            lines.append(f"{at}  SOUND {state}")
        if lines:
            out.write("".join(f"{line}\n" for line in lines))
            out.flush()
        ear.arrived.wait(WAIT_S)
