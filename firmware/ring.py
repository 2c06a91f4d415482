"""The ring between acquisition and link: what the edge still holds when nobody listens.

Bounded in samples. A real front end cannot wait, so the oldest blocks go first and the next block says what
is missing; a source that can wait (simulation at full speed, a recording) waits instead.
"""

import threading
from collections import deque
from dataclasses import replace

from hw.link import Message
from hw.samples import Gap, SampleBlock


class Ring:
    """Blocks and messages in order, for one consumer. `patient` sources wait when `capacity` is reached."""

    def __init__(self, capacity_samples: int, patient: bool) -> None:
        self._capacity = capacity_samples
        self._patient = patient
        self._items: deque[SampleBlock | Message] = deque()
        self._held = 0
        self._closed = False
        self._dropped: list[Gap] = []
        self._changed = threading.Condition()

    def put(self, item: SampleBlock | Message) -> None:
        """Append; drops the oldest blocks or waits when full. Does nothing once closed."""
        with self._changed:
            size = len(item.counts) if isinstance(item, SampleBlock) else 0
            if self._patient:
                self._changed.wait_for(lambda: self._closed or self._held + size <= self._capacity)
            while self._held + size > self._capacity and self._drop_oldest():
                pass
            if self._closed:
                return
            self._items.append(item)
            self._held += size
            self._changed.notify_all()

    def _drop_oldest(self) -> bool:
        for at, item in enumerate(self._items):
            if isinstance(item, SampleBlock):
                del self._items[at]
                self._held -= len(item.counts)
                self._dropped += [*item.gaps, Gap(item.first_index, len(item.counts), "overflow")]
                return True
        return False

    def get(self, timeout_s: float) -> SampleBlock | Message | None:
        """The oldest item, or None after `timeout_s`; a block carries the gaps dropped before it."""
        with self._changed:
            if not self._items:
                self._changed.wait(timeout_s)
            if not self._items:
                return None
            item = self._items.popleft()
            if isinstance(item, SampleBlock):
                self._held -= len(item.counts)
                if self._dropped:
                    item = replace(item, gaps=_joined([*self._dropped, *item.gaps]))
                    self._dropped = []
            self._changed.notify_all()
            return item

    def close(self) -> None:
        """Let nobody wait any longer; later puts are dropped."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


def _joined(gaps: list[Gap]) -> tuple[Gap, ...]:
    """Adjacent gaps of the same reason as one."""
    out: list[Gap] = []
    for gap in gaps:
        if out and out[-1].reason == gap.reason and out[-1].index + out[-1].length == gap.index:
            out[-1] = Gap(out[-1].index, out[-1].length + gap.length, gap.reason)
        else:
            out.append(gap)
    return tuple(out)
