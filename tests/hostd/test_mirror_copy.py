"""What a mirror keeps of a case: every sample once, holes as holes, each case in a folder of its own."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hostd import casefile, wire
from hostd.fixture import lines
from hostd.mirror import copy
from hostd.mirror.copy import CaseCopy
from hostd.wire import Message
from hw.recording import RecordingReader

CHANNELS, RATE_HZ = ["CP3", "CP4"], 1000.0
UTC_NS = 1_767_600_000_000_000_000


def about(case: str = "one") -> dict[str, Any]:
    return {"case": case, "tests": {}, "toml": casefile.procedure("median_ssep").text}


def said(topic: str, case: str = "one", index: int = 0, **fields: Any) -> Message:
    body, parts = wire.pack_arrays(fields)
    times = {"t_ns": index * 1_000_000, "utc_ns": UTC_NS + index * 1_000_000}
    head = {"v": 1, "boot": "b", "seq": 1, "case": case, "index": index, **times}
    return Message(topic, head | body, parts)


def status(case: str = "one") -> Message:
    return said("status", case, rate_hz=RATE_HZ, channels=CHANNELS)


def counts(first: int, n: int) -> np.ndarray:
    """Samples that tell their place."""
    at = np.arange(first, first + n, dtype=np.int32)
    return np.column_stack((at, -at))


def raw(first: int, n: int, case: str = "one", **over: Any) -> Message:
    fields = {"first_index": first, "counts": counts(first, n), "trigger_bits": np.zeros(n, np.uint8)}
    scale = {"lsb_uv": [0.1, 0.1], "offset_uv": [0.0, 0.0], "gaps": [], "latency_offset_samples": 0.0}
    return said("raw", case, first, **{**fields, **scale, **over})


class Kept:
    """A copy in a folder, and what it told."""

    def __init__(self, data: Path) -> None:
        self.told: list[str] = []
        self.data = data
        self.copy = CaseCopy(data, self.told.append)

    def read(self, name: str) -> tuple[int, np.ndarray, list[tuple[int, int]]]:
        """The first sample of a closed copy, all of them, and the gaps."""
        with (self.data / name / "raw.bdf").open("rb") as file:
            reader = RecordingReader(file, CHANNELS)
            blocks = list(reader.blocks(100))
        gaps = [(g.index, g.length) for b in blocks for g in b.gaps]
        return reader.first_index, np.concatenate([b.counts for b in blocks]), gaps


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path / "data")


def test_samples_that_came_before_the_case_was_known_are_kept_too(kept: Kept) -> None:
    kept.copy.take([raw(500, 100)], {})
    kept.copy.take([raw(600, 100), status()], {})
    assert not kept.data.exists()
    kept.copy.take([raw(700, 300)], about())
    kept.copy.close()
    first, samples, gaps = kept.read("one.mirror")
    assert first == 500 and np.array_equal(samples[:500], counts(500, 500))
    assert not [g for g in gaps if 500 <= g[0] < 1000] and kept.told == []


def test_what_was_said_before_the_case_was_known_is_kept_behind_what_it_is(kept: Kept) -> None:
    """A mark in the first second, before the box has told its channels."""
    kept.copy.take([said("event", text="clip on"), said("beat"), said("stim", index=5)], {})
    kept.copy.take([said("event", "another", text="of another case")], {})
    kept.copy.take([said("event", text="clip on"), status()], {})
    kept.copy.take([said("event", text="clip off")], about())
    kept.copy.take([said("event", text="closed")], about())
    kept.copy.close()
    told = [line.message for line in lines.read(kept.data / "one.mirror" / "bus.jsonl")]
    assert [message.topic for message in told] == ["status", "event", "event", "event"]
    assert [message.header["text"] for message in told[1:]] == ["clip on", "clip off", "closed"]


def test_samples_that_are_said_again_are_kept_once_and_what_is_missing_is_a_gap(kept: Kept) -> None:
    kept.copy.take([status()], about())
    kept.copy.take([raw(0, 100), raw(0, 100), raw(50, 100), raw(20, 30), raw(250, 250)], about())
    kept.copy.close()
    first, samples, gaps = kept.read("one.mirror")
    assert first == 0 and (150, 100) in gaps
    assert np.array_equal(samples[:150], counts(0, 150)), "nothing twice"
    assert np.array_equal(samples[-250:], counts(250, 250)), "what lies behind the gap is in its place"


def test_each_case_and_each_mirror_has_a_folder_of_its_own(kept: Kept) -> None:
    for _ in range(2):
        kept.copy.take([status(), raw(0, 100)], about())
        kept.copy.close()
    kept.copy.take([status("two"), raw(0, 100, "two")], about("two"))
    kept.copy.close()
    names = {path.name for path in kept.data.iterdir()}
    assert names == {"one.mirror", "one.mirror-2", "two.mirror"}
    again = CaseCopy(kept.data, kept.told.append)
    again.take([status("two"), raw(0, 100, "two"), status("three"), raw(0, 100, "three")], about("three"))
    again.close()
    assert {path.name for path in kept.data.iterdir()} - names == {"three.mirror"}, (
        "two was over before it began"
    )


def test_what_is_no_raw_message_or_of_another_scale_is_left_out(kept: Kept) -> None:
    kept.copy.take([status(), raw(0, 100)], about())
    bad = [
        raw(100, 100, lsb_uv=[0.1]),
        raw(100, 100, first_index=-1),
        raw(100, 100, counts=np.zeros(3, np.int32)),
    ]
    kept.copy.take([*bad, raw(100, 100, lsb_uv=[0.2, 0.2]), Message("raw", {"case": "one"}, [])], about())
    kept.copy.take([Message("event", {"case": 7}, []), Message("event", {}, [])], about())
    kept.copy.take([raw(100, 100)], about())
    kept.copy.close()
    _, samples, _ = kept.read("one.mirror")
    assert np.array_equal(samples[:200], counts(0, 200)) and kept.told == []


def test_what_is_said_is_kept_whole_or_thinned(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [50.0]
    monkeypatch.setattr(copy.time, "monotonic", lambda: now_s[0])
    kept.copy.take([status()], about())
    for second in range(21):
        now_s[0] = 50.0 + second
        spoken = [said("average.a", n=second), said("measure.a", n=second), said("event", n=second)]
        left_out = [said("beat"), said("sweep.a"), said("wave.x"), said("emg.audio"), said("spectrum")]
        kept.copy.take([*spoken, *spoken[:2], *left_out], about())
    kept.copy.take([said("average.a", n=99, final=True)], about())
    kept.copy.close()
    read = [line.message for line in lines.read(kept.data / "one.mirror" / "bus.jsonl")]
    numbers = {t: [m.header.get("n") for m in read if m.topic == t] for t in {m.topic for m in read}}
    assert numbers == {
        "status": [None],
        "event": list(range(21)),
        "measure.a": list(range(21)),
        "average.a": [0, 10, 20, 99],
    }


def test_a_case_that_cannot_be_recorded_is_told_once(kept: Kept) -> None:
    kept.copy.take([said("status", rate_hz=RATE_HZ, channels=["one"])], about())
    for k in range(3):
        kept.copy.take([raw(100 * k, 100)], about())
    kept.copy.close()
    assert len(kept.told) == 1 and "one.mirror" in kept.told[0]
