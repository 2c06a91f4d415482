"""A recording as a source: its samples come over the link like any box's, at `speed` times real time.

Any EDF, EDF+, BDF or BDF+ file, or the directory of a case. Cannot stimulate: what fired is in the recording.
"""

import math
import threading
import time
from pathlib import Path
from typing import BinaryIO

from firmware.errors import ConfigError, PortError
from firmware.ports import Command, Put
from hw.link import Configure, Description, Ended, Reply
from hw.recording import RecordingReader, TriggerMap

BLOCK_S = 0.01
FAST_BLOCK_S = 0.1


class RecordingSource:
    """Plays `path`; `speed` None plays as fast as the host takes it. `seconds` ends it early."""

    patient = True

    def __init__(self, path: Path, speed: float | None, seconds: float | None) -> None:
        self._path = path / "raw.bdf" if path.is_dir() else path
        self._speed, self._seconds = speed, seconds
        self._reader: RecordingReader | None = None
        self._file: BinaryIO | None = None
        self._put: Put | None = None

    def configure(self, wanted: Configure) -> Description:
        """Open the recording. Raises PortError when it cannot be opened, ConfigError when it does not fit."""
        pairs = [a.rpartition("=") for a in wanted.annotations]
        mapping = TriggerMap(
            labels={c: label for c, label in zip(wanted.channels, wanted.labels, strict=True) if label},
            trigger_channel=wanted.trigger_channel or None,
            threshold=None if math.isnan(wanted.threshold) else wanted.threshold,
            annotations={text: int(line) for text, _, line in pairs},
        )
        try:
            if self._file is not None:
                self._file.close()
            self._file = self._path.open("rb")
            reader = RecordingReader(self._file, wanted.channels or None, mapping)
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
        )

    def command(self, command: Command) -> None:
        """Refuse: a recording cannot stimulate."""
        if self._put is not None:
            self._put(Reply(command.command, "a recording cannot stimulate"))

    def run(self, put: Put, stop: threading.Event) -> None:
        """Deliver the recording, paced, to its end or `stop`. Raises PortError when it cannot be read on."""
        reader = self._reader
        if reader is None:
            raise ConfigError("not configured")
        self._put = put
        block = max(1, round(reader.rate_hz * (BLOCK_S if self._speed else FAST_BLOCK_S)))
        start_ns, first = time.monotonic_ns(), reader.first_index
        end = None if self._seconds is None else first + round(self._seconds * reader.rate_hz)
        last = first
        try:
            for item in reader.blocks(block):
                if stop.is_set() or (end is not None and item.first_index >= end):
                    break
                due_s = (item.end_index - first) / reader.rate_hz / self._speed if self._speed else 0.0
                late_s = due_s - (time.monotonic_ns() - start_ns) / 1e9
                if late_s > 0 and stop.wait(late_s):
                    break
                put(item)
                last = item.end_index
        except (OSError, ValueError) as error:
            raise PortError(f"recording {self._path}: {error}") from None
        if not stop.is_set():
            put(Ended(last))
