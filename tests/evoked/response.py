"""The upper-limb SSEP of a synthetic patient (seeded): P14, N20, P25 and N32 as a function of time.

Heights, latencies and widths vary between patients. A model to measure against, no part of the product.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LOSS = 0.6
"""The share of the amplitude that `Response.lost` takes away."""


@dataclass(frozen=True, slots=True)
class Response:
    """Gaussian waves P14, N20, P25, N32: `height_uv` (negative: an N), `latency_ms`, `width_ms` (1 s.d.)."""

    height_uv: tuple[float, float, float, float]
    latency_ms: tuple[float, float, float, float]
    width_ms: tuple[float, float, float, float]

    def uv(self, times_ms: Floats) -> Floats:
        """Microvolts at `times_ms` after the stimulus; nothing at and before it."""
        total = np.zeros(len(times_ms))
        for height, latency, width in zip(self.height_uv, self.latency_ms, self.width_ms, strict=True):
            total += height * np.exp(-0.5 * ((times_ms - latency) / width) ** 2)
        return np.where(times_ms > 0.0, total, 0.0)

    def lost(self, loss: float = LOSS) -> "Response":
        """The same response with the share `loss` of every wave's height gone."""
        p14, n20, p25, n32 = (h * (1.0 - loss) for h in self.height_uv)
        return replace(self, height_uv=(p14, n20, p25, n32))


def patient(rng: np.random.Generator) -> Response:
    """A patient: N20 of 1 to 2 uV at 18 to 22 ms; the other waves follow it, each a little its own way."""
    n20_uv, n20_ms = rng.uniform(1.0, 2.0), rng.uniform(18.0, 22.0)
    vary = rng.uniform(0.85, 1.15, size=(2, 4))
    after_ms = np.array([-5.6, 0.0, 5.2, 12.0]) * vary[0]
    heights = n20_uv * np.array([0.35, -1.0, 1.0, -0.6]) * np.array([vary[1, 0], 1.0, *vary[1, 2:]])
    widths = np.array([1.0, 1.5, 2.2, 3.2]) * rng.uniform(0.9, 1.1)
    p, n, q, m = zip(heights.tolist(), (n20_ms + after_ms).tolist(), widths.tolist(), strict=True)
    return Response(*((p[k], n[k], q[k], m[k]) for k in range(3)))
