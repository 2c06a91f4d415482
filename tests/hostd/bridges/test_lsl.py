"""The LSL bridge read by MNE-LSL, an independent reader with a liblsl of its own, on loopback alone."""

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from hostd.bridges import lsl
from hostd.bridges.lsl import LslBridge, LslOptions
from hostd.bridges.lsl_streams import library
from hostd.errors import BusError, UsageError
from tests.support.fakebus import FakeBus, average_fields, median_ssep
from tests.support.raw_blocks import LSB_UV, lsl_status, published, raw_fields

CHANNELS = ("CP3", "CP4", "EPL")
RATE_HZ = 4000.0
ROWS = 40
BOX = f"test-{os.getpid()}"
DEADLINE_S = 60.0
CONFIG = """[ports]
IPv6 = disable
[multicast]
ResolveScope = machine
ListenAddress = 127.0.0.1
[lab]
KnownPeers = {127.0.0.1}
[log]
level = -3
"""


def until(found: Callable[[], bool]) -> None:
    """Wait on the network for what has been sent."""
    end_s = time.monotonic() + DEADLINE_S
    tick = threading.Event()
    while not found():
        assert time.monotonic() < end_s
        tick.wait(0.005)


@pytest.fixture(scope="module")
def pylsl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    config = tmp_path_factory.mktemp("lsl") / "lsl_api.cfg"
    config.write_text(CONFIG)
    before = os.environ.get("LSLAPICFG")
    os.environ["LSLAPICFG"] = str(config)
    try:
        yield library()
    except UsageError as error:
        pytest.skip(str(error))
    finally:
        os.environ.pop("LSLAPICFG")
        if before is not None:
            os.environ["LSLAPICFG"] = before


@pytest.fixture(scope="module")
def mne_lsl(pylsl: ModuleType) -> ModuleType:
    found = pytest.importorskip("mne_lsl.lsl", reason="needs MNE-LSL: pip install mne-lsl")
    assert isinstance(found, ModuleType)
    return found


class Reader:
    """One stream as MNE-LSL gives it."""

    def __init__(self, mne_lsl: ModuleType, name: str) -> None:
        self._name = f"evokd {name} ({BOX})"
        found: list[Any] = []
        until(lambda: bool(found.extend(mne_lsl.resolve_streams(1.0, name=self._name)) or found))
        self.inlet = mne_lsl.StreamInlet(found[0], max_buffered=30, processing_flags=None)
        self.inlet.open_stream(timeout=DEADLINE_S)
        self.info = self.inlet.get_sinfo(timeout=DEADLINE_S)

    def read(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        """The next `n` samples and their time stamps."""
        rows, stamps = [], []

        def enough() -> bool:
            x, t = self.inlet.pull_chunk(timeout=0.0)
            rows.extend(np.array(x))
            stamps.extend(np.array(t))
            return len(stamps) >= n

        until(enough)
        assert len(stamps) == n
        return np.array(rows), np.array(stamps)


class Box:
    """Publishes what a box would, straight into the bridge, and keeps it."""

    def __init__(self, pylsl: ModuleType) -> None:
        self.said: list[str] = []
        self.bridge = LslBridge(LslOptions("tcp://127.0.0.1:5750", BOX), pylsl, self.said.append)
        self.begun_ns = time.monotonic_ns() - 1_000_000_000  # no sample is of the future
        self.boot, self.seq, self.index = "b1", 0, 0
        self.random = np.random.default_rng(5)

    def t_ns(self, index: int) -> int:
        return self.begun_ns + round(index * 1e9 / RATE_HZ)

    def say(self, topic: str, fields: dict[str, Any], index: int | None = None) -> None:
        self.seq += 1
        at = self.index if index is None else index
        self.bridge.accept(published(topic, self.seq, fields, self.boot, self.t_ns(at)))

    def block(self, lost: int = 0) -> np.ndarray:
        gaps = [(self.index, lost)] if lost else []
        self.index += lost
        counts = self.random.integers(-(2**23), 2**23, (ROWS, len(CHANNELS)))
        fields = raw_fields(self.index, counts, gaps)
        self.seq = 0  # holes in `seq` of other topics are another test's
        self.say("raw", fields)
        self.index += ROWS
        uv = (counts * LSB_UV).astype(np.float32)
        return np.column_stack([uv, fields["trigger_bits"].astype(np.float32)])


@pytest.fixture(scope="module")
def box(pylsl: ModuleType) -> Iterator[Box]:
    made = Box(pylsl)
    made.say("status", lsl_status(CHANNELS, RATE_HZ))
    made.block()
    yield made
    made.bridge.end()


@pytest.fixture(scope="module")
def raw(box: Box, mne_lsl: ModuleType) -> Reader:
    assert box.bridge.wants_raw() is False, "nobody reads yet"
    reader = Reader(mne_lsl, "raw")
    until(box.bridge.wants_raw)
    return reader


@pytest.fixture(scope="module")
def marks(box: Box, mne_lsl: ModuleType) -> Reader:
    return Reader(mne_lsl, "markers")


def offset_s(box: Box) -> float:
    case = box.bridge._case
    assert case is not None
    return case._clock.offset_s


def test_samples_come_bit_for_bit_at_their_own_times_and_a_gap_as_a_gap(
    box: Box, raw: Reader, marks: Reader
) -> None:
    first = box.index
    sent = np.concatenate([box.block(), box.block(lost=12), box.block()])
    got, stamps = raw.read(len(sent))
    assert got.dtype == np.float32 and got.tobytes() == sent.tobytes()
    index = first + np.concatenate([np.arange(ROWS), ROWS + 12 + np.arange(2 * ROWS)])
    true_s = np.array([box.t_ns(i) for i in index]) * 1e-9
    assert abs(offset_s(box)) < 1e-3, "LSL's clock is this machine's monotonic clock"
    assert np.abs(stamps - offset_s(box) - true_s).max() < 1e-6
    assert np.diff(stamps)[ROWS - 1] == pytest.approx(13 / RATE_HZ, abs=1e-6)
    text, at_s = marks.read(1)
    label, _, told = str(text[0][0]).partition(" ")
    assert (label, json.loads(told)["samples"], json.loads(told)["lost_by"]) == ("bridge/gap", 12, "box")
    assert at_s[0] == stamps[ROWS]
    assert "12 samples are missing" in box.said[-1]


def test_the_stream_says_what_it_is(raw: Reader) -> None:
    assert raw.info.get_channel_names() == [*CHANNELS, "TRIG"]
    assert raw.info.get_channel_units() == ["microvolts"] * 3 + ["none"]
    assert raw.info.get_channel_types() == ["EEG", "EEG", "misc", "stim"]
    assert raw.info.sfreq == RATE_HZ
    xml = raw.info.as_xml
    for told in (
        f"<box>{BOX}<",
        "<boot>b1<",
        "<case>2031-07<",
        f"<lsb_uv>{LSB_UV!r}<",
        "clock of this machine",
    ):
        assert told in xml


def test_markers_bear_the_times_of_what_they_tell(box: Box, marks: Reader) -> None:
    stim = {"test": "left_median", "site": "left median", "line": 1, "verified": True}
    box.seq = 100
    box.say("stim", stim, index=box.index - 17)
    box.say("event", {"kind": "test.stop", "test": "left_median", "text": "stopped", "author": "Ann"})
    box.say("alert", {"id": "a", "priority": "high", "state": "raised", "text": "N20 <fell> & μV"})
    texts, stamps = marks.read(3)
    labels = [str(row[0]).partition(" ")[0] for row in texts]
    assert labels == ["stim/left_median", "test.stop/left_median", "alert/high/raised"]
    assert (
        "Ann" not in str(texts)
        and json.loads(str(texts[2][0]).partition(" ")[2])["text"] == "N20 <fell> & μV"
    )
    true_s = np.array([box.t_ns(box.index - 17), box.t_ns(box.index), box.t_ns(box.index)]) * 1e-9
    assert np.abs(stamps - offset_s(box) - true_s).max() < 1e-6


def test_an_average_is_a_row_that_its_description_unfolds(box: Box, mne_lsl: ModuleType) -> None:
    mean_uv = median_ssep(0.1)
    fields = average_fields(mean_uv, None, 20, "left median")
    box.say("average.left_median", fields)
    reader = Reader(mne_lsl, "average left_median")
    box.say("average.left_median", fields | {"noise_uv": [0.5] * 4, "n_sweeps": 21})
    (row,), (at_s,) = reader.read(1)
    n, derivations = mean_uv.shape
    assert np.array_equal(row[: n * derivations].reshape(derivations, n), mean_uv.T)
    assert row[n * derivations :].tolist() == [0.5] * 4 + [21.0, 0.0, 0.0]
    names = reader.info.get_channel_names()
    assert names[0] == "CP4-CP3 -10 ms" and names[n + 1] == "CP4-Fpz -9.75 ms" and names[-1] == "final"
    assert at_s - offset_s(box) == pytest.approx(box.t_ns(box.index) * 1e-9, abs=1e-6)


def test_a_new_start_of_the_daemon_ends_all_streams_and_makes_new_ones(
    box: Box, raw: Reader, marks: Reader, mne_lsl: ModuleType
) -> None:
    before = raw.info.source_id
    box.boot, box.seq = "b2", 0
    box.say("stim", {"test": "early", "line": 2})
    box.say("status", lsl_status(CHANNELS[:2], RATE_HZ))
    assert any("started anew" in said for said in box.said)
    texts, _ = marks.read(1)
    assert str(texts[0][0]).startswith("bridge/end ")
    assert marks.inlet.pull_chunk(timeout=0.0)[1].size == 0 and len(box.bridge._ended) == 1
    again = Reader(mne_lsl, "markers")
    assert again.info.source_id not in (before, marks.info.source_id) and ":b2:" in again.info.source_id
    box.boot = "b1"
    said = len(box.said)
    box.say("stim", {"test": "straggler", "line": 2})
    box.boot, box.seq = "b2", 7
    box.say("stim", {"test": "x", "line": 2})
    until(lambda: box.bridge.watch() or not box.bridge._ended)
    labels = [str(row[0]).partition(" ")[0] for row in again.read(2)[0]]
    assert labels == ["bridge/missed", "stim/x"] and "6 messages stim were missed" in box.said[said]


def test_raw_is_asked_for_only_until_its_layout_is_known(pylsl: ModuleType) -> None:
    said: list[str] = []
    stop = threading.Event()
    with FakeBus() as bus:
        serving = threading.Thread(
            target=lsl.serve, args=(LslOptions(bus.address, f"{BOX}-bus"), stop, said.append), daemon=True
        )
        serving.start()
        try:
            bus.wait_raw(True)
            bus.publish("status", lsl_status(CHANNELS, RATE_HZ))
            end_s = time.monotonic() + DEADLINE_S
            while time.monotonic() < end_s:
                bus.publish("raw", raw_fields(0, np.zeros((4, 3), np.int32)))
                bus.publish("status", lsl_status(CHANNELS, RATE_HZ))
                with contextlib.suppress(TimeoutError):
                    bus.wait_raw(False, 0.1)
                    break
            else:
                pytest.fail("raw is still asked for, with nobody to read it")
        finally:
            stop.set()
            serving.join()
    assert said[0] == lsl.OPEN and "another clock" in " ".join(said)


def test_an_observers_key_gets_no_raw_samples_and_a_box_that_is_away_is_waited_for(
    pylsl: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    answers: list[dict[str, Any] | BusError] = [
        BusError("away"),
        BusError("away"),
        {"ok": True, "result": {"here": True, "key": {"name": "ward", "role": "observer"}}},
    ]

    def request(*_: object, **__: object) -> dict[str, Any]:
        answer = answers.pop(0)
        if isinstance(answer, BusError):
            raise answer
        return answer

    monkeypatch.setattr(lsl, "request", request)
    got = lsl._greeted(LslOptions("tcp://127.0.0.1:5750", BOX, here=False), threading.Event(), said.append)
    assert got is not None and got.kinds == ("averages", "markers") and got.here
    assert len(said) == 2 and "away" in said[0] and "'ward' is an observer's" in said[1]
    stopped = threading.Event()
    stopped.set()
    assert lsl._greeted(got, stopped, said.append) is None


def test_silence_is_told_once_and_its_end(pylsl: ModuleType) -> None:
    now_s = [pylsl.local_clock()]
    said: list[str] = []
    quiet = ModuleType("lsl without a clock of its own")
    quiet.__dict__.update(vars(pylsl) | {"local_clock": lambda: now_s[0]})
    bridge = LslBridge(LslOptions("tcp://127.0.0.1:5750", f"{BOX}-quiet", ("averages",)), quiet, said.append)
    status = published("status", 1, lsl_status(CHANNELS, RATE_HZ))
    bridge.watch()
    bridge.accept(status)
    for _ in range(3):
        now_s[0] += 0.6
        bridge.watch()
    bridge.accept(published("status", 2, lsl_status(CHANNELS, RATE_HZ)))
    assert [text for text in said if "silent" in text or "again" in text] == [
        "the box is silent; streams stand still",
        "the box speaks again",
    ]
    assert bridge.wants_raw() is False


@pytest.mark.parametrize("odd", [{"channels": None}, {"link": None}, {"t_ns": "x"}])
def test_what_is_malformed_is_dropped_and_told_once(pylsl: ModuleType, odd: dict[str, Any]) -> None:
    said: list[str] = []
    bridge = LslBridge(LslOptions("tcp://127.0.0.1:5750", f"{BOX}-odd", ("raw",)), pylsl, said.append)
    for k in range(3):
        bridge.accept(published("status", k + 1, lsl_status(CHANNELS, RATE_HZ) | odd))
        bridge.accept(published("raw", k + 1, raw_fields(4 * k, np.zeros((4, 2), np.int32)) | odd))
    assert bridge.malformed > 1 and sum("dropped" in text for text in said) == 1


def test_without_liblsl_the_cure_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "pylsl.py").write_text(
        "raise RuntimeError('LSL binary library file was not found.\\nPlease')"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(__import__("sys").modules, "pylsl", raising=False)
    with pytest.raises(UsageError, match=r"not found.*PYLSL_LIB"):
        library()
