"""A virtual channel of a test, by choice: the combination of derivations in which its response stands out.

Owns what was learnt from the baseline (`dsp.spatial`). It stands beside the real traces, never for one, and
is never made by weights that were learnt from the sweeps it is shown on: before there is a baseline, and
while the average still holds sweeps of it, each half of the sweeps goes through what the other half taught.
"""

from typing import Any

import numpy as np

from dsp.measure import Measurer
from dsp.nouns import Average, Measurement, Peak
from dsp.spatial import SpatialFilter, apply, cross, learn
from hostd.comparison import peak_fields
from hostd.outgoing import finite

NAME = "virtual"
NOTHING: dict[str, Any] = {"virtual_uv": None, "virtual_noise_uv": None}


class Virtual:
    """The virtual channel of `n` derivations over the rows `span`; `peaks` are those of the first derivation,
    times as Measurer's."""

    def __init__(self, n: int, peaks: tuple[Peak, ...], span: slice, rows: tuple[int, float, float]) -> None:
        self._span = span
        self._standard = np.eye(n)[0]
        self._measurer = Measurer(tuple(p for p in peaks if p.derivation == 0), (NAME,), *rows)
        self._seen: Average | None = None
        self._by: SpatialFilter | None = None
        self.clear_baseline()

    def clear_baseline(self) -> None:
        """Nothing is learnt any more."""
        self._learnt: SpatialFilter | None = None
        self._until = -1
        self._before: tuple[Measurement, ...] = ()

    def set_baseline(self, average: Average) -> None:
        """Later averages go through what this one teaches."""
        self.clear_baseline()
        made = cross(average, self._span, self._standard)
        if made is not None:
            self._before = tuple(self._measurer.measure(made))
        self._learnt = learn(average, self._span, self._standard)
        self._until = average.last_index

    def see(self, average: Average) -> None:
        """Make the channel of this average."""
        self._by = self._learnt if average.first_index > self._until else None
        if self._by is not None:
            self._seen = apply(average, self._by)
        else:
            self._seen = cross(average, self._span, self._standard)

    def trace_fields(self) -> dict[str, Any]:
        """Its trace, as `average` tells it."""
        if self._seen is None or not np.isfinite(self._seen.mean_uv).all():
            return NOTHING
        trace = np.ascontiguousarray(self._seen.mean_uv[:, 0], dtype=np.float32)
        return {"virtual_uv": trace, "virtual_noise_uv": finite(self._seen.noise_uv[0])}

    def fields(self) -> dict[str, Any] | None:
        """Its peaks and what it is made of; None while nothing can be said."""
        if self._seen is None:
            return None
        measured = self._measurer.measure(self._seen)
        before = self._before or (None,) * len(measured)
        return {
            "learnt": "halves" if self._by is None else "baseline",
            "weights": None if self._by is None else self._by.weights.tolist(),
            "peaks": [peak_fields(m, base) for m, base in zip(measured, before, strict=True)],
        }
