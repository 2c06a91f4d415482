"""The nouns that flow through the numbers: what to measure, sweeps, averages, measurements.

Frozen records; arrays are (time, derivation), read-only once queued; microvolts and milliseconds.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

RuleKind = Literal["amplitude_fall_pct", "latency_rise_pct", "latency_rise_ms"]
RuleLevel = Literal["warning", "alarm"]


@dataclass(frozen=True, slots=True)
class Derivation:
    """A montage row: microvolts of the derivation = sum over channels of weight x channel microvolts."""

    name: str
    weights: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Peak:
    """What to look for: an extreme of `polarity` (+1/-1 of the recorded sign) within `window_ms`.

    `derivation` is the row in the test's list. With `to_ms` the amplitude runs from the peak to the
    opposite extreme within `to_ms` (N20 to P25); without, from the peak to the pre-stimulus mean.
    """

    name: str
    derivation: int
    polarity: int
    window_ms: tuple[float, float]
    to_ms: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class FixedRule:
    """`peak` falls by more than `limit` percent, or comes later by more than `limit` percent or ms.

    ValueError for a limit that is not above 0, or a fall above 100 %.
    """

    peak: str
    kind: RuleKind
    limit: float
    level: RuleLevel = "alarm"
    source: str = ""

    def __post_init__(self) -> None:
        if not 0.0 < self.limit < math.inf:
            raise ValueError(f"a limit of {self.limit:g} is no change")
        if self.kind == "amplitude_fall_pct" and self.limit > 100.0:
            raise ValueError(f"nothing falls by {self.limit:g} %")

    @property
    def name(self) -> str:
        """As displays say it."""
        if self.kind == "amplitude_fall_pct":
            return f"amplitude fall > {self.limit:g} %"
        return f"latency rise > {self.limit:g} {'%' if self.kind == 'latency_rise_pct' else 'ms'}"


@dataclass(frozen=True, slots=True)
class Trigger:
    """A rising edge of a trigger bit in the samples; `line` counts from 1, and so does the `pulse` within a
    stimulus of several (0: of a stimulus that was ordered before, and begins no sweep now)."""

    index: int
    line: int
    pulse: int = 1


@dataclass(frozen=True, slots=True)
class Sweep:
    """One window around one trigger; `weights` per derivation (0 when not accepted).

    `uv` (time, derivation) float32 holds the window; row `pre` is the trigger's sample. Microvolts, without a
    filter from the stream's origin.
    """

    trigger: Trigger
    uv: NDArray[np.float32]
    pre: int
    weights: NDArray[np.float64]
    reason: str = ""

    @property
    def accepted(self) -> bool:
        """False when the sweep is counted but kept out of the average; `reason` says why."""
        return not self.reason


@dataclass(frozen=True, slots=True)
class Average:
    """The running average of one test: `mean_uv` (time, derivation), `noise_uv` per derivation.

    `noise_uv` is the rms residual noise of the mean, in the mean's own band; NaN until enough sweeps.
    `null_uv` (pattern, time, derivation) float32 are noise-only averages of the same sweeps with balanced
    signs. `halves_uv` (2, time, derivation): the average of every other sweep, and of those between;
    None where they are not kept.
    """

    mean_uv: NDArray[np.float64]
    noise_uv: NDArray[np.float64]
    null_uv: NDArray[np.float32]
    n_sweeps: int
    n_rejected: int
    n_effective: NDArray[np.float64]
    first_index: int
    last_index: int
    final: bool
    halves_uv: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True)
class Measurement:
    """One peak of one average; None where nothing can be said. Intervals are 95 %."""

    name: str
    derivation: str
    present: bool
    latency_ms: float | None
    latency_ci_ms: tuple[float, float] | None
    amplitude_uv: float | None
    amplitude_ci_uv: tuple[float, float] | None
    noise_uv: float | None
