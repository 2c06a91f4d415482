"""What the judge of a case reads of a test's averaged response: its derivations combined (Seen's `lead`).

Owns the combination, learnt from the baseline (`dsp.spatial`), and when it is left for the derivation that is
followed: where a derivation in it says nothing any more. A display sees derivations; nothing here is shown
in their place.
"""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dsp.nouns import Average, Sweep
from dsp.projection import SweepNoise, Template, project_sweeps, template
from dsp.spatial import SpatialFilter, apply, learn
from hostd.case import TestPlan
from hostd.comparison import Comparison

MUCH = 2.0
"""The combination is left for a sweep in which its variance is so many times the single derivation's."""


def combined(average: Average, plan: TestPlan, span: slice, followed: Comparison) -> "Combined | None":
    """The derivations of `plan`, without that of the control, combined as the baseline `average` teaches over
    the rows `span` of its leading response; None where that is no better than the one that is `followed`."""
    control = None if plan.control is None else plan.peaks[plan.control].derivation
    rows = np.array([k for k in range(len(plan.derivations)) if k != control], np.int64)
    if followed.row == control:
        return None
    standard = (rows == followed.row).astype(float)
    of = replace(
        average,
        mean_uv=average.mean_uv[:, rows],
        null_uv=average.null_uv[:, :, rows],
        n_effective=average.n_effective[rows],
        halves_uv=None,
    )
    spatial = learn(of, span, standard)
    if spatial is None:
        return None
    one = apply(of, spatial)
    made = template(one.mean_uv[:, 0], one.null_uv[:, :, 0], span)
    if made is None or made.standard_error >= followed.error:
        return None
    return Combined(rows, spatial, made, followed)


class Combined:
    """The derivations `rows` through `spatial`, sweep by sweep beside the baseline `made` of them."""

    def __init__(
        self, rows: NDArray[np.int64], spatial: SpatialFilter, made: Template, followed: Comparison
    ) -> None:
        used = spatial.weights != 0.0
        self._rows, self._weights = rows[used], spatial.weights[used]
        self._template, self._noise, self._followed = made, SweepNoise(), followed
        self._last = math.nan, math.inf

    @property
    def error(self) -> float:
        """The baseline's own relative error."""
        return self._template.standard_error

    @property
    def last(self) -> tuple[float, float]:
        """The last sweep's ratio to the baseline, and its variance."""
        return self._last

    def add(self, sweep: Sweep) -> None:
        """One more accepted sweep, which `followed` has had."""
        # No matrix product: its last digits hang on how many threads there are.
        uv = np.einsum("td,d->t", sweep.uv[:, self._rows], self._weights)
        ratio = float(project_sweeps(self._template, uv[None])[0])
        with np.errstate(divide="ignore"):
            noise = float(np.sum(self._weights**2 / sweep.weights[self._rows]))
        variance = self._noise.variance(ratio, 1.0 / noise)
        alone = self._followed.last
        self._last = alone if variance > MUCH * alone[1] else (ratio, variance)
