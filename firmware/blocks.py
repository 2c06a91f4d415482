"""From the loop's ring to blocks: contiguous samples of 10 ms, losses as gaps before the next one.

The consumer's side of `LoopState`. Decodes bytes, invents nothing; what the loop has to say goes first, so
that the proof of a pulse is known before its edge is seen in the samples.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from firmware.loop.state import (
    BLOCK,
    FIRST,
    NOTIFY,
    REASONS,
    RECORD,
    RECORDS_IN,
    RECORDS_OUT,
    SAMPLE,
    T_NS,
    LoopState,
)
from firmware.loop.telling import events
from firmware.ports import Put
from firmware.ring import joined
from firmware.stim_state import StateTeller
from hw.frames import DecodedFrames
from hw.link import Message
from hw.samples import Gap, GapReason, SampleBlock

BLOCK_S = 0.01
Decode = Callable[[NDArray[np.uint8]], DecodedFrames]
Watch = Callable[[NDArray[np.int64], NDArray[np.int64]], Message | None]


class Assembler:
    """Takes records out of `state` and puts blocks of the first `channels`; one thread at a time.

    `watch` is shown the index and time of every sample's edge before they are put, and may have something to
    say.
    """

    def __init__(
        self, state: LoopState, rate_hz: float, channels: int, decode: Decode, watch: Watch | None = None
    ) -> None:
        self._state, self._channels, self._decode, self._watch = state, channels, decode, watch
        self._block = max(1, round(rate_hz * BLOCK_S))
        self._teller = StateTeller(state, rate_hz)
        state.scalars[BLOCK] = self._block
        self._gaps: list[Gap] = []

    def drain(self, put: Put, flush: bool = False) -> None:
        """Put what is complete; with `flush`, the block under way too."""
        state = self._state
        scalars = state.scalars
        scalars[NOTIFY] = 0
        self.say(put)
        out, end = int(scalars[RECORDS_OUT]), int(scalars[RECORDS_IN])
        while out < end:
            slots = np.arange(out, min(end, out + self._block)) % len(state.records)
            lost = np.flatnonzero(state.records[slots, RECORD] != SAMPLE)
            run = len(slots) if lost.size == 0 else int(lost[0])
            if lost.size == 0 and run < self._block and not flush:
                return
            if run:
                self._put_block(put, slots[:run])
            if lost.size:
                self._lose(slots[run])
                run += 1
            out += run
            scalars[RECORDS_OUT] = out

    def say(self, put: Put) -> None:
        """Put what the loop has to say."""
        for message in events(self._state):
            put(message)
        changed = self._teller.look()
        if changed is not None:
            put(changed)

    def _lose(self, slot: int) -> None:
        kind, first, length, _ = (int(x) for x in self._state.records[slot])
        reason: GapReason = REASONS[kind]  # type: ignore[assignment]
        last = self._gaps[-1] if self._gaps else None
        if last is not None and last.reason == reason and last.index + last.length == first:
            self._gaps[-1] = Gap(last.index, last.length + length, reason)
        else:
            self._gaps.append(Gap(first, length, reason))

    def _put_block(self, put: Put, slots: NDArray[np.int64]) -> None:
        records = self._state.records[slots]
        decoded = self._decode(self._state.raw[slots])
        if self._watch is not None:
            said = self._watch(records[:, FIRST], records[:, T_NS])
            if said is not None:
                put(said)
        counts = np.ascontiguousarray(decoded.counts[:, : self._channels])
        first, t_ns = int(records[0, FIRST]), int(records[-1, T_NS])
        gaps, self._gaps = joined(self._gaps), []
        put(SampleBlock(first, counts, decoded.trigger_bits, t_ns, gaps))
