"""One recording under two cases: what the recorded one came to, beside another montage, filter or rules.

Runs both through replay, so that commands and stimuli are the recorded ones, and tells per test and peak what
was found. Judges nothing: which of the two is right is not known here.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hostd.case import Case
from hostd.case_clock import case_clock
from hostd.errors import RecordingError, UsageError
from hostd.fingerprint import Fingerprint
from hostd.outgoing import Outgoing
from hostd.replay import Replay

SIDES = ("recorded", "other")
TITLES = ("test", "peak", "case", "derivation", "baseline", "end", "noise", "verdict")
Key = tuple[str, str, int]
"""Test, peak or muscle, and which of those with that name it is in its test."""


@dataclass(slots=True)
class Found:
    """What is told of one peak, or of a muscle's answer to single stimuli: None where nothing was."""

    derivation: str
    present: bool = False
    baseline_latency_ms: float | None = None
    baseline_amplitude_uv: float | None = None
    latency_ms: float | None = None
    amplitude_uv: float | None = None
    change_pct: float | None = None
    noise_uv: float | None = None
    verdict: str | None = None
    verdict_sweeps: int | None = None


@dataclass(slots=True)
class Raised:
    """Alerts of one kind in one test ("" for the box): how many were raised, the first at so many seconds."""

    test: str
    kind: str
    count: int
    first_s: float


@dataclass(slots=True)
class Side:
    """What one case came to; `take` every message of its replay."""

    rate_hz: float
    tests: tuple[str, ...]
    found: dict[Key, Found] = field(default_factory=dict)
    alerts: dict[tuple[str, str], Raised] = field(default_factory=dict)
    fingerprint: Fingerprint = field(default_factory=Fingerprint)

    def take(self, message: Outgoing) -> None:
        """The next message."""
        self.fingerprint.take(message)
        kind, _, test = message.topic.partition(".")
        f = message.fields
        if kind == "measure":
            for key, peak in _keyed(test, f["peaks"]):
                self._peak(key, peak, f)
        elif kind == "response" and f["accepted"] and not f["control"]:
            for key, answer in _keyed(test, f["responses"]):
                self._answer(key, answer)
        elif kind == "alert" and f["state"] == "raised":
            first_s = message.index / self.rate_hz
            raised = self.alerts.setdefault((f["test"], f["kind"]), Raised(f["test"], f["kind"], 0, first_s))
            raised.count += 1

    def _peak(self, key: Key, peak: Mapping[str, Any], f: Mapping[str, Any]) -> None:
        found = self.found.setdefault(key, Found(peak["derivation"]))
        for name in ("present", "latency_ms", "amplitude_uv", "change_pct", "noise_uv"):
            setattr(found, name, peak[name])
        if peak["baseline_amplitude_uv"] is not None:
            found.baseline_latency_ms = peak["baseline_latency_ms"]
            found.baseline_amplitude_uv = peak["baseline_amplitude_uv"]
        verdict = f["verdict"]
        leads = peak["name"] == f["leading"] and key[2] == 0
        if leads and verdict is not None and found.verdict is None and verdict["decision"] != "undecided":
            found.verdict, found.verdict_sweeps = verdict["decision"], verdict["n_sweeps"]

    def _answer(self, key: Key, answer: Mapping[str, Any]) -> None:
        found = self.found.setdefault(key, Found(answer["name"]))
        found.present, found.latency_ms = answer["present"], answer["onset_ms"]
        for name in ("amplitude_uv", "change_pct", "noise_uv"):
            setattr(found, name, answer[name])
        found.baseline_amplitude_uv = answer["baseline_uv"]
        found.verdict = answer["state"]


@dataclass(frozen=True, slots=True)
class Compared:
    """Both sides of a `recording`; the other case stands at `where`."""

    recording: Path
    where: str
    recorded: Side
    other: Side

    @property
    def same(self) -> bool:
        """Whether both say the same to the last bit."""
        return self.recorded.fingerprint.sha256() == self.other.fingerprint.sha256()

    @property
    def left_out(self) -> list[str]:
        """Tests that were recorded and that the other case lacks."""
        return [name for name in self.recorded.tests if name not in self.other.tests]

    @property
    def added(self) -> list[str]:
        """Tests of the other case that were not recorded; they run from the first sample on."""
        return [name for name in self.other.tests if name not in self.recorded.tests]

    @property
    def topics(self) -> list[str]:
        """Topics in which the two do not say the same."""
        ours, theirs = (side.fingerprint.chains() for side in (self.recorded, self.other))
        return sorted(t for t in ours | theirs if ours.get(t) != theirs.get(t))


def compare(recording: Path, case: Case, where: str) -> Compared:
    """What `recording` comes to as it was recorded, and under another `case`, which stands at `where`.

    Raises RecordingError or UsageError, as Replay does, and UsageError for a recording without a case.
    """
    folder = recording if recording.is_dir() else recording.parent
    if recording.exists() and not (folder / "case.toml").exists():
        raise UsageError(f"{recording}: no case.toml beside it to compare with; only our own cases have one")
    if not recording.exists():
        raise RecordingError(f"recording {recording} does not exist; check the path")
    with Replay(recording) as ours, Replay(recording, case, where) as theirs:
        return Compared(recording, where, _side(ours), _side(theirs))


def lines(compared: Compared) -> Iterator[str]:
    """The comparison for a reader."""
    c = compared
    if c.same:
        yield f"{c.recording}: no difference: {c.recorded.fingerprint}"
        return
    yield f"{c.recording} as recorded, and under {c.where}"
    for names, text in ((c.left_out, "not in the other case"), (c.added, "not recorded; from the start on")):
        if names:
            yield f"{text}: {', '.join(names)}"
    yield from _columns([TITLES, *_rows(c)])
    for name, side in zip(SIDES, (c.recorded, c.other), strict=True):
        yield f"alerts, {name}: {', '.join(map(_alert, side.alerts.values())) or 'none'}"
    yield f"differing: {', '.join(c.topics)}"


def as_json(compared: Compared) -> str:
    """The comparison for a program."""
    c = compared
    sides = dict(zip(SIDES, (c.recorded, c.other), strict=True))
    told: dict[str, Any] = {"recording": str(c.recording), "case": c.where, "same": c.same}
    told |= {"left_out": c.left_out, "added": c.added, "topics": c.topics}
    told["fingerprints"] = {name: _sealed(side.fingerprint) for name, side in sides.items()}
    told["peaks"] = [
        {"test": key[0], "peak": key[1]} | {name: _plain(side.found.get(key)) for name, side in sides.items()}
        for key in _keys(c)
    ]
    told["alerts"] = {name: [_plain(one) for one in side.alerts.values()] for name, side in sides.items()}
    return json.dumps(told, indent=1)


def _side(replay: Replay) -> Side:
    side = Side(replay.reader.rate_hz, tuple(test.name for test in replay.case.tests))
    for message in replay.messages():
        side.take(message)
    return side


def _keyed(test: str, found: Iterable[Mapping[str, Any]]) -> Iterator[tuple[Key, Mapping[str, Any]]]:
    seen: dict[str, int] = {}
    for one in found:
        name = one["name"]
        yield (test, name, seen.get(name, 0)), one
        seen[name] = seen.get(name, 0) + 1


def _keys(c: Compared) -> list[Key]:
    """In the order of the recorded case, what only the other has behind it."""
    return list(c.recorded.found | c.other.found)


def _rows(c: Compared) -> Iterator[tuple[str, ...]]:
    for key in _keys(c):
        for name, side in zip(SIDES, (c.recorded, c.other), strict=True):
            found = side.found.get(key)
            yield (*key[:2], name, *(_cells(found) if found else ("-",) * 5))


def _cells(f: Found) -> tuple[str, ...]:
    verdict = "-" if f.verdict is None else f.verdict
    if f.verdict_sweeps is not None:
        verdict += f" after {f.verdict_sweeps} sweeps"
    end = _peak_text(f.latency_ms, f.amplitude_uv) if f.present else "absent"
    if f.change_pct is not None:
        end += f" ({f.change_pct:+.0f} %)"
    baseline = _peak_text(f.baseline_latency_ms, f.baseline_amplitude_uv)
    return f.derivation, baseline, end, "-" if f.noise_uv is None else f"{f.noise_uv:.2f} uV", verdict


def _peak_text(latency_ms: float | None, amplitude_uv: float | None) -> str:
    told = [] if latency_ms is None else [f"{latency_ms:.2f} ms"]
    return " ".join(told if amplitude_uv is None else [*told, f"{amplitude_uv:.2f} uV"]) or "-"


def _columns(rows: list[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _alert(raised: Raised) -> str:
    of = raised.test or "the box"
    return f"{raised.count} {raised.kind} of {of} (first at {case_clock(raised.first_s)})"


def _sealed(fingerprint: Fingerprint) -> dict[str, Any]:
    return {"messages": fingerprint.messages, "sha256": fingerprint.sha256()}


def _plain(record: Found | Raised | None) -> dict[str, Any] | None:
    return None if record is None else {name: getattr(record, name) for name in record.__slots__}
