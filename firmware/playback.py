"""A recording as a source: its samples come over the link like any box's, at `speed` times real time.

Any EDF, EDF+, BDF or BDF+ file, or the directory of a case with all its segments. Cannot stimulate: what
fired is in the recording.
"""

import contextlib
import math
import threading
import time
from collections import deque
from pathlib import Path

import numpy as np

from firmware.errors import ConfigError, PortError
from firmware.ports import Command, Put
from firmware.recorded import open_recording
from firmware.timebase import TimebaseReporter
from hw.link import LEADS_NOBODY, MAX_FRAME_BYTES, Configure, Description, Ended, Reply, StimArm, StimPlan
from hw.raw_bdf import RAW_NAME
from hw.recording import RecordingReader, TriggerMap

BLOCK_S = 0.01
FAST_BLOCK_S = 0.1
BLOCK_BYTES = MAX_FRAME_BYTES // 2
MOST_CHANNELS = 255


class RecordingSource:
    """Plays `path`; `speed` None plays as fast as the host takes it. `seconds` ends it early."""

    patient = True

    def __init__(self, path: Path, speed: float | None, seconds: float | None) -> None:
        self._path = path / RAW_NAME if path.is_dir() else path
        self._speed, self._seconds = speed, seconds
        self._reader: RecordingReader | None = None
        self._files = contextlib.ExitStack()
        self._commands: deque[Command] = deque()

    def configure(self, wanted: Configure) -> Description:
        """Open the recording. Raises PortError when it cannot be opened, ConfigError when it does not fit."""
        try:
            self._files.close()
            self._reader = None
            first, *further = open_recording(self._path, self._files)
            reader = RecordingReader(first, wanted.channels or None, _mapping(wanted), further)
            if len(reader.channels) > MOST_CHANNELS:
                what = f"{len(reader.channels)} channels, the link carries {MOST_CHANNELS}"
                raise ValueError(f"{what}; name fewer")
        except OSError as error:
            raise PortError(f"recording {self._path}: {error.strerror}; check the path") from None
        except ValueError as error:
            raise ConfigError(f"recording {self._path}: {error}") from None
        self._reader = reader
        return Description(
            "file",
            reader.rate_hz,
            reader.channels,
            reader.lsb_uv,
            reader.offset_uv,
            reader.latency_offset_samples,
            0,
            LEADS_NOBODY,
        )

    def command(self, command: Command) -> None:
        """Queue: a recording cannot stimulate, and says so among the samples."""
        self._commands.append(command)

    def heard(self, t_ns: int) -> None:
        """Nobody is stimulated by a recording."""

    def run(self, put: Put, stop: threading.Event) -> None:
        """Deliver the recording, paced, to its end or `stop`. Raises PortError when it cannot be read on."""
        reader = self._reader
        if reader is None:
            raise ConfigError("not configured")
        start_ns, first = time.monotonic_ns(), reader.first_index
        end = None if self._seconds is None else first + round(self._seconds * reader.rate_hz)
        last = first
        watch = TimebaseReporter(reader.rate_hz).watch
        try:
            for item in reader.blocks(self._block_samples(reader)):
                if stop.is_set() or (end is not None and item.first_index >= end):
                    break
                due_s = (item.end_index - first) / reader.rate_hz / self._speed if self._speed else 0.0
                late_s = due_s - (time.monotonic_ns() - start_ns) / 1e9
                if late_s > 0 and stop.wait(late_s):
                    break
                self._answer(put)
                report = watch(np.array([item.end_index - 1]), np.array([item.t_ns]))
                if report is not None:
                    put(report)
                put(item)
                last = item.end_index
        except (OSError, ValueError) as error:
            raise PortError(f"recording {self._path}: {error}") from None
        self._answer(put)
        if not stop.is_set():
            put(Ended(last))

    def _block_samples(self, reader: RecordingReader) -> int:
        """Short blocks when paced, long ones otherwise, and never more than fits into a frame of the link."""
        wanted = round(reader.rate_hz * (BLOCK_S if self._speed else FAST_BLOCK_S))
        return max(1, min(wanted, BLOCK_BYTES // (3 * len(reader.channels) + 1)))

    def _answer(self, put: Put) -> None:
        while self._commands:
            command = self._commands.popleft()
            refusal = "a recording cannot stimulate" if isinstance(command, StimPlan | StimArm) else ""
            put(Reply(command.command, refusal))


def _mapping(wanted: Configure) -> TriggerMap:
    """Raises ValueError for what is no mapping at all."""
    if len(wanted.labels) != len(wanted.channels):
        raise ValueError(
            f"{len(wanted.channels)} channels and {len(wanted.labels)} labels; give one for each"
        )
    lines = {}
    for annotation in wanted.annotations:
        text, _, line = annotation.rpartition("=")
        if not line.isdecimal():
            raise ValueError(f"annotation {annotation!r} is not TEXT=LINE")
        lines[text] = int(line)
    return TriggerMap(
        labels={c: label for c, label in zip(wanted.channels, wanted.labels, strict=True) if label},
        trigger_channel=wanted.trigger_channel or None,
        threshold=None if math.isnan(wanted.threshold) else wanted.threshold,
        annotations=lines,
    )
