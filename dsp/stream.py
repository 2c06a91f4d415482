"""One test's signal: counts -> derivations (microvolts) -> mains out by choice -> interpolated -> filtered.

Keeps just the history that sweeps need, addressed by sample index. Never joins what a gap has parted: after
a gap everything starts anew and `settled` says from which index on the filter is believable.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp import kernels
from dsp.aligned import aligned_empty
from dsp.filters import ForwardFilter, settle_samples
from dsp.kernels_types import DERIVE_ROWS
from dsp.mains_fit import MainsFit
from dsp.nouns import Derivation

WORTH_ALIGNING = 500
"""Rows of a block below which asking for an aligned array takes longer than it saves."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Microvolts of channel c = counts * lsb_uv[c] + offset_uv[c]."""

    lsb_uv: tuple[float, ...]
    offset_uv: tuple[float, ...]


class Stream:
    """The filtered derivations of one test, `history` rows back at least, `most` rows at a time (default: as
    many).

    `begin`, `end`: indices of the rows that `rows` can give; `settled`: first index to be believed. The rows
    are float32; without a filter they count from `origin_uv`, the first sample of all (zero with a filter),
    so that an electrode's offset costs no digits. Raises ValueError when built with derivations that do not
    fit the channels.
    """

    def __init__(
        self,
        derivations: tuple[Derivation, ...],
        scale: Scale,
        sos: NDArray[np.float64],
        blank_samples: int,
        history: int,
        most: int = 0,
    ) -> None:
        weights = np.array([d.weights for d in derivations], dtype=np.float64)
        if weights.ndim != 2 or weights.shape[1] != len(scale.lsb_uv):
            raise ValueError(f"derivations of shape {weights.shape} do not fit {len(scale.lsb_uv)} channels")
        if not np.all(np.isfinite(weights)):
            raise ValueError("a derivation's weights are no numbers")
        used = weights != 0.0
        self._starts = np.concatenate([[0], np.cumsum(used.sum(axis=1))]).astype(np.int64)
        self._columns = np.nonzero(used)[1].astype(np.int64)
        self._gains = np.ascontiguousarray((weights * np.array(scale.lsb_uv))[used])
        self._offsets = np.ascontiguousarray((weights * np.array(scale.offset_uv)).sum(axis=1))
        self._work = np.empty((weights.shape[1] + 1, DERIVE_ROWS))
        self._filter = ForwardFilter(sos, len(derivations)) if len(sos) else None
        self._mains: MainsFit | None = None
        self._settle = settle_samples(sos)
        self._blank = blank_samples
        self._held = np.empty((0, len(derivations)))
        self._spans: list[tuple[int, int]] = []
        self._before: NDArray[np.float64] | None = None
        # Room for the history, for the rows held back behind a blanked span, and for one block.
        self._history = max(history, blank_samples, 1)
        self._most = max(most, self._history)
        room = 2 * self._history + self._most
        self._rows = np.empty((room, len(derivations)), dtype=np.float32)
        self._railed = np.zeros(room, dtype=np.uint8)
        self._rail_end = 0
        self.origin_uv: NDArray[np.float64] | None = np.zeros(len(derivations)) if len(sos) else None
        self.begin = self.end = self.settled = 0

    @property
    def max_block(self) -> int:
        """Rows that one `append` may bring without pushing out unread history."""
        return self._most

    @property
    def history(self) -> int:
        """Rows that are kept, and the longest that rows are held back behind a blanked span."""
        return self._history

    def take_out(self, mains: MainsFit) -> None:
        """From the next sample on `mains` takes mains out, before the interpolation: across a blanked span
        the line is drawn between samples without it."""
        self._mains = mains
        mains.restart(self._rail_end)

    def restart(self, index: int) -> None:
        """Begin anew at `index`: start of a recording, or the first sample after a gap."""
        if self._mains is not None:
            self._mains.restart(index)
        if self._filter is not None:
            self._filter.reset()
        self._held = self._held[:0]
        self._spans.clear()
        self._before = None
        self.begin = self.end = self._rail_end = index
        self.settled = index + self._settle

    def append(self, counts: NDArray[np.int32], triggers: list[int]) -> None:
        """Take the next contiguous rows; `triggers` are the indices of stimuli (any line) within them."""
        for start in range(0, len(counts), self._most):
            first = self._rail_end
            part = counts[start : start + self._most]
            self._append(part, [t for t in triggers if first <= t < first + len(part)])

    def _append(self, counts: NDArray[np.int32], triggers: list[int]) -> None:
        n = len(counts)
        shape = (n, self._rows.shape[1])
        raw = aligned_empty(shape) if n >= WORTH_ALIGNING else np.empty(shape)
        self._make_room(n)
        at = self._rail_end - self.begin
        railed = self._railed[at : at + n]
        terms = (self._starts, self._columns, self._gains, self._offsets)
        kernels.derive(counts, *terms, raw, railed, self._work)
        if self.origin_uv is None:
            self.origin_uv = raw[0].copy()
        self._rail_end += n
        if self._mains is not None:
            raw = self._mains.run(raw)
        first = self.end
        held = np.concatenate([self._held, raw]) if len(self._held) else raw
        if self._blank:
            ready = self._interpolate(held, first, triggers)
        else:
            ready = len(held)
        self._held = held[ready:].copy()
        out = held[:ready]
        if ready:
            self._before = out[-1].copy()
            if self._filter is not None:
                self._filter.run(out)
            else:
                out = out - self.origin_uv
            at = self.end - self.begin
            self._rows[at : at + ready] = out
            self.end += ready

    def _make_room(self, n: int) -> None:
        """Drop the oldest rows so that `n` more fit behind the newest rail flag."""
        if self._rail_end - self.begin + n <= len(self._rows):
            return
        keep_from = max(self.begin, self.end - self._history)
        shift = keep_from - self.begin
        self._rows[: self.end - keep_from] = self._rows[shift : self.end - self.begin].copy()
        self._railed[: self._rail_end - keep_from] = self._railed[shift : self._rail_end - self.begin].copy()
        self.begin = keep_from

    def _interpolate(self, held: NDArray[np.float64], first: int, triggers: list[int]) -> int:
        """Draw a line across every complete blanked span in `held`; return how many rows are final."""
        for trigger in triggers:
            self._blank_from(trigger)
        while self._spans:
            start, stop = self._spans[0][0] - first, self._spans[0][1] - first
            if stop >= len(held):
                return start
            after = held[stop]
            before = held[start - 1] if start > 0 else self._before if self._before is not None else after
            if len(self._spans) > 1 and self._spans[1][0] == self._spans[0][1]:
                after = before  # the row behind it is blanked as well: hold the level
            kernels.bridge(held[start:stop], before, after)
            blanked = slice(self._spans[0][0] - self.begin, self._spans[0][1] - self.begin)
            self._railed[blanked] = 0  # what stood at a rail there is not used
            self._spans.pop(0)
        return len(held)

    def _blank_from(self, trigger: int) -> None:
        """A span from `trigger` on, joined to the one it falls into.

        Stimuli without end inside each other's spans would hold back rows without end: a span that would
        outgrow the history stops at the stimulus, and a new one starts there.
        """
        stop = trigger + self._blank
        if not self._spans or trigger > self._spans[-1][1]:
            self._spans.append((trigger, stop))
            return
        start = self._spans[-1][0]
        if stop - start <= self._history:
            self._spans[-1] = (start, stop)
        else:
            self._spans[-1] = (start, trigger)
            self._spans.append((trigger, stop))

    def rows(self, first: int, end: int) -> NDArray[np.float32]:
        """View of filtered rows (time, derivation) of indices first..end-1, within begin..end."""
        return self._rows[first - self.begin : end - self.begin]

    def railed(self, first: int, end: int) -> bool:
        """True when a channel in use stood at a rail anywhere in first..end-1, blanked rows left out."""
        return bool(self._railed[first - self.begin : end - self.begin].any())
