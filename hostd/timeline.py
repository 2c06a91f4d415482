"""What happened at which sample, taken up in that order however the samples were cut into blocks.

Owns the waiting: a sweep is known some time after its stimulus, one test's sooner than another's. What many
tests share (events, alerts, what they are attributed to) is decided only once everything earlier is known.
"""

from collections.abc import Callable
from heapq import heappop, heappush

from hostd.outgoing import Outgoing

Thing = Outgoing | Callable[[], list[Outgoing]]
"""A message, or something to decide that makes messages."""

After = Callable[[list[Outgoing]], list[Outgoing]]


class Timeline:
    """Holds things until nothing earlier can come any more: `delay` samples behind what was fed."""

    def __init__(self, delay: int) -> None:
        self._delay = delay
        self._waiting: list[tuple[int, int, int, Thing]] = []
        self._number = 0

    @property
    def delay(self) -> int:
        """Samples that something waits at most."""
        return self._delay

    def put(self, index: int, order: int, thing: Thing) -> None:
        """Something of sample `index`, of source `order`; of one source in the order of calls."""
        self._number += 1
        heappush(self._waiting, (index, order, self._number, thing))

    def now(self, index: int, order: int, thing: Thing) -> None:
        """Something that is known with sample `index`, and told in its place among what is known then."""
        self.put(index - self._delay, order, thing)

    def due(self, fed: int | None, after: After = list) -> list[Outgoing]:
        """All that is due with the samples before `fed` (None: everything), by sample, then source. The
        messages of each go through `after` before the next is taken up: what follows from them is first."""
        messages: list[Outgoing] = []
        while self._waiting and (fed is None or self._waiting[0][0] <= fed - self._delay):
            thing = heappop(self._waiting)[3]
            messages += after([thing] if isinstance(thing, Outgoing) else thing())
        return messages
