"""What the pipeline asks of a test, whatever it makes of its sweeps: average, single answers, trains of four.

Owns the interface and the stretch from samples to sweeps that all kinds share. Whatever the block boundaries,
the same samples give the same sweeps, bit for bit.
"""

import math
from abc import ABC, abstractmethod
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dsp.filters import band_pass, thinned, thinning
from dsp.nouns import Sweep, Trigger
from dsp.stream import Scale, Stream
from dsp.sweeps import SweepCutter, window
from dsp.weights import NoiseWeights
from hostd.case import TestPlan
from hostd.outgoing import Outgoing
from hostd.seen import Seen

MOST_S = 2.0


class RunningTest(Protocol):
    """One test as it runs: samples in, messages out. A pure function of samples and commands."""

    plan: TestPlan
    running: bool

    @property
    def max_block(self) -> int:
        """Rows that one `append` may bring."""

    @property
    def reach(self) -> int:
        """Samples after a stimulus at which its sweep is whole at the latest, whatever is interpolated behind
        it."""

    def start(self) -> None:
        """Begin with the next trigger."""

    def stop(self) -> None:
        """Take no further triggers."""

    def change_rate(self, stimulus_hz: float, index: int) -> list[Outgoing]:
        """Another stimulus rate from now on."""

    def planned(self, args: dict[str, Any]) -> None:
        """A plan of this test goes to the edge."""

    def restart(self, index: int) -> list[Outgoing]:
        """The signal begins anew at `index`."""

    def exclude(self, first: int, end: int | None, reason: str) -> None:
        """Samples that hold something else than the body."""

    def mains(self, hz: float | None, amplitude_uv: list[float], index: int) -> None:
        """Mains as measured."""

    def append(self, counts: NDArray[np.int32], triggers: list[Trigger]) -> list[Outgoing]:
        """The next contiguous samples and all stimuli (any line) in them."""

    def finish(self) -> list[Outgoing]:
        """The samples have ended."""

    def take_seen(self) -> list[Seen]:
        """What the sweeps since the last call say of each response beside its baseline."""

    def set_baseline(self, index: int) -> list[Outgoing]:
        """Compare with what is there now. Raises ValueError where that is too little."""

    def clear_baseline(self, index: int) -> list[Outgoing]:
        """Compare with nothing. Raises ValueError without a baseline."""


class Sweeping:
    """From samples to the sweeps of one test. Raises ValueError for a plan that does not fit the stream.

    `t0_ms` and `dt_ms` are the rows' times, `rows` how many, `stream` and `cutter` their parts. `noise`: what
    weighs the sweeps, where it is not the plan's derivations by themselves.
    """

    def __init__(
        self,
        plan: TestPlan,
        rate_hz: float,
        scale: Scale,
        offset_samples: float,
        measured_ms: float | None,
        noise: NoiseWeights | None = None,
    ) -> None:
        self.plan = plan
        self.names = tuple(d.name for d in plan.derivations)
        sos, every = _band(plan, rate_hz)
        g = window(plan.window_ms, plan.response_ms, offset_samples, rate_hz, sos, measured_ms, every)
        self.rows = g.rows
        self.t0_ms = (-g.pre + offset_samples) / rate_hz * 1e3
        self.dt_ms = every * 1e3 / rate_hz
        self.blank_samples = blank = round(plan.blank_ms * rate_hz / 1e3)
        history = g.history + blank + math.ceil(0.1 * rate_hz)
        self.reach = g.post + g.tail + history
        self.stream = Stream(plan.derivations, scale, sos, blank, history, math.ceil(MOST_S * rate_hz))
        low_hz, high_hz = plan.band_hz or (None, None)
        noise = noise or NoiseWeights(len(self.names), low_hz, rate_hz, high_hz)
        weights = noise if plan.weighting == "noise" else None
        self.lines = tuple(filter(None, (plan.line, plan.stimulus.alternate_line)))
        self.cutter = SweepCutter(g, sos, len(self.names), self.lines, plan.reject_uv, weights)

    def absolute(self, uv: NDArray[np.floating]) -> NDArray[np.float32]:
        """Microvolts from zero as displays want them, not from the stream's origin."""
        if self.plan.band_hz is None and self.stream.origin_uv is not None:
            uv = uv + self.stream.origin_uv
        return uv.astype(np.float32, copy=False)

    def frame_fields(self) -> dict[str, Any]:
        """What every trace of the test says of its rows."""
        return {
            "site": self.plan.site,
            "modality": self.plan.modality,
            "derivations": list(self.names),
            "t0_ms": self.t0_ms,
            "dt_ms": self.dt_ms,
        }

    def held(self, span_ms: tuple[float, float]) -> tuple[float, float]:
        """What of a span the rows hold."""
        return max(span_ms[0], self.t0_ms), min(span_ms[1], self.t0_ms + self.dt_ms * (self.rows - 1))

    def sweep_message(self, sweep: Sweep) -> Outgoing:
        """One sweep as displays are told of it."""
        fields = self.frame_fields() | {
            "sweep_uv": self.absolute(sweep.uv),
            "weight": float(sweep.weights[0]),
            "weights": sweep.weights.tolist(),
            "accepted": sweep.accepted,
            "reason": sweep.reason,
            "trigger_index": sweep.trigger.index,
        }
        return Outgoing(f"sweep.{self.plan.name}", sweep.trigger.index, fields)


class OfSweeps(ABC):
    """What all tests do that are made of the sweeps of one `Sweeping`; `_take` is their own."""

    def __init__(self, sweeping: Sweeping) -> None:
        self._sweeping = sweeping
        self._seen: list[Seen] = []

    def take_seen(self) -> list[Seen]:
        """As `RunningTest`."""
        seen, self._seen = self._seen, []
        return seen

    @property
    def max_block(self) -> int:
        """As `RunningTest`."""
        return self._sweeping.stream.max_block

    @property
    def reach(self) -> int:
        """As `RunningTest`."""
        return self._sweeping.reach

    def restart(self, index: int) -> list[Outgoing]:
        """The signal begins anew at `index`: at the start and behind every gap."""
        messages = self._take(self._sweeping.cutter.gap())
        self._sweeping.stream.restart(index)
        return messages

    def exclude(self, first: int, end: int | None, reason: str) -> None:
        """Sweeps that see samples from `first` until before `end` (None: open) are told with the reason, and
        neither averaged nor measured."""
        self._sweeping.cutter.exclude(first, end, reason)

    @abstractmethod
    def _take(self, sweeps: list[Sweep]) -> list[Outgoing]:
        """What the sweeps make the test say."""


def _band(plan: TestPlan, rate_hz: float) -> tuple[NDArray[np.float64], int]:
    """The biquads of a test's band, and of how many samples one becomes a row."""
    if plan.band_hz is None:
        return np.empty((0, 6)), 1
    sos = band_pass(*plan.band_hz, rate_hz)
    if plan.droop == "compensate":  # its taps are made for every sample
        return sos, 1
    every = thinning(rate_hz, plan.keeps_hz, plan.band_hz[1])
    return thinned(sos, rate_hz, every), every
