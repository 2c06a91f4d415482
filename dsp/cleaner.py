"""EEG without its artifacts, second by second: what is none is held, and told.

Owns which samples are no EEG (excluded, beyond a limit, standing still, not finite), with a margin, and the
bridge over them: the last good value holds, and what follows goes on from there, so that no filter sees
a step. Refuses to guess what the brain did meanwhile.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

STILL_S, STILL_UV = 0.1, 1e-6
"""What does not move for so long is a rail, or nothing connected."""
MARGIN_S = 0.1
"""Artifacts are so much longer at either end: filters before this one have smeared them."""


class Cleaner:
    """Rows (time, derivation) in frames of one second, which begin at multiples of the rate.

    A frame waits for 0.1 s of what follows. `limit_uv`: of what leaves the median of its second.
    """

    def __init__(self, derivations: int, rate_hz: float, limit_uv: float) -> None:
        self._frame = round(rate_hz)
        self._limit_uv = limit_uv
        self._still = max(2, round(STILL_S * rate_hz))
        self._margin = max(self._still, round(MARGIN_S * rate_hz))
        self._excluded: list[tuple[int, int]] = []
        self._derivations = derivations
        self.restart(0)

    @property
    def next_index(self) -> int:
        """The sample that goes on without a gap."""
        return self._first + len(self._rows)

    def restart(self, index: int) -> None:
        """Begin anew at `index`, the first sample behind a gap."""
        self._rows = np.empty((0, self._derivations))
        self._first = index
        self._at = -(-index // self._frame) * self._frame
        self._level = np.zeros(self._derivations)
        self._last: tuple[Floats, Bools] | None = None

    def exclude(self, first_index: int, end_index: int) -> None:
        """Samples that are no EEG, for frames that are not out yet."""
        if end_index > first_index:
            self._excluded.append((first_index, end_index))

    def append(self, uv: Floats) -> Iterator[tuple[int, Floats, Bools]]:
        """Take the next rows; the frames that they complete: first index, rows, and which are artifact."""
        self._rows = np.concatenate([self._rows, uv])
        while self._at + self._frame + self._margin <= self.next_index:
            yield self._at, *self._clean()
            self._at += self._frame
            spent = max(0, self._at - self._margin - self._first)
            self._rows = self._rows[spent:]
            self._first += spent
            self._excluded = [span for span in self._excluded if span[1] + self._margin > self._first]

    def _clean(self) -> tuple[Floats, Bools]:
        at = self._at - self._first
        rows = self._rows[: at + self._frame + self._margin]
        bad = self._widened(self._bad(rows, at))[at : at + self._frame]
        raw = np.where(np.isfinite(rows[at : at + self._frame]), rows[at : at + self._frame], 0.0)
        last, was_bad = (raw[0], bad[0]) if self._last is None else self._last
        steps = np.diff(np.concatenate([last[None], raw]), axis=0)
        steps[bad | np.concatenate([was_bad[None], bad[:-1]])] = 0.0
        clean = self._level + np.cumsum(steps, axis=0)
        self._level = clean[-1]
        self._last = raw[-1], bad[-1]
        return clean, bad

    def _bad(self, rows: Floats, at: int) -> Bools:
        finite = np.isfinite(rows)
        known = np.where(finite, rows, 0.0)
        second = np.where(finite, rows, np.nan)[at : at + self._frame]
        seen = finite[at : at + self._frame].any(axis=0)
        level = np.zeros(self._derivations)
        level[seen] = np.nanmedian(second[:, seen], axis=0)
        bad = ~finite | (np.abs(known - level) > self._limit_uv)
        still = np.abs(np.diff(known, axis=0)) <= STILL_UV
        n = np.cumsum(np.concatenate([np.zeros((1, self._derivations), np.intp), still]), axis=0)
        standing = n[self._still :] - n[: -self._still] == self._still
        for k in range(self._still + 1):
            bad[k : k + len(standing)] |= standing
        for first, end in self._excluded:
            bad[max(0, first - self._first) : max(0, end - self._first)] = True
        return bad

    def _widened(self, bad: Bools) -> Bools:
        n = np.cumsum(np.concatenate([np.zeros((1, self._derivations), np.intp), bad]), axis=0)
        at = np.arange(len(bad))
        last, first = np.minimum(at + self._margin + 1, len(bad)), np.maximum(at - self._margin, 0)
        widened: Bools = n[last] > n[first]
        return widened
