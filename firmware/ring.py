"""The ring between acquisition and link: what the edge still holds when nobody listens.

Bounded in samples. A real front end cannot wait, so the oldest blocks go first and the next block says what
is missing; a source that can wait (simulation at full speed, a recording) waits instead. What was handed out
last is held as long, samples and the proofs of their pulses, since a host that is gone may not have kept it.
Refuses to know what any other message means.
"""

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice

from hw.link import Message, Stimulus, Timebase
from hw.samples import Gap, SampleBlock

MOST_GAPS = 1000
LONGEST_GAP = (1 << 32) - 1


class Ring:
    """Blocks and messages in order, for one consumer. `patient` sources wait when `capacity` is reached."""

    def __init__(self, capacity_samples: int, patient: bool) -> None:
        self._capacity = capacity_samples
        self._patient = patient
        self._items: deque[SampleBlock | Message] = deque()
        self._held = 0
        self._given: deque[SampleBlock | Stimulus] = deque()
        self._given_samples = 0
        self._closed = False
        self._dropped: tuple[Gap, ...] = ()
        self._changed = threading.Condition()

    def put(self, item: SampleBlock | Message) -> None:
        """Append; a block drops the oldest ones or waits when full. Does nothing once closed."""
        with self._changed:
            if isinstance(item, SampleBlock):
                item = self._with_room(item)
            if self._closed:
                return
            self._items.append(item)
            self._changed.notify_all()

    def _with_room(self, block: SampleBlock) -> SampleBlock:
        """Make room for `block` and count it in; it carries the gaps that nothing else in the ring can."""
        size = len(block.counts)
        if self._patient:
            self._changed.wait_for(lambda: self._closed or not self._held or self._fits(size))
        if self._closed:
            return block
        while not self._fits(size) and self._drop_oldest():
            pass
        self._held += size
        dropped, self._dropped = self._dropped, ()
        return _after(dropped, block)

    def _fits(self, size: int) -> bool:
        return self._held + size <= self._capacity

    def _drop_oldest(self) -> bool:
        """Drop the oldest block; what it held is a gap of the next one."""
        blocks = ((at, item) for at, item in enumerate(self._items) if isinstance(item, SampleBlock))
        at, block = next(blocks, (0, None))
        if block is None:
            return False
        after, following = next(blocks, (0, None))
        gaps = joined([*block.gaps, Gap(block.first_index, len(block.counts), "overflow")])
        if following is None:
            self._dropped = gaps
        else:
            self._items[after] = _after(gaps, following)
        del self._items[at]
        self._held -= len(block.counts)
        # Reports of the clock come every second for ever; those of samples that are gone mean nothing now.
        early = [item for item in islice(self._items, at) if not isinstance(item, Timebase)]
        for _ in range(at):
            self._items.popleft()
        self._items.extendleft(reversed(early))
        return True

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
                self._given_samples += len(item.counts)
            if isinstance(item, SampleBlock | Stimulus):
                self._given.append(item)
                self._forget()
            self._changed.notify_all()
            return item

    def _forget(self) -> None:
        """Of what was given, what is more than `capacity`; one block stays."""
        while self._given_samples > self._capacity and len(self._given) > 1:
            gone = self._given.popleft()
            self._given_samples -= len(gone.counts) if isinstance(gone, SampleBlock) else 0

    def rewind(self) -> None:
        """Give the last blocks again, up to `capacity` samples: another host takes over."""
        with self._changed:
            self._items.extendleft(reversed(self._given))
            self._held += self._given_samples
            self._given.clear()
            self._given_samples = 0
            self._changed.notify_all()

    def put_back(self, item: SampleBlock | Message) -> None:
        """`item`, the last one got, could not be sent. A message is next again; a block when rewound."""
        with self._changed:
            if not isinstance(item, SampleBlock):
                self._items.appendleft(item)
                self._changed.notify_all()

    def close(self) -> None:
        """Let nobody wait any longer; later puts are dropped."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


def _after(gaps: tuple[Gap, ...], block: SampleBlock) -> SampleBlock:
    return replace(block, gaps=joined([*gaps, *block.gaps])) if gaps else block


def joined(gaps: Iterable[Gap]) -> tuple[Gap, ...]:
    """Gaps that follow one another, those of one reason as one, none longer than the link can say.

    More than MOST_GAPS become one overflow over all of them: who lost that much need not know why.
    """
    out: list[Gap] = []
    for gap in gaps:
        last = out[-1] if out else None
        if last is not None and last.reason == gap.reason and last.index + last.length == gap.index:
            out[-1] = Gap(last.index, last.length + gap.length, gap.reason)
        else:
            out.append(gap)
    if len(out) > MOST_GAPS:
        out = [Gap(out[0].index, out[-1].index + out[-1].length - out[0].index, "overflow")]
    return tuple(piece for gap in out for piece in _pieces(gap))


def _pieces(gap: Gap) -> Iterable[Gap]:
    for start in range(0, gap.length, LONGEST_GAP):
        yield Gap(gap.index + start, min(LONGEST_GAP, gap.length - start), gap.reason)
