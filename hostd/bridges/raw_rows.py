"""Raw blocks as rows of microvolts with their times, and what is missing between them.

Owns continuity: a hole is told with its place, length and who lost it, and never filled. float32 holds every
24-bit count: its error is at most half a count, so `round((uV - offset) / lsb)` is the count again (with
offset 0, as of every converter; a foreign recording's offset may cost the last digit). int32 would need a
scale that no LSL reader applies, float64 twice the network.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hostd.wire import Message


@dataclass(frozen=True, slots=True)
class Missing:
    """Samples [first_index, first_index + samples) are missing: the `box` named them, or the way lost them
    (`bus`): our queue was full."""

    first_index: int
    samples: int
    lost_by: str


@dataclass(frozen=True, slots=True)
class Rows:
    """(time, channel + 1) float32 microvolts, the last column the trigger bits; ns of the box of each row."""

    values: NDArray[np.float32]
    t_ns: NDArray[np.int64]
    missing: tuple[Missing, ...]


class RawRows:
    """Follows the blocks of one daemon start. `lost` samples by who lost them."""

    def __init__(self) -> None:
        self._expected: int | None = None
        self._end = 0
        self.lost = {"box": 0, "bus": 0}

    def pause(self) -> None:
        """Nobody listens: what is not heard from here on is not missing."""
        self._expected = None

    def take(self, message: Message, rate_hz: float) -> Rows | None:
        """The rows of a `raw` message, None when it holds nothing new. Raises ValueError for a malformed one.

        `rate_hz` bridges the block's own 10 ms; the next one says its time itself.
        """
        header = message.header
        counts, bits = message.array("counts"), message.array("trigger_bits")
        first, t_ns = header.get("first_index"), header.get("t_ns")
        if (
            type(first) is not int
            or type(t_ns) is not int
            or counts.ndim != 2
            or bits.shape != counts.shape[:1]
        ):
            raise ValueError("raw: counts, trigger_bits, first_index and t_ns do not fit together")
        lsb, offset = (
            _per_channel(header.get("lsb_uv"), counts),
            _per_channel(header.get("offset_uv"), counts),
        )
        skip = max(0, self._end - first)
        if skip >= len(counts):
            return None
        missing = self._missing(first, header.get("gaps"))
        self._expected = self._end = first + len(counts)
        values = np.empty((len(counts) - skip, counts.shape[1] + 1), np.float32)
        values[:, :-1] = counts[skip:] * lsb + offset
        values[:, -1] = bits[skip:]
        return Rows(
            values, t_ns + np.rint(np.arange(skip, len(counts)) * (1e9 / rate_hz)).astype(np.int64), missing
        )

    def _missing(self, first: int, named: object) -> tuple[Missing, ...]:
        """The hole before `first`, cut into what the box named and what it did not."""
        at = first if self._expected is None else self._expected
        found: list[Missing] = []
        for index, length in sorted(_gaps(named)):
            begin, end = max(index, at), min(index + length, first)
            if begin >= end:
                continue
            if begin > at:
                found.append(Missing(at, begin - at, "bus"))
            found.append(Missing(begin, end - begin, "box"))
            at = end
        if at < first:
            found.append(Missing(at, first - at, "bus"))
        for hole in found:
            self.lost[hole.lost_by] += hole.samples
        return tuple(found)


def _gaps(named: object) -> list[tuple[int, int]]:
    if not isinstance(named, Sequence) or not all(
        isinstance(gap, Sequence) and len(gap) == 2 for gap in named
    ):
        raise ValueError("raw: gaps are pairs of index and length")
    return [(int(index), int(length)) for index, length in named]


def _per_channel(values: object, counts: NDArray[np.int32]) -> NDArray[np.float64]:
    array = np.asarray(values, np.float64)
    if array.shape != counts.shape[1:]:
        raise ValueError("raw: lsb_uv and offset_uv are of every channel")
    return array
