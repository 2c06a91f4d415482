"""Evoked responses of the model patient: components, where each is seen, and the true peaks that they make.

Functions of continuous time from the pulse on, so that the true latency of any derivation is exact. The
tables of pathways are `hw.model.pathways`. Refuses to know of samples, noise or scenarios.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hw.model.anatomy import Station
from hw.model.body import ELECTRODES, known

Floats = NDArray[np.float64]
Level = Literal["peripheral", "subcortical", "cortical"]

LEVELS: tuple[Level, ...] = ("peripheral", "subcortical", "cortical")
REFERENCE_STIMULUS_HZ = 2.7
# Below this nothing counts as a peak.
SMALLEST_UV = 0.05

# The right limbs of this patient have a path 1 % longer: N20 at 20.0 ms left, 20.2 ms right.
_RIGHT_PATH = 1.01


@dataclass(frozen=True, slots=True)
class Component:
    """One generator: a Gaussian of `latency_ms` and `width_ms` (s.d.), seen as `at_uv` microvolts by place.

    Places are electrodes; those with an "i" or "c" where their side stands lie ipsilateral and contralateral
    to the stimulus, and "scalp" is every scalp electrode not named (ears and neck by half). Negative is
    negative at the electrode. Amplitudes are for REFERENCE_STIMULUS_HZ. `passes`: so many stations of its
    pathway lie before it. `inverts`: follows the polarity of the stimulus.
    """

    name: str
    level: Level
    latency_ms: float
    width_ms: float
    at_uv: Mapping[str, float]
    passes: int = 1
    inverts: bool = False


@dataclass(frozen=True, slots=True)
class Way:
    """What stimulation of one place evokes: its components in order of latency, the stations that they pass.

    `rates_hz` and `share_left`: cortical amplitude against the stimulus rate, relative to the first; empty:
    it does not fall. `near`: electrodes at which the artifact is larger, by stem without side; `artifact`:
    its size, 1 that of a nerve of a limb.
    """

    components: tuple[Component, ...]
    stations: tuple[Station, ...] = ()
    rates_hz: tuple[float, ...] = ()
    share_left: tuple[float, ...] = ()
    near: Mapping[str, float] = field(default_factory=dict)
    artifact: float = 1.0

    def gain(self, stimulus_hz: float) -> float:
        """Cortical amplitude at `stimulus_hz` relative to REFERENCE_STIMULUS_HZ (facts/clinical.md 0.4).

        Linear in the logarithm of the rate between the published rates, held beyond them.
        """
        if not self.rates_hz:
            return 1.0

        def share(rate_hz: float) -> float:
            return float(np.interp(np.log(rate_hz), np.log(self.rates_hz), self.share_left))

        return share(stimulus_hz) / share(REFERENCE_STIMULUS_HZ)


@dataclass(frozen=True, slots=True)
class TruePeak:
    """What an error-free average would show: an extreme of `sign` (+1 or -1) at `latency_ms`.

    `amplitude_uv` is the signed voltage of the derivation there, from the level without a response.
    """

    name: str
    latency_ms: float
    amplitude_uv: float
    sign: int


class Pathway:
    """The response to a stimulus on `side` in some electrodes: a row of Gaussians and their lead field.

    `lead_uv` is (component, electrode). ValueError for an unknown electrode.
    """

    # A component further than this many widths away is below a millionth of its peak.
    REACH_WIDTHS = 5.5
    ARTIFACT_MS = 20.0

    def __init__(self, way: Way, side: str, electrodes: tuple[str, ...]) -> None:
        self.way, self.side = way, side
        self.components = way.components
        self.path = _RIGHT_PATH if side == "right" else 1.0
        seen_uv = [[_seen_uv(part, side, name) for name in electrodes] for part in self.components]
        self.lead_uv = np.array(seen_uv).reshape(len(self.components), len(electrodes))
        self.latency_ms = np.array([part.latency_ms * self.path for part in self.components])
        self.level = np.array([LEVELS.index(part.level) for part in self.components], dtype=np.intp)
        self._width_ms = np.array([part.width_ms for part in self.components])
        self._inverts = np.array([part.inverts for part in self.components])

    def end_ms(self, added_ms: Floats) -> float:
        """When the response has ended, its components `added_ms` after their normal time."""
        if not self.components:
            return self.ARTIFACT_MS
        return float(np.max(self.latency_ms + added_ms + self.REACH_WIDTHS * self._width_ms))

    def response_uv(self, times_ms: Floats, gains: Floats, added_ms: Floats, polarity: float = 1.0) -> Floats:
        """The response at `times_ms` after the pulse, (time, electrode); gains and latencies by component.

        `polarity` -1: of the inverted pulse; 0: the mean of both.
        """
        signed = np.where(self._inverts, polarity * gains, gains)
        from_peak = (times_ms[:, None] - (self.latency_ms + added_ms)) / self._width_ms
        shape = np.exp(-0.5 * from_peak * from_peak) * (times_ms >= 0)[:, None]
        response: Floats = (shape * signed) @ self.lead_uv
        return response


def _seen_uv(part: Component, side: str, name: str) -> float:
    """Microvolts of `part` at electrode `name` when `side` is stimulated."""
    electrode = known(name)
    place = electrode.place(side)
    if place in part.at_uv:
        return part.at_uv[place]
    if electrode.region not in ("scalp", "neck"):
        return 0.0
    return part.at_uv.get("scalp", 0.0) * (1.0 if electrode.eeg == 1.0 else 0.5)


def true_peaks(
    way: Way,
    side: str,
    derivation: tuple[str, str | None],
    gains: Floats,
    added_ms: Floats,
    polarity: float = 0.0,
) -> list[TruePeak]:
    """The peaks of the response in (active, reference), in order of latency.

    A component counts where it makes an extreme of its own sign within 1.5 widths of its latency, found
    to better than 0.001 ms; one that neighbours swallow, or that does not reach 0.05 uV on its own side of
    zero, is no peak. `gains` and `added_ms` are by component. ValueError for an unknown electrode.
    """
    active, reference = derivation
    pathway = Pathway(way, side, (active,) if reference is None else (active, reference))
    weights = np.array([1.0] if reference is None else [1.0, -1.0])
    times_ms = np.arange(0.0, pathway.end_ms(added_ms), 0.02)
    wave_uv = pathway.response_uv(times_ms, gains, added_ms, polarity) @ weights
    extremes = _extremes(times_ms, wave_uv)
    found: dict[float, tuple[float, TruePeak]] = {}
    seen = zip(pathway.components, pathway.lead_uv @ weights, gains, added_ms, strict=True)
    for part, seen_uv, gain, late_ms in seen:
        strength_uv = float(abs(seen_uv) * gain) * (abs(polarity) if part.inverts else 1.0)
        if strength_uv < SMALLEST_UV:
            continue
        sign = 1 if seen_uv > 0 else -1
        nominal_ms = part.latency_ms * pathway.path + late_ms
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

    Averaged over one conversion, as a converter sees it; `spread` is each electrode's own share.
    """

    SPIKE_UV = 500.0
    SPIKE_MS = 0.2
    TAIL_UV = 60.0
    TAIL_MS = 1.5

    def __init__(self, way: Way, side: str, electrodes: tuple[str, ...], spread: Floats) -> None:
        near = np.array([_nearness(way, side, name) for name in electrodes])
        self._gains = near * way.artifact * spread

    def response_uv(self, times_ms: Floats, window_ms: float, polarity: float = 1.0) -> Floats:
        """The artifact's mean over `window_ms` around each of `times_ms`, (time, electrode)."""
        rise = self._area(times_ms + window_ms / 2) - self._area(times_ms - window_ms / 2)
        return np.outer(polarity * rise / window_ms, self._gains)

    def _area(self, times_ms: Floats) -> Floats:
        """The artifact integrated from the pulse's start to `times_ms`."""
        spike = self.SPIKE_UV * np.clip(times_ms, 0.0, self.SPIKE_MS)
        fading = np.exp(-np.maximum(times_ms - self.SPIKE_MS, 0.0) / self.TAIL_MS)
        area: Floats = spike + self.TAIL_UV * self.TAIL_MS * (1 - fading)
        return area


def _nearness(way: Way, side: str, name: str) -> float:
    """How much larger the artifact is at an electrode, on the stimulated side by its stem."""
    electrode = ELECTRODES[name]
    if electrode.side not in ("", side):
        return 1.0
    stem = electrode.stem.partition("*")[0] if electrode.side else name
    return way.near.get(stem, 1.0)
