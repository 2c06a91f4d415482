"""What is watched without a stimulus of its own: muscle activity and EEG, from the first sample to the last.

Owns the interface that the pipeline asks of such a watch, and the spans of samples that it must not judge.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dsp.nouns import Trigger
from hostd.case import WatchPlan
from hostd.outgoing import Outgoing


class Watch(Protocol):
    """One watch as it runs: samples in, messages out. A pure function of samples and commands."""

    plan: WatchPlan

    @property
    def max_block(self) -> int:
        """Rows that one `append` may bring."""

    def restart(self, index: int) -> list[Outgoing]:
        """The signal begins anew at `index`."""

    def exclude(self, first: int, end: int | None, reason: str) -> None:
        """Samples that hold something else than the body (None: told again with an end)."""

    def append(self, counts: NDArray[np.int32], triggers: list[Trigger]) -> list[Outgoing]:
        """The next contiguous samples and all stimuli (any line) in them."""

    def finish(self) -> list[Outgoing]:
        """The samples have ended."""

    def set_baseline(self, index: int) -> list[Outgoing]:
        """Compare with what was of late. Raises ValueError where that is too little, or makes no sense."""

    def clear_baseline(self, index: int) -> list[Outgoing]:
        """Compare with nothing. Raises ValueError without a baseline."""
