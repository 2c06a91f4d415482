"""All watches of a case together: built for the stream, fed, told what to leave out."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from dsp.nouns import Trigger
from dsp.stream import Scale
from hostd.case import Case, TestPlan, WatchPlan
from hostd.eeg_watch import EegWatch
from hostd.emg_watch import EmgWatch
from hostd.outgoing import Outgoing
from hostd.watching import Watch


class Watches:
    """The watches of `case` at `rate_hz`, in its order. Raises ValueError for what the rate does not fit."""

    def __init__(self, case: Case, rate_hz: float, scale: Scale) -> None:
        self.by_name: Mapping[str, Watch] = {
            plan.name: _watch(plan, case.tests, rate_hz, scale) for plan in case.watches
        }

    @property
    def max_block(self) -> int:
        """Rows that one `append` may bring."""
        return min((watch.max_block for watch in self.by_name.values()), default=1 << 16)

    def restart(self, index: int) -> list[Outgoing]:
        """The signal begins anew at `index`."""
        return [message for watch in self.by_name.values() for message in watch.restart(index)]

    def exclude(self, first: int, end: int | None, reason: str) -> None:
        """Samples that hold something else than the body."""
        for watch in self.by_name.values():
            watch.exclude(first, end, reason)

    def append(self, counts: NDArray[np.int32], triggers: list[Trigger]) -> list[Outgoing]:
        """The next contiguous samples and all stimuli (any line) in them. Watches share topics: what they say
        is in order of the sample at which each could say it, however the samples were cut."""
        told = [message for watch in self.by_name.values() for message in watch.append(counts, triggers)]
        return sorted(told, key=lambda message: message.index)

    def finish(self) -> list[Outgoing]:
        """The samples have ended."""
        return [message for watch in self.by_name.values() for message in watch.finish()]

    def baseline(self, command: str, name: str, index: int) -> list[Outgoing]:
        """`baseline.set` or `baseline.clear` of one. Raises ValueError when it cannot be."""
        watch = self.by_name.get(name)
        if watch is None or command not in ("baseline.set", "baseline.clear"):
            raise ValueError(f"{name} is watched all the time: {command} does not apply")
        return watch.set_baseline(index) if command == "baseline.set" else watch.clear_baseline(index)


def _watch(plan: WatchPlan, tests: tuple[TestPlan, ...], rate_hz: float, scale: Scale) -> Watch:
    if plan.kind == "eeg":
        return EegWatch(plan, rate_hz, scale)
    mutes = {line: round(ms * rate_hz / 1e3) for test in tests for line, ms in _mutes(test, plan.mute_ms)}
    return EmgWatch(plan, rate_hz, scale, mutes)


def _mutes(test: TestPlan, mute_ms: float) -> list[tuple[int, float]]:
    """For how long the stimuli of a test mute muscles, by line: a click or a flash moves none."""
    if test.stimulus.kind == "sensory":
        return []
    lines = filter(None, (test.line, test.stimulus.alternate_line))
    return [(line, mute_ms if test.kind == "average" else test.window_ms[1]) for line in lines]
