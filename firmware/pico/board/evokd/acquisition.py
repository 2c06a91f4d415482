"""From the rings to blocks on the link, and from their trigger bits to the arbiter.

Owns the index of what was taken: a frame without its header is a gap "torn", one that was not read "missed",
what was written over before it was taken "overflow"; nothing renumbers time. A block is what is whole in one
buffer of the ring; its bytes are put together in memory that was taken once.
"""

import binascii
import time
from array import array

from evokd import codec
from evokd.arbiter import BLIND, NO_DATA_READY, SEEN, TORN_FRAMES, UNKNOWN
from evokd.clock import Clock
from evokd.messages import GAP_REASONS, KINDS, Rows
from evokd.reader import SLOTS

BLIND_MS = 500
MOST_GAPS = 64
CODE = [code for code in KINDS if KINDS[code][0] is Rows][0]
HEAD = 28
"""Bytes of a frame before its rows: type, sequence, first index, time, channels, chips, bytes, length."""
MISSED, TORN, OVERFLOW = [GAP_REASONS.index(reason) for reason in ("missed", "torn", "overflow")]


class Acquisition:
    """A running reader of `channels` out of all converters' inputs. `pulses`: who is shown the samples."""

    def __init__(self, reader, pulses, rate_hz, channels):
        self._reader, self._pulses = reader, pulses
        self._rows, self._channels = reader.rows, channels
        self._most_torn = max(1, rate_hz * BLIND_MS // 1000)
        self._taken = self._seen = self._torn = self._edges = self._first = self._at = self._end = 0
        self._gaps = []
        self._cut, self._joint, self._missed = None, 0, 0
        self.clock = Clock(rate_hz, reader.clock_hz)
        self._levels, self._shown = bytearray(self._rows), bytearray(self._rows)
        most = HEAD + reader.chips * self._rows * reader.frame_bytes + 6 + 13 * MOST_GAPS
        self._head, self._tail = bytearray(HEAD), bytearray(6 + 13 * MOST_GAPS)
        self._out = bytearray(most + most // 254 + 4)
        self._state = array("I", [1, 0])
        self._moved_ms = 0

    def begin(self):
        """Samples are to come from now on."""
        self._moved_ms = time.ticks_ms()

    def watch(self):
        """What cannot wait for the link: what the samples show, pulses to hand over, silence."""
        edges, now_ms = self._reader.edges(), time.ticks_ms()
        if edges != self._edges:
            self._edges, self._moved_ms = edges, now_ms
        elif time.ticks_diff(now_ms, self._moved_ms) > BLIND_MS:
            self._moved_ms = now_ms
            self._pulses.go_blind(NO_DATA_READY, edges)
        if edges:
            self._see(edges - 1)
            self._pulses.plan(edges - 1)
        self._pulses.feed()

    def waiting(self):
        """Whether there is a block to be taken: the edge behind the last frame of a whole buffer has come, or
        reading was stopped behind it."""
        if self._cut is not None:
            return True
        return self._row(self._reader.edges()) > (self._row(self._taken) // self._rows + 1) * self._rows

    def whole(self):
        """Whether all was taken that had been read when reading was stopped last."""
        return self._cut is None

    def held(self, end):
        """Reading stands before sample `end`: the arbiter sees what there is. What was read before reading
        stood the last time and is not taken yet is given up."""
        self._see(end)
        if self._cut is not None:
            self._join()
        self._cut, self._missed = end, self._reader.missed

    def resumed(self, first):
        """Reading has gone on with sample `first`."""
        self._joint = self._seen = first
        self._pulses.lost(first)

    def look(self):
        """Take the next run of whole rows; False when the ones at hand were all lost."""
        newest = self._reader.edges() - 1
        self.clock.follow(newest, self._reader.stamp(newest))
        self._taken = self._skipped(self._taken, True)
        if self._cut is not None and self._taken >= self._cut:
            self._join()
            if not self.waiting():
                return False
        buffers = self._buffers(self._taken)
        self._first, self._at = self._taken, self._row(self._taken) % self._rows
        end = self._rows if self._cut is None else min(self._rows, self._at + self._cut - self._taken)
        self._end = self._whole(buffers, self._at, end, self._levels)
        if self._end == self._at:
            n = self._next_whole(buffers, self._at, end) - self._at
            self._lose(self._taken, n, TORN)
            self._taken += n
            return False
        self._taken += self._end - self._at
        return True

    def _join(self):
        """What is taken next was read after reading had been stopped."""
        if self._joint > self._taken:
            self._lose(self._taken, self._joint - self._taken, MISSED)
            self._taken = self._joint
        self._cut = None

    def frame(self, sequence):
        """The link's frame of what was looked at, a view of memory that the next one takes again; None when
        it was written over in the meantime."""
        size = self._written(sequence)
        come = self._row(self._reader.edges() - 1)
        if come // self._rows >= self._row(self._first) // self._rows + SLOTS:
            self._lose(self._first, self._taken - self._first, OVERFLOW)
            return None
        self._gaps = []
        return memoryview(self._out)[:size]

    def _row(self, index):
        """How many frames were read before that of `index`."""
        return index - (self._missed if index < self._joint else self._reader.missed)

    def _buffers(self, index):
        """Of every converter the buffer that holds `index`."""
        slot = self._row(index) // self._rows % SLOTS
        return [ring[slot] for ring in self._reader.buffers]

    def _skipped(self, index, gap):
        """`index`, or the oldest one that the rings have not begun to write over."""
        come = self._row(self._reader.edges() - 1)
        row = (come // self._rows - SLOTS + 2) * self._rows
        if self._row(index) >= row:
            return index
        oldest = row + self._missed
        if oldest >= self._joint - self._reader.missed + self._missed:
            oldest = row + self._reader.missed
        if gap:
            self._lose(index, oldest - index, OVERFLOW)
        return oldest

    def _whole(self, buffers, at, end, levels):
        """The end of the run of whole rows from `at` on; their trigger bits are in `levels`."""
        size = self._reader.frame_bytes
        end = codec.levels(buffers[0], at, end, size, levels)
        for k in range(1, len(buffers)):
            if k == 1:
                end = codec.add_levels(buffers[k], at, end, size, levels)
            else:
                end = codec.broken(buffers[k], at, end, size)
        return end

    def _next_whole(self, buffers, at, end):
        """The first row behind `at` whose headers all stand, or `end`."""
        size, at = self._reader.frame_bytes, at + 1
        while at < end and any([codec.broken(each, at, at + 1, size) == at for each in buffers]):
            at += 1
        return at

    def _see(self, end):
        """The arbiter sees every change of the trigger bits before sample `end`, and how far samples go."""
        pulses = self._pulses
        oldest = self._skipped(self._seen, False)
        if oldest != self._seen:
            self._seen = oldest
            pulses.lost(oldest)
        while self._seen < end:
            buffers, at = self._buffers(self._seen), self._row(self._seen) % self._rows
            last = min(self._rows, at + end - self._seen)
            good = self._whole(buffers, at, last, self._shown)
            if good == at:
                torn = self._next_whole(buffers, at, last) - at
                self._seen += torn
                self._torn += torn
                pulses.lost(self._seen)
                if self._torn >= self._most_torn:
                    pulses.go_blind(TORN_FRAMES, self._seen)
                continue
            self._torn = pulses.scalars[BLIND] = 0
            self._show(at, good)
            self._seen += good - at

    def _show(self, at, end):
        """Rows [at, end) of a buffer, the first of which is sample `_seen`."""
        pulses, first = self._pulses, self._seen - at
        if pulses.scalars[SEEN] == UNKNOWN:
            pulses.see(first + at, self._shown[at])
        k = codec.changed(self._shown, at, end, pulses.scalars[SEEN])
        while k < end:
            pulses.see(first + k, self._shown[k])
            k = codec.changed(self._shown, k + 1, end, self._shown[k])
        pulses.seen_until(first + end)

    def _written(self, sequence):
        """The frame of the rows, behind their gaps; how many bytes there are in `_out`."""
        reader, head, tail = self._reader, self._head, self._tail
        size, n = reader.frame_bytes, self._end - self._at
        last = self._first + n - 1
        head[0] = CODE
        at = codec.put(head, codec.put(head, 1, sequence, 4), self._first, 8)
        at = codec.put(head, at, self.clock.at(last, reader.stamp(last)), 8)
        head[at], head[at + 1], head[at + 2] = self._channels, reader.chips, size
        codec.put(head, at + 3, reader.chips * n * size, 4)
        crc = binascii.crc32(head)
        codec.begin(self._state)
        codec.stuff(0, 1, head, HEAD, self._out, self._state)
        first, end = self._at * size, self._end * size
        for buffer in self._buffers(self._first):
            crc = binascii.crc32(memoryview(buffer)[first:end], crc)
            codec.stuff(first, self._state[codec.AT], buffer, end, self._out, self._state)
        at = codec.put(tail, 0, len(self._gaps), 2)
        for index, length, reason in self._gaps:
            at = codec.put(tail, codec.put(tail, at, index, 8), length, 4)
            tail[at] = reason
            at += 1
        at = codec.put(tail, at, binascii.crc32(memoryview(tail)[:at], crc), 4)
        codec.stuff(0, self._state[codec.AT], tail, at, self._out, self._state)
        return codec.finish(self._state, self._out)

    def _lose(self, index, length, reason):
        """A gap; joined to the last one where it goes on, or where there are too many to tell apart."""
        last = self._gaps[-1] if self._gaps else None
        if last and last[0] + last[1] == index and (last[2] == reason or len(self._gaps) == MOST_GAPS):
            self._gaps[-1] = (last[0], last[1] + length, last[2])
        elif len(self._gaps) < MOST_GAPS:
            self._gaps.append((index, length, reason))
