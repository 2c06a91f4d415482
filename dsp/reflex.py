"""The H reflex: M wave and H wave of one stimulus, each in its window, and their ratio.

Owns both presences and H/M with its interval, of one sweep and of the largest of several. Refuses a ratio to
an absent or clipped M, and an H that is only the M wave's tail. The bulbocavernosus reflex is one response
in its window: `dsp.muscle` measures it as it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.muscle import Response, ResponseMeter, Spans
from dsp.presence import Z_95
from dsp.ratio import fieller

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Reflex:
    """M and H of one derivation; `ratio` is H over M (0 of an absent H) with its 95 % interval, or None and
    `why`. An absent H may be as large as its limit: that is the interval's upper end."""

    name: str
    m: Response
    h: Response
    ratio: float | None
    ratio_ci: tuple[float, float] | None
    why: str


class ReflexMeter:
    """Measures H reflexes; windows and limits are those of `dsp.muscle.ResponseMeter`, one for each wave.

    Raises ValueError for what cannot be, and for windows that overlap or stand in the wrong order.
    """

    def __init__(
        self,
        m_ms: tuple[float, float],
        h_ms: tuple[float, float],
        t0_ms: float,
        dt_ms: float,
        names: Sequence[str],
        quiet_ms: Spans,
        least_uv: float | Sequence[float],
        rail_uv: float | None = None,
    ) -> None:
        if not m_ms[1] < h_ms[0]:
            raise ValueError(f"M at {m_ms} ms is not before H at {h_ms} ms")
        self._m, self._h = (
            ResponseMeter(window, t0_ms, dt_ms, names, quiet_ms, least_uv, rail_uv) for window in (m_ms, h_ms)
        )

    def measure(self, uv: Floats) -> tuple[Reflex, ...]:
        """One per derivation of `uv`: (time, derivation), or (sweep, time, derivation), whose mean."""
        pairs = zip(self._m.measure(uv), self._h.measure(uv), strict=True)
        return tuple(_reflex(m, h) for m, h in pairs)


def _reflex(m: Response, h: Response) -> Reflex:
    return Reflex(m.name, m, h, *over(h, m))


def over(h: Response, m: Response) -> tuple[float | None, tuple[float, float] | None, str]:
    """The ratio of two responses, its interval, and why there is none."""
    if h.noise_uv is None or m.noise_uv is None:
        return None, None, "rows that are no number"
    if m.amplitude_uv is None:
        return None, None, "M absent"
    if m.clipped or h.clipped:
        return None, None, "clipped"
    m_se = _se(m)
    if h.amplitude_uv is None:
        interval = fieller(h.limit_uv or 0.0, 0.0, m.amplitude_uv, m_se)
        return (0.0, (0.0, interval[1]), "") if interval else (None, None, "M not clear of noise")
    interval = fieller(h.amplitude_uv, _se(h), m.amplitude_uv, m_se)
    if interval is None:
        return None, None, "M not clear of noise"
    return h.amplitude_uv / m.amplitude_uv, interval, ""


def largest(reflexes: Sequence[Reflex]) -> Reflex | None:
    """Of one derivation at several intensities: the largest H over the largest M; None where no M is present.

    Clipped waves do not take part. H grows, then falls as M grows: an F wave or the M wave's tail does not.
    """
    waves = [(r.m, r.h) for r in reflexes]
    ms = [m for m, _ in waves if m.amplitude_uv is not None and not m.clipped]
    hs = [h for _, h in waves if h.noise_uv is not None and not h.clipped]
    if not ms or not hs:
        return None
    return _reflex(
        max(ms, key=lambda m: m.amplitude_uv or 0.0),
        max(hs, key=lambda h: (h.amplitude_uv or 0.0, -(h.limit_uv or 0.0))),
    )


def _se(response: Response) -> float:
    """Standard error of its amplitude."""
    low, high = response.amplitude_ci_uv or (0.0, 0.0)
    return (high - low) / (2.0 * Z_95)
