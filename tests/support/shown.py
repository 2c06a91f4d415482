"""Messages as the terminal display gets them, without a bus: headers, arrays, and an ear that has heard
them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgpack
import numpy as np

from hostd import wire
from hostd.show.ear import Answer, Heard
from hostd.show.known import Known
from hostd.show.lines import plain_text
from hostd.show.screen import Moment, screen
from hostd.show.view import Rights, View, Wish
from tests.support.fakebus import UTC_NS, average_fields, median_ssep, peak_fields, status_fields

S = 1_000_000_000
RATE_HZ = 4000.0
OPERATOR = Rights(frozenset(("stim.stop", "mark", "alert.acknowledge", "alarm.signal")), "operator")
OBSERVER = Rights(frozenset(("stim.stop", "mark")), "observer")
GOLDEN = Path(__file__).parent.parent / "hostd" / "golden"


class Said:
    """Makes messages of one daemon start, numbered as the bus does; `at_s` is the time in the case."""

    def __init__(self, boot: str = "b00700") -> None:
        self.boot, self.at_s = boot, 0.0
        self._seq: dict[str, int] = {}

    def __call__(self, topic: str, fields: Mapping[str, Any] | None = None, **over: Any) -> wire.Message:
        body, parts = wire.pack_arrays({**(fields or {}), **over})
        seq = self._seq[topic] = self._seq.get(topic, 0) + 1
        header = {
            "v": 1,
            "boot": self.boot,
            "seq": seq,
            "case": "2031-07",
            "index": int(self.at_s * RATE_HZ),
            "t_ns": int(self.at_s * S),
            "utc_ns": UTC_NS + int(self.at_s * S),
        }
        return wire.Message(topic, header | body, parts)


def alert(**over: Any) -> dict[str, Any]:
    """The fields of an `alert`; `over` replaces any of them."""
    return {
        "id": "change-1",
        "test": "left_median",
        "kind": "change",
        "priority": "high",
        "state": "raised",
        "cause": "focal",
        "likelihood": {"focal": 0.82, "systemic": 0.1},
        "text": "left median: N20 down 72 % since 00:40, confirmed by a replicate.",
        "evidence": {},
        **over,
    }


def case(said: Said, tests: Mapping[str, str] | None = None) -> list[wire.Message]:
    """A case with a left median nerve: status, baseline, average and peaks."""
    tests = tests or {"left_median": "running", "right_median": "stopped"}
    uv = median_ssep(0.05)
    base = average_fields(median_ssep(0.05, seed=3), 0.05, 300, "left median")
    measured = [
        peak_fields(
            "N20", "CP4-CP3", 20.1, 2.4, baseline_latency_ms=19.8, baseline_amplitude_uv=4.9, change_pct=-51.0
        ),
        peak_fields("N13", "C5S-Fpz", 13.6, 1.1),
        peak_fields("N9", "EPL-EPR", None, None, noise_uv=0.2, baseline_amplitude_uv=2.2),
        peak_fields("P9", "CP4-Fpz", None, None, noise_uv=None),
    ]
    verdict = {
        "decision": "undecided",
        "reason": "evidence",
        "n_sweeps": 120,
        "done": False,
        "seconds_left": 34.0,
    }
    return [
        said("status", status_fields(tests, int(said.at_s * RATE_HZ)), name="Scoliosis"),
        said("baseline.left_median", base, version=1),
        said("average.left_median", average_fields(uv, 0.05, 120, "left median"), modality="median_ssep"),
        said("measure.left_median", peaks=measured, leading="N20", n_sweeps=120, verdict=verdict),
    ]


def known(messages: list[wire.Message], at_ns: int = S) -> Known:
    """What is known once `messages` were heard at `at_ns`."""
    made = Known()
    for message in messages:
        made.accept(message, at_ns)
    return made


def text(
    of: Known,
    view: View | None = None,
    size: tuple[int, int] = (80, 24),
    now_ns: int = S,
    rights: Rights = OPERATOR,
) -> str:
    """The screen without its colours; checks that it fits to the cell."""
    from hostd.show.lines import width_of

    lines = screen(of, view or View(), rights, Moment(now_ns), size)
    assert len(lines) == size[1]
    assert {width_of(line) for line in lines} <= {size[0]}
    return "\n".join(plain_text(line) for line in lines)


def golden() -> list[wire.Message]:
    """One real message of every topic, of a seeded simulated case, status first."""
    found = []
    for path in sorted(GOLDEN.glob("*.msgpack")):
        frames = msgpack.unpackb(path.read_bytes())
        found.append(wire.decode([f if isinstance(f, bytes) else f.encode() for f in frames]))
    return sorted(found, key=lambda m: m.topic != "status")


def sound(said: Said, first: int, samples: np.ndarray) -> wire.Message:
    """An `emg.audio` message."""
    return said("emg.audio", test="emg", rate_hz=8000.0, first_index=first, samples=samples.astype("<i2"))


class StubEar:
    """An ear that has heard what it is given, and notes what was wished for."""

    def __init__(self, rights: Rights = OPERATOR) -> None:
        self.rights, self.why, self.malformed, self.via = rights, "", 0, ""
        self.heard: list[Heard] = []
        self.told: list[Answer] = []
        self.wishes: list[Wish] = []

    def drain(self) -> list[Heard]:
        heard, self.heard = self.heard, []
        return heard

    def answers(self) -> list[Answer]:
        told, self.told = self.told, []
        return told

    def wish(self, wish: Wish, called: str) -> None:
        self.wishes.append(wish)
