"""Link blocks back into sample blocks: every hole becomes a named gap, nothing is renumbered."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from dsp import kernels
from hw.link import Block, Stimulus
from hw.samples import Gap, SampleBlock

MOST_PROOFS = 10_000
"""Of the ten seconds that an edge holds."""


class Reassembler:
    """Checks that blocks follow one another, from sample `expected` on where a case goes on. `repeated`
    counts samples that came twice and were dropped."""

    def __init__(self, expected: int | None = None) -> None:
        self._expected = expected
        self._channels: int | None = None
        self.repeated = 0
        self.malformed = 0

    def take(self, message: Block) -> SampleBlock | None:
        """The block of `message`, its gaps completed; None when it holds nothing new or is malformed."""
        n = len(message.bits)
        channels = message.channels if self._channels is None else self._channels
        whole = n > 0 and len(message.samples) == 3 * n * message.channels
        if not whole or message.channels == 0 or message.channels != channels:
            self.malformed += 1
            return None
        self._channels = channels
        counts = np.empty((n, channels), np.int32)
        kernels.decode(np.frombuffer(message.samples, np.uint8), counts.reshape(-1))
        bits = np.frombuffer(message.bits, np.uint8)
        block = SampleBlock(message.first_index, counts, bits, message.t_ns, message.gaps)
        expected = message.first_index if self._expected is None else self._expected
        if block.end_index <= expected:
            self.repeated += n
            return None
        if block.first_index < expected:
            skip = expected - block.first_index
            self.repeated += skip
            block = replace(block, first_index=expected, counts=block.counts[skip:], trigger_bits=bits[skip:])
        self._expected = block.end_index
        gaps = _complete(expected, block.first_index, block.gaps)
        block.counts.flags.writeable = False
        return replace(block, gaps=gaps)


class ProofsOnce:
    """Proofs of pulses, each once: an edge gives again what the host before may not have kept. `before`:
    those that are on record."""

    def __init__(self, before: Iterable[Stimulus] = ()) -> None:
        self._known: dict[tuple[int, ...], None] = {}
        for proof in before:
            self.take(proof)

    def take(self, proof: Stimulus) -> bool:
        """Whether this one is new."""
        key = (proof.command, proof.number, proof.pulse, proof.line, proof.commanded)
        if key in self._known:
            return False
        self._known[key] = None
        if len(self._known) > MOST_PROOFS:
            del self._known[next(iter(self._known))]
        return True


def _complete(start: int, end: int, named: tuple[Gap, ...]) -> tuple[Gap, ...]:
    """Gaps that cover start..end exactly: those that the edge named, and `link` for what nobody explains."""
    gaps: list[Gap] = []
    at = start
    for gap in sorted(named, key=lambda g: g.index):
        first, last = max(gap.index, at), min(gap.index + gap.length, end)
        if first >= last:
            continue
        if first > at:
            gaps.append(Gap(at, first - at, "link"))
        gaps.append(Gap(first, last - first, gap.reason))
        at = last
    if at < end:
        gaps.append(Gap(at, end - at, "link"))
    return tuple(gaps)
