"""Is an answer to a train that of the cortex, or of the nerve that the current has reached itself?

Owns which stimulus of a test was a control (a single pulse before its train) and what it evoked: what answers
one pulse alike, needs no cortex (Dong et al., Clin Neurophysiol 2005;116:588). Refuses to judge a train whose
control was not read. A pure function of samples and commands.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsp.muscle import Response, ResponseMeter
from hostd.case import TestPlan
from hostd.running import Sweeping

ALIKE_MS = 3.0
"""Onsets that differ by less are of one origin."""
SOONEST_MS = 3.0
"""No muscle answers its nerve at the skull sooner."""


@dataclass(frozen=True, slots=True)
class Fired:
    """One stimulus of a test: its current where somebody stated it, whether it was a control, and the sample
    of the stimulus before it."""

    current_ma: float | None
    control: bool = False
    before: int | None = None


class Spread:
    """The stimuli of one test and its controls. Raises ValueError as `ResponseMeter`.

    What a train's last pulse evokes directly comes a train's length later than what the control evoked: its
    window begins so much before that of the trains, and so much later a train's answer may begin to be alike.
    """

    def __init__(self, plan: TestPlan, s: Sweeping, search_ms: tuple[float, float], quiet_ms: Any) -> None:
        self._train_ms = plan.stimulus.train_ms
        self._trains_from_ms = search_ms[0]
        soonest_ms = max(SOONEST_MS, plan.blank_ms, search_ms[0] - self._train_ms)
        self._from_ms = min(search_ms[0], soonest_ms)
        search_ms = self._from_ms, search_ms[1]
        self._meter = ResponseMeter(search_ms, s.t0_ms, s.dt_ms, s.names, quiet_ms, plan.smallest_uv)
        self._next = Fired(None)
        self._fired: dict[int, Fired] = {}
        self._last: int | None = None
        self._read: tuple[int, tuple[Response, ...]] | None = None

    def planned(self, args: dict[str, Any]) -> None:
        """The next stimuli have this current, where anybody said so, and are controls or not."""
        current_ma = args["current_ma"] if args["known"] else None
        self._next = Fired(current_ma, bool(args.get("control")))  # recorded before there were controls

    def fired(self, index: int) -> None:
        """A stimulus that will be a sweep begins at sample `index`."""
        self._fired[index] = replace(self._next, before=self._last)
        self._last = index

    def forget(self) -> None:
        """Stimuli under way will be no sweeps."""
        self._fired.clear()

    def of(self, index: int) -> Fired:
        """What the stimulus at sample `index` was; asked once."""
        return self._fired.pop(index, self._next)

    def read(self, index: int, uv: NDArray[np.float32]) -> tuple[Response, ...]:
        """What the control at `index` evoked; kept for the train that follows it."""
        found = self._meter.measure(uv.astype(np.float64))
        self._read = index, found
        return found

    def judge(self, train: Fired, found: tuple[Response, ...]) -> list[bool | None]:
        """For every answer of `train` whether its control evoked it too; None where there was no control, or
        it could not be read."""
        if self._read is None or train.before != self._read[0]:
            return [None] * len(found)
        return [self._alike(one, control) for one, control in zip(found, self._read[1], strict=True)]

    def _alike(self, one: Response, control: Response) -> bool | None:
        if control.noise_uv is None or one.noise_uv is None:
            return None
        if not (control.present and one.present):
            return False
        # Without an onset it was under way when its window began.
        begun_ms = self._trains_from_ms if one.onset_ms is None else one.onset_ms
        control_ms = self._from_ms if control.onset_ms is None else control.onset_ms
        return -ALIKE_MS <= begun_ms - control_ms <= self._train_ms + ALIKE_MS
