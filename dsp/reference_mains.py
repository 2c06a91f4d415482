"""Slow twins of `dsp.mains_fit` and `dsp.locked`: sample by sample, to document and to test them.

Model of a channel: x(t) = trend + sum over h of a_h cos(h p(t)) + b_h sin(h p(t)) + noise, p the phase of
mains, the same for all channels and harmonics, its slope a random walk (a smoothing spline: Wahba 1978, as
penalised least squares: Whittaker 1923) over ten seconds of memory. Least squares, weights
1/variance (Gauss-Markov); p by Gauss-Newton steps. Fitting and subtracting sines: Levkov et al. 2005 (BioMed.
Eng. OnLine 4:50); robust by leaving out, no more. Coherence of phases: Rayleigh's resultant length (Mardia
and Jupp 2000); its closed form for a fixed period is the Dirichlet kernel of `dsp.mains`.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

F = NDArray[np.float64]


def waves(phase: NDArray[np.floating[Any]], harmonics: int) -> F:
    """cos(h phase), then sin(h phase): (time, 2 harmonics)."""
    turned = np.outer(phase, np.arange(1, harmonics + 1))
    return np.hstack([np.cos(turned), np.sin(turned)])


def without_trend(y: F) -> F:
    """y (time, column) without its parabola over the rows used: `y` = (time, 1 + column), u first."""
    u = y[:, 0]
    trend = np.column_stack([np.ones_like(u), u, u * u])
    rest = y[:, 1:]
    return np.asarray(rest - trend @ np.linalg.lstsq(trend, rest, rcond=None)[0])


def usable(x: F, used: NDArray[np.bool_], design: F, around: int) -> tuple[NDArray[np.bool_], F]:
    """Rows of the block x (time, channel) to be fitted, and its power (channel,) beside the fit."""
    for _ in range(2):
        rest = x[used] - design[used] @ np.linalg.lstsq(design[used], x[used], rcond=None)[0]
        power = (rest**2).sum(axis=0) / (used.sum() - design.shape[1])
        off = np.zeros(len(x), dtype=bool)
        off[used] = (np.abs(rest) > 5.0 * np.sqrt(power)).any(axis=1)
        if not off.any():
            break
        used = used.copy()
        for hit in np.flatnonzero(off):
            used[max(0, hit - around) : hit + around + 1] = False
    return used, power


def mains_fit(x: F, rate_hz: float, mains_hz: float, harmonics: int, excluded: NDArray[np.bool_]) -> F:
    """What `MainsFit(rate_hz, mains_hz, channels, harmonics=harmonics).run(x)` gives for x (time, channel),
    samples `excluded` (time,) left out; finite samples, no channel that is silent, harmonics that the rate
    carries, and no block that is excluded as a whole."""
    size = round(0.1 * rate_hz)
    u = 2 * (np.arange(size) - (size - 1) / 2) / size
    out, level = x.copy(), np.full(x.shape[1], np.nan)
    blocks: list[Any] = []
    state: dict[str, Any] = {
        "bends": np.zeros(2),
        "at": np.array([0.0, 1.0]),
        "fit": None,
        "harms": None,
        "hz": mains_hz,
    }
    for number in range(len(x) // size):
        rows = slice(number * size, number * size + size)
        middle = number * size + (size - 1) / 2
        if state["fit"] is not None:
            kept = np.where(state["harms"], 0.0, state["fit"])
            turn = _phase(state, middle, rate_hz, mains_hz)
            phase = turn + 2 * np.pi * state["hz"] / rate_hz * (np.arange(size) - (size - 1) / 2)
            out[rows] -= waves(phase, harmonics) @ kept
        local = waves(2 * np.pi * state["hz"] / rate_hz * (np.arange(size) - (size - 1) / 2), harmonics)
        design = np.hstack([np.column_stack([np.ones_like(u), u, u * u]), local])
        used, power = usable(x[rows], ~excluded[rows], design, max(1, round(0.002 * rate_hz)))
        power = np.maximum(power, 1e-6)
        loud = power > 100.0 * np.where(np.isnan(level), np.inf, level)
        step = np.clip(np.log(power / np.where(np.isnan(level), power, level)), -1.0, 1.0)
        level = np.where(np.isnan(level), power, level * np.exp(step / 300.0))
        block = {"x": x[rows], "u": u, "used": used, "power": np.where(loud, np.inf, power), "at": middle}
        block["hz"] = state["hz"]
        block["gain"] = _gain(block, state, rate_hz, mains_hz, harmonics)
        blocks = [*blocks, block][-100:]
        if (number + 1) % 5 == 0 and len(blocks) == 100:
            _fit(blocks, state, (number + 1) // 5, rate_hz, mains_hz, harmonics)
    return out


def _phase(state: dict[str, Any], middle: float, rate_hz: float, mains_hz: float) -> float:
    return float(2 * np.pi * (mains_hz * middle / rate_hz % 1.0) + _bend(state, middle))


def _bend(state: dict[str, Any], middle: float) -> float:
    """a at a block's middle: straight between the blocks, and on from the last two."""
    at, bends = state["at"], state["bends"]
    slope = (bends[-1] - bends[-2]) / (at[-1] - at[-2])
    return float(bends[-1] + slope * (middle - at[-1]) if middle > at[-1] else np.interp(middle, at, bends))


def _rows(block: dict[str, Any], state: dict[str, Any], rate_hz: float, mains_hz: float, h: int) -> F:
    """Waves on the path's phase and the samples, without trend: (time, 2 h + channel)."""
    size = len(block["x"])
    phase = _phase(state, block["at"], rate_hz, mains_hz)
    at = phase + 2 * np.pi * block["hz"] / rate_hz * (np.arange(size) - (size - 1) / 2)
    joined = np.column_stack([block["u"], waves(at, h), block["x"]])
    return without_trend(joined[block["used"]])


def _gain(block: dict[str, Any], state: dict[str, Any], rate_hz: float, mains_hz: float, h: int) -> F:
    """Squares that subtracting the fit of before takes out of the block, (harmonic, channel): of 2 <m, x> -
    <m, all m> for what each harmonic m foretells."""
    channels = block["x"].shape[1]
    gain = np.zeros((h, channels))
    if state["fit"] is None or not np.isfinite(block["power"]).any():
        return gain
    made = _rows(block, state, rate_hz, mains_hz, h)
    for c in range(channels):
        own = made[:, : 2 * h] * state["fit"][:, c]
        for k in range(h):
            tone = own[:, k] + own[:, h + k]
            gain[k, c] = np.isfinite(block["power"][c]) * tone @ (2 * made[:, 2 * h + c] - own.sum(axis=1))
    return gain


def _fit(blocks: list[Any], state: dict[str, Any], number: int, rate_hz: float, hz: float, h: int) -> None:
    power = np.array([b["power"] for b in blocks])
    middle = np.array([np.sort(p)[np.isfinite(p).sum() // 2] for p in power.T])
    weight = np.where(np.isfinite(power), 1.0 / np.maximum(power, middle / 4.0), 0.0)
    gain = sum(w * b["gain"] for w, b in zip(weight, blocks, strict=True))
    bends = np.array([_bend(state, b["at"]) for b in blocks])
    state["bends"] = bends - 2 * np.pi * np.floor(bends[0] / (2 * np.pi))
    state["at"] = np.array([b["at"] for b in blocks])
    t = (state["at"] - state["at"][-1]) / rate_hz
    rounds = 1
    if state["fit"] is None or (number % 20 == 0 and np.sum(gain) < 0):
        found = []
        for off in range(-20, 21):
            state["bends"] = 2 * np.pi * off * 0.01 * t
            total = np.zeros((h, power.shape[1]), dtype=np.complex128)
            for k, block in enumerate(blocks):
                made = _rows(block, state, rate_hz, hz, h)
                sums = made[:, : 2 * h].T @ made[:, 2 * h :]
                total += (sums[:h] - 1j * sums[h:]) * np.sqrt(weight[k])
            found.append(float((np.abs(total) ** 2).sum()))
        state["bends"] = 2 * np.pi * 0.01 * (int(np.argmax(found)) - 20) * t
        gain, rounds = np.zeros((h, power.shape[1])), 5
        for block in blocks:
            block["gain"] = gain.copy()
    for _ in range(rounds):
        fit = _amplitudes(blocks, weight, state, rate_hz, hz, h)
        state["bends"] = state["bends"] + _step(blocks, weight, fit, state, rate_hz, hz, h)
    state["fit"] = _amplitudes(blocks, weight, state, rate_hz, hz, h)
    now_hz = hz + (state["bends"][-1] - state["bends"][-2]) / (t[-1] - t[-2]) / (2 * np.pi)
    state["hz"] = now_hz if abs(now_hz - state["hz"]) > 0.02 else state["hz"]
    state["harms"] = np.tile(gain < 0, (2, 1))


def _amplitudes(blocks: list[Any], weight: F, state: dict[str, Any], rate_hz: float, hz: float, h: int) -> F:
    """Cosines and sines (2 h, channel) by least squares over all rows of all blocks."""
    made = [_rows(block, state, rate_hz, hz, h) for block in blocks]
    found = []
    for c in range(weight.shape[1]):
        root = np.concatenate([np.full(len(m), np.sqrt(w)) for m, w in zip(made, weight[:, c], strict=True)])
        rows = np.concatenate(made) * root[:, None]
        found.append(np.linalg.lstsq(rows[:, : 2 * h], rows[:, 2 * h + c], rcond=None)[0])
    return np.array(found).T


def _step(
    blocks: list[Any], weight: F, fit: F, state: dict[str, Any], rate_hz: float, hz: float, h: int
) -> F:
    """The Gauss-Newton step of the phase at the blocks: least sum of squares, plus those of slope / 0.05 Hz,
    a mean over the time, and of each change of slope / (0.009 Hz root of its seconds)."""
    order = np.tile(np.arange(1, h + 1), 2)[:, None]
    slope = np.concatenate([fit[h:], -fit[:h]]) * order
    n = len(blocks)
    normal, right = 1e-9 * np.eye(n), -1e-9 * state["bends"]
    for k, block in enumerate(blocks):
        made = _rows(block, state, rate_hz, hz, h)
        moved = made[:, : 2 * h] @ slope
        rest = made[:, 2 * h :] - made[:, : 2 * h] @ fit
        normal[k, k] += 0.25 * (weight[k] * (moved**2).sum(axis=0)).sum()
        right[k] += 0.25 * (weight[k] * (moved * rest).sum(axis=0)).sum()
    t = state["at"] / rate_hz
    slopes = [(np.eye(n)[k + 1] - np.eye(n)[k]) / (t[k + 1] - t[k]) for k in range(n - 1)]
    springs = [
        (s, (t[k + 1] - t[k]) / (t[-1] - t[0]) / (2 * np.pi * 0.05) ** 2) for k, s in enumerate(slopes)
    ]
    for k in range(n - 2):
        stiff = 1.0 / ((2 * np.pi * 0.009) ** 2 * 0.5 * (t[k + 2] - t[k]))
        springs.append((slopes[k + 1] - slopes[k], stiff))
    for row, stiff in springs:
        normal = normal + stiff * np.outer(row, row)
        right = right - stiff * row * (row @ state["bends"])
    return np.asarray(np.linalg.solve(normal, right))


def coherence(indices: list[int], weights: list[float], rate_hz: float, mains_hz: float, harmonics: int) -> F:
    """R_h = |sum_i w_i exp(i 2 pi h f t_i)| / sum_i w_i, one trigger after another."""
    out = []
    for h in range(1, harmonics + 1):
        re = im = total = 0.0
        for index, weight in zip(indices, weights, strict=True):
            phase = 2 * np.pi * h * mains_hz * (index / rate_hz)
            re, im, total = re + weight * np.cos(phase), im + weight * np.sin(phase), total + weight
        out.append(float(np.hypot(re, im)) / total)
    return np.array(out)
