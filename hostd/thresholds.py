"""The currents of a test's answers: a threshold searched by rising steps, and one followed by the tracker.

Owns both searches from answer to answer; the deciding is `dsp.threshold`'s and `dsp.threshold_tracker`'s.
What to try next is proposed, never fired.
"""

from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any

from dsp.muscle import Response
from dsp.threshold import AscendingSearch, band
from dsp.threshold_tracker import ThresholdTracker
from hostd.case import TestPlan


class Thresholds:
    """Of the answers in derivations `names`, at `rate_hz` samples a second."""

    def __init__(self, plan: TestPlan, names: tuple[str, ...], rate_hz: float) -> None:
        how = plan.response
        self._names, self._rate_hz, self._steps = names, rate_hz, plan.stimulus.steps_ma
        self._region = "" if how is None else how.region
        track = None if how is None else how.track
        self._tracker = None if track is None else ThresholdTracker(*track)
        self._tracked_at: int | None = None
        self._search: AscendingSearch | None = None

    def restart(self) -> None:
        """Rising steps begin anew; what is followed goes on."""
        self._search = None

    def searched(self, found: Sequence[Response], ma: float | None) -> dict[str, Any] | None:
        """The search of rising currents so far; a current below the last one begins it anew."""
        if not self._steps or ma is None:
            return None
        if self._search is None or (self._search.trials and ma < self._search.trials[-1].ma):
            step = min((b - a for a, b in pairwise(self._steps)), default=self._steps[0])
            most = max(self._steps[-1], self._steps[0] + step)
            self._search = AscendingSearch(self._names, self._steps[0], step, most, agree=1, repeats=1)
        present = {one.name: None if one.noise_uv is None else one.present for one in found}
        self._search = self._search.add(ma, present)
        told = self._search.compound()
        of = band(told, self._region) if self._region else None
        return asdict(told) | {
            "region": self._region or None,
            "verdict": None if of is None else of.verdict,
            "colour": None if of is None else of.colour,
        }

    def tracked(self, found: Sequence[Response], ma: float | None, index: int) -> dict[str, Any] | None:
        """The first derivation's threshold as it is followed, and the current to try next."""
        if self._tracker is None or ma is None:
            return None
        since = 0 if self._tracked_at is None else index - self._tracked_at
        self._tracked_at = index
        first = found[0]
        answer = None if first.noise_uv is None else first.present
        self._tracker.add(ma, answer, since / self._rate_hz)
        told = self._tracker.tracked()
        return {
            "muscle": first.name,
            "at": told.at,
            "ci": list(told.ci),
            "above_limit": told.above_limit,
            "stimuli": told.stimuli,
            "next": self._tracker.propose(),
        }
