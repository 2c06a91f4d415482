"""Whether a response is there: the mean of an average against its null averages, the noise that it carries.

Two tests, energy over the span (F) and amplitude against what the same picking reads in noise (t), with
the degrees of freedom that the null averages themselves tell. Finds no peak and gives no interval.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from dsp import kernels_measure as kernels
from dsp.average import hadamard
from dsp.limits import SUB_AVERAGES
from dsp.nouns import Average
from dsp.picker import Picker, Rows

Floats = NDArray[np.float64]
PATTERNS = SUB_AVERAGES - 1
Z_95 = 1.96
Z_PRESENT = 3.29
T_PRESENT = 4.6
GRAM_ROWS = 256
MAX_UV = 1e60
MOST_DEVIATE = 8.0
MOST_T = 1e6
LARGEST_TAIL = 0.84
"""The largest value of a window has a longer upper tail than the t distribution (measured: 0.9)."""
NORMAL = NormalDist()
SIGNS = hadamard(np.eye(SUB_AVERAGES))


@dataclass(frozen=True, slots=True)
class Evidence:
    """For a sequential test: `deviate` (normal; noise alone exceeds it by chance only), and what the picking
    reads, present or not, with the standard error of a reading at a fixed place. None: noise not known."""

    deviate: float | None
    reading_uv: float | None
    error_uv: float | None


@dataclass(slots=True)
class Noise:
    """A derivation's traces (trace, row), mean first, and their `levels` (trace,), the means over all rows;
    degrees of freedom over the window, of the blocks."""

    traces: Floats
    levels: Floats
    freedom: float
    blocks: float


@dataclass(slots=True)
class Look:
    """What the picking reads in the mean and the nulls: `picks` (trace, column) of `dsp.kernels_measure`,
    with room for the draws; energies over the span, the mean's and all nulls', from their levels; rms of the
    nulls around it; mean of the amplitudes read in the nulls, and the spread of one more about it."""

    where: Picker
    picks: Floats
    energy: float
    null_energy: float
    rms_uv: float
    centre_uv: float
    spread_uv: float


class Scratch:
    """Arrays that the kernels work in, for traces of `n_rows` rows."""

    __slots__ = ("every", "gram", "parts", "sums", "thin", "up")

    def __init__(self, n_rows: int) -> None:
        self.every = max(1, -(-n_rows // GRAM_ROWS))
        self.thin = np.empty((SUB_AVERAGES, -(-n_rows // self.every)))
        self.gram = np.empty((SUB_AVERAGES, SUB_AVERAGES))
        self.parts = np.empty(SUB_AVERAGES)
        self.up = np.empty(n_rows)
        self.sums = np.empty(6)


def gathered(average: Average, derivations: Rows, traces: Floats) -> None:
    """Mean and nulls of some derivations, into traces (derivation, trace, row)."""
    nulls, mean = average.null_uv, average.mean_uv
    for k, d in enumerate(derivations):
        traces[k, 0] = mean[:, d]
    # The kernel does not look at bounds.
    fits = nulls.shape == (PATTERNS, traces.shape[2], mean.shape[1])
    if fits and nulls.dtype == np.float32 and nulls.flags.c_contiguous:
        kernels.gather(nulls, derivations, traces)
    else:
        for k, d in enumerate(derivations):
            traces[k, 1:] = nulls[:, :, d]


def noise_of(average: Average, derivation: int, traces: Floats, scratch: Scratch) -> Noise | None:
    """None when the noise is not known, or no number. `traces` (trace, row) are that derivation's.

    The degrees of freedom follow from the null averages themselves: over the window (tr C)^2 / tr(C^2) of
    their covariance, its second trace unbiased from the products of different patterns; of the 16 blocks the
    same of their energies (Satterthwaite 1946), less the mean's one: unequal weights leave fewer than 15.
    """
    level = float(average.noise_uv[derivation])
    if not level <= MAX_UV or average.n_sweeps < SUB_AVERAGES:
        return None
    levels, s = np.empty(SUB_AVERAGES), scratch
    kernels.null_sums(traces, s.every, SIGNS, s.thin, s.gram, s.parts, levels, s.sums)
    energy, squares, diagonal, blocks, spread, size = s.sums.tolist()
    if not size <= MAX_UV:
        return None
    if level == 0.0:
        return Noise(traces, levels, 1.0, PATTERNS)
    products = (squares - diagonal) / (PATTERNS * (PATTERNS - 1))
    freedom = (energy / PATTERNS) ** 2 / products if products > 0.0 else 1.0
    told = blocks**2 / spread * (1.0 + 2.0 / max(freedom, 1.0)) - 1.0 if spread > 0.0 else 1.0
    return Noise(traces, levels, max(1.0, freedom), min(max(told, 3.0), float(PATTERNS)))


def look(where: Picker, noise: Noise, scratch: Scratch) -> Look:
    """The largest value of the window in the mean and in the nulls; `where` is not empty."""
    picks = np.empty((1 + 3 * PATTERNS, kernels.COLUMNS))
    kernels.look(noise.traces, noise.levels, where.plan, scratch.up, picks, scratch.sums)
    energy, nulls, squares, centre, off, _ = scratch.sums.tolist()
    first, end = where.span
    rms = math.sqrt(squares / (PATTERNS * (end - first + 2)))
    spread = math.sqrt(off / (PATTERNS - 1) * (1.0 + 1.0 / PATTERNS))
    return Look(where, picks, energy, nulls, rms, centre, spread)


def evidence_of(seen: Look | None, noise: Noise | None) -> Evidence:
    """The larger of both tests as a normal deviate, and what the picking reads."""
    if seen is None or noise is None:
        return Evidence(None, None, None)
    where, amplitude_uv = seen.where, float(seen.picks[0, kernels.AMPLITUDE])
    freedom, ratio = _energy(seen, noise)
    blocks, t = noise.blocks, _outstanding_t(seen)
    larger = LARGEST_TAIL * t_deviate(min(t, MOST_T), blocks)
    if t > 0.0:
        larger = max(larger, f_deviate(freedom, freedom * blocks, ratio))
    # Two tests are two chances.
    deviate = -NORMAL.inv_cdf(min(2.0 * NORMAL.cdf(-min(larger, MOST_DEVIATE)), 0.999))
    error = seen.rms_uv * (math.sqrt(2.0) if where.to else 1.0)
    extreme = bool(seen.picks[0, kernels.EXTREME])
    return Evidence(deviate if extreme else min(deviate, 0.0), amplitude_uv, error)


def outstanding(seen: Look) -> bool:
    """Whether the amplitude says that a peak is there."""
    return _outstanding_t(seen) > T_PRESENT


def _outstanding_t(seen: Look) -> float:
    """Amplitude beyond what picking the largest value reads in the null averages, as one more draw."""
    beyond = float(seen.picks[0, kernels.AMPLITUDE]) - seen.centre_uv
    if seen.spread_uv > 0.0:
        return beyond / seen.spread_uv
    return math.copysign(math.inf, beyond) if beyond else 0.0


def energetic(seen: Look, noise: Noise) -> bool:
    """Beyond what noise reaches once in 2,000 (F test), and read larger than noise is on average: a wave of
    the other polarity in a peak's window, or the flank of a neighbour, is not that peak."""
    freedom, ratio = _energy(seen, noise)
    return _outstanding_t(seen) > 0.0 and ratio > f_quantile(freedom, freedom * PATTERNS)


def margin(seen: Look, noise: Noise, enough: float, scratch: Scratch) -> float:
    """How much smaller (uV) the amplitude of a present peak could be and the peak still be present; not
    sought beyond `enough`. After `draw`.

    All that does not go with the amplitude stays as it is (Lee et al. 2016): the mean less that much times
    what the nulls have in common with their amplitudes.
    """
    above = float(seen.picks[0, kernels.AMPLITUDE]) - seen.centre_uv
    told = above - T_PRESENT * seen.spread_uv
    if told >= enough:
        return told
    freedom, ratio = _energy(seen, noise)
    if ratio == math.inf:
        return above
    over = seen.energy - f_quantile(freedom, freedom * PATTERNS) * seen.null_energy / PATTERNS
    if not over > 0.0:
        return told
    kernels.along(noise.traces, noise.levels, seen.where.plan, seen.picks, scratch.up, scratch.sums)
    common, size = scratch.sums.tolist()[:2]
    root = common * common - size * over
    if common <= 0.0 or root < 0.0:
        return above
    return max(told, min(above, over / (common + math.sqrt(root))))


def _energy(seen: Look, noise: Noise) -> tuple[float, float]:
    """Degrees of freedom of the span, and the mean's energy there in units of the null averages'.

    Both from the level of the whole window: what is not filtered has an electrode offset, no response.
    """
    level = seen.null_energy / PATTERNS
    if level <= 0.0:
        return 1.0, math.inf if seen.energy > 0.0 else 0.0
    first, end = seen.where.span
    return max(1.0, noise.freedom * (end - first) / noise.traces.shape[1]), seen.energy / level


def t_quantile(freedom: float, z: float = Z_95) -> float:
    """Quantile of the t distribution at normal deviate `z` (Abramowitz and Stegun 1964, 26.7.5)."""
    n = freedom
    z2 = z * z
    terms = (
        (z2 + 1.0) / 4.0,
        ((5.0 * z2 + 16.0) * z2 + 3.0) / 96.0,
        (((3.0 * z2 + 19.0) * z2 + 17.0) * z2 - 15.0) / 384.0,
        ((((79.0 * z2 + 776.0) * z2 + 1482.0) * z2 - 1920.0) * z2 - 945.0) / 92160.0,
    )
    return z * (1.0 + terms[0] / n + terms[1] / n**2 + terms[2] / n**3 + terms[3] / n**4)


def t_deviate(t: float, freedom: float) -> float:
    """Normal deviate of a value from the t distribution (Wallace 1959)."""
    grown = freedom * math.log1p(t * t / freedom)
    return math.copysign((8.0 * freedom + 1.0) / (8.0 * freedom + 3.0) * math.sqrt(grown), t)


def f_deviate(n1: float, n2: float, ratio: float) -> float:
    """Normal deviate of a ratio from the F distribution (Paulson 1942); the inverse of `f_quantile`."""
    if ratio == math.inf:
        return MOST_DEVIATE
    a, b, root = 2.0 / (9.0 * n1), 2.0 / (9.0 * n2), math.cbrt(ratio)
    return ((1.0 - b) * root - (1.0 - a)) / math.sqrt(b * root * root + a)


def f_quantile(n1: float, n2: float, z: float = Z_PRESENT) -> float:
    """Upper quantile of the F distribution at normal deviate `z` (Paulson 1942); inf where it has none."""
    a, b = 2.0 / (9.0 * n1), 2.0 / (9.0 * n2)
    denominator = (1.0 - b) ** 2 - z * z * b
    if denominator <= 0.0:
        return math.inf
    root = (
        (1.0 - a) * (1.0 - b) + z * math.sqrt(a * (1.0 - b) ** 2 + b * (1.0 - a) ** 2 - z * z * a * b)
    ) / denominator
    return max(root, 0.0) ** 3
