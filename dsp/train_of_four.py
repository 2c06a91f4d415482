"""Train of four: four responses at 2 Hz, their count and fade, and what they allow.

Owns the amplitudes T1 to T4 of one muscle, the ratio T4/T1 and T1 against a control, with intervals, and the
gate that a test has to pass. Refuses a ratio of a response that is clipped, missing or not clear of nothing,
and to allow what the interval does not.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dsp import waveform
from dsp.covariance import toeplitz
from dsp.muscle import ResponseMeter, Spans
from dsp.ratio import fieller

Floats = NDArray[np.float64]
For = Literal["mep", "emg"]

PULSES = 4
PRESENT_SDS = 3.3
"""Beside a response that is present by itself, another is so beyond so many standard errors (0.05 %)."""
RISES_SDS, RISES_SHARE = 3.3, 0.1
"""Fade is monotone unless a response exceeds the one before by so much: errors, and share of T1."""
MARGIN_MS, ERROR_TIMES = 0.5, 1.15
"""About the response; and the error against what the few quiet rows tell of it."""
MEP_COUNT, MEP_SHARE, STEADY_CV = 4, 0.2, 0.2
EMG_RATIO = 0.7
"""facts/clinical.md 1.C: MEP wants 4/4, or T1 steady at 20 to 50 % of its control; EMG a ratio above 0.7."""


@dataclass(frozen=True, slots=True)
class Control:
    """T1 without a relaxant, peak to peak, with its standard error."""

    uv: float
    se_uv: float


@dataclass(frozen=True, slots=True)
class TrainOfFour:
    """One train. `amplitudes_uv` are peak to peak (None: no pulse, or rows that are no number), each with
    the error `se_uv`. `count` is of those present before the first absent (a relaxant
    fades). Intervals are 95 % (Fieller 1954); None, with `why`,
    where nothing can be said. `share` is T1 over its control.
    """

    amplitudes_uv: tuple[float | None, ...]
    present: tuple[bool, ...]
    se_uv: float | None
    count: int | None
    ratio: float | None
    ratio_ci: tuple[float, float] | None
    share: float | None
    share_ci: tuple[float, float] | None
    monotone: bool
    clipped: tuple[bool, ...]
    missing: tuple[int, ...]
    noise_uv: float | None
    limit_uv: float | None
    why: str


@dataclass(frozen=True, slots=True)
class Gate:
    """Whether a train allows what was asked for, and why in words."""

    allowed: bool
    why: str


class TrainOfFourMeter:
    """Measures trains of one muscle; row k of each of the four sweeps is at t0_ms + k x dt_ms.

    Windows and limits are those of `dsp.muscle.ResponseMeter`. Raises ValueError for what cannot be.
    """

    def __init__(
        self,
        search_ms: tuple[float, float],
        t0_ms: float,
        dt_ms: float,
        quiet_ms: Spans,
        least_uv: float,
        rail_uv: float | None = None,
    ) -> None:
        names = tuple(f"T{k + 1}" for k in range(PULSES))
        self._meter = ResponseMeter(search_ms, t0_ms, dt_ms, names, quiet_ms, least_uv, rail_uv)
        self._dt, self._least = dt_ms, least_uv

    def measure(
        self, uv: Floats, delivered: Sequence[bool] = (True,) * PULSES, control: Control | None = None
    ) -> TrainOfFour:
        """The train `uv` (pulse, time). `delivered`: whether each pulse's edge came back in the samples.

        All four share one shape, the first singular vector of the four (rank one): an amplitude is the
        projection on it times its peak to peak, without the bias of picking and with two to three times less
        noise. It tells nothing where not even one response is present by itself.
        """
        sweeps = np.asarray(uv, np.float64)
        pulses = tuple(bool(d) for d in delivered)
        if sweeps.ndim != 2 or len(sweeps) != PULSES or len(pulses) != PULSES:
            return _nothing(pulses, "not four sweeps")
        singles = self._meter.measure(sweeps.T)
        known = [k for k, r in enumerate(singles) if pulses[k] and r.noise_uv is not None]
        clipped = tuple(r.clipped for r in singles)
        if not known:
            return _nothing(pulses, "no pulse with whole rows", clipped)
        noises = [singles[k].noise_uv or 0.0 for k in known]
        limits = [singles[k].limit_uv or 0.0 for k in known]
        noise, limit = float(np.mean(noises)), max(limits)
        if any(singles[k].present for k in known):
            traces, quiet = self._meter.parts(sweeps.T[:, known])
            amplitudes, se = shared_amplitudes(traces.T, quiet.T, noise, self._dt)
        else:
            amplitudes, se = None, None
        return self._told(pulses, known, clipped, amplitudes, se, (noise, limit), control)

    def _told(
        self,
        pulses: tuple[bool, ...],
        known: list[int],
        clipped: tuple[bool, ...],
        amplitudes: Floats | None,
        se: float | None,
        limits: tuple[float, float],
        control: Control | None,
    ) -> TrainOfFour:
        sizes: list[float | None] = [None] * PULSES
        for i, k in enumerate(known):
            sizes[k] = 0.0 if amplitudes is None else float(amplitudes[i])
        least = self._least if se is None else max(self._least, PRESENT_SDS * se)
        present = tuple(size is not None and size >= least for size in sizes)
        missing = tuple(k + 1 for k in range(PULSES) if not pulses[k])
        count = [*present, False].index(False) if len(known) == PULSES else None
        why = _why(missing, known, clipped, present)
        ratio = ratio_ci = share = share_ci = None
        first, last = sizes[0], sizes[-1]
        if se is not None and first is not None and present[0] and not clipped[0]:
            if last is not None and not clipped[-1] and not why:
                ratio, ratio_ci = max(last, 0.0) / first, fieller(last, se, first, se)
            if control is not None and control.uv > 0.0:
                share, share_ci = first / control.uv, fieller(first, se, control.uv, control.se_uv)
        if se is None or amplitudes is None:
            sizes = [None] * PULSES
        monotone = _monotone(sizes, 0.0 if se is None else se)
        return TrainOfFour(
            tuple(sizes),
            present,
            se,
            count,
            ratio,
            ratio_ci,
            share,
            share_ci,
            monotone,
            clipped,
            missing,
            limits[0],
            limits[1],
            why,
        )


def shared_amplitudes(traces: Floats, quiet: Floats, noise: float, dt_ms: float) -> tuple[Floats, float]:
    """Peak to peak of each of `traces` (sweep, time), all of one shape, and the standard error of one.

    `quiet` (sweep, time) are rows without response. Projection and shape are those of traces whitened by the
    quiet rows' autocovariance (Gauss-Markov), which keeps slow noise and mains out.
    """
    rough = traces[int(np.argmax(np.ptp(traces, axis=1)))]
    found = waveform.span(rough, noise, float(np.ptp(rough)), dt_ms)
    margin = MARGIN_MS / dt_ms
    low = max(0, math.floor(found.onset - margin))
    high = min(traces.shape[1], math.ceil(found.end + margin) + 1)
    part = traces[:, low:high]
    root = np.linalg.cholesky(toeplitz(quiet, high - low))
    white = np.linalg.solve(root, part.T)
    direction = np.linalg.svd(white.T, full_matrices=False)[2][0]
    projections = direction @ white
    if projections[int(np.argmax(np.abs(projections)))] < 0.0:
        direction, projections = -direction, -projections
    shape = root @ direction
    top, bottom = (waveform.vertex(shape, int(row))[1] for row in (shape.argmax(), shape.argmin()))
    size = max(top, 0.0) - min(bottom, 0.0)
    return projections * size, size * ERROR_TIMES


def gate(tof: TrainOfFour, for_: For, recent: Sequence[TrainOfFour] = ()) -> Gate:
    """Whether relaxation allows an MEP or an EMG to be believed; ValueError for anything else.

    MEP: four of four, or T1 surely at 20 % of its control or more and steady (CV of it and of two or more
    `recent` trains up to 20 %). EMG: the ratio's interval above 0.7.
    """
    if for_ not in ("mep", "emg"):
        raise ValueError(f"no gate for {for_!r}: mep or emg")
    if any(tof.clipped):
        return Gate(False, "a response is clipped: lower the gain")
    if tof.count is None:
        return Gate(False, f"{tof.why}: repeat")
    return _mep(tof, recent) if for_ == "mep" else _emg(tof)


def _mep(tof: TrainOfFour, recent: Sequence[TrainOfFour]) -> Gate:
    if tof.count == MEP_COUNT:
        return Gate(True, "4 of 4")
    told = f"{tof.count} of 4"
    if tof.share is None or tof.share_ci is None:
        return Gate(False, f"{told}, and T1 has no control to be a share of")
    told += f", T1 {tof.share:.2f} of control ({tof.share_ci[0]:.2f} to {tof.share_ci[1]:.2f})"
    if tof.share_ci[0] < MEP_SHARE:
        return Gate(False, f"{told}: not surely {MEP_SHARE}")
    firsts = [t.amplitudes_uv[0] for t in (*recent, tof)]
    sizes = np.array([a for a in firsts if a is not None])
    if len(sizes) < 3:
        return Gate(False, f"{told}: whether it is steady three trains tell")
    cv = float(sizes.std(ddof=1) / sizes.mean())
    if not cv <= STEADY_CV:
        return Gate(False, f"{told}: not steady (CV {cv:.2f})")
    return Gate(True, f"{told}, steady (CV {cv:.2f})")


def _emg(tof: TrainOfFour) -> Gate:
    if tof.ratio is None or tof.ratio_ci is None:
        return Gate(False, f"{tof.count} of 4, no ratio")
    low, high = tof.ratio_ci
    told = f"ratio {tof.ratio:.2f} ({low:.2f} to {high:.2f})"
    if low > EMG_RATIO:
        return Gate(True, f"{told} above {EMG_RATIO}")
    return Gate(False, f"{told} not surely above {EMG_RATIO}")


def _why(
    missing: tuple[int, ...], known: list[int], clipped: tuple[bool, ...], present: tuple[bool, ...]
) -> str:
    """Why there is no ratio; empty where there is."""
    if missing:
        return f"pulse {', '.join(map(str, missing))} missing"
    if len(known) < PULSES:
        return "rows that are no number"
    if clipped[0] or clipped[-1]:
        return "clipped"
    return "" if present[0] else "T1 absent"


def _monotone(sizes: list[float | None], se: float) -> bool:
    """Whether no response exceeds the one before by more than its error explains."""
    told = [size for size in sizes if size is not None]
    if not told:
        return True
    most = max(RISES_SDS * math.sqrt(2.0) * se, RISES_SHARE * abs(told[0]))
    return all(b - a <= most for a, b in pairwise(told))


def _nothing(
    pulses: tuple[bool, ...], why: str, clipped: tuple[bool, ...] = (False,) * PULSES
) -> TrainOfFour:
    missing = tuple(k + 1 for k in range(len(pulses)) if not pulses[k])
    none = (None,) * PULSES
    return TrainOfFour(
        none, (False,) * PULSES, None, None, None, None, None, None, True, clipped, missing, None, None, why
    )
