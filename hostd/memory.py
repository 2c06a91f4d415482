"""When a running case is kept in mind: checkpoints at their time, and the record's mark beside each.

Owns the rhythm: every five seconds of samples and of this machine's time. A case that is not recorded keeps
none, since nobody could take it up.
"""

import time

from hostd.case_folder import CaseFolder
from hostd.checkpoints import EVERY_S, Checkpoints, Remembered, memory_folder
from hostd.errors import RecordingError
from hostd.fingerprint import Fingerprint
from hostd.outgoing import Outgoing
from hostd.pipeline import Pipeline
from hostd.resume import Resumed
from hostd.storage import StorageWatch


class Memory:
    """Of the case in `folder`, at `rate_hz`. Belongs to the processing thread."""

    def __init__(self, folder: CaseFolder, rate_hz: float, resumed: Resumed | None) -> None:
        self._folder, self._rows = folder, round(EVERY_S * rate_hz)
        n = 0 if resumed is None else resumed.mark.n
        self._kept = None if folder.path is None else Checkpoints(folder.path, memory_folder(), n)
        self._next_index = self._next_ns = 0

    def look(
        self,
        index: int,
        pipeline: Pipeline,
        fingerprint: Fingerprint,
        storage: StorageWatch,
        latest: dict[str, Outgoing],
    ) -> None:
        """Sample `index` has been reached, and this is all that is known there."""
        if self._kept is None or index < self._next_index or time.monotonic_ns() < self._next_ns:
            return
        n = self._kept.n + 1
        self._kept.take(Remembered(n, index, pipeline, fingerprint, storage, latest))
        self._folder.mark(n, index)
        self._next_index = index + self._rows
        self._next_ns = time.monotonic_ns() + round(EVERY_S * 1e9)

    def take_fault(self) -> RecordingError | None:
        """Trouble with checkpoints that was not told yet."""
        return None if self._kept is None else self._kept.take_fault()

    def close(self, *, over: bool) -> None:
        """End; nothing is kept of a case that is `over`."""
        if self._kept is not None:
            self._kept.close(over=over)
