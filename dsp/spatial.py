"""A virtual channel: the combination of leads in which the response stands out most from the noise (DSS).

Denoising source separation, also called joint decorrelation (Saerelae & Valpola 2005; de Cheveigne & Parra
2014). Optional, beside the real traces and never instead of one. A filter finds structure in noise as well:
it must be learnt on other sweeps than it is judged on: on a baseline, or half by half (`cross`). Then it goes
through `dsp.measure` like any other derivation.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dsp.average import hadamard
from dsp.limits import SUB_AVERAGES
from dsp.montage import LIMIT_UV, derive, polarity
from dsp.nouns import Average
from dsp.weights import MIN_VARIANCE_UV2

Floats = NDArray[np.float64]
RANK_TOLERANCE = 1e-9
"""Directions whose noise is below this share of the strongest are no directions (a common reference)."""


@dataclass(frozen=True, slots=True)
class SpatialFilter:
    """Weights (channel,) of the virtual channel, and the ratio of powers it had on the sweeps it learnt from.

    The ratio is the best of many, so it overstates; the filter's worth is measured on other sweeps.
    """

    weights: Floats
    learnt_snr_db: float


def learn(average: Average, span: slice, standard: ArrayLike) -> SpatialFilter | None:
    """The weights w that maximise w'C_mean w / w'C_noise w over the referential channels of an average.

    C_mean is the covariance of the mean over the rows of `span`, C_noise that of the null averages there,
    pulled towards the channels' own noise by as much as their number of independent values asks for (OAS:
    Chen, Wiesel, Eldar & Hero 2010). Scale: the virtual channel has the noise of the `standard` derivation
    (weights over the channels) on these sweeps, so that their traces compare at a glance. Sign: its response
    goes with that of the standard. With a dead standard, the noise of the median channel, and the largest
    weight is positive. Dead channels get weight 0. None with fewer than two channels alive, or 16 sweeps.
    """
    mean, null = average.mean_uv[span], average.null_uv[:, span].astype(np.float64)
    alive = np.flatnonzero(_alive(mean, null, average.n_effective))
    if len(alive) < 2:
        return None
    mean, null = _level(mean[:, alive]), _level(null[:, :, alive])
    noise = np.sqrt(np.mean(null * null, axis=(0, 1)))
    found = _top(mean / noise, null / noise)
    if found is None:
        return None
    direction, ratio = found
    weights = np.zeros(average.mean_uv.shape[1])
    weights[alive] = direction / noise
    row = np.asarray(standard, np.float64)
    scale = _against(mean, null, weights[alive], row[alive]) if not np.delete(row, alive).any() else 0.0
    if scale == 0.0:
        largest = weights[np.argmax(np.abs(weights))]
        own = math.sqrt(float(np.mean((null @ weights[alive]) ** 2)))
        scale = math.copysign(float(np.median(noise)) / own, float(largest))
    return SpatialFilter(weights * scale, 10.0 * math.log10(ratio) if ratio > 0.0 else -math.inf)


def apply(average: Average, spatial: SpatialFilter) -> Average:
    """The virtual channel of an average of other sweeps than `spatial` learnt from, as its one derivation."""
    row = spatial.weights[None]
    mean, null = derive(average.mean_uv, row), derive(average.null_uv, row)
    return _virtual(average, mean, null, spatial.weights != 0.0)


def cross(average: Average, span: slice, standard: ArrayLike) -> Average | None:
    """The virtual channel without a baseline: each half of the sub-averages through the filter of the other.

    No sub-average meets the filter that it taught. The 15 null averages are those of the filtered
    sub-averages; where the two filters differ, the response's difference counts as noise. None as `learn`.
    """
    taught = [learn(half, span, standard) for half in _halves(average)]
    if taught[0] is None or taught[1] is None:
        return None
    rows = np.stack([taught[1].weights, taught[0].weights])
    whole = np.concatenate([average.mean_uv[None], average.null_uv])
    with np.errstate(all="ignore"):
        blocks = hadamard(derive(whole, rows))
        blocks = np.where((np.arange(len(blocks)) % 2 == 0)[:, None, None], blocks[..., :1], blocks[..., 1:])
        filtered = hadamard(blocks) / len(blocks)
    used = (rows != 0.0).any(axis=0)
    return _virtual(average, filtered[0], filtered[1:], used)


def _virtual(average: Average, mean: Floats, null: Floats, used: NDArray[np.bool_]) -> Average:
    """An average of one derivation, mean (time, 1), null (pattern, time, 1), made of the `used` channels."""
    with np.errstate(all="ignore"):
        noise = np.sqrt(np.mean(null * null, axis=(0, 1)))
        single = null.astype(np.float32)
    return Average(
        mean_uv=mean,
        noise_uv=noise,
        null_uv=single,
        n_sweeps=average.n_sweeps,
        n_rejected=average.n_rejected,
        n_effective=average.n_effective[used].min(keepdims=True) if used.any() else np.zeros(1),
        first_index=average.first_index,
        last_index=average.last_index,
        final=average.final,
    )


def _halves(average: Average) -> list[Average]:
    """The averages of the even and of the odd sub-averages.

    The mean plus or minus the alternating null average; and in each half the 7 balanced patterns that are
    left, as sums and differences of those that differ by the alternation. Noise power doubles, as it must.
    """
    made = []
    for sign in (1.0, -1.0):
        with np.errstate(all="ignore"):
            mean = average.mean_uv + sign * average.null_uv[0]
            null = average.null_uv[1::2] + np.float32(sign) * average.null_uv[2::2]
        halved = replace(average, mean_uv=mean, null_uv=null, n_effective=average.n_effective / 2.0)
        made.append(halved)
    return made


def _alive(mean: Floats, null: Floats, n_effective: Floats) -> NDArray[np.bool_]:
    """Channels (channel,) that are numbers and carry noise, in enough rows and sweeps (16, 8 in a half)."""
    patterns, rows, channels = null.shape
    enough = rows > 1 and patterns > 1
    sound: NDArray[np.bool_] = np.full(channels, enough) & (
        n_effective * (SUB_AVERAGES - 1) >= SUB_AVERAGES * patterns
    )
    with np.errstate(invalid="ignore"):
        sound &= (np.abs(mean) < LIMIT_UV).all(axis=0) & (np.abs(null) < LIMIT_UV).all(axis=(0, 1))
    if not sound.any():
        return sound
    clean = _level(np.where(sound, null, 0.0))
    power = np.mean(clean * clean, axis=(0, 1))
    sound &= power * np.where(sound, n_effective, 0.0) > MIN_VARIANCE_UV2
    return sound


def _level(uv: Floats) -> Floats:
    """Without the mean of its rows (the last axis but one): an electrode's offset is no response."""
    return np.asarray(uv - uv.mean(axis=-2, keepdims=True))


def _top(mean: Floats, null: Floats) -> tuple[Floats, float] | None:
    """Direction (channel,) of the highest ratio of powers, and that ratio less the noise's share, of channels
    of unit noise; None when the noise has no direction."""
    noise = np.einsum("ktc,ktd->cd", null, null) / (null.shape[0] * null.shape[1])
    values, vectors = np.linalg.eigh(_shrunk(noise, null))
    kept = values > RANK_TOLERANCE * values[-1]
    if not kept.any():
        return None
    whitener = vectors[:, kept] / np.sqrt(values[kept])
    white = mean @ whitener
    ratios, directions = np.linalg.eigh(white.T @ white / len(mean))
    return whitener @ directions[:, -1], float(ratios[-1]) - 1.0


def _shrunk(noise: Floats, null: Floats) -> Floats:
    """The covariance pulled towards unit noise in every channel, as its independent values ask for (OAS)."""
    n = len(noise)
    gram = np.einsum("itc,jtc->ij", null, null)
    products = gram[~np.eye(len(gram), dtype=bool)]
    squares, trace = float(np.sum(noise * noise)), float(np.trace(noise))
    # Of rows and channels together, less those of the channels: the rows' own.
    together = float(np.trace(gram) / len(gram)) ** 2 / max(float(np.mean(products**2)), 1e-300)
    count = max(1.0, together * squares / trace**2) * len(null)
    spread = squares - trace * trace / n
    top = (1.0 - 2.0 / n) * squares + trace * trace
    bottom = (count + 1.0 - 2.0 / n) * spread
    share = min(1.0, top / bottom) if bottom > top * 1e-12 else 1.0
    return np.asarray((1.0 - share) * noise + share * trace / n * np.eye(n))


def _against(mean: Floats, null: Floats, weights: Floats, standard: Floats) -> float:
    """Factor that gives the virtual channel the standard's noise and the sign of its response; 0: none."""
    rows = np.stack([weights, standard])
    ours, nulls = derive(mean, rows), derive(null, rows)
    own, its = (float(value) for value in np.sqrt(np.mean(nulls * nulls, axis=(0, 1))))
    if own <= 0.0 or its <= 1e-9 * own:
        return 0.0
    return polarity(ours, nulls, 0, 1) * float(its / own)
