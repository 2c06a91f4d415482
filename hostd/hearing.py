"""What the judge of deviations hears, each thing in its place among the samples.

Owns the places: a sweep's is its stimulus', what somebody posts or the edge tells is known with the newest
sample. Decides nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from hostd.deviations import Deviations
from hostd.outgoing import Outgoing
from hostd.seen import Seen
from hostd.timeline import Timeline

FIRST = -1
"""The order of what is known of a stimulus before its response is."""


class Hearing:
    """Between the pipeline and `judge`; `last` is the order of what is the whole case's, behind all tests."""

    def __init__(self, judge: Deviations, timeline: Timeline, last: int) -> None:
        self._judge, self._timeline, self._last = judge, timeline, last

    def message(self, index: int, order: int, message: Outgoing) -> None:
        """A message of source `order`."""
        self._timeline.put(index, order, partial(self._judge.note, message))

    def sweep(self, order: int, seen: Seen) -> None:
        """What a sweep of test `order` says of one response."""
        self._timeline.put(seen.index, order, partial(self._judge.see, seen))

    def running(self, index: int, order: int, name: str, runs: bool) -> None:
        """A test was started or stopped."""
        self._timeline.put(index, order, partial(self._judge.running, index, name, runs))

    def artifact(self, index: int, test: str, ratio: float) -> None:
        """The artifact of a stimulus, as a ratio to its usual one; before what its sweep says."""
        told = partial(self._judge.circumstances.artifact, index, test, ratio)
        self._timeline.put(index, FIRST, partial(_silently, told))

    def posted(self, index: int, values: Mapping[str, float]) -> None:
        """Vitals or doses, from a client."""
        self._now(index, partial(self._judge.circumstances.vitals.post, index, values))

    def leads_off(self, index: int, leads: Sequence[str]) -> None:
        """Electrodes that the edge sees off."""
        self._now(index, partial(self._judge.circumstances.leads_off, index, leads))

    def impedance(self, index: int, leads: Sequence[Mapping[str, Any]]) -> None:
        """Electrodes as they were measured."""
        self._timeline.now(index, self._last, partial(self._judge.impedance, index, leads))

    def _now(self, index: int, told: Callable[[], None]) -> None:
        self._timeline.now(index, self._last, partial(_silently, told))


def _silently(told: Callable[[], None]) -> list[Outgoing]:
    """Nothing is said because of it by itself."""
    told()
    return []
