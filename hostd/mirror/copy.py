"""The mirrored case on our own disk: every sample that was heard, the case file, and what was said of it.

`raw.bdf` as at the box (from the first sample that was heard on; `evokd replay` averages it anew),
`case.toml`, and `bus.jsonl`, which `evokd play-fixture` serves again: events whole, averages and measurements
thinned, since the samples hold them. A case that was kept before is kept beside it, never in it. Refuses to
stop the mirror for a disk. Belongs to the ear's thread.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TextIO

from hostd.errors import EvokdError
from hostd.fixture import lines
from hostd.raw_blocks import RawBlock, raw_block
from hostd.recorder import Recorder
from hostd.wire import Message
from hw.raw_bdf import RAW_NAME
from hw.samples import SampleBlock

LEFT_OUT: Final = ("beat", "raw", "sweep.", "wave.", "emg.audio", "spectrum")
EVERY_S: Final = {"average": 10.0, "baseline": 10.0, "measure": 1.0, "status": 10.0}
"""Seconds between two messages of one topic that are kept; all of a topic that is not here."""
MOST_PENDING: Final = 3000
"""Raw messages, and others, that wait for what the box says of its channels and its case."""


class CaseCopy:
    """Under `data`. `tell` hears in a line what could not be kept."""

    def __init__(self, data: Path, tell: Callable[[str], None]) -> None:
        self._data, self._tell = data, tell
        self._case = ""
        self._status: Message | None = None
        self._pending: deque[tuple[RawBlock, int]] = deque(maxlen=MOST_PENDING)
        self._early: deque[Message] = deque(maxlen=MOST_PENDING)
        self._recorder: Recorder | None = None
        self._scale: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())
        self._end = 0
        self._said: TextIO | None = None
        self._began_s = 0.0
        self._kept_s: dict[str, float] = {}
        self._refused = False
        self.path: Path | None = None

    def take(self, messages: list[Message], about: Mapping[str, Any]) -> None:
        """What was heard, in order; `about` is what the box says of itself, with its case file as `toml`."""
        for message in messages:
            case = message.header.get("case")
            if not isinstance(case, str) or not case:
                continue
            if case != self._case:
                self.close()
                self._case, self._status = case, None
                self._pending.clear()
                self._early.clear()
            if message.topic == "status":
                self._status = message
            if message.topic == "raw":
                self._wait(message)
            else:
                self._say(message)
        if self.path is None and self._case:
            self._begin(about)
        if self.path is not None:
            self._record()

    def _wait(self, message: Message) -> None:
        utc_ns = message.header.get("utc_ns")
        try:
            raw = raw_block(message)
        except ValueError:
            return
        self._pending.append((raw, utc_ns if isinstance(utc_ns, int) else time.time_ns()))

    def _begin(self, about: Mapping[str, Any]) -> None:
        """A folder, once it is known what is recorded."""
        toml = about.get("toml")
        if about.get("case") != self._case or not toml or self._status is None:
            return
        path, number = self._data / f"{self._case}.mirror", 1
        while path.exists():
            number += 1
            path = self._data / f"{self._case}.mirror-{number}"
        self.path = path
        try:
            path.mkdir(parents=True)
            (path / "case.toml").write_text(str(toml), "utf-8")
            self._said = lines.opened(path / "bus.jsonl", "wt")
            self._began_s = time.monotonic()
            self._write(self._status, {"toml": toml, "tests": about.get("tests", {})})
            while self._early:
                self._say(self._early.popleft())
        except OSError as error:
            self._tell(f"{path}: {error.strerror}; the case is mirrored, and not kept here")
            self._said, self._refused = None, True

    def _say(self, message: Message) -> None:
        topic, now_s = message.topic, time.monotonic()
        if topic.startswith(LEFT_OUT):
            return
        if self.path is None:  # the case's first line will be a status
            if topic != "status":
                self._early.append(message)
            return
        every_s = EVERY_S.get(topic.partition(".")[0], 0.0)
        if every_s and not message.header.get("final"):
            if now_s - self._kept_s.get(topic, -every_s) < every_s:
                return
            self._kept_s[topic] = now_s
        self._write(message, None)

    def _write(self, message: Message, case: Mapping[str, Any] | None) -> None:
        if self._said is None:
            return
        try:
            self._said.write(lines.encode(message, round(time.monotonic() - self._began_s, 6), case))
            self._said.flush()  # whoever kills us finds whole lines
        except OSError as error:
            self._tell(f"{self._said.name}: {error.strerror}; what is said is not kept any more")
            self._said = None

    def _record(self) -> None:
        while self._pending:
            raw, utc_ns = self._pending.popleft()
            if self._refused:
                continue
            try:
                recorder = self._recorder or self._recording(raw, utc_ns)
                block = _behind(raw.block, self._end)
                if (raw.lsb_uv, raw.offset_uv) == self._scale and block is not None:
                    self._end = block.end_index
                    recorder.append(block)
            except (EvokdError, ValueError, KeyError, TypeError) as error:
                self._refused = self._recorder is None  # it cannot be made; else the disk may come back
                self._tell(f"{self.path}: {error}")

    def _recording(self, raw: RawBlock, utc_ns: int) -> Recorder:
        if self.path is None or self._status is None:
            raise ValueError("no case to record")
        status = self._status.header
        self._scale = raw.lsb_uv, raw.offset_uv
        self._recorder = Recorder(
            self.path / RAW_NAME,
            [str(name) for name in status["channels"]],
            float(status["rate_hz"]),
            *self._scale,
            "mirrored",
            self._case,
            datetime.fromtimestamp(utc_ns / 1e9, UTC),
            raw.latency_offset_samples,
        )
        return self._recorder

    def close(self) -> None:
        """Finish the files of the case."""
        try:
            if self._recorder is not None:
                self._recorder.close()
            if self._said is not None:
                self._said.close()
        except (EvokdError, OSError) as error:
            self._tell(str(error))
        self._recorder = self._said = self.path = None
        self._end, self._refused = 0, False
        self._kept_s.clear()


def _behind(block: SampleBlock, end: int) -> SampleBlock | None:
    """What of a block lies at sample `end` or behind it: a box that was started anew says some again."""
    skip = end - block.first_index
    if skip <= 0:
        return block
    if skip >= len(block.counts):
        return None
    counts, bits = block.counts[skip:], block.trigger_bits[skip:]
    return replace(block, first_index=end, counts=counts, trigger_bits=bits, gaps=())
