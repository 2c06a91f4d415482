"""Evoked responses of the model patient: named peaks, where each is seen, how the stimulus rate sizes them.

Functions of continuous time from the pulse on, so that the true latency of any derivation is exact. Refuses
to know of samples, noise or scenarios.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hw.model.body import ELECTRODES, known

Floats = NDArray[np.float64]
Level = Literal["peripheral", "subcortical", "cortical"]

LEVELS: tuple[Level, ...] = ("peripheral", "subcortical", "cortical")
SITES = ("left median", "right median", "left tibial", "right tibial")
REFERENCE_STIMULUS_HZ = 2.7
# Below this nothing counts as a peak.
SMALLEST_UV = 0.05

# The right limbs of this patient have a path 1 % longer: N20 at 20.0 ms left, 20.2 ms right.
_RIGHT_PATH = 1.01


@dataclass(frozen=True, slots=True)
class Component:
    """One generator: a Gaussian of `latency_ms` and `width_ms` (s.d.), seen as `at_uv` microvolts by place.

    Places are electrodes; those ending in "i" and "c" lie ipsilateral and contralateral to the stimulus,
    and "scalp" is every scalp electrode not named (ears and neck by half). Negative is negative at the
    electrode. Amplitudes are for REFERENCE_STIMULUS_HZ.
    """

    name: str
    level: Level
    latency_ms: float
    width_ms: float
    at_uv: Mapping[str, float]


# Latencies, places and amplitudes: facts/clinical.md 1.A and 1.C. P14 and N18 are far fields, alike over
# the scalp; P37 and N45 lie paradoxically towards the stimulated side. Where neighbours overlap, the latency
# is the one that puts the extreme of CPc-CPi (N20) and CPz-Fpz (P37) at 20.0 and 38.0 ms.
_MEDIAN = (
    Component("N9", "peripheral", 9.5, 0.75, {"EPi": -2.6, "EPc": -0.1}),
    Component("N13", "subcortical", 13.3, 0.9, {"C5S": -1.5}),
    Component("P14", "subcortical", 14.3, 0.8, {"scalp": 0.6, "Fpz": 0.5, "C5S": 0.0}),
    Component("N18", "subcortical", 18.0, 2.2, {"scalp": -0.6, "Fpz": -0.5, "C5S": 0.0}),
    Component(
        "N20", "cortical", 20.065, 1.3, {"CPc": -1.55, "Cc": -0.8, "CPz": -0.4, "CPi": -0.05, "Fz": 0.4}
    ),
    Component("P25", "cortical", 24.5, 1.7, {"CPc": 1.45, "Cc": 1.1, "CPz": 0.4, "CPi": 0.05, "Fz": -0.3}),
    Component("N32", "cortical", 32.0, 3.0, {"CPc": -0.55, "Cc": -0.5, "CPz": -0.2}),
)
_TIBIAL = (
    Component("PF", "peripheral", 8.0, 0.75, {"PFi": -2.2}),
    Component("LP", "subcortical", 22.0, 1.1, {"T12S": -0.9}),
    Component("P31", "subcortical", 30.5, 1.1, {"scalp": 0.55, "Fpz": 0.45, "C5S": -0.1}),
    Component("N34", "subcortical", 33.8, 1.4, {"scalp": -0.55, "Fpz": -0.45, "C5S": 0.0}),
    Component("P37", "cortical", 38.055, 2.1, {"CPz": 1.5, "CPi": 1.3, "Cz": 1.1, "Ci": 0.6, "CPc": -0.5}),
    Component("N45", "cortical", 46.0, 2.8, {"CPz": -1.3, "CPi": -1.0, "Cz": -1.0, "Ci": -0.5, "CPc": 0.3}),
)

# Cortical amplitude against the stimulus rate, relative to 1.05 Hz: facts/clinical.md 0.4.
_RATES_HZ = (1.05, 2.79, 5.69, 8.44)
_SHARE_LEFT = {"median": (1.0, 0.721, 0.512, 0.462), "tibial": (1.0, 0.697, 0.462, 0.432)}


@dataclass(frozen=True, slots=True)
class TruePeak:
    """What an error-free average would show: an extreme of `sign` (+1 or -1) at `latency_ms`.

    `amplitude_uv` is the signed voltage of the derivation there, from the level without a response.
    """

    name: str
    latency_ms: float
    amplitude_uv: float
    sign: int


def side_and_nerve(site: str) -> tuple[str, str]:
    """`site` as ("left" or "right", nerve). ValueError names the known sites."""
    if site not in SITES:
        raise ValueError(
            f"site {site!r} evokes nothing in the model patient; known sites: {', '.join(SITES)}"
        )
    side, _, nerve = site.partition(" ")
    return side, nerve


def cortical_gain(nerve: str, stimulus_hz: float) -> float:
    """Cortical amplitude at `stimulus_hz` relative to REFERENCE_STIMULUS_HZ (facts/clinical.md 0.4).

    Linear in the logarithm of the rate between the published rates, held beyond them.
    """

    def share(rate_hz: float) -> float:
        return float(np.interp(np.log(rate_hz), np.log(_RATES_HZ), _SHARE_LEFT[nerve]))

    return share(stimulus_hz) / share(REFERENCE_STIMULUS_HZ)


class Pathway:
    """The response to one site in some electrodes: a row of Gaussians and their lead field.

    `lead_uv` is (component, electrode). ValueError for an unknown site or electrode.
    """

    # A component further than this many widths away is below a millionth of its peak.
    REACH_WIDTHS = 5.5

    def __init__(self, site: str, electrodes: tuple[str, ...]) -> None:
        self.site = site
        self.side, self.nerve = side_and_nerve(site)
        self.components = _MEDIAN if self.nerve == "median" else _TIBIAL
        self.path = _RIGHT_PATH if self.side == "right" else 1.0
        self.lead_uv = np.array(
            [[_seen_uv(part, self.side, name) for name in electrodes] for part in self.components]
        )
        self._latency_ms = np.array([part.latency_ms * self.path for part in self.components])
        self._width_ms = np.array([part.width_ms for part in self.components])
        self._level = np.array([LEVELS.index(part.level) for part in self.components])

    def end_ms(self, added_ms: Floats) -> float:
        """When the response has ended, `added_ms` (level) after its normal time."""
        return float(np.max(self._latency_ms + added_ms[self._level] + self.REACH_WIDTHS * self._width_ms))

    def response_uv(self, times_ms: Floats, gains: Floats, added_ms: Floats) -> Floats:
        """The response at `times_ms` after the pulse, (time, electrode); gains and latencies by LEVELS."""
        from_peak = (times_ms[:, None] - (self._latency_ms + added_ms[self._level])) / self._width_ms
        shape = np.exp(-0.5 * from_peak * from_peak) * (times_ms >= 0)[:, None]
        response: Floats = (shape * gains[self._level]) @ self.lead_uv
        return response


def _seen_uv(part: Component, side: str, name: str) -> float:
    """Microvolts of `part` at electrode `name` when `side` is stimulated."""
    electrode = known(name)
    place = name
    if electrode.side:
        stem = name[:-1]
        place = stem + ("i" if electrode.side == side else "c")
    if place in part.at_uv:
        return part.at_uv[place]
    if electrode.region not in ("scalp", "neck"):
        return 0.0
    return part.at_uv.get("scalp", 0.0) * (1.0 if electrode.eeg == 1.0 else 0.5)


def true_peaks(
    site: str, derivation: tuple[str, str | None], gains: Floats, added_ms: Floats
) -> list[TruePeak]:
    """The peaks of the response to `site` in (active, reference), in order of latency.

    A component counts where it makes an extreme of its own sign within 1.5 widths of its latency, found
    to better than 0.001 ms; one that neighbours swallow, or that does not reach 0.05 uV on its own side of
    zero, is no peak. `gains` and `added_ms` are by LEVELS. ValueError for an unknown site or electrode.
    """
    active, reference = derivation
    pathway = Pathway(site, (active,) if reference is None else (active, reference))
    weights = np.array([1.0] if reference is None else [1.0, -1.0])
    times_ms = np.arange(0.0, pathway.end_ms(added_ms), 0.02)
    wave_uv = pathway.response_uv(times_ms, gains, added_ms) @ weights
    extremes = _extremes(times_ms, wave_uv)
    found: dict[float, tuple[float, TruePeak]] = {}
    for part, seen_uv in zip(pathway.components, pathway.lead_uv @ weights, strict=True):
        level = LEVELS.index(part.level)
        strength_uv = float(abs(seen_uv) * gains[level])
        if strength_uv < SMALLEST_UV:
            continue
        sign = 1 if seen_uv > 0 else -1
        nominal_ms = part.latency_ms * pathway.path + added_ms[level]
        near = [
            extreme
            for extreme in extremes
            if extreme[2] == sign
            and extreme[1] * sign > 0
            and abs(extreme[0] - nominal_ms) <= 1.5 * part.width_ms
        ]
        if not near:
            continue
        latency_ms, amplitude_uv, _ = min(near, key=lambda extreme: abs(extreme[0] - nominal_ms))
        if strength_uv > found.get(latency_ms, (0.0, None))[0]:
            found[latency_ms] = (strength_uv, TruePeak(part.name, latency_ms, amplitude_uv, sign))
    return [found[latency_ms][1] for latency_ms in sorted(found)]


def _extremes(times_ms: Floats, wave_uv: Floats) -> list[tuple[float, float, int]]:
    """(time, value, sign) of every extreme of SMALLEST_UV or more, by the parabola through three samples."""
    slope = np.diff(wave_uv)
    # Two equal values at the top count once, at the first.
    turns = (slope[:-1] * slope[1:] <= 0) & (slope[:-1] != 0)
    places = np.flatnonzero(turns & (np.abs(wave_uv[1:-1]) >= SMALLEST_UV)) + 1
    extremes = []
    for place in places:
        before, at, after = (float(value) for value in wave_uv[place - 1 : place + 2])
        bend = before - 2 * at + after
        shift = 0.5 * (before - after) / bend
        step_ms = float(times_ms[1] - times_ms[0])
        time_ms = float(times_ms[place]) + shift * step_ms
        extremes.append((time_ms, at - 0.25 * (before - after) * shift, -1 if bend > 0 else 1))
    return extremes


class Artifact:
    """What the pulse itself leaves: 500 uV for 0.2 ms, then 60 uV that fade with 1.5 ms (facts/dsp.md 3.3).

    Averaged over one conversion, as a converter sees it; `gains` per electrode.
    """

    SPIKE_UV = 500.0
    SPIKE_MS = 0.2
    TAIL_UV = 60.0
    TAIL_MS = 1.5

    def __init__(self, site: str, electrodes: tuple[str, ...], spread: Floats) -> None:
        side, nerve = side_and_nerve(site)
        self._gains = np.array([_nearness(side, nerve, name) for name in electrodes]) * spread

    def response_uv(self, times_ms: Floats, window_ms: float) -> Floats:
        """The artifact's mean over `window_ms` around each of `times_ms`, (time, electrode)."""
        rise = self._area(times_ms + window_ms / 2) - self._area(times_ms - window_ms / 2)
        return np.outer(rise / window_ms, self._gains)

    def _area(self, times_ms: Floats) -> Floats:
        """The artifact integrated from the pulse's start to `times_ms`."""
        spike = self.SPIKE_UV * np.clip(times_ms, 0.0, self.SPIKE_MS)
        fading = np.exp(-np.maximum(times_ms - self.SPIKE_MS, 0.0) / self.TAIL_MS)
        area: Floats = spike + self.TAIL_UV * self.TAIL_MS * (1 - fading)
        return area


# The stimulated limb's own electrodes, wrist or ankle first, and how much larger the artifact is there.
_NEAR = {"median": {"APB": 10.0, "EP": 2.0}, "tibial": {"AH": 10.0, "PF": 4.0, "T12": 1.5}}


def _nearness(side: str, nerve: str, name: str) -> float:
    electrode = ELECTRODES[name]
    if electrode.side not in ("", side):
        return 1.0
    return _NEAR[nerve].get(name[:-1], 1.0)
