"""Derivations formed in software, ranked by the signal-to-noise ratio that their own sweeps show.

The response's power is that of the mean over a span of rows less the noise power which the null averages of
the same sweeps carry there (unbiased: it may come out below zero). The choice of a derivation is worth four
times in sweeps (MacDonald 2005; facts/dsp 4.1). Channel names as text are `hostd.derivations`; the choice
itself, with its hysteresis, is `Selector`. Nothing here says that a response is present: `dsp.measure` does.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dsp.limits import SUB_AVERAGES
from dsp.nouns import Derivation
from dsp.weights import MIN_VARIANCE_UV2

Floats = NDArray[np.float64]
TARGET_SNR = 10.0**0.6
"""6 dB, as a ratio of powers."""
LIMIT_UV = 1e9
"""No electrode gives a kilovolt: what is beyond is no number to calculate with."""
DB = 10.0 / math.log(10.0)


def derive(channels_uv: ArrayLike, weights: ArrayLike) -> Floats:
    """Derivations (..., derivation) of channels (..., channel) by weights (derivation, channel), float64.

    A channel of weight zero is not read, so that its NaN stays out. Raises ValueError for weights that do
    not fit the channels.
    """
    uv, rows = np.asarray(channels_uv, np.float64), np.asarray(weights, np.float64)
    if rows.ndim != 2 or rows.shape[1] != uv.shape[-1]:
        raise ValueError(f"weights {rows.shape} do not fit {uv.shape[-1]} channels")
    out = np.zeros((*uv.shape[:-1], len(rows)))
    with np.errstate(all="ignore"):
        for channel in range(rows.shape[1]):
            used = np.flatnonzero(rows[:, channel])
            out[..., used] += uv[..., channel, None] * rows[used, channel]
    return out


def candidates(
    channel_names: Sequence[str],
    active: Sequence[str] | None = None,
    against: Sequence[str] | None = None,
    reference: str | None = "REF",
) -> tuple[Derivation, ...]:
    """Every pair of channels once, active first, and every channel against the common reference itself.

    `active` and `against` narrow the two sides (None: all). `reference` is the common reference's name, a
    channel of zeros (None: leave it out); a derivation against it bears the channel's name alone. Raises
    ValueError for names that are unknown or not unique.
    """
    names = [*channel_names, *([] if reference is None else [reference])]
    if len(set(names)) != len(names):
        raise ValueError("channel names are not unique")
    unknown = [name for name in (*(active or ()), *(against or ())) if name not in names]
    if unknown:
        raise ValueError(f"no channel {', '.join(unknown)}")
    unit = np.eye(len(names), len(channel_names))
    seen: set[frozenset[str]] = set()
    made = []
    for plus in channel_names if active is None else active:
        for minus in names if against is None else against:
            pair = frozenset((plus, minus))
            if len(pair) == 1 or pair in seen or plus == reference:
                continue
            seen.add(pair)
            row = unit[names.index(plus)] - unit[names.index(minus)]
            made.append(Derivation(plus if minus == reference else f"{plus}-{minus}", tuple(row.tolist())))
    return tuple(made)


@dataclass(frozen=True, slots=True)
class Ranking:
    """Signal-to-noise ratios (derivation,) of one average; `order` holds the rows, best first, unusable last.

    `usable` is False of what is dead, not a number or of too few sweeps; its ratios are NaN. Without a
    positive signal power the ratio is -inf dB, its error and the sweeps that it takes are inf. `snr_se_db`
    is one standard error; `per_sweep_db` the ratio of a single effective sweep; `sweeps_to_6db` counts what
    `n_effective` counted.
    """

    order: NDArray[np.intp]
    usable: NDArray[np.bool_]
    signal_uv2: Floats
    noise_uv2: Floats
    snr_db: Floats
    snr_se_db: Floats
    per_sweep_db: Floats
    sweeps_to_6db: Floats


@dataclass(frozen=True, slots=True)
class _Evidence:
    """By derivation: mean (derivation, row) and null (derivation, pattern, row) without their level in the
    span; powers of noise; power of the mean, powers of the nulls and twice their products with the mean
    (pattern, derivation), all in units of the noise power."""

    usable: NDArray[np.bool_]
    mean: Floats
    null: Floats
    noise: Floats
    power: Floats
    powers: Floats
    cross: Floats

    def variance(self, other: int | None = None) -> Floats:
        """Variance (derivation,) of each ratio's estimate; of its difference to an `other`'s, whose noise it
        shares.

        The mean's noise enters by its product with the response, whose variance the nulls' products with
        the mean overstate by that of one power, and by its own power; the noise power is a mean of all.
        """

        def against(values: Floats) -> Floats:
            return values if other is None else values - values[:, other, None]

        cross, own = against(self.cross), np.var(against(self.powers), axis=0, ddof=1)
        level = np.var(against(self.powers * self.power), axis=0, ddof=1) / len(self.powers)
        return np.asarray(np.maximum(np.mean(cross * cross, axis=0) - own, own) + level)


def _evidence(mean_uv: ArrayLike, null_uv: ArrayLike, span: slice, n_effective: Floats) -> _Evidence:
    # Rows last: numpy's sums are slow over any other axis.
    mean = np.ascontiguousarray(np.asarray(mean_uv)[span].T, dtype=np.float64)
    null = np.ascontiguousarray(np.asarray(null_uv)[:, span].transpose(2, 0, 1), dtype=np.float64)
    n, patterns, rows = null.shape
    sound = np.full(n, rows > 1 and patterns > 1) & (n_effective >= SUB_AVERAGES)
    with np.errstate(invalid="ignore"):
        sound &= (np.abs(mean) < LIMIT_UV).all(axis=1) & (np.abs(null) < LIMIT_UV).all(axis=(1, 2))
    if not sound.any():
        none = np.full((2, n), np.nan)
        return _Evidence(sound, mean, null, none[0], none[0], none, none)
    mean[~sound], null[~sound] = 0.0, 0.0
    mean -= mean.mean(axis=1, keepdims=True)
    null -= null.mean(axis=2, keepdims=True)
    powers = np.einsum("dpr,dpr->pd", null, null) / rows
    noise = powers.mean(axis=0)
    usable = sound & (noise * np.where(sound, n_effective, 0.0) > MIN_VARIANCE_UV2)
    unit = np.where(usable, noise, 1.0)
    cross = np.einsum("dpr,dr->pd", null, mean) * (2.0 / rows)
    power = np.einsum("dr,dr->d", mean, mean) / rows
    return _Evidence(usable, mean, null, noise, power / unit, powers / unit, cross / unit)


def rank(mean_uv: ArrayLike, null_uv: ArrayLike, span: slice, n_effective: ArrayLike) -> Ranking:
    """The derivations of mean_uv (time, derivation) and null_uv (pattern, time, derivation), best first.

    `span` are the rows of the response, behind the stimulus artifact; their own level is not counted, since
    an electrode's offset is no response. `n_effective` (derivation,) or one for all; no claim below 16.
    """
    counts = np.broadcast_to(np.asarray(n_effective, np.float64), np.shape(mean_uv)[1:])
    return _rank(_evidence(mean_uv, null_uv, span, counts), counts)


def _rank(seen: _Evidence, n_effective: Floats) -> Ranking:
    ratio = np.where(seen.usable, seen.power - 1.0, np.nan)
    rises = seen.usable & (seen.power > 1.0)
    safe = np.where(rises, ratio, 1.0)
    errors = np.where(rises, DB * np.sqrt(seen.variance()) / safe, np.inf)
    snr_db = np.where(rises, DB * np.log(safe), -np.inf)
    counts = np.where(seen.usable, n_effective, 1.0)
    sweeps = np.where(rises, counts * TARGET_SNR / safe, np.inf)

    def told(values: Floats) -> Floats:
        return np.where(seen.usable, values, np.nan)

    return Ranking(
        order=np.argsort(np.where(seen.usable, -ratio, np.inf), kind="stable"),
        usable=seen.usable,
        signal_uv2=told(ratio * seen.noise),
        noise_uv2=told(seen.noise),
        snr_db=told(snr_db),
        snr_se_db=told(errors),
        per_sweep_db=told(snr_db - DB * np.log(counts)),
        sweeps_to_6db=told(sweeps),
    )


def better(seen: _Evidence, other: int) -> Floats:
    """Probability (derivation,) that each really has a higher ratio than `other`, picked by eye from all.

    The difference of the two ratios against its error from 15 patterns (t test), times the number of rivals
    that the largest is picked from: as many as are independent (Galwey 2009). 0 for `other` itself.
    """
    error = np.sqrt(seen.variance(other))
    t, freedom = (seen.power - seen.power[other]) / np.where(error > 0.0, error, np.inf), len(seen.powers)
    # Student's t to a normal deviate (Abramowitz & Stegun 26.7.8).
    deviates = t * (1.0 - 0.25 / freedom) / np.sqrt(1.0 + 0.5 * t * t / freedom)
    tails = np.array([0.5 * math.erfc(deviate / math.sqrt(2.0)) for deviate in deviates])
    return np.where(seen.usable & (error > 0.0), np.maximum(0.0, 1.0 - rivals(seen) * tails), 0.0)


def rivals(seen: _Evidence) -> float:
    """Effective number of usable derivations, which share channels: (sum of roots)^2 / sum of the eigenvalues
    of the correlation of their noise (Galwey 2009)."""
    flat = seen.null[seen.usable].reshape(np.count_nonzero(seen.usable), -1)
    scale = 1.0 / np.sqrt(seen.noise[seen.usable])
    values = np.maximum(np.linalg.eigvalsh((flat @ flat.T) * np.outer(scale, scale)), 0.0)
    return max(1.0, float(np.sum(np.sqrt(values)) ** 2 / np.sum(values)))


class Reason(StrEnum):
    """Why a derivation was chosen or kept."""

    NOTHING_KNOWN = "nothing_known"
    NO_RESPONSE = "no_response"
    BEST = "best"
    NOT_WORTH_IT = "not_worth_it"
    NOT_CERTAIN = "not_certain"
    CHANGED = "changed"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Choice:
    """The derivation to show beside the standard one, and why. None where nothing can be said.

    `candidate` is the one of highest ratio; `confidence` the probability that it really is better than the
    one chosen until now (than the standard, when it is the one chosen). `saved` is how many times fewer
    sweeps the chosen one takes than the standard. `polarity` -1: the response points the other way there.
    """

    chosen: str
    standard: str
    candidate: str | None
    reason: Reason
    chosen_snr_db: float | None
    standard_snr_db: float | None
    saved: float | None
    confidence: float | None
    polarity: int


class Selector:
    """Chooses the derivation of a test; leaves one only for a better that is worth it and certain.

    Made of the derivations' `names`, the row of the `standard`, the response's `span` of rows. A change asks
    for `worth` times fewer sweeps and a `certain` probability. Not to be run once a baseline is set: a
    response that is lost must not move the eye elsewhere. Raises ValueError for impossible parameters.
    """

    def __init__(
        self, names: Sequence[str], standard: int, span: slice, worth: float = 1.25, certain: float = 0.95
    ) -> None:
        if not 0 <= standard < len(names):
            raise ValueError(f"no derivation {standard} among {len(names)}")
        if not worth >= 1.0 or not 0.5 <= certain < 1.0:
            raise ValueError(f"worth {worth} is below 1 or certain {certain} not within 0.5 and 1")
        self._names = tuple(names)
        self._standard = standard
        self._span = span
        self._worth, self._certain = worth, certain
        self.chosen = standard
        """Row of the derivation that is chosen."""

    def update(self, mean_uv: ArrayLike, null_uv: ArrayLike, n_effective: ArrayLike) -> Choice:
        """The choice after this average; arguments as those of `rank`."""
        return self.judge(mean_uv, null_uv, n_effective)[1]

    def judge(self, mean_uv: ArrayLike, null_uv: ArrayLike, n_effective: ArrayLike) -> tuple[Ranking, Choice]:
        """Ranking and choice of one average, from one look at it."""
        counts = np.broadcast_to(np.asarray(n_effective, np.float64), np.shape(mean_uv)[1:])
        seen = _evidence(mean_uv, null_uv, self._span, counts)
        return _rank(seen, counts), self._choose(seen)

    def _choose(self, seen: _Evidence) -> Choice:
        if not seen.usable.any():
            return self._told(seen, None, Reason.NOTHING_KNOWN, None)
        ratios = np.where(seen.usable, seen.power - 1.0, -np.inf)
        best = int(np.argmax(ratios))
        if not seen.usable[self.chosen]:
            self.chosen = self._standard if seen.usable[self._standard] else best
            return self._told(seen, best, Reason.LOST, None)
        if best == self.chosen:
            sure = better(seen, self._standard)[best] if seen.usable[self._standard] else None
            return self._told(seen, best, Reason.BEST if ratios[best] > 0.0 else Reason.NO_RESPONSE, sure)
        sure = better(seen, self.chosen)
        worth = (ratios > 0.0) & (ratios >= self._worth * ratios[self.chosen])
        able = worth & (sure >= self._certain)
        if able.any():
            self.chosen = best = int(np.argmax(np.where(able, ratios, -np.inf)))
            return self._told(seen, best, Reason.CHANGED, sure[best])
        reason = Reason.NOT_CERTAIN if worth[best] else Reason.NOT_WORTH_IT
        return self._told(seen, best, reason if ratios[best] > 0.0 else Reason.NO_RESPONSE, sure[best])

    def _told(self, seen: _Evidence, best: int | None, reason: Reason, confidence: float | None) -> Choice:
        chosen, standard = (_ratio(seen, row) for row in (self.chosen, self._standard))
        return Choice(
            chosen=self._names[self.chosen],
            standard=self._names[self._standard],
            candidate=None if best is None else self._names[best],
            reason=reason,
            chosen_snr_db=DB * math.log(chosen) if chosen else None,
            standard_snr_db=DB * math.log(standard) if standard else None,
            saved=chosen / standard if chosen and standard else None,
            confidence=None if confidence is None else float(confidence),
            polarity=polarity(seen.mean.T, seen.null.transpose(1, 2, 0), self.chosen, self._standard)
            if chosen and standard
            else 1,
        )


def _ratio(seen: _Evidence, row: int) -> float | None:
    """The ratio of powers where there is one above zero."""
    return float(seen.power[row]) - 1.0 if seen.usable[row] and seen.power[row] > 1.0 else None


def polarity(mean: Floats, null: Floats, row: int, other: int) -> int:
    """+1 or -1: whether the responses of two derivations agree, the noise that they share taken out."""
    shared = float(np.mean(np.sum(null[:, :, row] * null[:, :, other], axis=1)))
    return -1 if float(np.sum(mean[:, row] * mean[:, other])) < shared else 1
