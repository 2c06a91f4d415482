"""Whether a response is there: the mean of an average against its null averages, the noise that it carries.

Two tests, energy over the span (F) and amplitude against what the same picking reads in noise (t), with
the degrees of freedom that the null averages themselves tell. Finds no peak and gives no interval.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from dsp.average import SUB_AVERAGES, hadamard
from dsp.nouns import Average
from dsp.picker import Picker

Floats = NDArray[np.float64]
PATTERNS = SUB_AVERAGES - 1
Z_95 = 1.96
Z_PRESENT = 3.29
T_PRESENT = 4.6
GRAM_ROWS = 256
MAX_UV = 1e100
MOST_DEVIATE = 8.0
MOST_T = 1e6
LARGEST_TAIL = 0.84
"""The largest value of a window has a longer upper tail than the t distribution (measured: 0.9)."""
NORMAL = NormalDist()
SIGNS = hadamard(np.eye(SUB_AVERAGES))[1:]


@dataclass(frozen=True, slots=True)
class Evidence:
    """For a sequential test: `deviate` (normal; noise alone exceeds it by chance only), and what the picking
    reads, present or not, with the standard error of a reading at a fixed place. None: noise not known."""

    deviate: float | None
    reading_uv: float | None
    error_uv: float | None


@dataclass(slots=True)
class Noise:
    """A derivation's traces (trace, row), mean first; degrees of freedom over the window, of the blocks."""

    traces: Floats
    freedom: float
    blocks: float


def noise_of(average: Average, derivation: int) -> Noise | None:
    """None when the noise is not known, or no number.

    The degrees of freedom follow from the null averages themselves: over the window (tr C)^2 / tr(C^2) of
    their covariance, its second trace unbiased from the products of different patterns; of the 16 blocks the
    same of their energies (Satterthwaite 1946), less the mean's one: unequal weights leave fewer than 15.
    """
    level = float(average.noise_uv[derivation])
    if not level <= MAX_UV or average.n_sweeps < SUB_AVERAGES:
        return None
    traces = np.empty((SUB_AVERAGES, len(average.mean_uv)))
    traces[0] = average.mean_uv[:, derivation]
    traces[1:] = average.null_uv[:, :, derivation]
    if not bool(np.isfinite(traces[0]).all()):
        return None
    if level == 0.0:
        return Noise(traces, 1.0, PATTERNS)
    thin = np.ascontiguousarray(traces[1:, :: -(-traces.shape[1] // GRAM_ROWS)])
    thin -= np.add.reduce(thin, axis=1)[:, None] / thin.shape[1]
    gram = np.einsum("it,jt->ij", thin, thin)
    energy, squares = float(gram.trace()), float(np.square(gram).sum())
    products = (squares - float(np.square(gram.diagonal()).sum())) / (PATTERNS * (PATTERNS - 1))
    freedom = (energy / PATTERNS) ** 2 / products if products > 0.0 else 1.0
    blocks = (SIGNS * np.einsum("ij,jk->ik", gram, SIGNS)).sum(axis=0)
    spread = float(np.square(blocks).sum())
    told = float(blocks.sum()) ** 2 / spread * (1.0 + 2.0 / max(freedom, 1.0)) - 1.0 if spread > 0.0 else 1.0
    return Noise(traces, max(1.0, freedom), min(max(told, 3.0), float(PATTERNS)))


def evidence_of(where: Picker, noise: Noise | None) -> Evidence:
    """The larger of both tests as a normal deviate, and what the picking reads."""
    if noise is None or where.empty:
        return Evidence(None, None, None)
    up, baseline = where.cut(noise.traces)
    picked = where.pick(up, baseline)
    t = _outstanding_t(picked.amplitude_uv)
    freedom, ratio = _energy(noise, where.span)
    blocks = noise.blocks
    amplitude = LARGEST_TAIL * t_deviate(min(t, MOST_T), blocks)
    larger = max(amplitude, f_deviate(freedom, freedom * blocks, ratio))
    # Two tests are two chances.
    deviate = -NORMAL.inv_cdf(min(2.0 * NORMAL.cdf(-min(larger, MOST_DEVIATE)), 0.999))
    error = math.sqrt(float(np.einsum("it,it->", up[1:], up[1:])) / up[1:].size * (2.0 if where.to else 1.0))
    return Evidence(deviate if picked.extreme[0] else min(deviate, 0.0), float(picked.amplitude_uv[0]), error)


def outstanding(amplitudes: Floats) -> bool:
    """Whether amplitudes (trace,), the mean's first, say that a peak is there."""
    return _outstanding_t(amplitudes) > T_PRESENT


def _outstanding_t(amplitudes: Floats) -> float:
    """Amplitude beyond what picking the largest value reads in the null averages, as one more draw."""
    drawn = amplitudes[1:SUB_AVERAGES]
    centre = float(np.add.reduce(drawn)) / PATTERNS
    off = drawn - centre
    spread = math.sqrt(float(np.add.reduce(off * off)) / (PATTERNS - 1) * (1.0 + 1.0 / PATTERNS))
    beyond = float(amplitudes[0]) - centre
    return beyond / spread if spread > 0.0 else math.copysign(math.inf, beyond) if beyond else 0.0


def energetic(noise: Noise, span: tuple[int, int]) -> bool:
    """Beyond what noise reaches once in 2,000 (F test)."""
    freedom, ratio = _energy(noise, span)
    return ratio > f_quantile(freedom, freedom * PATTERNS)


def _energy(noise: Noise, span: tuple[int, int]) -> tuple[float, float]:
    """Degrees of freedom of the span, and the mean's energy there in units of the null averages'.

    Both from the level of the whole window: what is not filtered has an electrode offset, no response.
    """
    traces = noise.traces
    levels = np.add.reduce(traces, axis=1) / traces.shape[1]
    inside = traces[:, span[0] : span[1]] - levels[:, None]
    energies = np.einsum("it,it->i", inside, inside)
    level = float(np.add.reduce(energies[1:])) / PATTERNS
    if level <= 0.0:
        return 1.0, math.inf if energies[0] > 0.0 else 0.0
    freedom = max(1.0, noise.freedom * (span[1] - span[0]) / traces.shape[1])
    return freedom, float(energies[0]) / level


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
    a, b, root = 2.0 / (9.0 * n1), 2.0 / (9.0 * n2), float(np.cbrt(ratio))
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
